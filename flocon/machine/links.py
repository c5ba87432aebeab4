"""One network interface, as all rooms see it; ``interfaces`` finds it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface


@dataclass(frozen=True, slots=True)
class Link:
    """An interface that is up and carries multicast.

    ``index`` is the kernel's number for it. ``addresses`` come with their networks; a link-local
    IPv6 one bears no scope, since the link is its scope.
    """

    name: str
    index: int
    addresses: tuple[IPv4Interface | IPv6Interface, ...]

    def of_family(self, version: int) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """Return its addresses of IP ``version`` 4 or 6."""
        return tuple(one for one in self.addresses if one.version == version)

    def reaches(self, address: str) -> bool:
        """Whether ``address`` is a neighbour's on this link; a link-local one needs its %scope."""
        host, _, scope = address.partition("%")
        try:
            if ":" not in host:
                return any(_contains(one, address) for one in self.of_family(4))
            if IPv6Address(host).is_link_local:
                return scope in {self.name, str(self.index)} and bool(self.of_family(6))
            return any(_contains(one, host) for one in self.of_family(6))
        except ValueError:
            return False


def _contains(interface: IPv4Interface | IPv6Interface, address: str) -> bool:
    kind = type(interface.ip)
    return kind(address) in interface.network
