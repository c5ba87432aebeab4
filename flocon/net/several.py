"""One file from several holders at once: starts with one, adds another while that brings more.

Which bytes from whom is ``core.parts``'s; how bytes come and where they go is the transfer's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import defer, task

from flocon.core.parts import Parts
from flocon.errors import Broken, SourceError
from flocon.net.fetch import Enough

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.core.extents import Extents
    from flocon.net.fetch import Attempt, Head

#: Bytes that must lack for a second source to be worth its while, and for a further one.
LEAST_FILE = 8 << 20
LEAST_LEFT = 4 << 20
#: Seconds after which it is seen what one more source has brought.
LOOK_AFTER = 0.15
#: Seconds between two looks of an idle source for a part to take over.
LOOK_AGAIN = 0.1
#: What a further source must bring altogether; less, and this node's own link is the limit.
WORTH_MORE = 1.15
#: Sources at once.
MOST_SOURCES = 6


class Receiver(Protocol):
    """What takes the bytes: a transfer."""

    @property
    def extents(self) -> Extents: ...

    def begin(self, attempt: Attempt, head: Head) -> None: ...

    def write(self, attempt: Attempt, position: int, data: bytes) -> None: ...

    def fetch(self, attempt: Attempt, start: int, end: int, sink: Any) -> Deferred[None]: ...

    def failed(self, attempt: Attempt, failure: SourceError) -> None: ...


class Several:
    """Brings ``size`` bytes from ``first`` and from whom ``more`` names, until nothing lacks.

    ``more(active)`` returns one more holder, or None. ``run`` raises the last SourceError where
    all have failed.
    """

    def __init__(
        self,
        clock: Any,
        receiver: Receiver,
        size: int,
        first: Attempt,
        more: Callable[[list[Attempt]], Attempt | None],
    ) -> None:
        self._clock = clock
        self._receiver = receiver
        self._size = size
        self._more = more
        self._parts = Parts(size)
        self._rates: dict[str, float] = {}
        self._workers: dict[str, tuple[Attempt, Deferred[None]]] = {}
        self._failure: SourceError | None = None
        self._done: Deferred[None] = defer.Deferred(lambda _: self._end())
        self._over = False
        self._look: IDelayedCall | None = None
        self._before = 0.0
        self._seen = (clock.seconds(), len(receiver.extents))
        self._first = first

    def run(self) -> Deferred[None]:
        self._begin(self._first)
        if not self._over:
            self._look = self._clock.callLater(LOOK_AFTER, self._look_around)
        return self._done

    def _begin(self, attempt: Attempt) -> None:
        key = attempt.source.key
        worker = defer.Deferred.fromCoroutine(self._work(attempt))
        if not worker.called:
            self._workers[key] = (attempt, worker)
        worker.addBoth(self._ended, attempt)

    async def _work(self, attempt: Attempt) -> None:
        key = attempt.source.key
        while True:
            now = self._clock.seconds()
            extent = self._parts.take(key, self._receiver.extents, self._rates.get(key, 0.0), now)
            if extent is None:
                if not self._receiver.extents.missing(0, self._size):
                    return
                # All is being brought; one that turns slow is helped out.
                await task.deferLater(self._clock, LOOK_AGAIN)
                continue
            try:
                await self._receiver.fetch(attempt, extent.start, extent.end, _Sink(self, attempt))
            finally:
                part = self._parts.part(key)
                if part is not None:
                    self._rates[key] = part.rate(self._clock.seconds())
                self._parts.done(key)

    def begin(self, attempt: Attempt, head: Head) -> None:
        self._receiver.begin(attempt, head)

    def write(self, attempt: Attempt, position: int, data: bytes) -> None:
        key = attempt.source.key
        end = position + len(data)
        self._receiver.write(attempt, position, data)
        if not self._parts.moved(key, end):
            part = self._parts.part(key)
            if part is not None and end > part.end:
                raise Enough

    def _ended(self, result: Any, attempt: Attempt) -> None:
        self._workers.pop(attempt.source.key, None)
        if self._over:
            # Cancelled, since nothing more is wanted of it.
            return
        if result is not None and not result.check(defer.CancelledError):
            if not result.check(SourceError):
                self._finish(result)
                return
            self._failure = result.value
            self._receiver.failed(attempt, result.value)
        if not self._receiver.extents.missing(0, self._size):
            self._finish(None)
        elif not self._workers and not self._add():
            label = attempt.source.label
            self._finish(self._failure or Broken(label, "did not send all of it"))

    def _finish(self, failure: Any) -> None:
        if self._over:
            return
        self._end()
        if failure is None:
            self._done.callback(None)
        else:
            self._done.errback(failure)

    def _end(self) -> None:
        """Leave nothing behind, and begin nothing more."""
        self._over = True
        if self._look is not None:
            self._look.cancel()
            self._look = None
        for _, worker in list(self._workers.values()):
            worker.cancel()

    def _look_around(self) -> None:
        """Add a source where the last one made the whole faster, and there is enough left."""
        self._look = None
        then, had = self._seen
        now, have = self._clock.seconds(), len(self._receiver.extents)
        self._seen = (now, have)
        rate = (have - had) / max(now - then, 1e-3)
        left = self._size - have
        worth = rate >= WORTH_MORE * self._before and left > max(LEAST_LEFT, 2 * LOOK_AFTER * rate)
        self._before = max(rate, self._before)
        worth = worth and len(self._workers) < MOST_SOURCES
        # One that is added may end all of it at once.
        if worth and self._add() and not self._over:
            self._look = self._clock.callLater(LOOK_AFTER, self._look_around)

    def _add(self) -> bool:
        attempt = self._more([attempt for attempt, _ in self._workers.values()])
        if attempt is None or attempt.source.key in self._workers:
            return False
        self._begin(attempt)
        return True


class _Sink:
    def __init__(self, several: Several, attempt: Attempt) -> None:
        self._several = several
        self._attempt = attempt

    def begin(self, head: Head) -> None:
        self._several.begin(self._attempt, head)

    def write(self, position: int, data: bytes) -> None:
        self._several.write(self._attempt, position, data)
