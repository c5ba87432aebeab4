"""Which addresses somebody may tell of, and which are asked because of that. No I/O.

Whoever is told of an address connects there once. So it has to be one of private networks, or of
those that this machine's operator names; and none that means this machine, its own links, whose
nodes make themselves known, or more than one machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.machine.links import Link

#: RFC 1918 and 4193: what routers of the Internet do not pass on.
PRIVATE = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("fc00::/7"),
)


def plain(address: str) -> IPv4Address | IPv6Address | None:
    """Return a numeric address as such, IPv4 for one that IPv6 only wraps; None for no address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def is_one_machine(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address can be another machine's, wherever that is."""
    return not (
        address.is_multicast
        or address.is_loopback
        or address.is_unspecified
        or address.is_link_local
        or address.is_reserved
        or (address.version == 4 and int(address) == (1 << 32) - 1)  # noqa: PLR2004 - IPv4
    )


def _never(_: str) -> bool:
    return False


@dataclass(slots=True)
class Permitted:
    """The addresses of other networks that may be asked because somebody told of them."""

    #: Networks beside the private ones, as ``peers.networks`` names them.
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    links: tuple[Link, ...] = ()
    #: Whether an address is this machine's on what carries no multicast, as a VPN.
    own: Callable[[str], bool] = _never

    def is_named(self, address: str) -> bool:
        """Whether an address is in one of ``networks``."""
        parsed = plain(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def is_near(self, address: str) -> bool:
        """Whether an address is on a link of this machine, or its own."""
        return any(link.reaches(address) for link in self.links)

    def is_own(self, address: str) -> bool:
        own = (str(one.ip) for link in self.links for one in link.addresses)
        return address in own or self.own(address)

    def allows(self, address: str) -> bool:
        """Whether somebody may tell of an address."""
        parsed = plain(address)
        if parsed is None or not is_one_machine(parsed) or "%" in address:
            return False
        if parsed.version == 4 and ":" in address:  # noqa: PLR2004 - IPv4
            # Another name for an address, by which it is neither near nor this machine's own.
            return False
        if self.is_near(address) or self._is_broadcast(parsed):
            return False
        permitted = any(parsed in network for network in (*PRIVATE, *self.networks))
        return permitted and not self.own(address)

    def allows_hint(self, address: str) -> bool:
        """Whether one may be asked that is announced by mDNS: a neighbour's, too."""
        parsed = plain(address)
        if parsed is None or not self.is_near(address):
            return self.allows(address)
        return is_one_machine(parsed) and not self.is_own(address)

    def _is_broadcast(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether it is the last one, or the first, of a network that the operator named."""
        return any(
            address in {network.broadcast_address, network.network_address}
            for network in self.networks
            if network.version == 4 and network.prefixlen < 31  # noqa: PLR2004 - IPv4, RFC 3021
        )
