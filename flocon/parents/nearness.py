"""Which addresses are this LAN's. No I/O."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from flocon.asking.proxies import literal

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
    found = literal(address)
    found = getattr(found, "ipv4_mapped", None) or found
    if found is None or found.is_multicast or found.is_unspecified:
        return False
    private = _PRIVATE_6 if isinstance(found, IPv6Address) else _PRIVATE
    return (
        found.is_loopback
        or any(found in network for network in (*private, *networks))
        or any(link.reaches(str(found)) for link in links)
    )
