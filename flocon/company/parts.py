"""Which source brings which part of a file, when several bring it at once: pure scheduling.

Each source takes the next part that nobody has taken, from the front on, as long as it needs for
about half a second; whoever is alone takes all of it. When all is taken, a source that is done, or
new, takes over the end of the part that would take longest, so that all end together; a slow or
silent one loses its part that way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.extents import Extent

if TYPE_CHECKING:
    from flocon.extents import Extents

#: Bytes of a first part, before anything is known of a source's speed, and of every part.
FIRST_PART = 2 << 20
LEAST_PART = 1 << 20
MOST_PART = 64 << 20
#: Seconds that a part is to take.
PART_SECONDS = 0.5
#: Seconds that a part must still need to be worth taking over.
WORTH_TAKING = 0.05
#: Bytes below which nothing is shared: all of it is taken over.
LEAST_TAKEN = 128 << 10
#: Seconds over which a rate is measured, at least: one that turned slow is soon seen to be.
WINDOW = 0.5


@dataclass(slots=True)
class Part:
    """What one source brings now: it stands at ``position`` and may go up to ``end``.

    ``heard`` is when its last byte came. ``marks`` are two earlier moments and positions, the older
    one first: the rate is what came since one of them.
    """

    start: int
    position: int
    end: int
    since: float
    heard: float
    marks: tuple[tuple[float, int], tuple[float, int]]

    def moved(self, position: int, now: float) -> None:
        self.position = max(self.position, min(position, self.end))
        self.heard = now
        if now - self.marks[1][0] >= WINDOW:
            self.marks = (self.marks[1], (now, self.position))

    def rate(self, now: float) -> float:
        """Return bytes per second lately, waiting included: 0 after some silence."""
        if now - self.heard >= WINDOW:
            return 0.0
        older, newer = self.marks
        then, place = newer if now - newer[0] >= WINDOW else older
        return (self.position - place) / max(now - then, 1e-3)

    def average(self, now: float) -> float:
        """Return bytes per second since the part began."""
        return (self.position - self.start) / max(now - self.since, 1e-3)


class Parts:
    """The parts of one file of ``size`` bytes; a source is known by its key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: dict[str, Part] = {}

    def part(self, key: str) -> Part | None:
        return self._parts.get(key)

    def is_alone(self, key: str, now: float) -> bool:
        """Whether nobody else brings anything, but for those that are silent."""
        return not any(one != key and self.moves(one, now) for one in self._parts)

    def moves(self, key: str, now: float) -> bool:
        """Whether a source brings something now, or has just been asked to."""
        part = self._parts.get(key)
        return part is not None and now - part.heard < WINDOW

    def take(
        self, key: str, arrived: Extents, rate: float, now: float, first: int = FIRST_PART
    ) -> Extent | None:
        """Give the source ``key`` its next part.

        ``rate`` is the bytes per second it brought, or is taken to bring, and ``first`` the most
        bytes of its part; None where there is nothing left that is worth it.
        """
        for gap in arrived.missing(0, self._size):
            start = self._free_from(gap)
            if start < gap.end:
                end = min(start + first, self._free_until(start, gap))
                return self._give(key, start, end, now)
        return self._take_over(key, arrived, rate, now, first)

    def _free_from(self, gap: Extent) -> int:
        """Return where in a gap the first byte lies that nobody brings."""
        position = gap.start
        for part in sorted(self._parts.values(), key=lambda one: one.start):
            if part.start <= position < part.end:
                position = part.end
        return position

    def _free_until(self, start: int, gap: Extent) -> int:
        return min([gap.end, *(one.start for one in self._parts.values() if one.start > start)])

    def _give(self, key: str, start: int, end: int, now: float) -> Extent:
        self._parts[key] = Part(start, start, end, now, now, ((now, start), (now, start)))
        return Extent(start, end)

    def _take_over(
        self, key: str, arrived: Extents, rate: float, now: float, most: int
    ) -> Extent | None:
        lacking = [one for one in self._parts.values() if arrived.missing(one.position, one.end)]
        slowest = max(lacking, key=lambda one: _left(one, now), default=None)
        if slowest is None or _left(slowest, now) < WORTH_TAKING:
            return None
        other = slowest.rate(now)
        share = rate / (rate + other) if rate + other > 0 else 0.5
        remaining = slowest.end - slowest.position
        if remaining < LEAST_TAKEN:
            # Too little to share: all of it, and whoever brings it first has brought it.
            share = 1.0 if other < rate else 0.0
        end = slowest.end
        start = end - min(int(remaining * share), most)
        if start >= end:
            return None
        slowest.end = start
        return self._give(key, start, end, now)

    def moved(self, key: str, position: int, now: float) -> bool:
        """Note how far a source came; return whether it is to go on."""
        part = self._parts[key]
        part.moved(position, now)
        return position < part.end

    def done(self, key: str) -> None:
        """Take a source's part from it: what lacks of it is free again."""
        self._parts.pop(key, None)


def part_size(rate: float) -> int:
    """Return the bytes of a part for a source that brings ``rate`` bytes per second."""
    return min(max(int(rate * PART_SECONDS), LEAST_PART), MOST_PART) if rate > 0 else FIRST_PART


def _left(part: Part, now: float) -> float:
    """Return the seconds a part still needs."""
    remaining = part.end - part.position
    rate = part.rate(now)
    return remaining / rate if rate > 0 else remaining * 1e-3 + (now - part.since)
