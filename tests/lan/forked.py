"""Asks a nursery for nodes and commands: as if started anew, for a tenth of the processor."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lan.nursery import NUMBER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROGRAM = Path(__file__).with_name("nursery.py")
#: Seconds that the first may take, for which all is imported.
_PATIENCE = 60.0


class Forked:
    """A process of the nursery's, as ``subprocess.Popen`` shows one of this process's own."""

    def __init__(self, arguments: Sequence[str], pid: int, report: int) -> None:
        self.args = arguments
        self.pid = pid
        self.returncode: int | None = None
        self._report = os.fdopen(report, "rb", buffering=0)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the status that it ended with, if it did."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and _readable(self._report.fileno(), timeout):
                told = self._report.read(NUMBER.size)
                # Without a word the nursery ended, and so did this.
                self.returncode = NUMBER.unpack(told)[0] if told else -signal.SIGKILL
                self._report.close()
            return self.returncode


class Nursery:
    """A process that forks twistds or flocons; it ends when this one does."""

    def __init__(self, program: str, environment: Mapping[str, str]) -> None:
        self._asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with asked:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM), program, str(asked.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=(asked.fileno(),),
            )
        atexit.register(self._close)

    def start(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        namespace: str,
        streams: tuple[int, int],
    ) -> Forked:
        """Run it with these arguments in a namespace, what it says going to two descriptors."""
        request = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": str(folder),
            "namespace": namespace,
        }
        report, told = os.pipe()
        try:
            socket.send_fds(self._asking, [json.dumps(request).encode()], [*streams, told])
        finally:
            os.close(told)
        first = os.read(report, NUMBER.size) if _readable(report, _PATIENCE) else b""
        if not first:
            os.close(report)
            raise RuntimeError(f"the nursery started nothing; it ended with {self._process.poll()}")
        return Forked(arguments, NUMBER.unpack(first)[0], report)

    def _close(self) -> None:
        self._asking.close()
        self._process.wait(_PATIENCE)


def _readable(descriptor: int, timeout: float | None) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(None if timeout is None else timeout * 1_000))
