"""What is near this machine: its own addresses, and the networks of its links."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import ifaddr

from flocon.building.destinations import Destinations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flocon.building.destinations import Address, Network


def destinations(allowed: Sequence[Network]) -> Destinations:
    """Return where a job of this machine may connect to, with what an operator lets in."""
    own: set[Address] = set()
    networks: list[Network] = []
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            text = one.ip[0] if isinstance(one.ip, tuple) else one.ip
            own.add(ip_address(text))
            # A length of nothing says nothing of who is near.
            if one.network_prefix:
                networks.append(ip_network(f"{text}/{one.network_prefix}", strict=False))
    return Destinations(allowed, networks, own)
