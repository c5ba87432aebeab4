"""What waits for two days waits for two days, whatever somebody sets the clock to meanwhile.

Times are noted in Unix seconds, as a restart has to know them. Where the clock is set, they are
moved with it: as long as the machine runs, another clock tells by how much.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.builds.memory import Memory
    from flocon.jobs.book import Book
    from flocon.jobs.watched import Watched

#: Seconds that are no matter: clocks are kept right a little at a time.
LEAST = 60.0

_log = logger(__name__)


class Leaps:
    """``wall`` is the clock that can be set, ``steady`` one that cannot and goes on in sleep."""

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self._wall = wall
        self._steady = steady
        self._apart = wall() - steady()

    def take(self) -> float:
        """Return by how many seconds the clock was set ahead since this was asked last."""
        apart = self._wall() - self._steady()
        leap = apart - self._apart
        if abs(leap) < LEAST:
            # Little by little it is as much.
            return 0.0
        self._apart = apart
        return leap


async def follow(leaps: Leaps, book: Book, memory: Memory) -> None:
    """Move all that is noted with the clock, where that was set."""
    leap = leaps.take()
    if not leap:
        return
    _log.warn("the clock was set by {leap:.0f} s: what waits goes on waiting", leap=leap)
    memory.move(leap)
    found = [moved(one, leap) for one in book.watched.values()]
    for one in found:
        book.put_back(one)
    if found:
        await book.put(found[0], "")


def moved(one: Watched, leap: float) -> Watched:
    """Return a recipe with what it waits for as far away as before the clock was set."""
    candidate, job = one.candidate, one.job
    if candidate is not None:
        candidate = replace(
            candidate,
            seen=max(0.0, candidate.seen + leap),
            matures=_moved(candidate.matures, leap),
        )
    if job is not None and job.again:
        job = replace(job, since=max(0.0, job.since + leap), again=_moved(job.again, leap))
    return replace(one, candidate=candidate, job=job, heads_asked=_moved(one.heads_asked, leap))


def _moved(time: float, leap: float) -> float:
    """Return a time of which 0.0 means never."""
    return max(1.0, time + leap) if time else 0.0
