"""What a build says, on its way to the disk: in order, by a thread, within bounds of memory."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred

from flocon.jobs.archive import MOST_LOG
from flocon.log import logger
from flocon.machine.beneath import write_all
from flocon.machine.reactor_threads import in_thread

#: Characters that may wait for the disk; what comes beyond is left out, and that is said.
MOST_WAITING = 4 << 20
_LEFT_OUT = "\n[some of what it said is left out here]\n"

_log = logger(__name__)


class BuildLog:
    """One log; ``descriptor`` is closed by it at the end."""

    def __init__(self, reactor: Any, descriptor: int, most: int = MOST_LOG) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._left = most
        self._waiting: list[str] = []
        self._waits = 0
        self._leaves_out = False
        self._writing: Deferred[None] | None = None
        self._closed = False

    def write(self, text: str) -> None:
        """Have a text written behind the others."""
        if self._closed or self._left <= 0:
            return
        if self._waits + len(text) > MOST_WAITING:
            text = "" if self._leaves_out else _LEFT_OUT
            self._leaves_out = True
        else:
            self._leaves_out = False
        self._waiting.append(text)
        self._waits += len(text)
        if self._writing is None:
            self._writing = Deferred.fromCoroutine(self._write())

    async def close(self) -> None:
        """Return when all is written, or cannot be."""
        self._closed = True
        if self._writing is not None:
            await self._writing
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    async def _write(self) -> None:
        try:
            while self._waiting:
                data = "".join(self._waiting).encode("utf-8", "backslashreplace")[: self._left]
                self._waiting.clear()
                self._waits = 0
                self._left -= len(data)
                await in_thread(self._reactor, write_all, self._descriptor, data)
        except OSError as error:
            self._left = 0
            _log.warn("the log of a build cannot be written: {reason}", reason=error.strerror)
        finally:
            self._writing = None
