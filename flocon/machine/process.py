"""Runs one program to its end: its output bounded, its time bounded, killed where that is passed.

What the programs say is for ``pacman`` and ``keyring`` to understand.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol

from flocon.errors import ToolError, ToolMissing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTime
    from twisted.python.failure import Failure

    class ProcessReactor(IReactorProcess, IReactorTime):
        """A reactor that starts processes and keeps time."""


#: pacman-conf prints some KiB, some hundred with every mirror of the world in each repository.
MOST_OUTPUT = 4 << 20
#: Seconds for which what a program has left behind is heard, once it has ended itself.
LINGERING = 1.0
#: setpriority(2): whatever else wants to run, runs first.
LEAST_PRIORITY = 19
#: Begins a session and then is the program that follows it (util-linux).
_SETSID = "setsid"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a program that reads what strangers sent may have: seconds and bytes of memory."""

    processor_seconds: int
    memory: int

    def impose(self, process: int) -> None:
        """Bound a process that has just been started, as far as the system lets us."""
        bounds = {resource.RLIMIT_CPU: self.processor_seconds, resource.RLIMIT_AS: self.memory}
        for kind, most in bounds.items():
            # It may have ended already.
            with suppress(OSError, ValueError):
                resource.prlimit(process, kind, (most, most))


def _yield(process: int) -> None:
    # It may have ended already.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process, LEAST_PRIORITY)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended: ``status`` is its exit status, negative for a signal."""

    status: int
    output: bytes
    errors: bytes


class _Run(ProcessProtocol):
    transport: IProcessTransport

    def __init__(self, clock: Any, tool: str, given: bytes, *, with_children: bool) -> None:
        self._clock = clock
        self._tool = tool
        self._given = given
        self._with_children = with_children
        self._received: dict[int, list[bytes]] = {1: [], 2: []}
        self._length = 0
        self._why = ""
        self._lingering: Any = None
        self.ended: Deferred[Outcome] = Deferred()
        #: The same without an outcome, for who has cancelled the other.
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        if self._given:
            self.transport.write(self._given)
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N802, N803
        self._length += len(data)
        if self._length > MOST_OUTPUT:
            self.kill("says more than anyone can read")
        else:
            self._received[childFD].append(data)

    def kill(self, why: str) -> None:
        self._why = self._why or why
        process = self.transport.pid
        if self._with_children and process is not None:
            # It has no session yet where it has only just been started: then it is alone.
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")
        if not self._with_children:
            # What it has started may go on, and has what it says in hand: that would keep us.
            self.transport.loseConnection()

    def processExited(self, reason: Failure) -> None:
        if not self._with_children:
            # It is what was waited for, and not what it has started and goes on.
            self._lingering = self._clock.callLater(LINGERING, self._hear_out, -1)

    def _hear_out(self, heard: int) -> None:
        """Close its output once a turn of the reactor brought nothing: all may lie there yet."""
        if heard == self._length:
            self.transport.loseConnection()
        else:
            self._lingering = self._clock.callLater(0, self._hear_out, self._length)

    def processEnded(self, reason: Failure) -> None:
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        self.gone.callback(None)
        if self.ended.called:
            return
        if self._why:
            self.ended.errback(ToolError(self._tool, self._why))
            return
        status = 0
        if isinstance(reason.value, ProcessTerminated):
            status = reason.value.exitCode
            if status is None:
                status = -(reason.value.signal or 0)
        self.ended.callback(
            Outcome(status, b"".join(self._received[1]), b"".join(self._received[2]))
        )


async def run(
    reactor: ProcessReactor,
    arguments: Sequence[str],
    *,
    seconds: float,
    descriptors: Mapping[int, int] | None = None,
    bounds: Bounds | None = None,
    yielding: bool = False,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
    with_children: bool = False,
) -> Outcome:
    """Run a program, by the name it has in PATH, with ``given`` to read; return how it ended.

    ``descriptors`` are given to it: its number there to ours; they stay ours to close. It speaks
    English, and has our environment unless it is given one. It may take ``seconds``, and no more
    than ``bounds``; ``yielding`` it leaves the processor to whoever wants it. Raises ToolMissing
    where there is no such program, and ToolError where it could not be started, ran too long or
    said too much.
    Cancelled, it ends when the program has; ``with_children``, all that it started ends with it.
    """
    tool = arguments[0]
    path = shutil.which(tool)
    if path is None:
        raise ToolMissing(tool)
    session = shutil.which(_SETSID) if with_children else None
    if with_children:
        if session is None:
            raise ToolMissing(_SETSID)
        # By its path: what we were asked for may be found otherwise in its own environment.
        path, arguments = session, [_SETSID, path, *arguments[1:]]
    protocol = _Run(reactor, tool, given, with_children=with_children)
    child_fds: dict[int, str | int] = {0: "w", 1: "r", 2: "r", **(descriptors or {})}
    try:
        process = reactor.spawnProcess(
            protocol,
            path,
            arguments,
            env={**(os.environ if environment is None else environment), "LC_ALL": "C"},
            childFDs=child_fds,
        )
        if bounds is not None and process.pid is not None:
            bounds.impose(process.pid)
        if yielding and process.pid is not None:
            _yield(process.pid)
    except OSError as error:
        raise ToolError(tool, error.strerror or "could not be started") from error
    late = reactor.callLater(seconds, protocol.kill, f"took longer than {seconds:g} s")
    try:
        return await protocol.ended
    except CancelledError:
        protocol.kill("is not waited for")
        await protocol.gone
        raise
    finally:
        if late.active():
            late.cancel()
