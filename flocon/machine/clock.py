"""The clock that everything waits by: it goes on while the machine sleeps, and nobody can set it.

Twisted's reactor takes the time of day, so that setting the clock back by an hour holds up every
delayed call by an hour. Time of day is for dates only (``time.time``).
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

#: Returns seconds since the machine started, those included in which it was suspended:
#: ``time.monotonic`` leaves them out, and nobody would notice that the machine has slept. It is
#: asked a hundred times for each package, so it is no function of Python's.
steady = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


def seconds_asleep() -> float:
    """Return for how many seconds this machine has slept since its start."""
    return steady() - time.clock_gettime(time.CLOCK_MONOTONIC)


def steady_clock(reactor: Any) -> None:
    """Have ``reactor`` (a ReactorBase) measure time by ``steady``, calls that wait already too.

    The reactor asks its own ``seconds`` for everything that has to do with time, and hands it to
    each delayed call.
    """
    before = reactor.seconds
    if before is steady:
        return
    waiting = [(call, call.getTime() - before()) for call in reactor.getDelayedCalls()]
    reactor.seconds = steady
    for call, left in waiting:
        call.seconds = steady
        call.reset(max(0.0, left))
