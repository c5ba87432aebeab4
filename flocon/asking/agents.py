"""The agents by which peers are asked, and how their addresses stand in a URL.

Those by which mirrors are asked are ``mirrors``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.web.client import Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from flocon.asking.answers import PeerPool

if TYPE_CHECKING:
    from twisted.web.client import URI, HTTPConnectionPool
    from twisted.web.iweb import IAgent


@implementer(IAgentEndpointFactory)
class _PeerEndpoints:
    """Connects to literal addresses, IPv6 ones with their zones.

    HostnameEndpoint would resolve a zone, and tells of a refused connection only 0.3 s later.
    """

    def __init__(self, reactor: object, connect_timeout: float) -> None:
        self._reactor = reactor
        self._timeout = connect_timeout

    def endpointForURI(self, uri: URI) -> object:
        host = uri.host.decode("ascii").strip("[]").replace("%25", "%")
        make = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        return make(self._reactor, host, uri.port, timeout=self._timeout)


def peer_agent(reactor: object, connect_timeout: float) -> tuple[IAgent, HTTPConnectionPool]:
    """Return an agent for peers (no redirects, literal addresses) and its pool."""
    pool = PeerPool(reactor)
    endpoints = _PeerEndpoints(reactor, connect_timeout)
    return Agent.usingEndpointFactory(reactor, endpoints, pool=pool), pool


def literal_host(address: str) -> str:
    """Return ``address`` as it stands in a URL; an IPv6 zone is escaped (RFC 6874)."""
    return f"[{address.replace('%', '%25')}]" if ":" in address else address
