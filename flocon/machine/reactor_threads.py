"""Work for the reactor's own threads, which are there for what pacman waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.threads import deferToThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorThreads

    T = TypeVar("T")


def in_thread(
    reactor: IReactorThreads, function: Callable[..., T], *arguments: object
) -> Deferred[T]:
    """Have ``function`` called in a thread; fire with what it returns."""
    result: Deferred[T] = deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments)
    return result
