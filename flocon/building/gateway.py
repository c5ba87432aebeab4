"""The one way out of a job's network while it fetches its sources: a proxy that leads to no LAN.

It listens within that network and connects from outside of it. Names are looked up here, and the
address that was judged is the one that is connected to, so a name that leads elsewhere the next
time leads nowhere. What is fetched is between the job and whom it asks; how much, is bounded.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from flocon.building.asked import LONGEST_HEAD, Asked, read_head
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.python.failure import Failure

    from flocon.building.destinations import Destinations

    Lookup = Callable[[str], Sequence[str]]

#: Where it listens within the job's network.
PORT = 3128
#: Connections at a time, and of one job; hosts that are remembered by name.
MOST_AT_ONCE = 64
MOST_CONNECTIONS = 20_000
MOST_HOSTS = 256
#: Seconds for a head, for a name, for one address; and without a byte either way.
HEAD_WITHIN, NAME_WITHIN, CONNECT_WITHIN, SILENCE = 15.0, 10.0, 15.0, 300.0
#: Addresses of a name that are tried.
MOST_ADDRESSES = 4
#: Threads that look names up.
_THREADS = 2


def look_up(host: str) -> list[str]:
    """Return a name's addresses in the system's order; none where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Gateway:
    """One job's. ``most`` are the bytes that may pass in all, ``told`` gets what it refuses."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        destinations: Destinations,
        most: int,
        told: Callable[[str], None] = lambda _: None,
        look_up: Lookup = look_up,
    ) -> None:
        self.reactor = reactor
        self._destinations = destinations
        self._left = most
        self._told = told
        self._look_up = look_up
        self._pool = ThreadPool(0, _THREADS, "names")
        self._port: Any = None
        self._present: set[_Client] = set()
        self._connections = 0
        #: What was asked of which host, and who was refused.
        self.hosts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def listen(self, listening: socket.socket) -> None:
        """Take over the listening socket of the job's network."""
        factory = Factory()
        factory.noisy = False
        factory.protocol = lambda: _Client(self)
        self._pool.start()
        with listening:
            listening.setblocking(False)
            self._port = self.reactor.adoptStreamPort(listening.fileno(), socket.AF_INET, factory)

    async def stop(self) -> None:
        """Listen no more, and end what is connected."""
        port, self._port = self._port, None
        if port is not None:
            await port.stopListening()
            # A name server that is silent keeps its thread, and nobody waits for it.
            self.reactor.callInThread(self._pool.stop)
        for client in list(self._present):
            client.end()

    def entered(self, client: _Client) -> bool:
        """Whether one more connection may be."""
        self._connections += 1
        if len(self._present) >= MOST_AT_ONCE or self._connections > MOST_CONNECTIONS:
            return False
        self._present.add(client)
        return True

    def left(self, client: _Client) -> None:
        self._present.discard(client)

    def passes(self, count: int) -> bool:
        """Count bytes that pass; whether they may."""
        if 0 <= self._left < count:
            self._tell("more was asked of the network than a job may have")
        self._left -= count
        return self._left >= 0

    async def addresses(self, asked: Asked) -> list[str]:
        """Return the addresses of what was asked for that may be connected to."""
        if len(self.hosts) < MOST_HOSTS or asked.host in self.hosts:
            self.hosts[asked.host] += 1
        looking: Deferred[Any] = deferToThreadPool(
            self.reactor, self._pool, self._look_up, asked.host
        )
        looking.addTimeout(NAME_WITHIN, self.reactor)
        try:
            found = await looking
        except Exception:  # noqa: BLE001 - whatever it is, the name has no address
            found = []
        allowed = [one for one in found if self._destinations.permit(one, asked.port)]
        if found and not allowed:
            self._refuse(asked, found[0])
        return allowed[:MOST_ADDRESSES]

    def _refuse(self, asked: Asked, address: str) -> None:
        name = asked.host if asked.host == address else f"{asked.host} ({address})"
        if len(self.refused) < MOST_HOSTS or name in self.refused:
            self.refused[name] += 1
            if self.refused[name] == 1:
                self._tell(
                    f"{name}, port {asked.port}, is refused: only the Internet may be asked, and"
                    " what [build] networks names"
                )

    def _tell(self, sentence: str) -> None:
        self._told(f"==> flocon: {sentence}\n")


