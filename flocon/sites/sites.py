"""Nodes of other networks: the state machine of greetings, introductions and proofs. No I/O.

The shell (``far_nodes``) calls a method with ``now``, then does what ``take_sends`` and
``take_questions`` return, has presence pumped, and asks for the next deadline::

    sites.resolved(now, places)            where the operator's names lead to
    sites.networks_changed(now, links)     which links there are, and which addresses pass
    sites.hinted(now, hints)               who is announced by mDNS
    sites.receive(now, place, data)        a datagram that came by unicast
    sites.event(now, event)                what presence tells, Told among it
    sites.said(now, datagram)              what this node has just said to the group
    sites.answered(now, place, epoch)      how a question ended: in which epoch a place is, or None
    sites.tick(now)                        the deadline has come, or something was told

Of one who is told of here presence learns once that one has answered in the epoch that was told.
A node with correspondents is an introducer: it tells them of the nodes of its own network, and its
own group of those that they tell of, or are. What the group was told is told to nobody else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.datagrams.buckets import Bucket, BucketTable
from flocon.datagrams.introductions import (
    Introduction,
    decode_introduction,
    encode_introduction,
)
from flocon.datagrams.messages import SITES, TOLD_MAGIC, Kind, decode
from flocon.errors import DatagramError
from flocon.presence.peer import BEATS_TO_LIVE
from flocon.presence.presence_events import Heard, PeerLeft, Proved, Told
from flocon.sites.addresses import told_addresses
from flocon.sites.believing import Believing
from flocon.sites.correspondents import Correspondents, Ports
from flocon.sites.introducing import Tellings

if TYPE_CHECKING:
    import random
    from collections import Counter
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from flocon.datagrams.messages import Announcement
    from flocon.machine.links import Link
    from flocon.presence.peer import Peer
    from flocon.presence.presence import Presence
    from flocon.presence.presence_events import Event
    from flocon.sites.correspondents import Correspondent, Place
    from flocon.sites.hints import Hint

#: Seconds for which the own network hears of a correspondent before that is told of the network.
INTRODUCED_FIRST = 0.2
#: Seconds within which a neighbour that has said hello hears of all far nodes, if it may yet.
GREETED_WITHIN = 0.3
#: Seconds between two times that neighbours are told of the correspondents because of a hello.
HELLO_PAUSE = 1.0
#: Seconds between two times that a correspondent is told of everybody by who leaves introducing to
#: somebody else: shorter than anybody is believed to be there.
TOLD_ANYWAY = 60.0
#: Datagrams per second and at once of one address, as in ``earshot``.
SOURCE_RATE, SOURCE_BURST, MOST_SOURCES = 50.0, 400.0, 512
#: The same of all together who are neither named nor known: they may have made up their addresses.
STRANGERS_RATE, STRANGERS_BURST = 100.0, 500.0


class Sites:
    """Keeps ``presence`` in touch with nodes of other networks.

    ``port`` is the UDP port at which nodes hear. ``counters`` has what was dropped, by reason.
    """

    def __init__(self, presence: Presence, *, chance: random.Random, port: int) -> None:
        self._presence = presence
        self._port = port
        self.correspondents = Correspondents()
        self.believing = Believing(presence, self.correspondents, chance=chance)
        self._chance = chance
        self._tellings = Tellings(chance, self._everybody)
        self._sources = BucketTable(SOURCE_RATE, SOURCE_BURST, MOST_SOURCES)
        self._strangers = Bucket(STRANGERS_RATE, STRANGERS_BURST)
        self._ports = Ports(port)
        #: When each correspondent is told of everybody again though somebody else introduces.
        self._told_anyway: dict[Place, float] = {}
        self._hello_at = float("-inf")
        self._addresses: tuple[str, ...] = ()
        self._sends: list[tuple[Place | None, bytes]] = []
        self._questions: list[tuple[Place, int]] = []

    @property
    def counters(self) -> Counter[str]:
        return self.believing.counters

    # What comes of the calls below

    def take_sends(self) -> list[tuple[Place | None, bytes]]:
        """Return what is to be sent, and to which place (None: to the group), and forget it."""
        sends, self._sends = self._sends, []
        return sends

    def take_questions(self) -> list[tuple[Place, int]]:
        """Return which places are to be asked for their epoch by HTTP, and forget it.

        Each comes with the generation of its inventory, after which little has changed.
        """
        questions, self._questions = self._questions, []
        return questions

    def deadline(self, now: float) -> float | None:
        """Return when ``tick`` is to be called."""
        times = (
            self.correspondents.deadline(),
            self.believing.deadline(now),
            self._tellings.deadline(now),
        )
        return min((time for time in times if time is not None), default=None)

    def admits(self, address: str) -> bool:
        """Whether an address may ask the face for peers: who is named, told of, or known there."""
        return self.correspondents.has_beside(address) or self.believing.admits(address)

    def told_by(self, node: str) -> str:
        """Return the id of who told of a far node, "" where it did so itself or nobody has."""
        known = self.believing.known(node)
        if known is None or "" in known.by_unicast:
            return ""
        return min(known.tellers(), default="")

    # What the operator and the machine do

    def permit(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        """Let whoever is in ``networks`` write unnamed, and be told of."""
        self.believing.permitted.networks = tuple(networks)

    def resolved(self, now: float, places: Mapping[str, Iterable[Place]]) -> None:
        """Take where each name of the operator's leads to now."""
        before = {one.place for one in self.correspondents}
        self.correspondents.resolved(now, places)
        for place in before - {one.place for one in self.correspondents}:
            self._tellings.forget(place)

    def hinted(self, now: float, hints: Sequence[Hint]) -> None:
        """Take all that are announced by mDNS now."""
        self.correspondents.keep_found({hint.place[0] for hint in hints})
        for hint in hints:
            if not self.correspondents.at(hint.place[0]):
                self.believing.hear_hint(now, hint)

    def networks_changed(
        self, now: float, links: Sequence[Link], passing: Collection[str] = ()
    ) -> None:
        """Take the links that there are now; by addresses that are ``passing`` nobody is told.

        Whom nobody hears is greeted at once.
        """
        self.believing.permitted.links = tuple(links)
        self.believing.networks_changed()
        self.correspondents.greet(now)
        self._addresses = told_addresses(links, passing)
        self._tell_addresses(now)

    def _tell_addresses(self, now: float) -> None:
        """Say by which addresses others may reach this node, where there are others."""
        self._presence.update(now, addresses=self._addresses if len(self.believing) else ())

    def said(self, datagram: bytes) -> None:
        """Say to all correspondents that are there what was just said to the group."""
        self._sends += [(one.place, datagram) for one in self.correspondents.there()]

    def tick(self, now: float) -> None:
        """Make what is due ready to be taken."""
        if not self._presence.running:
            return
        for place in self.correspondents.due(now):
            self._greet(place)
        for listener, address, said in self._tellings.take(now):
            listens = address if listener is None else listener[0]
            where = self.believing.permitted.told_to(listens, address, said.addresses)
            if "%" not in where:
                told = Introduction(self._presence.node, where, said)
                self._sends.append((listener, encode_introduction(told)))
        self._questions += self.believing.questions(now)

    def _greet(self, place: Place) -> None:
        greeting = self._presence.last_said
        if greeting is not None:
            self._sends.append((place, greeting))

    # Receiving

    def receive(self, now: float, place: Place, data: bytes) -> bool:
        """Take a datagram that came from a place by unicast; tell if it was no stranger's."""
        address = place[0]
        named = address in self.correspondents
        if not self._presence.running or not (named or self.believing.permitted.is_named(address)):
            self.counters["stranger"] += 1
            return not self._presence.running
        if not self._sources.take(now, address):
            self.counters["rate"] += 1
        elif not (named or self._presence.has_address(address) or self._strangers.take(now)):
            self.counters["strangers_rate"] += 1
        else:
            self._read(now, place, data)
        return True

    def _read(self, now: float, place: Place, data: bytes) -> None:
        try:
            if data.startswith(TOLD_MAGIC):
                told = decode_introduction(data)
                self.believing.hear_told(now, place[0], told, by_group=False)
            else:
                self._hear_itself(now, place, decode(data))
        except DatagramError as error:
            self.counters[error.reason] += 1

    def _hear_itself(self, now: float, place: Place, said: Announcement) -> None:
        if said.node == self._presence.node:
            self.counters["own"] += 1
            return
        self._ports.note(now, place, said.node)
        self.believing.hear_itself(now, place[0], said)
        peer = self._presence.peer(said.node)
        if peer is not None and peer.proved and self.believing.is_at(said, place[0]):
            self._is_there(now, place[0], peer, says_hello=said.kind is Kind.HELLO)

    def _is_there(self, now: float, address: str, peer: Peer, *, says_hello: bool = False) -> None:
        """Note which node is at an address, from which it has written itself."""
        port = self._ports.of(address, peer.node)
        if port is not None:
            before = self.correspondents.meet(now, (address, port), peer.node)
            longest = BEATS_TO_LIVE * peer.beat
            left = self.correspondents.moved(
                peer.node,
                address,
                lambda one: self._ports.silence(now, one, peer.node) > longest,
            )
            for place in filter(None, (before, *left)):
                self._tellings.forget(place)
        for one in self.correspondents.proved(address, peer.node, port):
            self._introduce(now, one)
        if says_hello:
            for one in self.correspondents.at(address):
                self._tellings.tell_all(now, one.place, INTRODUCED_FIRST)

    def _introduce(self, now: float, one: Correspondent) -> None:
        """Make a correspondent and the own network known to each other."""
        self._greet(one.place)
        peer = self._presence.peer(one.node)
        if peer is not None and peer.far and peer.said is not None:
            self._tellings.tell(now, None, peer.address, peer.said)
            self._tellings.tell_all(now, one.place, INTRODUCED_FIRST)

    # What was seen

    def answered(self, now: float, place: Place, epoch: str | None) -> None:
        """Take in which epoch a place says that it is; None where it says nothing."""
        one = self.believing.answered(now, place, epoch)
        self._tell_addresses(now)
        peer = None if one is None else self._presence.peer(one.said.node)
        if one is not None and not one.said.sequence:
            self.correspondents.find(now, (place[0], self._port))
        elif one is not None and peer is not None and "" in one.by_unicast:
            self._is_there(now, place[0], peer)

    # What presence tells

    def event(self, now: float, event: Event) -> None:
        """Take what presence tells."""
        match event:
            case Told(address, data):
                self._hear_told(now, address, data)
            case Heard(peer, announcement):
                self._pass_on(now, peer, announcement)
                if announcement.kind is Kind.HELLO and not peer.far:
                    self._answer(now)
            case Proved(peer):
                self._pass_on(now, peer, peer.said)
                for address, told in self.believing.take_early(now, peer.node):
                    self._hear_introduction(now, address, told)
                for one in self.correspondents:
                    if one.node == peer.node:
                        self._introduce(now, one)
            case PeerLeft(peer, reason):
                self._left(now, peer, reason)

    def _hear_told(self, now: float, address: str, data: bytes) -> None:
        try:
            told = decode_introduction(data)
        except DatagramError as error:
            self.counters[error.reason] += 1
            return
        self._hear_introduction(now, address, told)

    def _hear_introduction(self, now: float, address: str, told: Introduction) -> None:
        if self.believing.hear_told(now, address, told, by_group=True):
            self._tellings.said_by_others(told.address, told.said)

    def _left(self, now: float, peer: Peer, reason: str) -> None:
        if reason == "bye" and peer.said is not None:
            bye = replace(peer.said, kind=Kind.BYE, changes=())
            self._pass_on(now, peer, bye)
        for one in self.correspondents:
            if one.node == peer.node:
                self._tellings.forget(one.place)
        self.correspondents.gone(now, peer.node)
        self.believing.left(peer.node)
        self._tell_addresses(now)

    # Introducing

    def _pass_on(self, now: float, peer: Peer, said: Announcement | None) -> None:
        """Tell of a peer those who cannot hear it."""
        if said is None:
            return
        for listener in self._listeners(now, peer):
            self._tellings.tell(now, listener, peer.address, said)

    def _listeners(self, now: float, peer: Peer) -> Iterator[Place | None]:
        """Yield who is told of a peer: the group of far ones, the correspondents of neighbours."""
        if self._is_for_group(peer):
            yield None
        elif self._is_for_others(peer):
            yield from (one.place for one in self._others(now))

    def _is_for_others(self, peer: Peer) -> bool:
        """Whether a neighbour is told of elsewhere: it answers, and an address leads there."""
        if peer.far or not peer.proved or SITES not in peer.abilities:
            return False
        others = () if peer.said is None else peer.said.addresses
        return self.believing.permitted.leads_there(peer.address, others)

    def _is_for_group(self, peer: Peer) -> bool:
        """Whether it is far, proved, and no neighbour alone has told of it."""
        known = self.believing.known(peer.node)
        return peer.far and peer.proved and known is not None and bool(known.by_unicast)

    def _others(self, now: float) -> Iterator[Correspondent]:
        """Yield the correspondents that this node tells of its neighbours.

        Of several that tell the group of one and the same, the first by id introduces: one way
        between two networks is enough. Anybody can tell the group so and then introduce nobody:
        the others tell of everybody now and again.
        """
        for one in self.correspondents.there():
            peer = self._presence.peer(one.node)
            if peer is None or not peer.far:
                continue
            instead = self.believing.tells_instead(now, one.node)
            if (instead or "~") > self._presence.node:
                yield one
            elif one.place not in self._told_anyway or now >= self._told_anyway[one.place]:
                lately = {place: due for place, due in self._told_anyway.items() if due > now}
                self._told_anyway = {**lately, one.place: now + TOLD_ANYWAY}
                self._tellings.tell_all(now, one.place, self._chance.uniform(0, GREETED_WITHIN))

    def _everybody(self, listener: Place | None) -> Iterator[tuple[str, Announcement]]:
        """Yield of whom a listener is to know."""
        is_told = self._is_for_group if listener is None else self._is_for_others
        for peer in self._presence.peers():
            if peer.said is not None and is_told(peer):
                yield peer.address, peer.said

    def _answer(self, now: float) -> None:
        """Have a neighbour that has said hello hear of the correspondents, then of all others."""
        there = [self._presence.peer(one.node) for one in self.correspondents.there()]
        if not there:
            return
        if now >= self._hello_at + HELLO_PAUSE:
            self._hello_at = now
            for peer in there:
                if peer is not None and self._is_for_group(peer) and peer.said is not None:
                    said = replace(peer.said, changes=())
                    self._tellings.tell(now, None, peer.address, said)
        self._tellings.tell_all(now, None, self._chance.uniform(0, GREETED_WITHIN))
