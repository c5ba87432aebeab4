"""Which bytes of a file are there: half-open extents, and single HTTP ranges.

Positions are bytes from the start of the file. Nothing here knows where bytes come from.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")
_CONTENT_RANGE = re.compile(
    r"bytes (?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})/(?P<size>[0-9]{1,18})"
)


@dataclass(frozen=True, slots=True)
class Extent:
    """The bytes from ``start`` up to, not including, ``end``."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class Extents:
    """A set of bytes as sorted extents that neither overlap nor touch."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __len__(self) -> int:
        return sum(self._ends) - sum(self._starts)

    def __iter__(self) -> Iterator[Extent]:
        return (Extent(start, end) for start, end in zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> None:
        """Take the bytes from ``start`` to ``end`` in; an empty extent changes nothing."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def reach(self, position: int) -> int:
        """Return how far the bytes from ``position`` on are there without a gap."""
        at = bisect_right(self._starts, position) - 1
        if at >= 0 and position < self._ends[at]:
            return self._ends[at]
        return position

    def within(self, start: int, end: int) -> list[Extent]:
        """Return what is there between ``start`` and ``end``, in order."""
        found = []
        for at in range(bisect_right(self._ends, start), len(self._starts)):
            if self._starts[at] >= end:
                break
            found.append(Extent(max(start, self._starts[at]), min(end, self._ends[at])))
        return found

    def missing(self, start: int, end: int) -> list[Extent]:
        """Return what lacks between ``start`` and ``end``, in order."""
        gaps = []
        position = start
        for at in range(bisect_right(self._ends, start), len(self._starts)):
            if self._starts[at] >= end:
                break
            if position < self._starts[at]:
                gaps.append(Extent(position, self._starts[at]))
            position = self._ends[at]
        if position < end:
            gaps.append(Extent(position, end))
        return gaps


class Unsatisfiable(ValueError):  # noqa: N818 - what HTTP calls it
    """A range that begins after the end of the file: 416."""


def parse_range(header: str | None, size: int) -> Extent | None:
    """Read a ``Range`` header for a file of ``size`` bytes.

    Return None where the whole file is to be sent: no header, several ranges, another unit or
    nonsense, all of which RFC 9110 allows to ignore. Raise Unsatisfiable for 416.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match["first"] or match["last"]):
        return None
    if not match["first"]:
        length = int(match["last"])
        if length == 0:
            raise Unsatisfiable
        # The end of an empty file is satisfiable, but no Content-Range could tell where it is.
        return Extent(max(0, size - length), size) if size else None
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else size - 1
    if match["last"] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return Extent(first, min(last + 1, size))


def parse_open_range(header: str | None) -> int:
    """Return N of ``Range: bytes=N-``, the only form pacman sends; 0 for anything else."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not match["first"] or match["last"]:
        return 0
    return int(match["first"])


def parse_content_range(header: str | None) -> tuple[Extent, int] | None:
    """Read ``Content-Range`` of a 206: the extent and the size of the whole; None if unusable."""
    match = _CONTENT_RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    extent = Extent(int(match["first"]), int(match["last"]) + 1)
    size = int(match["size"])
    return (extent, size) if extent.start < extent.end <= size else None
