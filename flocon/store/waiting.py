"""Waiting for disks: which threads do.

The reactor's own threads are there for what pacman waits for; here are those for all else.
"""

from __future__ import annotations

from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from flocon.machine.limits import NoThread
from flocon.machine.reactor_threads import in_pool
from flocon.machine.worker import PoliteThreadPool
from flocon.store.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

_T = TypeVar("_T")
#: Files made safe at once: they mostly wait for the disk, and it for several together.
MOST_KEEPING = 4
#: Files opened at once for strangers.
MOST_OPENING = 2


class Threads:
    """The pools, by what they do; ``pool`` instead of all of them for a test."""

    _log = Logger()

    def __init__(self, reactor: Any, pool: ThreadPool | None = None) -> None:
        self._reactor = reactor
        # One thread hashes, so one file at a time.
        self.hashing = pool or PoliteThreadPool(0, 1, "hashing")
        self.keeping = pool or ThreadPool(0, MOST_KEEPING, "keeping")
        self.opening = pool or ThreadPool(0, MOST_OPENING, "opening")
        #: For hashing what comes in and only strangers wait for.
        self.for_strangers = pool or ThreadPool(0, 1, "for strangers")
        #: For folders of which any may hang, each by itself.
        self.lanes = Lanes(reactor, partial(self.run, pool) if pool else None)
        #: Set when the node stops: what runs in a thread ends soon then.
        self.stopped = Event()

    @property
    def _pools(self) -> list[ThreadPool]:
        pools = (self.hashing, self.keeping, self.opening, self.for_strangers)
        return list(dict.fromkeys(pools))

    def start(self) -> None:
        for pool in self._pools:
            pool.start()

    def stop(self) -> None:
        for pool in self._pools:
            if pool.started:
                pool.stop()

    def run(self, pool: ThreadPool, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        """Do something in a thread of ``pool``, or at once where it has none.

        Fails with NoThread where none can be begun now.
        """
        if not pool.started:
            return maybeDeferred(work, *arguments)
        return in_pool(self._reactor, pool, work, *arguments)

    def some_time(self, work: Callable[[], None]) -> None:
        """Have something done that nobody waits for, in a thread while there are any."""

        def failed(failure: Failure) -> None:
            self._log.failure("disk work failed", failure)

        def here(failure: Failure) -> Deferred[None]:
            # It gives something back, mostly: what it waits for is worth it.
            failure.trap(NoThread)
            return maybeDeferred(work)

        self.run(self.keeping, work).addErrback(here).addErrback(failed)
