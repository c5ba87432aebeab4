"""Asking mirrors through a proxy: whole addresses for http, tunnels for https.

Read when the first proxy is met: few machines have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.web.client import Agent, ProxyAgent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocolFactory
    from twisted.python.failure import Failure
    from twisted.web.client import URI
    from twisted.web.http_headers import Headers
    from twisted.web.iweb import IResponse

    from flocon.asking.mirrors import Endpoints
    from flocon.asking.proxies import Proxy
    from flocon.connections.answers import MirrorPool

#: Bytes of a proxy's answer to CONNECT.
MOST_TUNNEL_HEAD = 16 << 10


class Proxied:
    """Asks through proxies: whole addresses for http, tunnels for https."""

    def __init__(self, reactor: Any, endpoints: Endpoints, pool: MirrorPool) -> None:
        self._reactor = reactor
        self._endpoints = endpoints
        self._pool = pool
        self._agents: dict[tuple[Proxy, bool], Any] = {}

    def request(
        self, proxy: Proxy, method: bytes, url: bytes, headers: Headers
    ) -> Deferred[IResponse]:
        tunnelled = url.startswith(b"https:")
        agent = self._agents.get((proxy, tunnelled))
        if agent is None:
            agent = self._agents[proxy, tunnelled] = self._agent(proxy, tunnelled=tunnelled)
        if proxy.credentials is not None and not tunnelled:
            headers.setRawHeaders("Proxy-Authorization", [proxy.credentials.basic()])
        answer: Deferred[IResponse] = agent.request(method, url, headers)
        return answer

    def _agent(self, proxy: Proxy, *, tunnelled: bool) -> Any:
        endpoint = self._endpoints.connect_to(proxy.scheme, proxy.host, proxy.port)
        if not tunnelled:
            return ProxyAgent(endpoint, self._reactor, self._pool)
        tunnels = _Tunnels(endpoint, proxy, self._endpoints)
        return Agent.usingEndpointFactory(self._reactor, tunnels, self._pool)


@implementer(IAgentEndpointFactory)
class _Tunnels:
    """Connects to https servers through a proxy."""

    def __init__(self, endpoint: Any, proxy: Proxy, endpoints: Endpoints) -> None:
        self._endpoint = endpoint
        self._proxy = proxy
        self._endpoints = endpoints

    def endpointForURI(self, uri: URI) -> Any:
        host = uri.host.decode("ascii")
        place = f"[{host}]:{uri.port}" if ":" in host else f"{host}:{uri.port}"
        return self._endpoints.wrap(
            _TunnelEndpoint(self._endpoint, self._proxy, place), "https", host, uri.port
        )


@implementer(IStreamClientEndpoint)
class _TunnelEndpoint:
    """One tunnel: a connection to the proxy that becomes one to ``place``."""

    def __init__(self, endpoint: Any, proxy: Proxy, place: str) -> None:
        self._endpoint = endpoint
        self._proxy = proxy
        self._place = place

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:  # noqa: N803
        lines = [f"CONNECT {self._place} HTTP/1.1", f"Host: {self._place}"]
        if self._proxy.credentials is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.credentials.basic()}")
        question = "\r\n".join([*lines, "", ""]).encode("ascii")
        return Deferred.fromCoroutine(self._connect(protocolFactory, question))

    async def _connect(self, factory: IProtocolFactory, question: bytes) -> Any:
        tunnel = await self._endpoint.connect(Factory.forProtocol(lambda: _Tunnel(question)))
        await tunnel.open
        return tunnel.pass_to(factory)


class _Tunnel(Protocol):
    """Asks a proxy for a connection, and then only passes bytes on."""

    transport: Any

    def __init__(self, question: bytes) -> None:
        self._question = question
        self._head = b""
        self._inner: Any = None
        self.open: Deferred[None] = Deferred(lambda _: self.transport.abortConnection())

    def connectionMade(self) -> None:
        self.transport.write(self._question)

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(self._head) > MOST_TUNNEL_HEAD:
                self._fail("the proxy's answer has no end")
            return
        status = head.split(b"\r\n", 1)[0].split(b" ")
        if not status[0].startswith(b"HTTP/") or len(status) < 2 or not status[1].isdigit():  # noqa: PLR2004
            self._fail("the proxy does not speak HTTP")
        elif not status[1].startswith(b"2"):
            self._fail(f"the proxy answered {status[1][:3].decode('ascii')}")
        elif rest:
            # Servers of TLS wait for the client's hello.
            self._fail("the proxy speaks before it was asked")
        elif not self.open.called:
            # Nothing is read until somebody takes it.
            self.transport.pauseProducing()
            self.open.callback(None)

    def pass_to(self, factory: IProtocolFactory) -> Any:
        """Have what ``factory`` makes speak from now on; return it."""
        inner: Any = factory.buildProtocol(self.transport.getPeer())
        if inner is None:
            self.transport.abortConnection()
            raise ConnectError(string="nobody takes the tunnel")
        self._inner = inner
        self.transport.resumeProducing()
        inner.makeConnection(self.transport)
        return inner

    def _fail(self, why: str) -> None:
        if not self.open.called:
            self.open.errback(ConnectError(string=why))
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif not self.open.called:
            self.open.errback(ConnectError(string="the proxy closed the connection"))
