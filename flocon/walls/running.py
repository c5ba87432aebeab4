"""Runs a command behind a wall to its end: what it says, who it is, and that all of it is gone.

The wall's first process is what everything behind it ends with: once that is gone, so is all else,
however it was started. What is bounded while it runs is for ``watching``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from zope.interface import implementer

from flocon.errors import ToolError
from flocon.walls.bubblewrap import FILTER
from flocon.walls.entering import ANSWER, PLAN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.internet.interfaces import IProcessTransport
    from twisted.python.failure import Failure

_ENTERING = str(Path(__file__).with_name("entering.py"))
#: Seconds between two looks at whether everything behind the wall is gone, and for how long.
_LOOK_EVERY = 0.05
_GONE_WITHIN = 60.0
_LARGEST_ANSWER = 4_096
_MOST_FILES = 2
#: What a shell adds to the number of a signal.
_KILLED = 128


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``entering`` is to do: see there. ``port`` is listened at within the network, 0 not.

    ``outside`` leaves it the machine's own network: nothing of a recipe is run so. ``filter`` is
    bubblewrap's program of system calls. ``places`` are those below ``root`` at which something is
    put: no link may lie there. ``plain`` are those that are written to from ``outside``: folders
    of plain files.
    """

    command: Sequence[str]
    mounts: Sequence[Mapping[str, str]] = ()
    rights: bool = True
    outside: bool = False
    port: int = 0
    group: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    nice: int = 10
    filter: bytes = b""
    root: str = ""
    places: Sequence[str] = ()
    plain: Sequence[str] = ()

    def as_bytes(self) -> bytes:
        return json.dumps(
            {
                "command": list(self.command),
                "mounts": [dict(one) for one in self.mounts],
                "rights": self.rights,
                "outside": self.outside,
                "port": self.port,
                "group": self.group,
                "limits": dict(self.limits),
                "nice": self.nice,
                "root": self.root,
                "places": list(self.places),
                "plain": list(self.plain),
                "environment": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            }
        ).encode()


class Walled(ProcessProtocol):
    """One command behind a wall. ``said`` gets what it says; ``entered`` its listening socket."""

    transport: IProcessTransport

    def __init__(
        self,
        reactor: Any,
        plan: Plan,
        said: Callable[[bytes], None],
        entered: Callable[[socket.socket], None] = lambda _: None,
    ) -> None:
        self._reactor = reactor
        self._plan = plan
        self._said = said
        self._entered = entered
        self._answer: _Answer | None = None
        #: Of the first process behind the wall (pidfd_open(2)).
        self._first = -1
        self._why = ""
        self._is_ending = False
        self._ended: Deferred[int] = Deferred()
        self._gone: Deferred[None] = Deferred()

    async def run(self) -> int:
        """Return its exit status, above 128 for a signal, once all behind the wall is gone.

        Raises ToolError where there is no wall. Cancelled, it ends when all is gone.
        """
        self._start()
        try:
            return await self._ended
        finally:
            self.end()
            await self._gone
            await self._all_gone()

    def end(self) -> None:
        """End it with everything behind the wall; ``run`` returns when it has."""
        self._is_ending = True
        if self._first >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._answer = _Answer(self._reactor, ours, self._answered)
        with (
            theirs,
            _file_of(self._plan.as_bytes()) as plan,
            _file_of(self._plan.filter) as calls,
            Path(os.devnull).open("rb") as nothing,
        ):
            descriptors: dict[int, str | int] = {
                0: nothing.fileno(),
                1: "r",
                2: "r",
                PLAN: plan.fileno(),
                ANSWER: theirs.fileno(),
            }
            if self._plan.filter:
                descriptors[FILTER] = calls.fileno()
            arguments = [sys.executable, "-I", _ENTERING]
            self._reactor.spawnProcess(
                self, sys.executable, arguments, env=os.environ, childFDs=descriptors
            )

    def _answered(self, data: bytes, files: list[int]) -> None:
        if data != b"ready" or not files:
            self._why = data.decode("utf-8", "replace") or "it could not be started"
            return
        self._first, *others = files
        for descriptor in others:
            self._entered(socket.socket(fileno=descriptor))

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N802, N803
        self._said(data)

    def processEnded(self, reason: Failure) -> None:
        if self._answer is not None:
            self._answer.read()
        self._gone.callback(None)
        if self._ended.called:
            return
        if self._why and not self._is_ending:
            self._ended.errback(ToolError("the wall", f"cannot be built: {self._why}"))
            return
        status = 0
        if isinstance(reason.value, ProcessTerminated):
            status = reason.value.exitCode
            if status is None:
                status = _KILLED + (reason.value.signal or 0)
        self._ended.callback(status)

    async def _all_gone(self) -> None:
        if self._first < 0:
            return
        try:
            for _ in range(round(_GONE_WITHIN / _LOOK_EVERY)):
                # It is readable when the process is gone, and with it its namespace.
                if select.select([self._first], [], [], 0)[0]:
                    return
                await deferLater(self._reactor, _LOOK_EVERY)
            raise ToolError("the wall", "has processes behind it that do not end")
        finally:
            os.close(self._first)
            self._first = -1


@implementer(IReadDescriptor)
class _Answer:
    """What ``entering`` says, once."""

    def __init__(
        self,
        reactor: Any,
        ours: socket.socket,
        answered: Callable[[bytes, list[int]], None],
    ) -> None:
        self._reactor = reactor
        self._ours = ours
        self._answered = answered
        ours.setblocking(False)
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._ours.fileno()

    def read(self) -> None:
        """Read it now, where it was not read yet."""
        if self._ours.fileno() < 0:
            return
        try:
            data, files, *_ = socket.recv_fds(self._ours, _LARGEST_ANSWER, _MOST_FILES)
        except OSError:
            data, files = b"", []
        self._reactor.removeReader(self)
        self._ours.close()
        self._answered(data, files)

    doRead = read

    def connectionLost(self, reason: Failure) -> None:
        self._ours.close()

    def logPrefix(self) -> str:
        return "wall"


def _file_of(data: bytes) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(data)
    file.flush()
    file.seek(0)
    return file
