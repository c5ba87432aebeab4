"""The first good answer of several sources that are asked one after the other, none left waiting.

Each is asked some time after the one before it, which goes on meanwhile: a silent one costs that
time and not a time-out of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from twisted.internet import defer
from twisted.python.failure import Failure

from flocon.errors import SourceError, Stalled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

T = TypeVar("T")


class Staggered(Generic[T]):
    """Runs ``tries`` until one returns something; see ``first_good``."""

    def __init__(
        self, clock: Any, tries: Iterable[Callable[[], Awaitable[T]]], stagger: float
    ) -> None:
        self._clock = clock
        self._left = list(tries)
        self._stagger = stagger
        self._running: set[Deferred[Any]] = set()
        self._timers: list[IDelayedCall] = []
        self._failures: list[SourceError] = []
        self._done: Deferred[T] = defer.Deferred(lambda _: self._end())
        self._over = False

    def run(self, patience: float) -> Deferred[T]:
        """Return the first result; fails after ``patience`` seconds, or when all have failed."""
        self._timers.append(self._clock.callLater(patience, self._give_up))
        self._next()
        return self._done

    def _next(self) -> None:
        if self._over:
            return
        if not self._left:
            if not self._running:
                self._fail()
            return
        one = self._left.pop(0)
        running: Deferred[Any] = defer.Deferred.fromCoroutine(_awaited(one))
        if not running.called:
            self._running.add(running)
        if self._left and not running.called:
            self._timers.append(self._clock.callLater(self._stagger, self._next))
        running.addBoth(self._ended, running)

    def _ended(self, result: Any, running: Deferred[Any]) -> None:
        self._running.discard(running)
        if self._over:
            return
        if not isinstance(result, Failure):
            self._end()
            self._done.callback(result)
        elif result.check(SourceError):
            failure = result.value
            assert isinstance(failure, SourceError)  # noqa: S101 - it was just looked at
            self._failures.append(failure)
            self._next()
        else:
            self._end()
            self._done.errback(result)

    def _give_up(self) -> None:
        self._fail(Stalled("all that were asked", "no answer in time"))

    def _fail(self, otherwise: SourceError | None = None) -> None:
        if not self._over:
            self._end()
            last = self._failures[-1] if self._failures else None
            self._done.errback(last or otherwise or Stalled("nobody", "there was nobody to ask"))

    def _end(self) -> None:
        self._over = True
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        for running in list(self._running):
            running.cancel()


async def _awaited(one: Callable[[], Awaitable[T]]) -> T:
    return await one()


def first_good(
    clock: Any, tries: Iterable[Callable[[], Awaitable[T]]], *, stagger: float, patience: float
) -> Deferred[T]:
    """Return what the first of ``tries`` that succeeds returned.

    Each begins ``stagger`` seconds after the one before it, or when that one fails with a
    SourceError. Fails with the last of those, or with Stalled after ``patience`` seconds.
    """
    return Staggered(clock, tries, stagger).run(patience)
