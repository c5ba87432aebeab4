"""Leaving the machine to those who wait: while packages come in, what can wait waits."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred

from flocon.machine.threads import Delay

#: What can wait does so many seconds after each package, but for no longer than the second figure
#: as long as they keep coming; from then on it has a moment each such pause.
PAUSE = 1.0
LONGEST_PAUSE = 5.0
#: The same for what was received itself: peers are told of it only once it has its name.
KEEPING_PAUSE = 0.25
LONGEST_KEEPING_PAUSE = 0.5


class Politeness:
    """Tells when it is quiet: ``pause`` seconds after each package that came in."""

    def __init__(self, reactor: Any, pause: float = PAUSE) -> None:
        self._reactor = reactor
        self._pause = pause
        #: When packages began to come in one after the other, and until when to leave them alone.
        self._busy_since = self._busy_until = self._came = float("-inf")
        #: When what can wait was let go last.
        self._let_go = float("-inf")
        self._patient: list[Deferred[None]] = []
        #: Until when each waits at the latest, the first one first.
        self._keeping: deque[tuple[float, Deferred[None]]] = deque()
        self._quiet = Delay(reactor, self._look_whether_quiet)
        self._lulled = Delay(reactor, self._look_whether_lulled)
        self._stopped = False

    def stop(self) -> None:
        """Let nobody wait any more."""
        self._stopped = True
        self._quiet.stop()
        self._lulled.stop()
        self._release_patient()
        self._look_whether_lulled()

    def hold_back(self) -> None:
        """Put off what can wait: a package is coming in, and others are likely to follow."""
        now = self._came = self._reactor.seconds()
        if now >= self._busy_until + self._pause:
            self._busy_since = now
        self._busy_until = min(now + self._pause, max(self._busy_since + LONGEST_PAUSE, now))

    def quiet(self) -> Deferred[None]:
        """Return what fires when nothing has come in for a moment, or when stopping."""
        quiet: Deferred[None] = Deferred()
        left = self._left()
        if left <= 0 or self._stopped:
            self._let_go = self._reactor.seconds()
            quiet.callback(None)
        else:
            self._patient.append(quiet)
            self._quiet.begin(left)
        return quiet

    def _left(self) -> float:
        """Return for how many seconds what can wait does."""
        now: float = self._reactor.seconds()
        left = self._busy_until - now
        if now - self._came < self._pause:
            left = max(left, self._let_go + self._pause - now)
        return left

    def _look_whether_quiet(self) -> None:
        left = self._left()
        if left > 0:
            self._quiet.begin(left)
        else:
            self._release_patient()

    def _release_patient(self) -> None:
        self._let_go = self._reactor.seconds()
        patient, self._patient = self._patient, []
        for one in patient:
            one.callback(None)

    async def lull(self) -> None:
        """Wait a moment for what else comes in, and only a moment."""
        now = self._reactor.seconds()
        latest = now + LONGEST_KEEPING_PAUSE
        left = min(self._lull_begins, latest) - now
        if left > 0 and not self._stopped:
            turn: Deferred[None] = Deferred()
            self._keeping.append((latest, turn))
            self._lulled.begin(left)
            await turn

    @property
    def _lull_begins(self) -> float:
        return self._came + min(self._pause, KEEPING_PAUSE)

    def _look_whether_lulled(self) -> None:
        now = self._reactor.seconds()
        lulled = self._stopped or self._lull_begins - now <= 0
        released = []
        while self._keeping and (lulled or self._keeping[0][0] - now <= 0):
            released.append(self._keeping.popleft()[1])
        if self._keeping:
            self._lulled.begin(min(self._lull_begins, self._keeping[0][0]) - now)
        for one in released:
            one.callback(None)
