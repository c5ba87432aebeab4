"""Work in the background: a loop that can be waited for, threads that leave the disk to others."""

from __future__ import annotations

import ctypes
import platform
import threading
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: The system call ioprio_set(2), which no libc wraps.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_THIS_THREAD = 1  # IOPRIO_WHO_PROCESS, of a thread's own number where that is 0
_IDLE = 3 << 13  # IOPRIO_CLASS_IDLE


class Worker:
    """Awaits ``step()`` again and again until it returns False; woken again by ``wake``.

    ``step`` takes its work off a list before it awaits anything, so what fails is not tried for
    ever. One step runs at a time, and none within ``wake``: it begins in the reactor's next turn.
    """

    _log = Logger()

    def __init__(self, reactor: Any, step: Callable[[], Awaitable[bool]]) -> None:
        self._reactor = reactor
        self._step = step
        self._started = False
        self._running = False
        self._woken = False
        self._waiting: list[Deferred[None]] = []

    def start(self) -> None:
        self._started = True
        self.wake()

    def wake(self) -> None:
        """There is something to do."""
        self._woken = True
        if self._started and not self._running:
            self._running = True
            self._reactor.callLater(0, self._begin)

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

    def _begin(self) -> None:
        work = Deferred.fromCoroutine(self._run())
        work.addErrback(lambda failure: self._log.failure("a worker ended", failure))

    async def _run(self) -> None:
        # Whoever wakes it while a step is about to find nothing must not be missed.
        while self._woken and self._started:
            self._woken = False
            try:
                self._woken = await self._step() or self._woken
            except Exception:  # noqa: BLE001 - one bad job must not end all work
                self._woken = True
                self._log.failure("a piece of work failed")
        self._running = False
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)


class _PoliteThread(threading.Thread):
    def run(self) -> None:
        number = _IOPRIO_SET.get(platform.machine())
        if number is not None:
            # What may fail is courtesy only. Processor time is not lowered: a thread that waits
            # for it while it has the interpreter's lock would hold up the reactor.
            ctypes.CDLL(None).syscall(number, _THIS_THREAD, 0, _IDLE)
        super().run()


class PoliteThreadPool(ThreadPool):
    """Threads that read from a disk when nobody else does, where its scheduler heeds that."""

    threadFactory = _PoliteThread  # noqa: N815 - the name Twisted looks for
