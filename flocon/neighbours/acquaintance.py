"""Getting acquainted: what is asked in a node's first moments is held by nobody it knows yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

from flocon.asking.waiting import Outcome

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
        self._acquainted: Outcome[None] = Outcome()

    def start(self) -> None:
        self._acquainting = defer.Deferred.fromCoroutine(self._get_acquainted())
        self._acquainting.addErrback(lambda reason: reason.trap(defer.CancelledError))
        self._acquainting.addBoth(lambda _: self._acquainted.succeed(None))

    async def _get_acquainted(self) -> None:
        await task.deferLater(self._reactor, HEARING)
        until = self._reactor.seconds() + READING
        while self._is_reading() and self._reactor.seconds() < until:
            await task.deferLater(self._reactor, 0.02)

    @property
    def is_made(self) -> bool:
        """Whether those that were there before this node are known, and what they hold."""
        return self._acquainted.known or self._acquainting is None

    def made(self) -> Deferred[None]:
        """Fire when ``is_made`` is so."""
        return defer.succeed(None) if self.is_made else self._acquainted.wait()

    def stop(self) -> None:
        """Let go of who waits."""
        if self._acquainting is not None:
            self._acquainting.cancel()
