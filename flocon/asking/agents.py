"""The agents by which peers are asked, and how their addresses stand in a URL.

Those by which mirrors are asked are ``mirrors``'s.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.web.client import Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from flocon.connections.answers import MirrorPool, PeerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.web.client import URI, HTTPConnectionPool
    from twisted.web.iweb import IAgent

#: Where ``struct tcp_info`` has the round trip, in microseconds (<linux/tcp.h>).
_ROUND_TRIP = struct.Struct("@68xI")


@implementer(IAgentEndpointFactory)
class _PeerEndpoints:
    """Connects to literal addresses, IPv6 ones with their zones.

    HostnameEndpoint would resolve a zone, and tells of a refused connection only 0.3 s later.
    """

    def __init__(
        self,
        reactor: object,
        connect_timeout: float,
        met: Callable[[str, float], None] = lambda *_: None,
    ) -> None:
        self._reactor = reactor
        self._timeout = connect_timeout
        self._met = met

    def endpointForURI(self, uri: URI) -> object:
        host = uri.host.decode("ascii").strip("[]").replace("%25", "%")
        make = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        endpoint = make(self._reactor, host, uri.port, timeout=self._timeout)
        return _Measured(endpoint, host, self._met)


class _Measured:
    """An endpoint that tells how far away its host is, whenever there is a connection."""

    def __init__(self, endpoint: Any, host: str, met: Callable[[str, float], None]) -> None:
        self._endpoint = endpoint
        self._host = host
        self._met = met

    def connect(self, factory: Any) -> Deferred[Any]:
        connected: Deferred[Any] = self._endpoint.connect(factory)
        return connected.addCallback(self._measure)

    def _measure(self, protocol: Any) -> Any:
        seconds = round_trip(protocol.transport)
        if seconds > 0:
            self._met(self._host, seconds)
        return protocol


def round_trip(transport: Any) -> float:
    """Return the seconds that the kernel measured there and back; 0 where it tells nothing."""
    try:
        told = transport.getHandle().getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP.size
        )
        return float(_ROUND_TRIP.unpack(told)[0]) / 1e6
    except (AttributeError, OSError, struct.error):
        # No TCP, or closed already.
        return 0.0


def peer_agent(
    reactor: object,
    connect_timeout: float,
    met: Callable[[str, float], None] = lambda *_: None,
) -> tuple[IAgent, HTTPConnectionPool]:
    """Return an agent for peers (no redirects, literal addresses) and its pool.

    ``met`` is told of each connection: the address, and the seconds of a round trip to it.
    """
    pool = PeerPool(reactor)
    endpoints = _PeerEndpoints(reactor, connect_timeout, met)
    return Agent.usingEndpointFactory(reactor, endpoints, pool=pool), pool


def foreign_agent(reactor: object, connect_timeout: float) -> tuple[IAgent, HTTPConnectionPool]:
    """Return the same for other tools' machines, whose answers may end without a length."""
    pool = MirrorPool(reactor)
    endpoints = _PeerEndpoints(reactor, connect_timeout)
    return Agent.usingEndpointFactory(reactor, endpoints, pool=pool), pool


def literal_host(address: str) -> str:
    """Return ``address`` as it stands in a URL; an IPv6 zone is escaped (RFC 6874)."""
    return f"[{address.replace('%', '%25')}]" if ":" in address else address
