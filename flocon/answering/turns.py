"""A face's time: some milliseconds of each turn of the reactor, which its askers take by turns.

A thousand connections may each have something to be answered in one turn. Answers are begun for as
long as there is time; the rest wait for the next turn, those of one asker behind each other. What
comes in between, from anywhere, does not wait for them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from twisted.internet.interfaces import IDelayedCall

#: Seconds of one turn in which answers are begun; the last of them may take longer.
TURN = 0.005
#: Part of all time that one face may take before its askers wait for turns at all.
SHARE = 0.5


class Turns:
    """Who waits for time of one face, by asker and connection; ``reactor`` has the clock.

    What a connection waits for is a call, one at a time.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        #: The next asker's first, and of each asker the next connection's.
        self._waiting: dict[Hashable, dict[object, Callable[[], None]]] = {}
        #: What was put there while others had their turn: for the next one.
        self._later: list[tuple[Hashable, object, Callable[[], None]]] | None = None
        self._due: IDelayedCall | None = None
        #: Seconds taken lately, of which time pays off a share; and when that was reckoned.
        self._taken = 0.0
        self._reckoned: float = reactor.seconds()
        self._busy = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def take(self, asker: Hashable, connection: object, call: Callable[[], None]) -> bool:
        """Make a call if there is time for it and nobody waits; else later, and return False."""
        if self._busy:
            # A part of what has its turn now.
            call()
            return True
        if self._waiting or not self._has_time():
            self.wait(asker, connection, call)
            return False
        self._make(call)
        return True

    def wait(self, asker: Hashable, connection: object, call: Callable[[], None]) -> None:
        """Have a call made in a turn to come."""
        if self._later is not None:
            self._later.append((asker, connection, call))
            return
        self._waiting.setdefault(asker, {})[connection] = call
        if self._due is None:
            self._due = self._reactor.callLater(0, self._go_on)

    def drop(self, asker: Hashable, connection: object) -> None:
        """Forget what a connection waits for; nothing is no error."""
        if self._later is not None:
            self._later = [one for one in self._later if one[1] is not connection]
        calls = self._waiting.get(asker, {})
        calls.pop(connection, None)
        if not calls:
            self._waiting.pop(asker, None)
        if not self._waiting and self._due is not None:
            self._due.cancel()
            self._due = None

    def _has_time(self) -> bool:
        now = self._reactor.seconds()
        self._taken = max(0.0, self._taken - SHARE * max(0.0, now - self._reckoned))
        self._reckoned = now
        return self._taken < TURN

    def _make(self, call: Callable[[], None]) -> None:
        self._busy = True
        began = self._reactor.seconds()
        try:
            call()
        finally:
            self._busy = False
            self._reckoned = self._reactor.seconds()
            self._taken += max(0.0, self._reckoned - began)

    def _go_on(self) -> None:
        """Let those who wait have their turn, each connection one call at most."""
        self._due, self._later = None, []
        until = self._reactor.seconds() + TURN
        try:
            while self._waiting:
                self._make(self._next())
                if self._reactor.seconds() >= until:
                    break
        finally:
            later, self._later = self._later, None
            for one in later:
                self.wait(*one)
            if self._waiting and self._due is None:
                self._due = self._reactor.callLater(0, self._go_on)

    def _next(self) -> Callable[[], None]:
        """Take the next connection's call off the next asker, who then is the last."""
        asker = next(iter(self._waiting))
        calls = self._waiting.pop(asker)
        call = calls.pop(next(iter(calls)))
        if calls:
            self._waiting[asker] = calls
        return call