class _Client(Protocol):
    """One connection of the job's: a head, then bytes both ways."""

    transport: Any

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._head = b""
        self._server: _Server | None = None
        self._is_asking = False
        self._has_ended = False
        self._late: Any = None

    def connectionMade(self) -> None:
        if not self._gateway.entered(self):
            self.transport.abortConnection()
            return
        self.wait(HEAD_WITHIN)

    def wait(self, seconds: float) -> None:
        """End in so many seconds, unless something comes before."""
        if self._late is not None and self._late.active():
            self._late.reset(seconds)
        elif not self._has_ended:
            self._late = self._gateway.reactor.callLater(seconds, self.end)

    def end(self) -> None:
        """End now, and wait for nothing more."""
        self._has_ended = True
        if self._late is not None and self._late.active():
            self._late.cancel()
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        if not self._gateway.passes(len(data)):
            self.end()
        elif self._server is not None:
            self.wait(SILENCE)
            self._server.transport.write(data)
        else:
            self._head += data
            self._read()

    def _read(self) -> None:
        if len(self._head) > LONGEST_HEAD + 65_536:
            self.end()
        if self._is_asking:
            return
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(head) > LONGEST_HEAD:
                self._refuse(b"431 Request Header Fields Too Large")
            return
        asked = read_head(head) if len(head) <= LONGEST_HEAD else None
        if asked is None:
            self._refuse(b"400 Bad Request")
            return
        self._is_asking = True
        self._head = rest
        # What comes meanwhile waits in the kernel.
        self.transport.pauseProducing()
        self.wait(NAME_WITHIN + MOST_ADDRESSES * CONNECT_WITHIN + 1)
        asking = Deferred.fromCoroutine(self._ask(asked))
        asking.addErrback(self._failed)

    async def _ask(self, asked: Asked) -> None:
        addresses = await self._gateway.addresses(asked)
        server = _Server(self)
        for address in addresses:
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            endpoint = kind(self._gateway.reactor, address, asked.port, timeout=CONNECT_WITHIN)
            try:
                await connectProtocol(endpoint, server)
            except Exception:  # noqa: BLE001, S112 - whatever it is, the next one is tried
                continue
            break
        else:
            self._refuse(b"502 Bad Gateway" if addresses else b"403 Forbidden")
            return
        if not self.transport.connected or self.transport.disconnecting:
            server.transport.abortConnection()
            return
        self._begin(asked, server)

    def _begin(self, asked: Asked, server: _Server) -> None:
        self._server = server
        self.wait(SILENCE)
        if asked.is_tunnel:
            self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        server.transport.write(asked.head + self._head)
        self._head = b""
        # Each is read as fast as the other takes it.
        server.transport.registerProducer(self.transport, streaming=True)
        self.transport.registerProducer(server.transport, streaming=True)
        self.transport.resumeProducing()

    def received(self, data: bytes) -> None:
        """Take what the server sends."""
        if not self._gateway.passes(len(data)):
            self.end()
            return
        self.wait(SILENCE)
        self.transport.write(data)

    def served(self) -> None:
        """End, for the server has: what it sent is still sent on."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _refuse(self, status: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        self.transport.loseConnection()

    def _failed(self, failure: Failure) -> None:
        Gateway._log.failure("a connection of a job failed", failure)  # noqa: SLF001 - its own
        self.end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # What the server sends until it learns of it is waited for no more.
        self._has_ended = True
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._gateway.left(self)
        if self._server is not None:
            self._server.transport.unregisterProducer()
            self._server.transport.loseConnection()


class _Server(Protocol):
    """The other half: whom the job asks."""

    transport: Any

    def __init__(self, client: _Client) -> None:
        self._client = client

    def dataReceived(self, data: bytes) -> None:
        self._client.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._client.served()
