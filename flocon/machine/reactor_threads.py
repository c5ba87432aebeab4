"""Work for the reactor's own threads, which are there for what pacman waits for."""

from __future__ import annotations

import sys
from threading import Thread
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from flocon.machine.limits import NoThread

#: Seconds for which a thread may keep the interpreter's lock from the reactor's.
SHORT_TURN = 0.001
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from twisted.internet.interfaces import IReactorThreads

    T = TypeVar("T")


def in_thread(
    reactor: IReactorThreads, function: Callable[..., T], *arguments: object
) -> Deferred[T]:
    """Have ``function`` called in a thread; fire with what it returns, fail with NoThread."""
    return in_pool(reactor, reactor.getThreadPool(), function, *arguments)


def in_pool(reactor: Any, pool: Any, function: Callable[..., T], *arguments: object) -> Deferred[T]:
    """Have ``function`` called in a thread of a pool; fails with NoThread where none can begin."""
    try:
        result: Deferred[T] = deferToThreadPool(reactor, pool, function, *arguments)
    except (RuntimeError, MemoryError) as error:
        # When the pool stops it waits for all that it counts, and those that never began.
        pool.threads = [one for one in pool.threads if one.ident is not None]
        return fail(NoThread(error))
    return result


def in_own_thread(
    reactor: IReactorThreads, name: str, function: Callable[..., T], *arguments: object
) -> Deferred[T]:
    """Have ``function`` called in a thread of its own; fire with what it returns.

    For what cannot be ended and may take minutes: it takes no thread from anybody, and ends with
    the process. A cancelled one goes on, and tells nobody. Fails with NoThread where there is none.
    """
    result: Deferred[T] = Deferred()

    def tell(outcome: T | Failure) -> None:
        if isinstance(outcome, Failure):
            result.errback(outcome)
        else:
            result.callback(outcome)

    def run() -> None:
        try:
            outcome: T | Failure = function(*arguments)
        except Exception:  # noqa: BLE001 - handed on
            outcome = Failure()
        reactor.callFromThread(tell, outcome)

    try:
        Thread(target=run, name=name[:40], daemon=True).start()
    except (RuntimeError, MemoryError) as error:
        return fail(NoThread(error))
    return result


def take_short_turns() -> None:
    """Let the reactor have the interpreter's lock soon, whatever threads do.

    It gives the lock up at each system call, and waits Python's own 5 ms to have it back while a
    database is read: for ten calls of one turn, 50 ms.
    """
    sys.setswitchinterval(SHORT_TURN)
