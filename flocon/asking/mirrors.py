"""The agent for mirrors: what curl does for pacman, and nothing that would lead back here.

A redirect is followed to this machine only where the operator named that very host and port as the
mirror: otherwise a mirror could have the node ask itself, or whatever else listens on loopback.
Each request carries a mark of this process, by which its faces know it, also through a proxy.
"""

from __future__ import annotations

import functools
import os
import secrets
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseFailed
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
from flocon.asking.proxies import ENVIRONMENT, Proxies, read_proxies
from flocon.asking.resolving import Names, Resolving, Sifted
from flocon.connections.answers import MirrorPool, Passing
from flocon.log import logger

if TYPE_CHECKING:
    from twisted.web.client import URI
    from twisted.web.iweb import IResponse

    from flocon.asking.tunnels import Proxied

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
#: Tells this process's own requests from all others, by ``loop_mark``.
LOOP_HEADER = "Flocon-Loop"
#: What it is answered with where it comes back (RFC 5842, 7.2).
LOOP_DETECTED = 508


@functools.cache
def loop_mark() -> str:
    """Return what only this process's own requests have; nobody else learns anything by it."""
    return secrets.token_hex(8)


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
        self,
        reactor: Any,
        connect_timeout: float,
        proxies: Proxies,
        names: Names | None = None,
        named_by: Any = None,
    ) -> None:
        """``named_by`` looks up the names that are asked for, where ``names`` are not to."""
        self._reactor = reactor
        self._proxies = proxies
        names = Names(reactor) if names is None else names
        elsewhere = Sifted(names)
        self._pools = [MirrorPool(reactor) for _ in range(3)]
        named = Endpoints(Resolving(reactor, named_by or names), connect_timeout)
        others = Endpoints(Resolving(reactor, elsewhere), connect_timeout)
        # Where a redirect leads has connections of its own: a kept one to a mirror of this machine
        # would be taken without a look at its address.
        self._named = Agent.usingEndpointFactory(reactor, named, self._pools[0])
        self._others = Agent.usingEndpointFactory(reactor, others, self._pools[1])
        self._endpoints = named
        self._proxied: Proxied | None = None
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

    def _begin(
        self, method: bytes, address: Address, headers: Headers | None
    ) -> Deferred[IResponse]:
        """Ask for what is spelled as it is to be."""
        return Deferred.fromCoroutine(self._follow(method, address, headers or Headers()))

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
        headers.setRawHeaders(LOOP_HEADER, [loop_mark()])
        credentials = address.credentials
        if credentials is None and address.origin == named.origin:
            credentials = named.credentials
        if credentials is not None:
            headers.setRawHeaders("Authorization", [credentials.basic()])
        url = address.url.encode("ascii")
        proxies = self._proxies_of(address, named)
        proxy = proxies.find(address.scheme, address.host) if proxies is not None else None
        if proxy is not None:
            if self._proxied is None:
                from flocon.asking.tunnels import Proxied  # noqa: PLC0415 - few machines have one

                self._proxied = Proxied(self._reactor, self._endpoints, self._pools[2])
            return await self._proxied.request(proxy, method, url, headers)
        agent = self._named if address.place == named.place else self._others
        response: IResponse = await agent.request(method, url, headers)
        return response

    def _proxies_of(self, address: Address, named: Address) -> Proxies | None:
        """Return the proxies by which an address is asked, to which ``named`` has led."""
        return self._proxies

    def _pass(self, response: IResponse) -> None:
        """Let a body that nobody reads pass, if it is small; else end its connection."""
        length: Any = response.length
        small = isinstance(length, int) and length <= SMALL_BODY
        response.deliverBody(Passing(self._reactor, PASSING_SECONDS if small else 0.0))

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


@implementer(IAgentEndpointFactory)
class Endpoints:
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
