"""What this machine tells the LAN of itself: databases, abilities, files, savings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.neighbours.neighbourhood import DATABASES, MIRROR, ORIGIN, RELAY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from flocon.books.ledger import Ledger
    from flocon.holdings.inventory import Change, Inventory
    from flocon.pacman.listing import Listing
    from flocon.pacman.privacy import Privacy
    from flocon.presence.multicast import Multicast
    from flocon.presence.peer import Peer
    from flocon.presence.presence import Presence

#: As many as a datagram has room for.
MOST_ARCHITECTURES = 8
MOST_DATABASES = 32


class Announcer:
    """Puts what changed into the next datagrams, but for what is private."""

    def __init__(
        self, reactor: Any, presence: Presence, multicast: Multicast, privacy: Privacy
    ) -> None:
        self._reactor = reactor
        self._presence = presence
        self._multicast = multicast
        self._privacy = privacy

    def architectures(self, names: Sequence[str]) -> None:
        self._update(architectures=tuple(names[:MOST_ARCHITECTURES]))

    def databases(self, listing: Listing) -> None:
        told = [one for one in listing.digests() if not self._privacy.keeps(one[0])]
        self._update(databases=tuple(told[:MOST_DATABASES]))

    def abilities(self, names: Collection[str]) -> None:
        self._update(abilities=frozenset(names))

    def own(self, repositories: Sequence[tuple[str, int]]) -> None:
        """Tell of own repositories: each one's name, and when its newest was signed."""
        self._update(own=tuple(repositories))

    def inventory(self, inventory: Inventory, changes: list[Change]) -> None:
        self._presence.inventory_changed(
            self._reactor.seconds(), inventory.generation, len(inventory), changes
        )
        self._multicast.wake()

    def savings(self, ledger: Ledger) -> None:
        """Tell what the LAN saved, and what crossed the WAN, in MiB; that waits for its beat."""
        saved, crossed = ledger.month()
        self._presence.account(saved >> 20, crossed >> 20)

    def _update(self, **changed: Any) -> None:
        self._presence.update(self._reactor.seconds(), **changed)
        self._multicast.wake()


def abilities(
    *, relays: bool, databases: bool, mirror: bool = False, origin: bool = False
) -> frozenset[str]:
    """Return what a node announces that it can do."""
    able = {"store"}
    if relays:
        able.add(RELAY)
    if databases:
        able.add(DATABASES)
    if mirror:
        able.add(MIRROR)
    if origin:
        able.add(ORIGIN)
    return frozenset(able)


def announced_ports(peers: Iterable[Peer], address: str) -> list[int]:
    """Return the ports that peers at an address announce; a zone has two spellings."""
    host = address.partition("%")[0]
    return [peer.port for peer in peers if peer.address.partition("%")[0] == host]
