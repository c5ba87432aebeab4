"""Everybody who may be asked for a file, in the order in which they are asked.

Holders, owners and mirrors are ranked by ``ranking``; here they come together from what is
known of each. Nobody is asked here, and who was tried already is the chooser's affair.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flocon.asking.addresses import network_location
from flocon.neighbours.neighbourhood import RELAY
from flocon.sources.places import holder_source, mirror_source, owner_source
from flocon.sources.ranking import (
    Holder,
    earlier_owners,
    owners_before,
    rank_holders,
    rank_mirrors,
    rank_owners,
)
from flocon.sources.servers import servers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flocon.asking.source import Source
    from flocon.files import Asked
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.neighbours.standing import Standing
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.sources.own import OwnNode
    from flocon.sources.reporter import Reporter

#: Owners asked, one after the other, before this node turns to the mirrors itself.
MOST_OWNERS = 3


class Candidates:
    """Knows whom to ask for a file; ``servers`` are mirrors without the file's name."""

    def __init__(
        self,
        clock: Any,
        *,
        own: OwnNode,
        pacman: PacmanWatch,
        neighbourhood: Neighbourhood,
        standing: Standing,
        reporter: Reporter,
    ) -> None:
        self._clock = clock
        self._own = own
        self._pacman = pacman
        self._neighbourhood = neighbourhood
        self._standing = standing
        self._reporter = reporter
        #: Tells the servers of repositories that are not this machine's own.
        self.of_others: Callable[[Asked], tuple[str, ...]] = lambda _: ()
        #: Tells who may have what mirrors do not have any more.
        self.of_the_past: Callable[[Asked, Entry | None], tuple[str, ...]] = lambda *_: ()

    def servers(self, asked: Asked, entry: Entry | None) -> tuple[str, ...]:
        """Return the mirrors that may have a file, each complete but for the file's name."""
        of_others = self.of_others(asked)
        present = of_others or servers_of(self._pacman.configuration, asked, entry)
        return (*present, *self.of_the_past(asked, entry))

    def order(self, name: str, servers: Sequence[str], entry: Entry | None) -> list[Source]:
        """Return everybody who would be asked for a file now, the first one first."""
        return list(self.all(name, servers, entry))

    def all(
        self,
        name: str,
        servers: Sequence[str],
        entry: Entry | None,
        *,
        relays: bool = True,
        looks: bool = False,
        peers_last: bool = False,
    ) -> Iterator[Source]:
        """Yield whom to ask for a file, one after the other; mostly the first one does.

        Peers only for what is listed: holders, then pacman's own caches, then owners (where it may
        be had through them; where it only ``looks``, if they have it on its way already), then the
        mirrors, then those holders that failed lately, then who gives the LAN a state. Where peers
        disappointed too often (``strangers``), those that have proved nothing come last too.
        """
        now = self._clock.seconds()
        mirrors = self.mirrors(name, servers, now)
        caches = [
            one for one in mirrors if one.is_cache and not self._standing.demoted(one.key, now)
        ]
        if peers_last:
            yield from mirrors
        last: list[Source] = []
        owners: list[Source] = []
        if entry is not None:
            for source in self.holders(name, entry, now):
                demoted = self._standing.demoted(source.key, now)
                if demoted or not self._reporter.comes_first(source.key, now):
                    last.append(source)
                else:
                    yield source
            if not peers_last:
                yield from caches
            if relays:
                owners = list(self._coming_to_owners(entry)) if looks else self._owners(entry)
                yield from owners
        if not peers_last:
            yield from (one for one in mirrors if entry is None or one not in caches)
        yield from last
        if entry is not None and relays:
            yield from (one for one in self._of_states(entry) if one not in owners)

    def _of_states(self, entry: Entry) -> Iterator[Source]:
        """Yield who gives the LAN a state: it may bring what no mirror has any more."""
        now = self._clock.seconds()
        for peer in self._neighbourhood.mirrors():
            able = RELAY in peer.abilities and not self._neighbourhood.is_private(entry.repository)
            if able and not self._standing.demoted(peer.address, now):
                yield owner_source(peer, entry)

    def near(self, name: str, entry: Entry) -> Iterator[Source]:
        """Yield who has a listed package on the LAN, and who may have it on its way there.

        For what nobody waits for: who failed lately is left out.
        """
        now = self._clock.seconds()
        for source in self.holders(name, entry, now):
            first = self._reporter.comes_first(source.key, now)
            if first and not self._standing.demoted(source.key, now):
                yield source
        yield from self._coming_to_owners(entry)

    def _coming_to_owners(self, entry: Entry) -> Iterator[Source]:
        return (replace(one, only_if_cached=True) for one in self._owners(entry))

    def holders(self, name: str, entry: Entry, now: float) -> Iterator[Source]:
        """Yield the peers that announced a package, the best one first."""
        peers = {
            peer.node: peer for peer in self._neighbourhood.holding(entry.file_name, entry.content)
        }
        holders = [Holder(node, near=True, key=peer.address) for node, peer in peers.items()]
        for holder in rank_holders(holders, name, self._standing, now):
            yield holder_source(peers[holder.node], name)

    def _owners(self, entry: Entry) -> list[Source]:
        """Return the peers to ask to fetch a file that nobody holds, before the mirrors."""
        now = self._clock.seconds()
        own = self._own.node
        first = self._reporter.owners_come_first(now)
        able = {
            peer.node: peer
            for peer in self._neighbourhood.able(entry.repository)
            if not self._standing.demoted(peer.address, now)
            and (first or self._standing.throughput(peer.address) > 0)
        }
        nodes = [*able, own] if self._own.relays else list(able)
        ranked = rank_owners(nodes, entry.file_name)
        since = {
            node: able[node].able_since if node in able else self._own.able_since
            for node in ranked[:MOST_OWNERS]
        }
        earlier = earlier_owners(ranked, own, since, now, MOST_OWNERS)
        looked_at = [owner_source(able[node], entry) for node in earlier]
        owners = [
            owner_source(able[node], entry) for node in owners_before(ranked, own, MOST_OWNERS)
        ]
        return [*(replace(one, only_if_cached=True) for one in looked_at), *owners]

    def mirrors(self, name: str, servers: Sequence[str], now: float) -> list[Source]:
        """Return the mirrors and pacman's own caches, as far as they may be asked."""
        keys = [network_location(server) for server in servers]
        ranked = rank_mirrors(servers, keys, self._standing, now)
        caches = self._pacman.configuration.caches
        return [mirror_source(server, name, is_cache=server in caches) for server in ranked]

    def mirrors_for(self, asked: Asked, entry: Entry | None = None) -> list[Source]:
        """Return the mirrors that may have what was asked for, as far as they may be asked now."""
        return self.mirrors(asked.file.text, self.servers(asked, entry), self._clock.seconds())
