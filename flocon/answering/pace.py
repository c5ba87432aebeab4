"""When bytes go to peers: within a bound that all share, the unhurried after all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from twisted.internet.interfaces import IDelayedCall

    from flocon.precedence import Precedence

    class Pace(Protocol):
        """How fast one answer may go."""

        def allowance(self, wake: Callable[[], None]) -> int:
            """Return how many bytes may go now; where none may, call ``wake`` once some may."""

        def took(self, count: int) -> None:
            """Learn of bytes that went."""

        def forget(self, wake: Callable[[], None]) -> None:
            """Wake somebody no more."""


#: Seconds between two looks while someone waits; what may be sent at once is one such portion.
TICK = 0.05
#: The least portion, so that a small bound does not send single bytes.
LEAST = 4_096
#: Bytes that may go where nothing bounds them.
PLENTY = 1 << 62
#: Seconds that an answer stands still before it is ended; who asked has mostly left by then.
LONGEST_STAND = 90.0
#: The same of what was fetched for who asked, and is lost then.
LONGEST_STAND_RELAYED = 330.0


class Pacer:
    """A bucket of ``rate`` bytes per second; who finds it empty is woken when it is not.

    With a rate of 0 it has no bound.
    """

    def __init__(self, reactor: Any, rate: float) -> None:
        self._reactor = reactor
        self._waiting: dict[Callable[[], None], None] = {}
        self._call: IDelayedCall | None = None
        self.bound(rate)

    @property
    def is_bounded(self) -> bool:
        return self._rate > 0

    def bound(self, rate: float) -> None:
        """Let so many bytes go in a second from now on; who waits looks anew."""
        self._rate = rate
        self._most = max(LEAST, rate * TICK * 2)
        self._level = self._most
        self._at = self._reactor.seconds()
        if self._call is not None:
            self._call.cancel()
            self._wake()

    def allowance(self, wake: Callable[[], None]) -> int:
        """Return how many bytes may go now; where it is none, call ``wake`` once there are some."""
        if not self._rate:
            return PLENTY
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


class Yielding:
    """Has one answer stand still while anything is hurried, and go as ``pacer`` lets it otherwise.

    ``end`` is called where it has stood still for longer than ``longest`` seconds.
    """

    def __init__(
        self,
        reactor: Any,
        precedence: Precedence,
        pacer: Pacer | None,
        end: Callable[[], None],
        longest: float = LONGEST_STAND,
    ) -> None:
        self._reactor = reactor
        self._most = longest
        self._precedence = precedence
        self._pacer = pacer
        self._end = end
        self._longest: IDelayedCall | None = None

    def allowance(self, wake: Callable[[], None]) -> int:
        if self._precedence.stands(wake):
            if self._longest is None:
                self._longest = self._reactor.callLater(self._most, self._over)
            return 0
        self._go_on()
        return PLENTY if self._pacer is None else self._pacer.allowance(wake)

    def took(self, count: int) -> None:
        if self._pacer is not None:
            self._pacer.took(count)

    def forget(self, wake: Callable[[], None]) -> None:
        self._go_on()
        self._precedence.forget(wake)
        if self._pacer is not None:
            self._pacer.forget(wake)

    def _go_on(self) -> None:
        if self._longest is not None:
            self._longest.cancel()
            self._longest = None

    def _over(self) -> None:
        self._longest = None
        self._end()
