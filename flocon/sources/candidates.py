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
    from flocon.parents.parents import Parents
    from flocon.presence.peer import Peer
    from flocon.sources.ranking import OwnNode
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
        #: The caching proxies of this LAN, where there are any.
        self.parents: Parents | None = None
        #: Tells who may have what mirrors do not have any more.
        self.of_the_past: Callable[[Asked, Entry | None], tuple[str, ...]] = lambda *_: ()
        #: Tells which of other tools' machines are known to have a listed package.
        self.foreign: Callable[[Entry], Sequence[Source]] = lambda _: ()
        #: Tells whether nodes of other networks are asked to fetch what nobody holds.
        self.far_owners: Callable[[], bool] = lambda: True

    def servers(self, asked: Asked, entry: Entry | None) -> tuple[str, ...]:
        """Return the mirrors that may have a file, each complete but for the file's name."""
        of_others = self.of_others(asked)
        present = of_others or servers_of(self._pacman.configuration, asked, entry)
        parents = self.parents_for(entry, asked.architecture) if entry is not None else ()
        everybody = (*parents, *present, *self.of_the_past(asked, entry))
        return tuple(dict.fromkeys(everybody)) if parents else everybody

    def parents_for(self, entry: Entry, architecture: str) -> tuple[str, ...]:
        """Return the operator's caching proxies that may have a listed package, as servers.

        Of what is private nobody is told whom pacman itself would not tell.
        """
        if self.parents is None or self._neighbourhood.is_private(entry.repository):
            return ()
        own = self._pacman.configuration.architectures
        resolved = architecture or next(iter(own), "")
        return self.parents.for_packages(entry.repository, resolved)

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
        parents: bool = True,
    ) -> Iterator[Source]:
        """Yield whom to ask for a file, one after the other; mostly the first one does.

        Peers only for what is listed: holders, other tools' machines that have it, pacman's own
        caches and ``parents``, then owners (where it may be had through them; where it only
        ``looks``, if they have it on its way already), then the mirrors, then those holders that
        failed lately, then who gives the LAN a state. Where peers disappointed too often
        (``strangers``), those that have proved nothing come last too.
        """
        now = self._clock.seconds()
        last: list[Source] = []
        owners: list[Source] = []
        if entry is not None and not peers_last:
            # Mirrors are looked for when none of these was enough.
            yield from self._first_holders(name, entry, now, last)
        mirrors = [one for one in self.mirrors(name, servers, now) if parents or not one.parent]
        caches = [
            one
            for one in mirrors
            if (one.is_cache or one.parent) and not self._standing.demoted(one.key, now)
            if self.parents is None or not self.parents.is_left_alone(one.url)
        ]
        if peers_last:
            yield from mirrors
        if entry is not None:
            yield from self._first_holders(name, entry, now, last) if peers_last else caches
            if relays:
                owners = list(self._coming_to_owners(entry)) if looks else self._owners(entry)
                yield from owners
        if not peers_last:
            yield from (one for one in mirrors if entry is None or one not in caches)
        yield from last
        if entry is not None and relays:
            yield from (one for one in self._of_states(entry) if one not in owners)

    def _first_holders(
        self, name: str, entry: Entry, now: float, last: list[Source]
    ) -> Iterator[Source]:
        """Yield who holds a package and is asked before others; whoever is not goes to ``last``."""
        for source in self._all_holders(name, entry, now):
            demoted = self._standing.demoted(source.key, now)
            if demoted or not self._reporter.comes_first(source.key, now):
                last.append(source)
            else:
                yield source

    def _of_states(self, entry: Entry) -> Iterator[Source]:
        """Yield who gives the LAN a state: it may bring what no mirror has any more."""
        now = self._clock.seconds()
        for peer in self._neighbourhood.mirrors():
            able = RELAY in peer.abilities and not self._neighbourhood.is_private(entry.repository)
            if able and self._fetches(peer) and not self._standing.demoted(peer.address, now):
                yield owner_source(peer, entry)

    def near(self, name: str, entry: Entry) -> Iterator[Source]:
        """Yield who has a listed package on the LAN, and who may have it on its way there.

        For what nobody waits for: who failed lately is left out.
        """
        now = self._clock.seconds()
        for source in self._all_holders(name, entry, now):
            first = self._reporter.comes_first(source.key, now)
            if first and not self._standing.demoted(source.key, now):
                yield source
        yield from self._coming_to_owners(entry)

    def _all_holders(self, name: str, entry: Entry, now: float) -> Iterator[Source]:
        """Yield the peers that hold a package, nodes before other tools' machines."""
        yield from self.holders(name, entry, now)
        foreign = {source.node: source for source in self.foreign(entry)}
        holders = [Holder(node, near=True, key=one.key) for node, one in foreign.items()]
        for holder in rank_holders(holders, name, self._standing, now):
            yield foreign[holder.node]

    def _coming_to_owners(self, entry: Entry) -> Iterator[Source]:
        return (replace(one, only_if_cached=True) for one in self._owners(entry))

    def holders(self, name: str, entry: Entry, now: float) -> Iterator[Source]:
        """Yield the peers that announced a package, the best one first."""
        peers = {
            peer.node: peer for peer in self._neighbourhood.holding(entry.file_name, entry.content)
        }
        holders = [
            Holder(node, near=not peer.far, key=peer.address) for node, peer in peers.items()
        ]
        for holder in rank_holders(holders, name, self._standing, now, entry.size):
            yield holder_source(peers[holder.node], name)

    def _owners(self, entry: Entry) -> list[Source]:
        """Return the peers to ask to fetch a file that nobody holds, before the mirrors."""
        now = self._clock.seconds()
        own = self._own.node
        first = self._reporter.owners_come_first(now)
        able = {
            peer.node: peer
            for peer in self._neighbourhood.able(entry.repository)
            if self._fetches(peer)
            and not self._standing.demoted(peer.address, now)
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

    def _fetches(self, peer: Peer) -> bool:
        """Whether a peer may be asked to fetch: no network may wait for others."""
        return not peer.far or self.far_owners()

    def mirrors(self, name: str, servers: Sequence[str], now: float) -> list[Source]:
        """Return the mirrors and pacman's own caches, as far as they may be asked."""
        keys = [network_location(server) for server in servers]
        ranked = rank_mirrors(servers, keys, self._standing, now)
        caches = self._pacman.configuration.caches
        known = self.parents
        if known is None:
            return [mirror_source(server, name, is_cache=server in caches) for server in ranked]
        return [
            mirror_source(
                server,
                name,
                is_cache=server in caches or known.is_only_named(server),
                parent=known.kind(server),
            )
            # Who sent what is wrong comes last: it may be the only one.
            for server in sorted(ranked, key=known.is_left_alone)
        ]

    def mirrors_for(self, asked: Asked, entry: Entry | None = None) -> list[Source]:
        """Return the mirrors that may have what was asked for, as far as they may be asked now."""
        return self.mirrors(asked.file.text, self.servers(asked, entry), self._clock.seconds())
