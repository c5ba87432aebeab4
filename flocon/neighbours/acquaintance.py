"""Getting acquainted: what is asked in a node's first moments is held by nobody it knows yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

#: Seconds after its start when a node has heard who is there: a hello is answered within 0.4 s.
HEARING = 0.6
#: Seconds for which the inventories of those that were heard are waited for after that.
READING = 1.5


class Acquaintance:
    """Waits until others had the time to be heard and read; ``is_reading`` tells of the latter."""

    def __init__(self, reactor: Any, is_reading: Callable[[], bool]) -> None:
        self._reactor = reactor
        self._is_reading = is_reading
        self._acquainting: Deferred[None] | None = None
        self._made = False
        #: Those who wait, and what is enough for each.
        self._waiting: dict[Deferred[None], Callable[[], bool]] = {}

    def start(self) -> None:
        self._acquainting = defer.Deferred.fromCoroutine(self._get_acquainted())
        self._acquainting.addErrback(lambda reason: reason.trap(defer.CancelledError))
        self._acquainting.addBoth(lambda _: self._end())

    async def _get_acquainted(self) -> None:
        await task.deferLater(self._reactor, HEARING)
        until = self._reactor.seconds() + READING
        while self._is_reading() and self._reactor.seconds() < until:
            await task.deferLater(self._reactor, 0.02)

    def _end(self) -> None:
        self._made = True
        self.look()

    @property
    def is_made(self) -> bool:
        """Whether those that were there before this node are known, and what they hold."""
        return self._made or self._acquainting is None

    def made(self, is_enough: Callable[[], bool] = lambda: False) -> Deferred[None]:
        """Fire when ``is_made`` is so, or when what is known already is enough."""
        if self.is_made or is_enough():
            return defer.succeed(None)
        waiting: Deferred[None] = defer.Deferred(self._forget)
        self._waiting[waiting] = is_enough
        return waiting

    def _forget(self, waiting: Deferred[None]) -> None:
        self._waiting.pop(waiting, None)

    def look(self) -> None:
        """Let go of those for whom what is known is enough by now; something was learnt."""
        for waiting, is_enough in tuple(self._waiting.items()):
            if (self.is_made or is_enough()) and self._waiting.pop(waiting, None) is not None:
                waiting.callback(None)

    def stop(self) -> None:
        """Let go of who waits."""
        if self._acquainting is not None:
            self._acquainting.cancel()
