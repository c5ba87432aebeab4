"""Asks the builder of this machine: one job, its log as it comes, and what came out of it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError

from flocon.errors import BuilderAway, BuildError
from flocon.programs.talking import Conversation, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flocon.programs.talking import Message

#: Seconds to be let in, by a builder that systemd starts for it too; and those for a whole job
#: beside the time that it may take itself: for its root, and for those before it.
PATIENCE, BESIDE = 20.0, 6 * 3_600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """How a job ended: the builder's words, and open files, which are the caller's to close."""

    values: Mapping[str, Any]
    files: tuple[int, ...] = ()

    def text(self, name: str, most: int = 2_000) -> str:
        """Return a text that it said, "" where it said none."""
        value = self.values.get(name)
        return value[:most] if isinstance(value, str) else ""

    def close(self) -> None:
        for descriptor in self.files:
            os.close(descriptor)


async def build(
    reactor: Any,
    path: str,
    request: Mapping[str, Any],
    files: Sequence[int],
    *,
    seconds: float,
    log: Callable[[str], None],
    step: Callable[[str], None],
) -> Answer:
    """Have the builder at the socket ``path`` do a job; ``files`` stay the caller's to close.

    Cancelled, the builder ends and removes all of it. Raises BuilderAway where there is none, or
    it ended meanwhile, and BuildError with its own sentence.
    """
    job = _Job(log, step)
    try:
        conversation = await connect(
            UNIXClientEndpoint(reactor, path, timeout=PATIENCE),
            Conversation(job.received, job.ended),
        )
    except ConnectError as error:
        raise _away(path, error) from None
    try:
        conversation.say(request, files)
        return await job.over.addTimeout(seconds + BESIDE, reactor, _too_late)
    finally:
        conversation.transport.abortConnection()


class _Job:
    """Takes what is said of a job until it is over."""

    def __init__(self, log: Callable[[str], None], step: Callable[[str], None]) -> None:
        self._log = log
        self._step = step
        self.over: Deferred[Answer] = Deferred()

    def received(self, _: Conversation, message: Message) -> None:
        values = message.values
        if self.over.called:
            message.close()
            return
        if isinstance(text := values.get("log"), str):
            self._log(text)
        if isinstance(name := values.get("step"), str):
            self._step(name[:40])
        if "error" in values:
            message.close()
            remedy = str(values.get("remedy", ""))[:2_000]
            self.over.errback(BuildError(str(values["error"])[:2_000], remedy))
        elif values.get("done") is True:
            self.over.callback(Answer(values, message.files))
        else:
            message.close()

    def ended(self, _: Conversation) -> None:
        if not self.over.called:
            self.over.errback(BuilderAway("the builder ended meanwhile", _SEE))


_SEE = "'journalctl -u flocon-build' says why"


def _too_late(_: Any, seconds: float) -> Any:
    raise BuilderAway(f"the builder has not answered for {seconds:.0f} s", _SEE)


def _away(path: str, error: ConnectError) -> BuilderAway:
    number = error.osError
    if number in {errno.ENOENT, errno.ECONNREFUSED}:
        return BuilderAway(
            f"{path}: no builder listens there",
            "start it with 'systemctl enable --now flocon-build.socket'",
        )
    if number in {errno.EACCES, errno.EPERM}:
        return BuilderAway(
            f"{path}: permission denied", "see 'systemctl status flocon-build.socket'"
        )
    reason = os.strerror(number) if number else "it is silent"
    return BuilderAway(f"{path}: {reason}", "see 'systemctl status flocon-build.socket'")
