"""Asks the signer of this machine, for whoever may: the node's keeper, and commands."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError

from flocon.errors import RepositoryError, SignerAway, SignerEnded
from flocon.programs.talking import MOST_FILES, Conversation, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flocon.programs.talking import Message

#: Seconds to be let in: by a signer that systemd starts for it, too.
PATIENCE = 20.0
#: Seconds for an answer: large packages are copied, examined and signed meanwhile.
LONG_PATIENCE = 60 * 60.0


async def ask(
    reactor: Any,
    path: str,
    request: Mapping[str, Any],
    files: Sequence[int] = (),
    *,
    heard: Callable[[Mapping[str, Any]], None] = lambda _: None,
    patience: float = LONG_PATIENCE,
) -> dict[str, Any]:
    """Have the signer at the socket ``path`` do something; return its answers put together.

    Lists of several answers are joined, of anything else the last one counts; ``heard`` is called
    with each answer as it comes. ``files`` stay the caller's to close. Raises RepositoryError with
    the signer's own sentence, and SignerAway where nobody answers.
    """
    if len(files) > MOST_FILES:
        raise RepositoryError(
            f"{len(files)} files are more than the signer takes at once",
            f"hand over at most {MOST_FILES} at a time",
        )
    answers = _Answers(heard)
    endpoint = UNIXClientEndpoint(reactor, path, timeout=PATIENCE)
    try:
        conversation = await connect(endpoint, Conversation(answers.received, answers.ended))
    except ConnectError as error:
        raise _absent(path, error) from None
    conversation.say(request, files)
    try:
        return await answers.whole.addTimeout(patience, reactor, _too_late)
    finally:
        conversation.leave_now()


class _Answers:
    """Collects what is answered until that is all of it."""

    def __init__(self, heard: Callable[[Mapping[str, Any]], None]) -> None:
        self._heard = heard
        self._values: dict[str, Any] = {}
        self.whole: Deferred[dict[str, Any]] = Deferred()

    def received(self, _: Conversation, message: Message) -> None:
        message.close()
        if self.whole.called:
            return
        self._heard(message.values)
        for name, value in message.values.items():
            before = self._values.get(name)
            joined = isinstance(before, list) and isinstance(value, list)
            self._values[name] = [*before, *value] if joined else value  # type: ignore[misc]
        if "error" in message.values:
            remedy = str(message.values.get("remedy", ""))
            self.whole.errback(RepositoryError(str(message.values["error"]), remedy))
        elif message.values.get("done") is True:
            self.whole.callback(self._values)

    def ended(self, _: Conversation) -> None:
        if not self.whole.called:
            self.whole.errback(
                SignerEnded(
                    "the signer ended before it had answered",
                    "'journalctl -u flocon-sign' says why; nothing is half done, try it again",
                )
            )


def _too_late(_: Any, seconds: float) -> Any:
    raise SignerEnded(
        f"the signer has not answered for {seconds:.0f} s", "see 'journalctl -u flocon-sign'"
    )


def _absent(path: str, error: ConnectError) -> SignerAway:
    number = error.osError
    if number in {errno.EACCES, errno.EPERM}:
        return SignerAway(
            f"{path}: permission denied", "run it as root: what is published is root's to change"
        )
    if number in {errno.ENOENT, errno.ECONNREFUSED}:
        return SignerAway(
            f"{path}: no signer listens there",
            "start it with 'systemctl enable --now flocon-sign.socket', or, where another machine"
            " makes the repository, name that by --to HOST",
        )
    reason = os.strerror(number) if number else "it is silent"
    return SignerAway(f"{path}: {reason}", "see 'systemctl status flocon-sign.socket'")
