"""Where a job may connect to while it fetches its sources: the Internet, and nothing near. No I/O.

A name says nothing of where it leads, so addresses are judged, and the one that was judged is the
one that is connected to.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

#: Ports of http and https, and those that no system service has.
_PORTS = (80, 443)
_FIRST_FREE_PORT = 1_024
_LAST_PORT = 65_535
#: IPv4 at the end of IPv6: NAT64 (RFC 6052), what is compatible (RFC 4291, 2.5.5.1), and what is
#: translated (RFC 2765).
_EMBEDDING = (
    IPv6Network("64:ff9b::/96"),
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0:0/96"),
)
#: Length of the largest network that a customer is given (RFC 6177): all of it may be one LAN's.
_SITE = 48
_NOT_GLOBAL = (
    # What Python's versions do not agree on.
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("3fff::/20"),
    # NAT64 of a network of its own (RFC 8215): where in it the IPv4 address stands, it alone knows.
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("5f00::/16"),
    IPv6Network("fec0::/10"),
)


def _meant(address: Address) -> Address:
    """Return the IPv4 address that stands within an IPv6 one, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        # Its client's address; the server is whoever it likes.
        return address.teredo[1]
    if any(address in network for network in _EMBEDDING):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _site(near: Network) -> Network:
    """Return what one customer of a provider may have around a link of it: its other links."""
    if isinstance(near, IPv6Network) and near.prefixlen > _SITE:
        return near.supernet(new_prefix=_SITE)
    return near


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(one.version == address.version and address in one for one in networks)


class Destinations:
    """Says which addresses a job may connect to.

    ``allowed`` are networks that an operator lets in; ``near`` are those of this machine's links,
    with which others of its site are; ``own`` its addresses there. This machine itself is let in
    only where it alone is named: by one address, or by a network of the loopback.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        near: Sequence[Network] = (),
        own: Collection[Address] = (),
    ) -> None:
        self._allowed = tuple(allowed)
        self._alone = tuple(one for one in allowed if one.is_loopback or one.num_addresses == 1)
        self._near = tuple(map(_site, near))
        self._own = frozenset(own)

    def permit(self, text: str, port: int) -> bool:
        """Whether a literal address may be connected to at ``port``."""
        try:
            address = ip_address(text)
        except ValueError:
            return False
        if not 0 < port <= _LAST_PORT or getattr(address, "scope_id", None):
            return False
        forms = (address, _meant(address))
        if any(one.is_unspecified or one.is_multicast for one in forms):
            return False
        if any(one.is_loopback or one in self._own for one in forms):
            return any(_within(one, self._alone) for one in forms)
        if any(_within(one, self._allowed) for one in forms):
            return True
        if port not in _PORTS and port < _FIRST_FREE_PORT:
            return False
        return self._is_far(*forms)

    def _is_far(self, address: Address, meant: Address) -> bool:
        if _within(meant, self._near) or _within(address, self._near):
            return False
        # An embedded one is judged by what it means: its own form may be reserved.
        return meant.is_global and not _within(meant, _NOT_GLOBAL)
