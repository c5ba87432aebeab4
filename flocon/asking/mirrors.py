"""The agent for mirrors: what curl does for pacman, and nothing that would lead back here.

A redirect is followed to this machine only where the operator named that very host and port as the
mirror: otherwise a mirror could have the node ask itself, or whatever else listens on loopback.
Each request carries a mark of this process, by which its faces know it, also through a proxy.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ProxyAgent, ResponseFailed
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from zope.interface import implementer

from flocon.asking.addresses import (
    Address,
    follow,
    names_this_machine,
    other_spelling,
    parse_address,
)
from flocon.asking.answers import MirrorPool
from flocon.asking.proxies import ENVIRONMENT, Proxies, Proxy, read_proxies
from flocon.asking.resolving import Elsewhere, Names, Resolving
from flocon.log import logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IProtocolFactory
    from twisted.web.client import URI
    from twisted.web.iweb import IResponse

#: Redirects followed one after the other: as many as pacman has curl follow.
MOST_REDIRECTS = 10
#: Statuses that are redirects; of a GET all of them mean a GET.
REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Statuses for a name that is not there; object stores that list nothing say the second.
MISSING = frozenset({404, 403})
FOUND = frozenset({200, 206, 304})
#: Mirrors of which it is remembered that they know the other spelling, and folders that do not.
MOST_SPELLINGS = 64
#: Bytes of an unread body that is let pass, to keep the connection, and the seconds it may take.
SMALL_BODY = 16 << 10
PASSING_SECONDS = 2.0
#: Bytes of a proxy's answer to CONNECT.
MOST_TUNNEL_HEAD = 16 << 10
#: Tells this process's own requests from all others; nobody else learns anything by it.
LOOP_HEADER = "Flocon-Loop"
LOOP_MARK = secrets.token_hex(8)
#: What it is answered with where it comes back (RFC 5842, 7.2).
LOOP_DETECTED = 508


def mirror_agent(
    reactor: Any, connect_timeout: float, proxy: str = ENVIRONMENT
) -> tuple[IAgent, MirrorAgent]:
    """Return an agent for mirrors, and the same to close its connections by.

    ``proxy`` is the operator's; ENVIRONMENT leaves it to the environment.
    """
    proxies, unusable = read_proxies(os.environ, proxy)
    for name in unusable:
        MirrorAgent.log.warn("{name} is not used: it names no http proxy", name=name)
    agent = MirrorAgent(reactor, connect_timeout, proxies)
    return agent, agent


@implementer(IAgent)
class MirrorAgent:
    """Asks mirrors; see the module."""

    log = logger()

    def __init__(
        self, reactor: Any, connect_timeout: float, proxies: Proxies, names: Names | None = None
    ) -> None:
        self._reactor = reactor
        self._proxies = proxies
        names = Names(reactor) if names is None else names
        elsewhere = Elsewhere(names)
        self._pools = [MirrorPool(reactor) for _ in range(3)]
        named = _Endpoints(Resolving(reactor, names), connect_timeout)
        others = _Endpoints(Resolving(reactor, elsewhere), connect_timeout)
        # Where a redirect leads has connections of its own: a kept one to a mirror of this machine
        # would be taken without a look at its address.
        self._named = Agent.usingEndpointFactory(reactor, named, self._pools[0])
        self._others = Agent.usingEndpointFactory(reactor, others, self._pools[1])
        self._proxied = _Proxied(reactor, named, self._pools[2])
        self._spelled: dict[tuple[str, int], None] = {}
        #: Folders that know names as pacman spells them.
        self._plain: dict[str, None] = {}

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,  # noqa: N803
    ) -> Deferred[IResponse]:
        """Ask for ``uri``; raise ValueError where it is none. Nothing is ever sent as a body."""
        address = parse_address(uri.decode("ascii"))
        asking = self._spell(method, address, headers or Headers())
        return Deferred.fromCoroutine(asking)

    async def _spell(self, method: bytes, address: Address, headers: Headers) -> IResponse:
        """Ask for a name as pacman spells it and, where that is not there, in the other way.

        Most packages that lack a signature lack it at every mirror: where the folder's spelling is
        known, it is not looked for twice.
        """
        escaped = other_spelling(address.url)
        if escaped is None:
            return await self._follow(method, address, headers)
        spellings = [address.url, escaped]
        if address.place in self._spelled:
            spellings.reverse()
        first, second = (_at(address, url) for url in spellings)
        response = await self._follow(method, first, headers)
        if response.code not in MISSING:
            if response.code in FOUND:
                self._remember_spelling(first, escaped=first.url == escaped)
            return response
        if first.url.endswith(".sig") and _folder(first) in self._plain:
            return response
        try:
            again = await self._follow(method, second, headers)
        except CancelledError:
            self._pass(response)
            raise
        except Exception:  # noqa: BLE001 - the first answer counts then
            return response
        if again.code not in FOUND:
            self._pass(again)
            return response
        self._pass(response)
        self._remember_spelling(second, escaped=second.url == escaped)
        return again

    def _remember_spelling(self, found: Address, *, escaped: bool) -> None:
        self._spelled.pop(found.place, None)
        self._plain.pop(_folder(found), None)
        if escaped:
            _add(self._spelled, found.place)
        else:
            _add(self._plain, _folder(found))

    async def _follow(self, method: bytes, named: Address, headers: Headers) -> IResponse:
        """Ask ``named``, and whoever it sends to."""
        address = named
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._ask(method, address, named, headers)
            if response.code not in REDIRECTS:
                return response
            locations = response.headers.getRawHeaders(b"Location", [b""])
            self._pass(response)
            try:
                address = follow(address, locations[0])
            except ValueError:
                raise _not_followed("redirects to no address that can be asked") from None
            if address.place != named.place and names_this_machine(address.host):
                raise _not_followed("redirects to this machine")
        raise _not_followed(f"redirects more than {MOST_REDIRECTS} times")

    async def _ask(
        self, method: bytes, address: Address, named: Address, headers: Headers
    ) -> IResponse:
        headers = headers.copy()
        headers.setRawHeaders(LOOP_HEADER, [LOOP_MARK])
        credentials = address.credentials
        if credentials is None and address.origin == named.origin:
            credentials = named.credentials
        if credentials is not None:
            headers.setRawHeaders("Authorization", [credentials.basic()])
        url = address.url.encode("ascii")
        proxy = self._proxies.find(address.scheme, address.host)
        if proxy is not None:
            return await self._proxied.request(proxy, method, url, headers)
        agent = self._named if address.place == named.place else self._others
        response: IResponse = await agent.request(method, url, headers)
        return response

    def _pass(self, response: IResponse) -> None:
        """Let a body that nobody reads pass, if it is small; else end its connection."""
        length: Any = response.length
        small = isinstance(length, int) and length <= SMALL_BODY
        response.deliverBody(_Passing(self._reactor, PASSING_SECONDS if small else 0.0))

    async def closeCachedConnections(self) -> None:  # noqa: N802 - as a pool does
        for pool in self._pools:
            await pool.closeCachedConnections()


def _at(address: Address, url: str) -> Address:
    return Address(url, address.scheme, address.host, address.port, address.credentials)


def _folder(address: Address) -> str:
    return address.url.rpartition("/")[0]


def _add(places: dict[Any, None], place: Any) -> None:
    places[place] = None
    if len(places) > MOST_SPELLINGS:
        del places[next(iter(places))]


def _not_followed(why: str) -> ResponseFailed:
    return ResponseFailed([Failure(ConnectError(string=why))])


class _Passing(Protocol):
    """Reads over a body, for so many seconds."""

    def __init__(self, reactor: Any, seconds: float) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._watch: IDelayedCall | None = None

    def connectionMade(self) -> None:
        if self._seconds:
            self._watch = self._reactor.callLater(self._seconds, self._leave)
        else:
            self._leave()

    def _leave(self) -> None:
        self._watch = None
        # The transport of a body only stands for its connection, which may be over.
        connection = getattr(self.transport, "_producer", None)
        if connection is not None and hasattr(connection, "abortConnection"):
            connection.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Connects by name, with TLS for https."""

    def __init__(self, reactor: Any, connect_timeout: float) -> None:
        self._reactor = reactor
        self._timeout = connect_timeout
        self._policy = BrowserLikePolicyForHTTPS()

    def endpointForURI(self, uri: URI) -> Any:
        return self.connect_to(uri.scheme.decode("ascii"), uri.host.decode("ascii"), uri.port)

    def connect_to(self, scheme: str, host: str, port: int) -> Any:
        endpoint = HostnameEndpoint(self._reactor, host, port, timeout=self._timeout)
        return self.wrap(endpoint, scheme, host, port)

    def wrap(self, endpoint: Any, scheme: str, host: str, port: int) -> Any:
        """Return an endpoint that speaks TLS over ``endpoint`` where ``scheme`` wants it."""
        if scheme == "http":
            return endpoint
        if scheme != "https":
            raise SchemeNotSupported(f"{scheme} is neither http nor https")
        return wrapClientTLS(self._policy.creatorForNetloc(host.encode("ascii"), port), endpoint)


class _Proxied:
    """Asks through proxies: whole addresses for http, tunnels for https."""

    def __init__(self, reactor: Any, endpoints: _Endpoints, pool: MirrorPool) -> None:
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

    def __init__(self, endpoint: Any, proxy: Proxy, endpoints: _Endpoints) -> None:
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
