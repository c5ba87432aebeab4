"""How a process's file descriptors are shared out among those who ask, and who is let in.

Nobody's share can be taken by another: what peers may take leaves pacman its own, and what one
local user takes leaves room for the next. No sockets, no clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

#: What a node needs for itself: about 25 at rest, two for each link, and what it fetches for peers.
OWN = 96
#: Descriptors for one of pacman's requests: its connection, the file, and its sources' connections.
LOOPBACK_COST = 4
#: For one of a peer's: its connection and the file.
LAN_COST = 2
#: For one of a client's without a node: its connection; two of three ask for what is open already.
MIRROR_COST = 2
#: Parts of what is left that pacman's face has.
LOOPBACK_PART = 0.4
MOST_LOOPBACK, LEAST_LOOPBACK = 512, 8
MOST_LAN, LEAST_LAN = 1_024, 4
#: Part of what is left then that the face for clients without a node has, where there is one.
MIRROR_PART = 0.6
MOST_MIRROR, LEAST_MIRROR = 2_048, 4
#: Part of the connections of peers that each face in another tool's place has.
STANDIN_PART = 0.25
#: Of one such address: several pacmans in containers have one together.
MOST_PER_CLIENT = 64
#: Of one address: pacman's five files, as many for its node, and some more.
MOST_PER_ADDRESS, LEAST_PER_ADDRESS = 32, 4
#: One of so many connections of peers may be sent what nobody waits for: such answers stand still
#: for long, and the others are for those who wait.
UNHURRIED = 4
#: Descriptors with which every bound is as high as it gets.
ENOUGH = 8_192


@dataclass(frozen=True, slots=True)
class Shares:
    """Connections at a time: on the LAN face in all and of one address, and on pacman's own.

    ``lan_per_network`` is for one IPv6 network of 64 bits, in which a host has as many addresses as
    it likes.
    """

    lan: int
    lan_per_address: int
    lan_per_network: int
    loopback: int
    loopback_per_user: int
    mirror: int = 0
    mirror_per_address: int = 0
    mirror_per_network: int = 0
    #: Of each face in another tool's place.
    standin: int = 0

    def unhurried(self) -> Crowd:
        """Return who may be sent at a time, by peers' connections, what nobody waits for."""
        return Crowd(
            max(1, self.lan // UNHURRIED),
            max(1, self.lan_per_address // UNHURRIED),
            max(1, self.lan_per_network // UNHURRIED),
        )


def share_out(descriptors: int, *, mirror: bool = False, standins: int = 0) -> Shares:
    """Share out so many file descriptors, some of them for clients of a ``mirror``.

    So many ``standins`` are faces in other tools' places.
    """
    left = max(0, descriptors - OWN)
    loopback = _between(LEAST_LOOPBACK, left * LOOPBACK_PART / LOOPBACK_COST, MOST_LOOPBACK)
    left -= loopback * LOOPBACK_COST
    clients = 0
    if mirror:
        clients = _between(LEAST_MIRROR, left * MIRROR_PART / MIRROR_COST, MOST_MIRROR)
        left -= clients * MIRROR_COST
    lan = _between(LEAST_LAN, left / LAN_COST, MOST_LAN)
    standin = max(LEAST_LAN, int(lan * STANDIN_PART)) if standins else 0
    lan = max(LEAST_LAN, lan - standins * standin)
    return Shares(
        lan=lan,
        lan_per_address=_between(LEAST_PER_ADDRESS, lan / 4, MOST_PER_ADDRESS),
        lan_per_network=max(LEAST_LAN, lan // 2),
        loopback=loopback,
        loopback_per_user=loopback // 2,
        mirror=clients,
        mirror_per_address=_between(LEAST_PER_ADDRESS, clients / 4, MOST_PER_CLIENT),
        mirror_per_network=max(LEAST_MIRROR, clients // 2),
        standin=standin,
    )


def _between(least: int, value: float, most: int) -> int:
    return max(least, min(int(value), most))


class Crowd:
    """Who is inside: ``most`` in all, and so many of one address and one network; 0: no bound."""

    def __init__(
        self,
        most: int,
        most_per_address: int = 0,
        most_per_network: int = 0,
        unbounded: Collection[str] = (),
    ) -> None:
        """Those ``unbounded`` have as many as there are: a proxy of this machine, for others."""
        self.most = most
        self._unbounded = frozenset(unbounded)
        self._per_address = most_per_address
        self._per_network = most_per_network
        self._addresses: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()

    def is_full(self, leaving: int = 0) -> bool:
        """Whether there is no place but those of so many that are on their way out."""
        return self._addresses.total() - leaving >= self.most

    def has_room_for(self, address: str) -> bool:
        """Whether one more of ``address`` would be within its own bounds, whoever else is there."""
        if address in self._unbounded:
            return True
        if self._per_address and self._addresses[address] >= self._per_address:
            return False
        network = network_of(address)
        return not (self._per_network and network and self._networks[network] >= self._per_network)

    def enter(self, address: str) -> None:
        self._addresses[address] += 1
        self._networks[network_of(address)] += 1

    def leave(self, address: str) -> None:
        for counter, key in (
            (self._addresses, address),
            (self._networks, network_of(address)),
        ):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]


def network_of(address: str) -> str:
    """Return the network of 64 bits that an IPv6 address is of, with its zone; else nothing."""
    host, _, zone = address.partition("%")
    if ":" not in host:
        return ""
    try:
        network = str(ip_network((ip_address(host), 64), strict=False))
    except ValueError:
        return ""
    return f"{network}%{zone}" if zone else network
