"""Which peers are known at which address, and how many of them by IPv6 alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.presence.peer import Known, KnownAddress


class Places:
    """Gives peers addresses and takes them away, and finds peers by them."""

    def __init__(self) -> None:
        self.at_address: dict[str, dict[str, Known]] = {}
        self.by_ipv6_alone = 0

    def __contains__(self, address: str) -> bool:
        return address in self.at_address

    def enter(self, known: Known) -> None:
        """Take up a peer that has no address yet."""
        self.by_ipv6_alone += known.by_ipv6_alone

    def leave(self, known: Known) -> None:
        """Take all its addresses from a peer, and forget it."""
        for address in list(known.addresses):
            self.drop(known, address)
        self.by_ipv6_alone -= known.by_ipv6_alone

    def add(self, known: Known, address: str, entry: KnownAddress) -> None:
        """Give a peer an address that it has not got."""
        was_alone = known.by_ipv6_alone
        known.addresses[address] = entry
        self.at_address.setdefault(address, {})[known.said.node] = known
        self.by_ipv6_alone += known.by_ipv6_alone - was_alone

    def drop(self, known: Known, address: str) -> None:
        """Take an address from a peer."""
        was_alone = known.by_ipv6_alone
        del known.addresses[address]
        self.by_ipv6_alone += known.by_ipv6_alone - was_alone
        known.changed()
        self.at_address[address].pop(known.said.node, None)
        if not self.at_address[address]:
            del self.at_address[address]

    def count(self, address: str) -> int:
        """Return how many are known at ``address``."""
        return len(self.at_address.get(address, ()))

    def at(self, address: str, port: int) -> Iterator[Known]:
        """Yield those that are known at ``address`` and announce ``port``."""
        for known in self.at_address.get(address, {}).values():
            if known.said.port == port:
                yield known
