"""A client and a server in one memory: what is asked is answered before the call returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from flocon.serving.site import Site

if TYPE_CHECKING:
    from flocon.answering.sendfile import Reads
    from flocon.serving.repeating import Find
    from flocon.serving.site import Face


@dataclass
class Answer:
    """One HTTP answer, as far as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def whole(self) -> bool:
        return len(self.body) == int(self.headers["content-length"])


class Exchange:
    """A connection with one request on it."""

    def __init__(self, site: Site, client: str, data: bytes, server: str) -> None:
        self._address = _address(client)
        self.transport = StringTransport(_address(server), self._address)
        self._channel: Any = site.buildProtocol(self._address)
        self._channel.makeConnection(self.transport)
        self._channel.dataReceived(data)

    @property
    def _producer(self) -> Any:
        return self.transport.producer

    def again(self, data: bytes) -> None:
        """Ask for something else on the same connection; what came before is forgotten."""
        self.transport.clear()
        self._channel.dataReceived(data)

    @property
    def raw(self) -> bytes:
        raw: bytes = self.transport.value()
        return raw

    @property
    def answered(self) -> bool:
        return b"\r\n\r\n" in self.raw

    @property
    def cut(self) -> bool:
        return bool(self.transport.disconnected or self.transport.disconnecting)

    @property
    def answer(self) -> Answer:
        head, _, body = self.raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return Answer(int(first.split()[1]), {name.lower(): value for name, value in pairs}, body)

    def pause(self) -> None:
        """Take nothing any more: the transport's buffer is full."""
        self._producer.pauseProducing()

    def resume(self) -> None:
        self._producer.resumeProducing()

    def leave(self) -> None:
        self._channel.connectionLost(Failure(ConnectionLost()))


def _address(host: str) -> IPv4Address | IPv6Address:
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, 40_000)


class Browser:
    """Asks one resource from one address, at one of its machine's."""

    def __init__(
        self,
        reactor: Any,
        face: Face,
        client: str = "127.0.0.1",
        server: str = "127.0.0.1",
        *,
        kept: int = 0,
        at_once: Find | None = None,
    ) -> None:
        self.site = Site(reactor, face, most_connections=1_000, kept=kept, at_once=at_once)
        self.client = client
        self.server = server
        self._open: list[Exchange] = []

    def ask(
        self, path: str | bytes, method: str = "GET", host: str | None = "localhost", **headers: str
    ) -> Exchange:
        return self.ask_raw(self.request(path, method, host, **headers))

    def ask_raw(self, data: bytes) -> Exchange:
        """Ask by just these bytes."""
        self._open.append(Exchange(self.site, self.client, data, self.server))
        return self._open[-1]

    def request(
        self, path: str | bytes, method: str = "GET", host: str | None = "localhost", **headers: str
    ) -> bytes:
        """Return what is sent to ask for a path."""
        raw = path if isinstance(path, bytes) else path.encode("ascii")
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if host is not None:
            fields["Host"] = host
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return method.encode() + b" " + raw + b" HTTP/1.1\r\n" + lines.encode() + b"\r\n"

    def get(self, path: str | bytes, **headers: str) -> Answer:
        return self.ask(path, **headers).answer

    def close(self) -> None:
        """Close every connection; none may be left with a timer."""
        for exchange in self._open:
            exchange.leave()
        self._open.clear()


class OpenedBytes:
    """A whole file in memory."""

    #: What reads of it where it may hang.
    reads: Reads | None = None

    MODIFIED = 1_700_000_000.0

    def __init__(self, data: bytes, modified: float = MODIFIED) -> None:
        self._fd = os.memfd_create("test")
        os.write(self._fd, data)
        self.size = len(data)
        self.modified = modified
        self.closed = 0
        #: What cuts it off, where it is sent to a stranger.
        self.cut: Callable[[], None] | None = None

    def lend(self, cut: Callable[[], None]) -> None:
        self.cut = cut

    def fileno(self) -> int:
        assert not self.closed
        return self._fd

    def close(self) -> None:
        self.closed += 1
        os.close(self._fd)
