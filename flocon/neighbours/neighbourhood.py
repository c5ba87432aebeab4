"""The peers and what they hold, kept up to date from what presence hears.

Presence says who is there, ``replication`` what to do about each announcement; here it is
done, by having inventories read (``inventory_readings``). Who is in quarantine is left out of
every answer.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.errors import SourceError, Unreachable
from flocon.neighbours.acquaintance import Acquaintance
from flocon.neighbours.coming_and_going import ComingAndGoing
from flocon.neighbours.inventory_readings import InventoryReadings
from flocon.neighbours.moved_peers import MovedPeers
from flocon.neighbours.old_acquaintances import OldAcquaintances
from flocon.neighbours.replicas import Holders
from flocon.neighbours.replication import Apply, Read, next_step
from flocon.presence.presence_events import (
    Claimed,
    Doubted,
    Heard,
    Namesake,
    PeerCame,
    PeerLeft,
    PeerRestarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.datagrams.messages import Announcement
    from flocon.files import Content
    from flocon.holdings.inventory import Change
    from flocon.neighbours.inventories import InventoryClient
    from flocon.neighbours.inventory_text import InventoryReader
    from flocon.neighbours.readings import Reading
    from flocon.neighbours.replicas import Replica
    from flocon.presence.peer import Peer
    from flocon.presence.presence import Presence
    from flocon.presence.presence_events import Event

#: Changes of a replica applied between two turns of the reactor; each may be looked up in the sync
#: databases.
SLICE = 150
#: Changes of which so much memory is made that what is free again should be given back.
MANY = 5_000
#: Seconds for which what a peer held is kept after its bye: anybody can send one in its name.
FAREWELL = 5.0
#: The ability to fetch for others, as it is announced.
RELAY = "relay"
#: The ability to give databases away.
DATABASES = "databases"
#: The ability to give the LAN a state of all databases.
MIRROR = "mirror"
#: That a node makes an own repository, and has all of its packages.
ORIGIN = "origin"


class _WhoMayBeAsked:
    """The peers that have something, or fetch it for others, save those that are left alone."""

    def __init__(
        self, presence: Presence, held_off: Callable[[Peer], bool], holders: Holders
    ) -> None:
        self._presence = presence
        self._held_off = held_off
        self.holders = holders
        #: Whether nobody is to hear of a repository: to ask for one of its files would tell of it.
        self.is_private: Callable[[str], bool] = lambda _: False

    def holding(self, file_name: str, content: Content) -> list[Peer]:
        """Return the peers that announced this very package and may be asked."""
        return self._askable(
            self._presence.peer(node) for node in self.holders.holding(file_name, content)
        )

    def is_held(self, file_name: str, content: Content) -> bool:
        """Return whether ``holding`` has anybody; asked for each of thousands of packages."""
        return self.holders.is_held(file_name, content, self._may_be_asked)

    def _may_be_asked(self, node: str) -> bool:
        peer = self._presence.peer(node)
        return peer is not None and not self._held_off(peer)

    def able(self, repository: str) -> list[Peer]:
        """Return the peers that fetch files of ``repository`` for others."""
        return self._with(RELAY, repository)

    def sharing(self, repository: str) -> list[Peer]:
        """Return the peers that give ``repository``'s database away."""
        return self._with(DATABASES, repository)

    def mirrors(self) -> list[Peer]:
        """Return the peers that give the LAN a state of databases."""
        return [peer for peer in self.proved() if MIRROR in peer.abilities]

    def proved(self) -> list[Peer]:
        """Return the peers that have answered, and may be asked."""
        return self._askable(peer for peer in self._presence.peers() if peer.proved)

    def _with(self, ability: str, repository: str) -> list[Peer]:
        """Return those with an ability; nobody is asked of whom only a datagram has told."""
        if self.is_private(repository):
            return []
        return self._askable(
            peer
            for peer in self._presence.peers()
            if peer.proved
            and ability in peer.abilities
            and any(name == repository for name, _ in peer.databases)
        )

    def _askable(self, peers: Iterable[Peer | None]) -> list[Peer]:
        return [peer for peer in peers if peer is not None and not self._held_off(peer)]


