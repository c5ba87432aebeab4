"""Which threads wait for a disk, and calls that are put off.

The reactor's own threads are there for what pacman waits for; here are those for all else.
"""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from flocon.machine.worker import PoliteThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self.looking = pool or ThreadPool(0, 1, "looking")
        self.keeping = pool or ThreadPool(0, MOST_KEEPING, "keeping")
        self.opening = pool or ThreadPool(0, MOST_OPENING, "opening")
        #: For hashing what comes in and only strangers wait for.
        self.for_strangers = pool or ThreadPool(0, 1, "for strangers")
        #: Set when the node stops: what runs in a thread ends soon then.
        self.stopped = Event()

    @property
    def _pools(self) -> list[ThreadPool]:
        pools = (self.hashing, self.looking, self.keeping, self.opening, self.for_strangers)
        return list(dict.fromkeys(pools))

    def start(self) -> None:
        for pool in self._pools:
            pool.start()

    def stop(self) -> None:
        for pool in self._pools:
            if pool.started:
                pool.stop()

    def run(self, pool: ThreadPool, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        """Do something in a thread of ``pool``, or at once where it has none."""
        if not pool.started:
            return maybeDeferred(work, *arguments)
        result: Deferred[_T] = deferToThreadPool(self._reactor, pool, work, *arguments)
        return result

    def some_time(self, work: Callable[[], None]) -> None:
        """Have something done that nobody waits for, in a thread while there are any."""
        done = self.run(self.keeping, work)
        done.addErrback(lambda failure: self._log.failure("disk work failed", failure))


class Delay:
    """Calls once after some seconds, however often that is asked for; never after ``stop``."""

    def __init__(self, reactor: Any, call: Callable[[], None]) -> None:
        self._reactor = reactor
        self._call = call
        self._pending: Any = None
        self._stopped = False

    def begin(self, seconds: float) -> None:
        """Call after so many seconds, unless that is on its way already."""
        if self._pending is None and not self._stopped:
            self._pending = self._reactor.callLater(seconds, self._due)

    def stop(self) -> None:
        self._stopped = True
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _due(self) -> None:
        self._pending = None
        self._call()


class Alarm:
    """One call at a time, which is moved as what is due first changes.

    ``reactor`` is an IReactorTime; times are by its clock.
    """

    def __init__(self, reactor: Any, call: Callable[[], None]) -> None:
        self._reactor = reactor
        self._call = call
        self.pending: Any = None

    def set(self, due: float | None) -> None:
        """Call at that time, or as soon as may be where it is past; not at all for None."""
        if due is None:
            self.stop()
            return
        delay = max(0.0, due - self._reactor.seconds())
        if self.pending is None:
            self.pending = self._reactor.callLater(delay, self._due)
        else:
            self.pending.reset(delay)

    def stop(self) -> None:
        """Call no more, until it is set again."""
        if self.pending is not None:
            self.pending.cancel()
            self.pending = None

    def _due(self) -> None:
        self.pending = None
        self._call()
