"""Which packages some states list: 8 bytes for each, of its file's name and content. Pure.

28,000 packages of a state take 224 KB so, and what many states list counts once.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_WIDTH = 8
#: Packages of one state: more than the databases of ten architectures list.
MOST_NAMES = 1 << 20
LARGEST = _WIDTH * (MOST_NAMES + 2)


class Names:
    """A set of packages, each known by its file's name and its raw SHA-256."""

    __slots__ = ("_marks",)

    def __init__(self, marks: Iterable[int] = ()) -> None:
        self._marks = array("Q", sorted(set(marks)))

    @classmethod
    def of(cls, packages: Iterable[tuple[str, bytes]]) -> Names:
        """Return the set of these: file name and raw SHA-256 of each."""
        return cls(mark(file_name, sha256) for file_name, sha256 in packages)

    def has(self, file_name: str, sha256: bytes) -> bool:
        """Whether a package is among them; one of 2**40 that is not may be taken for one."""
        wanted = mark(file_name, sha256)
        place = bisect_left(self._marks, wanted)
        return place < len(self._marks) and self._marks[place] == wanted

    def __len__(self) -> int:
        return len(self._marks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Names) and self._marks == other._marks

    __hash__ = None  # type: ignore[assignment]  # it is as large as its states

    def joined(self, other: Names) -> Names:
        """Return the set of what either has."""
        if not other._marks or not self._marks:
            return self if self._marks else other
        return Names([*self._marks, *other._marks])

    def dump(self, of: str) -> bytes:
        """Return it as bytes, of the state with this identity."""
        marks = self._marks
        if sys.byteorder != "little":
            marks = array("Q", marks)
            marks.byteswap()
        body = marks.tobytes()
        return _seal(of, body) + body


def load(data: bytes, of: str) -> Names | None:
    """Return what was dumped of the state with this identity; None where it is not that, whole."""
    body = data[_WIDTH:]
    if len(body) % _WIDTH or data[:_WIDTH] != _seal(of, body):
        return None
    marks = array("Q")
    marks.frombytes(body)
    if sys.byteorder != "little":
        marks.byteswap()
    return Names(marks)


def mark(file_name: str, sha256: bytes) -> int:
    """Return the 8 bytes by which a package is known, as a number."""
    digest = hashlib.blake2b(sha256 + file_name.encode(), digest_size=_WIDTH).digest()
    return int.from_bytes(digest, "little")


def _seal(of: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_WIDTH, key=of.encode()).digest()
