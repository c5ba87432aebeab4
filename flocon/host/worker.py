"""Work in the background: a loop that can be waited for, and threads that give way to others."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOWEST_PRIORITY = 19


class Worker:
    """Awaits ``step()`` again and again until it returns False; woken again by ``wake``.

    ``step`` takes its work off a list before it awaits anything, so what fails is not tried for
    ever. One step runs at a time.
    """

    _log = Logger()

    def __init__(self, step: Callable[[], Awaitable[bool]]) -> None:
        self._step = step
        self._started = False
        self._running = False
        self._waiting: list[Deferred[None]] = []

    def start(self) -> None:
        self._started = True
        self.wake()

    def wake(self) -> None:
        """There is something to do."""
        if self._started and not self._running:
            self._running = True
            work = Deferred.fromCoroutine(self._run())
            work.addErrback(lambda failure: self._log.failure("a worker ended", failure))

    def stop(self) -> Deferred[None]:
        """Begin no other step; fires when the running one has ended."""
        self._started = False
        return self.idle()

    def idle(self) -> Deferred[None]:
        """Return what fires when nothing is being done."""
        done: Deferred[None] = Deferred()
        if self._running:
            self._waiting.append(done)
        else:
            done.callback(None)
        return done

    async def _run(self) -> None:
        more = True
        while more and self._started:
            try:
                more = await self._step()
            except Exception:  # noqa: BLE001 - one bad job must not end all work
                self._log.failure("a piece of work failed")
        self._running = False
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)


class _PoliteThread(threading.Thread):
    def run(self) -> None:
        # Linux counts niceness by thread, and a low priority lowers that of reading as well.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        super().run()


class PoliteThreadPool(ThreadPool):
    """Threads of the lowest priority; they keep it, for raising it again takes privileges."""

    threadFactory = _PoliteThread  # noqa: N815 - the name Twisted looks for
