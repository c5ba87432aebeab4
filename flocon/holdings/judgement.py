"""When a file that lies on disk may be offered to others, and under which content.

A package counts with its signature (where one is needed) and under its own SHA-256. Until that is
known, a file in a CacheDir goes by the one that the sync database lists for its name and size; a
file in the store is not offered before it was hashed. A file whose hash contradicts what is listed
is not offered, and what was listed once is offered as what it is, whatever is listed by now. Of
another tool's folder nothing is offered but what was hashed and is, or was, listed: files lie there
under their last names while they still grow.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from flocon.files import Content

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: A file written to within so many seconds may still be growing.
SETTLING = 1.0


if TYPE_CHECKING:

    class Known(Protocol):
        """What is known of a file: its size in bytes, and when it was written to, by the clock."""

        @property
        def size(self) -> int: ...

        @property
        def modified(self) -> float: ...

        @property
        def signed(self) -> bool: ...

        @property
        def sha256(self) -> bytes | None:
            """Its own hash, once known."""

        @property
        def confirmed(self) -> bool:
            """Whether a sync database once listed these very bytes."""

        @property
        def faulty(self) -> bool:
            """Whether it cannot be read, or is no longer what it was."""


class Place(Enum):
    """Whose folder a file lies in: pacman's, another tool's, or this node's own."""

    CACHE = "cache"
    ADOPTED = "adopted"
    STORE = "store"


class Next(Enum):
    """What is to be done before more can be said of a file."""

    NOTHING = "nothing"
    HASH = "hash"
    HASH_FIRST = "hash first"
    LET_SETTLE = "let settle"


class Verdict(NamedTuple):
    """What a file may be offered as (None: not now), and what has to follow.

    ``confirms``: its own bytes are listed, which is worth remembering. ``expected`` is the SHA-256
    that a file of its size should have had; ``damaged`` if for that it is never offered again.
    """

    content: Content | None = None
    next: Next = Next.NOTHING
    confirms: bool = False
    expected: bytes | None = None
    damaged: bool = False


_REFUSED = Verdict()


def judge(
    file: Known, listed: Sequence[Content], *, place: Place, needs_signature: bool, now: float
) -> Verdict:
    """Judge a file; ``listed`` is what the sync databases list under its name."""
    if file.faulty or not file.size or (needs_signature and not file.signed):
        return _REFUSED
    if file.sha256 is not None:
        return _judge_hashed(file, Content(file.size, file.sha256), listed, place=place)
    fitting = {content for content in listed if content.size == file.size}
    if not fitting:
        if listed or place is Place.ADOPTED:
            return _REFUSED
        is_growing = abs(now - file.modified) < SETTLING
        return Verdict(next=Next.LET_SETTLE if is_growing else Next.HASH)
    if place is not Place.CACHE or len(fitting) != 1:
        return Verdict(next=Next.HASH_FIRST)
    (content,) = fitting
    return Verdict(content, Next.HASH_FIRST)


def _judge_hashed(
    file: Known, content: Content, listed: Sequence[Content], *, place: Place
) -> Verdict:
    """Judge a file by its own hash.

    One that never was listed, while others are under its name, is cut short or spoilt, and not for
    others. The store is ours to clear: what is spoilt there is damaged for good.
    """
    if content in listed:
        return Verdict(content, confirms=not file.confirmed)
    if file.confirmed or (not listed and place is not Place.ADOPTED):
        return Verdict(content)
    if place is Place.ADOPTED:
        # It may not be whole yet, and is not this node's to complain of.
        return _REFUSED
    expected = next((one.sha256 for one in listed if one.size == content.size), None)
    return Verdict(expected=expected, damaged=place is Place.STORE and expected is not None)


def rank(content: Content, *, verified: bool, listed: Sequence[Content]) -> tuple[bool, bool]:
    """Return what to compare files of one name by: listed before others, hashed before others."""
    return content in listed, verified


def is_superfluous(own: Known, others: Iterable[Known]) -> bool:
    """Whether the store's file is damaged, or pacman's own caches have the same in ``others``."""
    if own.faulty or own.sha256 is None:
        return own.faulty
    return any(
        (other.sha256, other.size) == (own.sha256, own.size)
        and not other.faulty
        and (other.signed or not own.signed)
        for other in others
    )