class Neighbourhood(_WhoMayBeAsked):
    """The peers and what they hold: keeps the replicas up to date from what presence hears."""

    def __init__(
        self,
        reactor: Any,
        presence: Presence,
        client: InventoryClient,
        *,
        held_off: Callable[[Peer], bool],
        listed: Callable[[str, Content], bool],
        relieve: Callable[[], None] = lambda: None,
        remembered: Path | None = None,
    ) -> None:
        """Begin alone; ``held_off`` tells who is left alone, ``listed`` is for ``Holders``.

        ``relieve`` is called when much memory is free; the file ``remembered`` has who was there.
        """
        super().__init__(presence, held_off, Holders(listed=listed))
        self._reactor = reactor
        self._relieve = relieve
        #: Called after presence was told what was seen; ``node`` has it pump.
        self.wake: Callable[[], None] = lambda: None
        #: Called when somebody may hold what nobody did: these, or (None) whatever it may be.
        self.news: Callable[[Iterable[Change] | None], None] = lambda _: None
        #: Called with each peer that says that it has own repositories, whenever it does.
        self.has_own: Callable[[Peer], None] = lambda _: None
        #: Called with whoever has this very node's id, and answers to it.
        self.namesake: Callable[[str, Announcement], None] = lambda *_: None
        self._readings = InventoryReadings(
            reactor,
            presence,
            client,
            taken=self._answered,
            failed=self._failed,
            followed=lambda peer: self._follow(peer, peer.generation, peer.files),
        )
        self._moved = MovedPeers(
            reactor,
            presence,
            look_at=self._look_at,
            is_silent=self._readings.is_silent,
            gone=self._give_up,
        )
        self._acquaintance = Acquaintance(reactor, lambda: self._readings.busy)
        self._old_acquaintances = OldAcquaintances(reactor, presence, self.holders, remembered)
        self._coming_and_going = ComingAndGoing(reactor)
        self._namesakes: dict[tuple[str, int], Announcement] = {}
        #: Those who said bye, and the calls that then forget what they held.
        self._parting: dict[str, tuple[str, IDelayedCall]] = {}
        #: Those for whose files there is no room.
        self._surplus: set[str] = set()
        self._sweep: IDelayedCall | None = None
        self._swept = 0

    def start(self) -> None:
        """Begin to get acquainted: what is asked in the first moments is held by nobody yet."""
        self._acquaintance.start()
        for place in self._old_acquaintances.recall():
            self._readings.prove(*place)
        self.wake()

    @property
    def is_acquainted(self) -> bool:
        """Whether those that were there before this node are known, and what they hold."""
        return self._acquaintance.is_made

    def acquainted(self) -> Deferred[None]:
        """Fire when ``is_acquainted`` is so."""
        return self._acquaintance.made()

    def holder_known(self, file_name: str, content: Content) -> Deferred[None]:
        """Fire when somebody is known who holds this very package, or ``is_acquainted`` is so."""
        return self._acquaintance.made(lambda: self.is_held(file_name, content))

    def event(self, event: Event) -> None:
        """Take what presence tells."""
        match event:
            case PeerCame(peer):
                self._came(peer)
            case PeerRestarted(peer):
                self._forget(peer.node)
            case PeerLeft(peer, reason):
                self._left(peer, reason)
            case Heard(peer, announcement):
                self._follow(
                    peer, announcement.generation, announcement.files, announcement.changes
                )
                if announcement.own:
                    self.has_own(peer)
            case Claimed(address, port):
                self._look_at(address, port)
            case Doubted(peer):
                self._moved.doubt(peer.node)
            case Namesake(address, announcement):
                self._namesakes = {(address, announcement.port): announcement}
                self._readings.want(address, announcement.port, announcement.generation)

    def _came(self, peer: Peer) -> None:
        epoch, call = self._parting.pop(peer.node, ("", None))
        if call is not None:
            call.cancel()
            if epoch != peer.epoch:
                self._forget(peer.node)
        if not peer.proved:
            self._look_at(peer.address, peer.port)
        self._coming_and_going.came(peer)

    def _left(self, peer: Peer, reason: str) -> None:
        self._readings.drop(peer.address, peer.port)
        if reason == "bye" and self.holders.replica(peer.node) is not None:
            call = self._reactor.callLater(FAREWELL, self._part, peer.node)
            _, before = self._parting.pop(peer.node, ("", None))
            if before is not None:
                before.cancel()
            self._parting[peer.node] = peer.epoch, call
        else:
            self._forget(peer.node)
        self._coming_and_going.left(peer, reason)

    def _part(self, node: str) -> None:
        self._parting.pop(node, None)
        self._forget(node)

    def _follow(
        self, peer: Peer, generation: int, files: int, changes: Sequence[Change] = ()
    ) -> None:
        """Do what an announcement asks for."""
        if peer.node in self._surplus:
            return
        # It may have been heard at a better address since.
        peer = self._presence.peer(peer.node) or peer
        step = next_step(
            self._replica(peer),
            generation,
            files,
            changes,
            reflects=lambda: self.holders.reflects(peer.node, changes),
        )
        if isinstance(step, Apply):
            self.holders.apply(peer.node, generation, step.changes)
            self.news(step.changes)
        elif isinstance(step, Read) and not self._readings.runs(peer.address, peer.port):
            # What is being read now is looked at again when it is here.
            self._readings.want(peer.address, peer.port, step.since)

    def _replica(self, peer: Peer) -> Replica | None:
        """Return what is known of a peer's files by what its own address has told."""
        replica = self.holders.replica(peer.node)
        return replica if replica is not None and replica.account == peer.address else None

    def _look_at(self, address: str, port: int) -> None:
        """Ask what listens at a place which node it is; what changed since is a short answer."""
        replicas = [self.holders.replica(one.node) for one in self._presence.at(address, port)]
        self._readings.want(address, port, next((one.read for one in replicas if one), None))

    def _give_up(self, address: str, port: int) -> None:
        """Go elsewhere for a peer that has moved away from a place."""
        self._presence.unanswered(self._reactor.seconds(), address, port)
        self._readings.end(address, port)
        self.wake()

    def unreachable(self, node: str, address: str) -> None:
        """Nobody could be connected to where ``node`` was asked: it has other addresses, maybe."""
        peer = self._presence.peer(node)
        if peer is None or peer.address != address:
            return
        self._presence.unanswered(self._reactor.seconds(), address, peer.port)
        self._try_elsewhere(node, address)

    def _try_elsewhere(self, node: str, address: str) -> None:
        peer = self._presence.peer(node)
        if peer is not None and peer.address != address:
            self._look_at(peer.address, peer.port)

    def _forget(self, node: str) -> None:
        self.holders.forget(node)
        self.news(None)
        self._surplus.clear()
        self._sweep_soon()

    def _sweep_soon(self) -> None:
        if self._sweep is None:
            self._sweep = self._reactor.callLater(0, self._sweep_on)

    def _sweep_on(self) -> None:
        """Clear a slice of what peers that left have held, and the next one a moment later."""
        before = len(self.holders)
        more = self.holders.sweep()
        self._swept += before - len(self.holders)
        self._sweep = self._reactor.callLater(0.01, self._sweep_on) if more else None
        if not more and self._swept >= MANY:
            self._swept = 0
            self._relieve()

    # What was read

    async def _answered(self, reading: Reading, answer: InventoryReader) -> None:
        place = reading.address, reading.port
        namesake = self._namesakes.pop(place, None)
        if namesake is not None and namesake.epoch == answer.epoch:
            self.namesake(reading.address, namesake)
        peer = self._presence.answered(self._reactor.seconds(), *place, answer.epoch)
        self.wake()
        if peer is None:
            return
        if reading.address == peer.address or self.holders.replica(peer.node) is None:
            await self._take(peer, reading, answer)
        # Whoever answers in its name elsewhere may be another machine: that tells nothing of it.
        self._read_where_it_is(peer)

    def _read_where_it_is(self, peer: Peer) -> None:
        """Have a peer's own address asked where only another one has told what it holds."""
        peer = self._presence.peer(peer.node) or peer
        if peer.node not in self._surplus and self._replica(peer) is None:
            self._readings.want(peer.address, peer.port, None)

    def _failed(self, reading: Reading, error: SourceError) -> None:
        place = reading.address, reading.port
        self._namesakes.pop(place, None)
        # A connection that was kept is silent where the machine has moved.
        moved = any(self._presence.is_missed(one.node) for one in self._presence.at(*place))
        if not isinstance(error, Unreachable) and not moved:
            return
        there = [one.node for one in self._presence.at(*place)]
        self._presence.unanswered(self._reactor.seconds(), *place)
        self.wake()
        for node in there:
            self._try_elsewhere(node, reading.address)

    async def _take(self, peer: Peer, reading: Reading, answer: InventoryReader) -> None:
        """Take what ``peer`` answered to the question what changed after ``reading.since``."""
        since = reading.since
        if answer.whole:
            # Not an IPv6 network: on some LANs all peers are in one.
            self.holders.replace(peer.node, 0, (), account=reading.address)
            self._sweep_soon()
            if self.holders.replica(peer.node) is None:
                # More peers than are kept: it is not read again at each of its beats.
                self._surplus.add(peer.node)
                return
        elif (replica := self._replica(peer)) is None or replica.read != since:
            # It is another node or address than was asked, or something came in between.
            return
        generation = 0 if answer.whole else since or 0
        changes = answer.take()
        while piece := list(islice(changes, SLICE)):
            self.holders.apply(peer.node, generation, piece, read=True)
            if not answer.whole:
                self.news(piece)
            await task.deferLater(self._reactor, 0)
            replica = self.holders.replica(peer.node)
            if replica is None or replica.account != reading.address:
                # It is gone, or its own address has been read meanwhile.
                return
        self.holders.apply(peer.node, answer.generation, (), read=True)
        if answer.whole or not answer.count:
            # It is new here, or is here again.
            self.news(None)
        self._acquaintance.look()
        self._old_acquaintances.note()
        if answer.count >= MANY:
            self._relieve()

    def stop(self) -> None:
        self._acquaintance.stop()
        self._old_acquaintances.stop()
        for call in [self._sweep, *(call for _, call in self._parting.values())]:
            if call is not None:
                call.cancel()
        self._sweep = None
        self._parting.clear()
        self._moved.stop()
        self._readings.stop()
