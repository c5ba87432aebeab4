"""Which addresses somebody may tell of, and which are asked because of that. No I/O.

Whoever is told of an address connects there once. So it has to be one of private networks, or of
those that this machine's operator names; and none that means this machine, its own links, whose
nodes make themselves known, or more than one machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from flocon.datagrams.values import MOST_ADDRESSES
from flocon.mdns.services import announced_addresses, is_within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

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


def asks_from(address: str) -> str | bytes:
    """Return what all addresses have in common from which the machine at one may ask.

    By IPv6 that is its link (RFC 7421): it has passing addresses there (RFC 8981).
    """
    return IPv6Address(address).packed[:8] if ":" in address else address


def told_addresses(links: Sequence[Link], passing: Collection[str] = ()) -> tuple[str, ...]:
    """Return by which IPv6 addresses other networks may reach this machine, the private first.

    By IPv4 those know it who have heard it; and by IPv6 they have heard it link-local.
    """
    ones = (one for one in announced_addresses(links) if ":" in one and one not in passing)
    lasting = [one for one in map(IPv6Address, ones) if is_one_machine(one)]
    lasting.sort(key=lambda one: all(one not in network for network in PRIVATE))
    return tuple(map(str, lasting[:MOST_ADDRESSES]))


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

    def leads_there(self, address: str, others: Sequence[str]) -> bool:
        """Whether somebody elsewhere can reach a neighbour, heard at ``address``, by what is told.

        Nobody can by a link that is within this machine, as to its containers.
        """
        within = any(is_within(link) and link.reaches(address) for link in self.links)
        return not within and ("%" not in address or bool(others))

    def told_to(self, listener: str, address: str, others: Sequence[str]) -> str:
        """Return by which address somebody elsewhere is told of a neighbour, heard at ``address``.

        By one of the IP version by which the listener is reached: where that alone leads there,
        the other one's do not. ``others`` are those that the neighbour tells of itself.
        """
        near = [one for one in others if self.is_near(one)]
        fitting = [one for one in near if (":" in one) == (":" in listener)]
        if "%" not in address and ((":" in address) == (":" in listener) or not fitting):
            return address
        return next(iter((*fitting, *near)), address)

    def _is_broadcast(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether it is the last one, or the first, of a network that the operator named."""
        return any(
            address in {network.broadcast_address, network.network_address}
            for network in self.networks
            if network.version == 4 and network.prefixlen < 31  # noqa: PLR2004 - IPv4, RFC 3021
        )
