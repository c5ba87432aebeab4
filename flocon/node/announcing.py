"""What this machine tells the LAN of itself: databases, abilities, files, savings.

By its own datagrams, and by mDNS where there is a library for that.
"""

from __future__ import annotations

import platform
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet import defer

from flocon.datagrams.messages import SITES
from flocon.neighbours.neighbourhood import DATABASES, MIRROR, ORIGIN, RELAY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from twisted.internet.defer import Deferred

    from flocon.books.ledger import Ledger
    from flocon.holdings.inventory import Change, Inventory
    from flocon.machine.links import Link
    from flocon.mdns.named import Named
    from flocon.mdns.services import Found, Wish
    from flocon.node.parts import Parts
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


class Naming(Service):
    """Has this node known by mDNS, where that is set and the library is there; else it is nothing.

    ``pacserves_changed`` and ``nodes_changed`` are called with all that others announce now: hints.
    """

    def __init__(self, reactor: Any, parts: Parts) -> None:
        self._reactor = reactor
        self._parts = parts
        self._named: Named | None = None
        #: Why there is none though it is set, for the doctor.
        self.lacks = ""
        self.pacserves_changed: Callable[[tuple[Found, ...]], None] = lambda _: None
        self.nodes_changed: Callable[[tuple[Found, ...]], None] = lambda _: None

    def startService(self) -> None:
        super().startService()
        self.changed()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self._end()

    def changed(self) -> None:
        """Look at what is announced, and whether it is to be: something of it may have changed."""
        if not self.running:
            return
        if not self._parts.reloading.settings.mdns:
            self.lacks = ""
            self._end()
        elif self._named is not None:
            self._named.changed()
        elif not any(map(is_shared, self._parts.admission.links)):
            pass  # there is nobody to be known to
        elif find_spec("zeroconf") is None:
            self.lacks = "python-zeroconf is not installed"
        else:
            self._begin()

    def _begin(self) -> None:
        # Some 4 MB, for who has the library.
        from flocon.mdns.named import Named, lacking  # noqa: PLC0415

        self.lacks = lacking()
        if not self.lacks:
            self._named = Named(
                self._reactor,
                self._wish,
                pacserves=self.pacserves_changed,
                nodes=self.nodes_changed,
            )
            self._named.start()

    def _wish(self) -> Wish:
        """Return what is announced and where: nothing where nobody can connect from elsewhere."""
        from flocon.mdns.services import Own, Wish  # noqa: PLC0415 - as above

        parts, own = self._parts, self._parts.namesakes.identity
        port, architectures = parts.doors.lan_port, parts.pacman.configuration.architectures
        told = Own(own.node, own.epoch, own.name, port, system(), tuple(architectures))
        links = tuple(filter(is_shared, parts.admission.links))
        networks = tuple(parts.reloading.settings.peers.networks)
        return Wish(links, told if port else None, networks)

    def _end(self) -> Deferred[None]:
        named, self._named = self._named, None
        return defer.succeed(None) if named is None else named.stop()

    def describe(self) -> dict[str, Any] | None:
        """Return how it stands, None where nothing is announced or looked for."""
        return None if self._named is None else self._named.describe()

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of it."""
        if self._named is not None:
            yield from self._named.tell()
        elif self.lacks:
            from flocon.mdns.named import tell_of_lack  # noqa: PLC0415 - seldom asked

            yield tell_of_lack(self.lacks)


def is_shared(link: Link) -> bool:
    """Whether others may be on a link."""
    return any(not one.ip.is_loopback for one in link.addresses)


def abilities(
    *, relays: bool, databases: bool, mirror: bool = False, origin: bool = False
) -> frozenset[str]:
    """Return what a node announces that it can do."""
    able = {"store", SITES}
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


def system() -> str:
    """Return the name of this system, as others are told of it."""
    try:
        return platform.freedesktop_os_release().get("ID", "linux")
    except OSError:
        return "linux"
