"""Pieces of a file that came and are not written yet, in the order in which they are to be.

Whoever reads the file sees it through them as if they were there already. Nothing here writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What a piece takes of memory beside its bytes: a source may send them one by one.
PIECE = 256
#: Pieces written at once; a kernel takes twice as many buffers in one call.
MOST_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes and their place in the file."""

    position: int
    data: bytes

    @property
    def end(self) -> int:
        return self.position + len(self.data)

    @property
    def cost(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.data) + PIECE

    def overlaps(self, start: int, end: int) -> bool:
        return self.position < end and start < self.end


class Pieces:
    """What waits, the oldest first; some of it is being written. ``cost`` is in bytes."""

    def __init__(self) -> None:
        self._pieces: dict[int, Piece] = {}
        self._next = 0
        self._taken = 0
        self.cost = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces.values())

    def add(self, piece: Piece) -> None:
        self._pieces[self._next] = piece
        self._next += 1
        self.cost += piece.cost

    def take(self) -> list[Piece]:
        """Return what is to be written now; it waits until ``done`` or ``give_back``."""
        taken = list(islice(self, MOST_AT_ONCE))
        self._taken = len(taken)
        return taken

    def done(self) -> None:
        """Forget what was taken: it is written."""
        for key in list(islice(self._pieces, self._taken)):
            self.cost -= self._pieces.pop(key).cost
        self._taken = 0

    def give_back(self) -> None:
        """Let what was taken be written anew."""
        self._taken = 0

    def drop(self) -> None:
        """Forget all but what is being written."""
        for key in list(islice(self._pieces, self._taken, None)):
            self.cost -= self._pieces.pop(key).cost

    def first(self, start: int, end: int) -> int:
        """Return where the first of them between ``start`` and ``end`` begins; else ``end``."""
        places = (piece.position for piece in self if piece.overlaps(start, end))
        return max(start, min(places, default=end))

    def lay_over(self, position: int, size: int, data: bytes) -> bytes:
        """Return ``size`` bytes of the file, of which ``data`` is what was written."""
        seen = bytearray(data)
        for piece in self:
            if piece.overlaps(position, position + size):
                first = max(0, piece.position - position)
                skipped = max(0, position - piece.position)
                shown = piece.data[skipped : skipped + size - first]
                seen.extend(bytes(max(0, first - len(seen))))
                seen[first : first + len(shown)] = shown
        return bytes(seen)


def runs(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return pieces as runs without gaps, so that a run can be written at once.

    Written one run after the other, what overlaps comes out as in the order of the pieces.
    """
    found: list[list[Piece]] = []
    for piece in pieces:
        for run in reversed(found):
            start, end = run[0].position, run[-1].end
            if end == piece.position:
                run.append(piece)
                break
            if piece.overlaps(start, end):
                found.append([piece])
                break
        else:
            found.append([piece])
    return found
