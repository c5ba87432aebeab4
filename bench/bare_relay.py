"""A relay with nothing but what every verifying relay must do, on Twisted's own protocols.

``python -m bench.bare_relay PORT HOLDER HOLDER_PORT FOLDER`` answers pacman on 127.0.0.1:PORT with
what the holder has as ``/pkg/FILE``: each file is received whole into a file of its own, hashed,
and sent on with sendfile; signatures are those in FOLDER. It looks nothing up, compares with
nothing, handles no error and speaks as much HTTP as pacman and the holder use. For small files no
verifying relay in Python on Twisted takes less; large ones it would have to hash in threads.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import interfaces, protocol, reactor
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

READ_SIZE = 256 << 10
_END = b"\r\n\r\n"
#: pacman takes a file's time from it.
_MODIFIED = b"Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\n"


class Fetch(protocol.Protocol):
    """One kept connection to the holder, and the file that comes on it."""

    transport: Any

    def __init__(self, idle: list[Fetch], name: bytes, done: Callable[[int, int], None]) -> None:
        self._idle = idle
        self._name, self._done = name, done

    def connectionMade(self) -> None:
        self.transport.bufferSize = READ_SIZE
        self.transport.setTcpNoDelay(True)
        self.ask(self._name, self._done)

    def ask(self, name: bytes, done: Callable[[int, int], None]) -> None:
        self._done = done
        self._head = b""
        self._left = -1
        self._hash = hashlib.sha256()
        self._file = os.memfd_create("bare")
        self.transport.write(b"GET /pkg/%s HTTP/1.1\r\nHost: holder\r\n\r\n" % name)

    def dataReceived(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            head, end, data = self._head.partition(_END)
            if not end:
                return
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._left = self._size = int(length)
        self._left -= len(data)
        self._hash.update(data)
        os.write(self._file, data)
        if self._left == 0:
            self._hash.digest()
            self._idle.append(self)
            self._done(self._file, self._size)


@implementer(interfaces.IPullProducer)
class Answer(protocol.Protocol):
    """One connection of pacman's."""

    transport: Any
    factory: Relay

    def connectionMade(self) -> None:
        self._buffer = b""
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(_END)
        if end:
            self._buffer = rest
            name = head.split(b" ", 2)[1].rpartition(b"/")[2]
            signature = self.factory.signatures.get(name)
            if signature is None:
                self.factory.fetch(name, self._send)
            else:
                self._write_head(len(signature))
                self.transport.write(signature)

    def _write_head(self, size: int) -> None:
        head = b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (_MODIFIED, size)
        self.transport.write(head)

    def _send(self, file: int, size: int) -> None:
        self._file, self._position, self._size = file, 0, size
        self._write_head(size)
        self._head_is_out = False
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        if not self._head_is_out:
            self._head_is_out = True
            return
        try:
            self._position += os.sendfile(
                self.transport.fileno(), self._file, self._position, self._size - self._position
            )
        except BlockingIOError:
            self.transport.startWriting()
            return
        if self._position == self._size:
            os.close(self._file)
            self.transport.unregisterProducer()
        else:
            self.transport.startWriting()

    def stopProducing(self) -> None:
        """Learn that pacman has gone."""


class Relay(protocol.Factory):
    """The relay of one holder."""

    noisy = False
    protocol = Answer

    def __init__(self, holder: str, port: int, folder: Path) -> None:
        self._holder = holder, port
        self._idle: list[Fetch] = []
        self.signatures = {
            os.fsencode(path.name): path.read_bytes() for path in folder.glob("*.sig")
        }

    def fetch(self, name: bytes, done: Callable[[int, int], None]) -> None:
        if self._idle:
            self._idle.pop().ask(name, done)
            return
        factory = protocol.ClientFactory.forProtocol(lambda: Fetch(self._idle, name, done))
        factory.noisy = False
        reactor.connectTCP(*self._holder, factory)  # type: ignore[attr-defined]


def main(port: str, holder: str, holder_port: str, folder: str) -> None:
    relay = Relay(holder, int(holder_port), Path(folder))
    reactor.listenTCP(int(port), relay, interface="127.0.0.1")  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(*sys.argv[1:])
