"""Knocking: a peer tells whether this node's port is open as seen from there.

The asked node connects to the asker, at the very address that the question came from and at a port
that was announced from there (else the usual one), and says whether that succeeded. It connects to
nobody else, and seldom, so nobody can have it look at a third machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from flocon.datagrams.buckets import Bucket, BucketTable
from flocon.machine.shares import network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IAddress

#: Seconds for a connection: on a LAN it is there at once, and a firewall drops in silence.
PATIENCE = 1.0
#: Knocks per second, and at once: for one asker, and for all.
RATE, BURST = 0.5, 12
RATE_OF_ALL, BURST_OF_ALL = 5, 40
MOST_ASKERS = 256
#: Databases told of; pacman.conf has a dozen.
MOST_DATABASES = 32
#: What is told of clocks and databases is no finer than this, in seconds: enough to find a clock
#: that is wrong by minutes and a database that is old by a day, too little to know a machine by.
COARSE_TIME = 60
COARSE_DATABASES = 3_600


@dataclass(frozen=True, slots=True)
class Knocked:
    """What a peer tells of this node: ``heard`` by multicast, ``open`` at ``port``.

    ``time`` is the peer's clock, to the minute, and ``databases`` when its sync databases were last
    changed, to the hour, each in seconds since 1970.
    """

    port: int
    open: bool
    heard: bool
    time: float
    databases: Mapping[str, float]


class Knocker:
    """Answers ``GET /knock``.

    ``announced`` returns the ports that peers at an address announce, ``databases`` the times of
    this machine's sync databases; ``default_port`` is knocked at where nothing was heard.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        announced: Callable[[str], list[int]],
        databases: Callable[[], Mapping[str, float]],
        default_port: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._announced = announced
        self._databases = databases
        self._default_port = default_port
        self._clock = clock
        self._each = BucketTable(RATE, BURST, MOST_ASKERS)
        self._all = Bucket(RATE_OF_ALL, BURST_OF_ALL)

    async def knock(self, client: IAddress, wanted: int | None = None) -> dict[str, Any] | None:
        """Connect back to ``client``; None where that would be too often.

        ``wanted`` chooses among the ports announced there and the usual one.
        """
        address = address_of(client)
        now = self._reactor.seconds()
        # An IPv6 host has as many addresses as it likes.
        asker = network_of(address) or address
        if not self._each.take(now, asker) or not self._all.take(now):
            return None
        announced = self._announced(address)
        possible = [*announced, self._default_port]
        port = wanted if wanted is not None and wanted in possible else possible[0]
        databases = dict(list(self._databases().items())[:MOST_DATABASES])
        return {
            "port": port,
            "open": await self._opens(address, port),
            "heard": port in announced,
            "time": _coarse(self._clock(), COARSE_TIME),
            "databases": {
                name: _coarse(modified, COARSE_DATABASES) for name, modified in databases.items()
            },
        }

    async def _opens(self, address: str, port: int) -> bool:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        endpoint = kind(self._reactor, address, port, timeout=PATIENCE)
        try:
            protocol: Any = await endpoint.connect(_factory())
        except Exception:  # noqa: BLE001 - whatever it is, the port is not open from here
            return False
        protocol.transport.abortConnection()
        return True


def _coarse(moment: float, step: int) -> int:
    """Return the step that is nearest to a moment."""
    return round(moment / step) * step


def clock_off(knocked: Knocked, began: float, ended: float) -> float:
    """Return by how much a peer's clock is ahead at least, in seconds; below 0: behind.

    It was read between ``began`` and ``ended``, and told to the minute.
    """
    half = COARSE_TIME / 2
    if knocked.time - half > ended:
        return knocked.time - half - ended
    return min(0.0, knocked.time + half - began)


def _factory() -> Any:
    factory = Factory.forProtocol(Protocol)
    factory.noisy = False
    return factory


def address_of(client: IAddress) -> str:
    """Return where a connection came from, IPv4 as such, link-local IPv6 with its zone."""
    host = str(getattr(client, "host", ""))
    if "." in host:
        return host.removeprefix("::ffff:")
    scope = getattr(client, "scopeID", 0)
    linked = host.startswith("fe80:") and "%" not in host and scope
    return f"{host}%{scope}" if linked else host


def read_knock(value: object) -> Knocked | None:
    """Check what a peer answered; None where it is no answer."""
    match value:
        case {
            "port": int(port),
            "open": bool(opened),
            "heard": bool(heard),
            "time": int() | float() as moment,
            "databases": dict(databases),
        } if 0 < port < 1 << 16 and 0 <= moment < 1e12 and len(databases) <= MOST_DATABASES:  # noqa: PLR2004
            times = {
                name: float(one)
                for name, one in databases.items()
                if isinstance(name, str) and isinstance(one, (int, float)) and 0 <= one < 1e12  # noqa: PLR2004
            }
            return Knocked(port, opened, heard, float(moment), times)
    return None
