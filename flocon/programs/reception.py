"""A program's Unix socket: where those who ask it are let in, within bounds, and counted.

The socket is systemd's (``LISTEN_FDS``), or one that is made here. A program that systemd starts
when it is asked may end when nobody asks: systemd keeps the socket, and who comes then starts it
again. What is said in a conversation is for ``received``.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ServerFactory, connectionDone

from flocon.errors import ConfigurationError
from flocon.log import logger
from flocon.machine.ports import FIRST_DESCRIPTOR, MOST_INHERITED
from flocon.programs.talking import Conversation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.python.failure import Failure

    from flocon.programs.talking import Message

#: Conversations at a time, in all and of one user: each holds up to 250 open files.
MOST_CONVERSATIONS = 24
MOST_OF_ONE_USER = 8
#: Seconds for which a conversation may be without work, and a program that systemd can start again.
LONGEST_SILENCE = 60.0


class Reception:
    """Lets conversations in; ``is_busy`` says whether one of them waits for work that goes on.

    ``silence`` is for how many seconds a program that was started for who asks stays without
    work; then ``over`` fires. It does not for one that listens at a path of its own.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        received: Callable[[Conversation, Message], None],
        ended: Callable[[Conversation], None] = lambda _: None,
        *,
        is_busy: Callable[[Conversation | None], bool] = lambda _: False,
        silence: float = LONGEST_SILENCE,
    ) -> None:
        self._reactor = reactor
        self._received = received
        self._ended = ended
        self._is_busy = is_busy
        self._silence = silence
        self._port: Any = None
        self._is_lent = False
        #: Each with who it is, and what ends it when it says nothing for too long.
        self._present: dict[Conversation, tuple[int, Any]] = {}
        self._closing: Any = None
        self.refused = 0
        self.over: Deferred[None] = Deferred()

    def listen(self, path: str = "", mode: int = 0o660) -> None:
        """Listen at ``path``, or where that is empty on the socket that systemd handed over.

        Raises ConfigurationError where neither can be.
        """
        factory = _Factory(self._arrived)
        if not path:
            descriptor = handed_over(os.environ, os.getpid())
            if descriptor is None:
                raise ConfigurationError(
                    "--listen", "no socket was handed over by systemd", "name a socket's path"
                )
            lent = socket.socket(fileno=os.dup(descriptor))
            self._port = _LentPort(lent, factory, self._reactor)
            self._port.startListening()
            self._is_lent = True
            self._await_silence()
            return
        try:
            self._port = self._reactor.listenUNIX(path, factory, mode=mode, wantPID=True)
        except (CannotListenError, OSError, ValueError) as error:
            reason = getattr(error, "socketError", None) or error
            text = getattr(reason, "strerror", None) or str(reason)
            raise ConfigurationError(
                "--listen", f"{path} cannot be listened at ({text})", "name another path"
            ) from None

    async def stop(self) -> None:
        """Listen no more, and leave whoever is there."""
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        self._closing = None
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        for conversation in list(self._present):
            conversation.leave_now()

    def is_present(self, conversation: Conversation) -> bool:
        """Whether it was let in, and has not ended."""
        return conversation in self._present

    def worked(self, conversation: Conversation) -> None:
        """Tell that the work of a conversation is done: its silence counts from now on."""
        if conversation in self._present:
            self._begin_silence(conversation)

    def _arrived(self) -> Conversation:
        return _Visitor(self)

    def entered(self, conversation: Conversation) -> None:
        """Let in who has come, or not."""
        user = conversation.caller.user
        of_user = Counter(one for one, _ in self._present.values())[user]
        if len(self._present) >= MOST_CONVERSATIONS or of_user >= MOST_OF_ONE_USER:
            self.refused += 1
            conversation.leave_now()
            return
        self._present[conversation] = (user, None)
        self._begin_silence(conversation)

    def heard(self, conversation: Conversation, message: Message) -> None:
        if conversation not in self._present:
            message.close()
            return
        self._begin_silence(conversation)
        self._received(conversation, message)

    def left(self, conversation: Conversation) -> None:
        _, silence = self._present.pop(conversation, (0, None))
        if silence is None:
            return
        if silence.active():
            silence.cancel()
        self._ended(conversation)
        if not self._present and self._is_lent and self._port is not None:
            self._await_silence()

    def _begin_silence(self, conversation: Conversation) -> None:
        user, before = self._present[conversation]
        if before is not None and before.active():
            before.cancel()
        later = self._reactor.callLater(LONGEST_SILENCE, self._too_silent, conversation)
        self._present[conversation] = (user, later)

    def _too_silent(self, conversation: Conversation) -> None:
        if self._is_busy(conversation):
            self._begin_silence(conversation)
        else:
            conversation.leave_now()

    def _await_silence(self) -> None:
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        self._closing = self._reactor.callLater(self._silence, self._silent)

    def _silent(self) -> None:
        if self._is_busy(None):
            self._await_silence()
        elif not self._present and not self.over.called:
            self._log.debug("nobody asks any more")
            self.over.callback(None)


class _Visitor(Conversation):
    """A conversation that is let in before it is heard."""

    def __init__(self, reception: Reception) -> None:
        super().__init__(reception.heard, reception.left)
        self._reception = reception

    def connectionMade(self) -> None:
        self._reception.entered(self)


class _LentPort(unix.Port):
    """A listening socket that stays its owner's: its file is neither changed nor removed.

    Twisted lets everybody connect to one that it adopts, and in the end shuts it and takes its file
    away: nobody could connect to it any more.
    """

    _shouldShutdown = False  # noqa: N815 - Twisted's

    def __init__(self, lent: socket.socket, factory: ServerFactory, reactor: Any) -> None:
        super().__init__(lent.getsockname(), factory, reactor=reactor)
        self._lent = lent

    def startListening(self) -> None:  # noqa: N802 - Twisted's
        assert self.factory is not None  # noqa: S101 - as it was given
        self.factory.doStart()
        self.socket = self._lent
        self.fileno = self.socket.fileno  # type: ignore[method-assign]
        self.numberAccepts = 100
        self.connected = True
        self.startReading()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        tcp.Port.connectionLost(self, reason)


class _Factory(ServerFactory):
    noisy = False

    def __init__(self, make: Callable[[], Conversation]) -> None:
        self._make = make

    def buildProtocol(self, addr: Any) -> Conversation:
        return self._make()


def handed_over(
    environment: Mapping[str, str], process: int, first: int = FIRST_DESCRIPTOR
) -> int | None:
    """Return the listening Unix socket that systemd handed to ``process``, None where it did not.

    Twisted may have taken ``$LISTEN_PID`` and ``$LISTEN_FDS`` out of the environment already
    (see ``ports``); the names stay.
    """
    if environment.get("LISTEN_PID", str(process)) != str(process):
        return None
    names = environment.get("LISTEN_FDNAMES", "")
    count = min(len(names.split(":")) if names else 0, MOST_INHERITED)
    for descriptor in range(first, first + count):
        try:
            with socket.socket(fileno=os.dup(descriptor)) as one:
                listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if not listens or one.family != socket.AF_UNIX:
                    continue
            os.set_inheritable(descriptor, False)
            os.set_blocking(descriptor, False)
        except OSError:
            continue
        return descriptor
    return None
