"""Which addresses are this LAN's. No I/O."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flocon.machine.links import Link

#: Addresses that are on no Internet: a site's own, a link's, and this machine's.
_PRIVATE = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"))
)
_PRIVATE_6 = tuple(map(IPv6Network, ("fc00::/7", "fe80::/10")))


def is_near(
    address: str, links: Sequence[Link], networks: Sequence[IPv4Network | IPv6Network]
) -> bool:
    """Whether an address is on the LAN, or in a network that the operator counts to it."""
    try:
        literal = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    literal = getattr(literal, "ipv4_mapped", None) or literal
    if literal.is_multicast or literal.is_unspecified:
        return False
    private = _PRIVATE_6 if isinstance(literal, IPv6Address) else _PRIVATE
    return (
        literal.is_loopback
        or any(literal in network for network in (*private, *networks))
        or any(link.reaches(str(literal)) for link in links)
    )
