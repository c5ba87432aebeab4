"""A bound on the bytes per second that go to peers, shared by all that is being sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

#: Seconds between two looks while someone waits; what may be sent at once is one such portion.
TICK = 0.05
#: The least portion, so that a small bound does not send single bytes.
LEAST = 4_096


class Pacer:
    """A bucket of ``rate`` bytes per second; who finds it empty is woken when it is not."""

    def __init__(self, reactor: Any, rate: float) -> None:
        self._reactor = reactor
        self._rate = rate
        self._most = max(LEAST, rate * TICK * 2)
        self._level = self._most
        self._at = reactor.seconds()
        self._waiting: dict[Callable[[], None], None] = {}
        self._call: IDelayedCall | None = None

    def allowance(self, wake: Callable[[], None]) -> int:
        """Return how many bytes may go now; where it is none, call ``wake`` once there are some."""
        now = self._reactor.seconds()
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level >= 1:
            return int(self._level)
        self._waiting[wake] = None
        if self._call is None:
            self._call = self._reactor.callLater(max(TICK, -self._level / self._rate), self._wake)
        return 0

    def took(self, count: int) -> None:
        self._level -= count

    def forget(self, wake: Callable[[], None]) -> None:
        self._waiting.pop(wake, None)
        if not self._waiting and self._call is not None:
            self._call.cancel()
            self._call = None

    def _wake(self) -> None:
        self._call = None
        waiting, self._waiting = self._waiting, {}
        for wake in waiting:
            wake()
