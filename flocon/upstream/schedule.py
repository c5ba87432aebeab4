"""When a mirror is looked at again: decides only, and asks no clock.

``now`` and ``Last.at`` are seconds of a clock that nobody sets, ``wall`` and ``Last.wall`` seconds
since 1970; ``chance`` is between 0 and 1, and the same until the next look. Times of day are the
machine's own (``zone`` None), which may be set at any moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

#: What of the time between two looks they are spread by.
SPREAD = 0.1
#: Seconds after a time of day, and after a start with an old state, within which it is looked.
SPREAD_OF_DAY = 600.0
SPREAD_OF_START = 30.0
#: Seconds from a look that failed to the next one, doubled with each further failure up to these.
RETRY = 300.0
LONGEST_RETRY = 3_600.0
#: Failures that are counted.
_MOST_DOUBLED = 16


@dataclass(frozen=True, slots=True)
class Last:
    """The last look: when it ended by both clocks, and how many have failed up to it."""

    at: float
    wall: float
    failures: int = 0


def remembered(refreshed: int, now: float, wall: float) -> Last | None:
    """Return the last look as it is known at a start; None where it is not.

    One that is yet to come tells that the clock is wrong, or was.
    """
    if not 0 < refreshed <= wall:
        return None
    return Last(now - (wall - refreshed), float(refreshed))


def wait(
    refresh: float | tuple[str, ...],
    last: Last | None,
    now: float,
    wall: float,
    *,
    chance: float,
    zone: tzinfo | None = None,
) -> float | None:
    """Return in how many seconds it is to be looked, None for never by itself.

    ``refresh`` is in seconds, or the times of a day as ``HH:MM``.
    """
    if refresh == ():
        return None
    if last is None:
        return 0.0
    if isinstance(refresh, tuple):
        # A look that is yet to come was told by a clock that has been set back since.
        moment = next_time(refresh, min(last.wall, wall), zone)
        regular = moment + SPREAD_OF_DAY * chance - wall
    else:
        regular = last.at + refresh * (1 + SPREAD * (chance - 0.5)) - now
    if not last.failures:
        return max(0.0, regular)
    shortest = RETRY if isinstance(refresh, tuple) else min(RETRY, refresh)
    doubled: float = shortest * 2.0 ** min(last.failures - 1, _MOST_DOUBLED)
    pause = min(doubled, LONGEST_RETRY) * (1 + SPREAD * chance)
    again = last.at + pause - now
    # What is looked at more often than that is left alone for as long.
    often = not isinstance(refresh, tuple) and refresh <= pause
    return max(0.0, again if often else min(again, regular))


def next_time(times: tuple[str, ...], after: float, zone: tzinfo | None = None) -> float:
    """Return the first moment after ``after`` at which it is one of ``times``.

    Where clocks are put forward over one, as long after it; where they are put back, once.
    """
    today = datetime.fromtimestamp(after, zone).date()
    moments = [
        datetime.combine(today + timedelta(days), time.fromisoformat(one), zone).timestamp()
        for days in range(-1, 3)
        for one in times
    ]
    return min(moment for moment in moments if moment > after)
