"""How programs of this machine talk: JSON objects, one a line, over a Unix socket, with open files.

Who asked is told by the kernel, not by the message. What is said and done is for others to know.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.python.failure import Failure

#: Bytes of one message, and open files that come with it: as many as the kernel takes at once.
LARGEST_MESSAGE = 1 << 20
MOST_FILES = 250
#: ``struct ucred`` of unix(7): process, user and group.
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Message:
    """What was said, and the descriptors that came with it: who takes a message closes them."""

    values: Mapping[str, Any]
    files: tuple[int, ...] = ()

    def close(self) -> None:
        for descriptor in self.files:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end, as the kernel knows it (``SO_PEERCRED``)."""

    process: int
    user: int
    group: int


@implementer(IFileDescriptorReceiver)
class Conversation(LineOnlyReceiver):
    """One connection. ``received`` gets each message, ``ended`` is called once it is over.

    Who says what is no message, or hands over more files than it announces, is left.
    """

    #: A Unix socket's, which takes files as well.
    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = LARGEST_MESSAGE

    def __init__(
        self,
        received: Callable[[Conversation, Message], None],
        ended: Callable[[Conversation], None] = lambda _: None,
    ) -> None:
        self._received = received
        self._ended = ended
        #: Handed over, and not yet announced by a line.
        self._arrived: list[int] = []
        #: Copies of what was handed on: kept until the other end says something, or is gone.
        self._sent: list[int] = []

    @property
    def caller(self) -> Caller:
        connected: socket.socket = self.transport.socket
        said = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return Caller(*_CREDENTIALS.unpack(said))

    def say(self, values: Mapping[str, Any], files: Sequence[int] = ()) -> None:
        """Send a message, with open files that the caller may close afterwards."""
        copies = [os.dup(descriptor) for descriptor in files]
        self._sent += copies
        # The files go with the first bytes of the line, so they are there when it ends.
        for descriptor in copies:
            self.transport.sendFileDescriptor(descriptor)
        said = {**values, "files": len(copies)} if copies else values
        self.sendLine(json.dumps(said, separators=(",", ":")).ljust(len(copies)).encode())

    def leave(self) -> None:
        """End it once all that was said is sent."""
        self.transport.loseConnection()

    def leave_now(self) -> None:
        """End it at once; again is no error."""
        if self.transport is not None:
            self.transport.abortConnection()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._arrived.append(descriptor)
        if len(self._arrived) > MOST_FILES:
            self._abandon()

    def lineReceived(self, line: bytes) -> None:
        if self.transport.disconnecting:
            return
        _close(self._sent)
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        count = values.get("files", 0) if isinstance(values, dict) else None
        if not isinstance(count, int) or not 0 <= count <= len(self._arrived):
            self._abandon()
            return
        files, self._arrived = self._arrived[:count], self._arrived[count:]
        self._received(self, Message(values, tuple(files)))

    def lineLengthExceeded(self, line: bytes) -> None:
        self._abandon()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        _close(self._arrived)
        _close(self._sent)
        self._ended(self)

    def _abandon(self) -> None:
        _close(self._arrived)
        self.transport.abortConnection()


async def connect(endpoint: Any, conversation: Conversation) -> Conversation:
    """Begin a conversation at an endpoint, without a word of it in the log."""
    factory = Factory.forProtocol(lambda: conversation)
    factory.noisy = False
    try:
        begun: Conversation = await endpoint.connect(factory)
    except ConnectingCancelledError:
        # Twisted's own word for it, which nobody who cancels looks for.
        raise CancelledError from None
    return begun


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
