"""A result that many wait for: what a Deferred is for one."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Outcome(Generic[T]):
    """Set once, with a value or an exception; waited for by anyone, before or after."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[T]] = []
        self._value: T | None = None
        self._failure: Exception | None = None
        self.known = False

    def wait(self) -> Deferred[T]:
        """Return a Deferred of the result; cancelling it leaves the others alone."""
        deferred: Deferred[T] = Deferred(self._forget)
        if self.known:
            self._give(deferred)
        else:
            self._waiting.append(deferred)
        return deferred

    def _forget(self, deferred: Deferred[T]) -> None:
        if deferred in self._waiting:
            self._waiting.remove(deferred)

    def succeed(self, value: T) -> None:
        if not self.known:
            self._value = value
            self._settle()

    def fail(self, failure: Exception) -> None:
        if not self.known:
            self._failure = failure
            self._settle()

    def _settle(self) -> None:
        self.known = True
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            self._give(deferred)

    def _give(self, deferred: Deferred[T]) -> None:
        if self._failure is not None:
            deferred.errback(self._failure)
        else:
            deferred.callback(self._value)  # type: ignore[arg-type]  # set, or T allows None
