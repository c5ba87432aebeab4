"""Networks of nodes in virtual time: multicast within one, unicast and HTTP between all of them."""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import IPv4Network, ip_interface
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import SITES
from flocon.machine.links import Link
from flocon.neighbours.moved_peers import ALL_WAYS, SILENCE
from flocon.presence.own_announcement import Identity
from flocon.presence.peer import Peer
from flocon.presence.presence import Presence
from flocon.presence.presence_events import Claimed, Doubted, PeerCame, PeerRestarted
from flocon.sites.sites import Sites

PORT = 19432


class Node:
    """One node: its presence, its far nodes, and whom its face refused."""

    def __init__(
        self,
        network: int,
        host: int,
        *,
        epoch: int = 1,
        six: str = "",
        abilities: frozenset[str] = frozenset({SITES}),
    ) -> None:
        self.address = f"10.77.{network}.{host}"
        self.network, self.host = network, host
        self.six = six
        #: Whether it answers whoever asks.
        self.is_open = False
        #: From where its group hears it, where that is not ``address``.
        self.heard_at = ""
        addresses = [f"{self.address}/24", *([f"{six}/64"] if six else [])]
        self.link = Link("eth0", 2, tuple(map(ip_interface, addresses)))
        number = network << 16 | host
        self.node, self.epoch = f"{number:016x}", f"{epoch:08x}"
        self.presence = Presence(
            Identity(self.node, self.epoch, f"n{network}h{host}"),
            chance=random.Random(number),
            beat=30.0,
            port=PORT,
            system="arch",
            abilities=abilities,
        )
        self.sites: Sites | None = Sites(self.presence, chance=random.Random(number + 1), port=PORT)
        self.named: tuple[str, ...] = ()
        #: Another address from which it asks over HTTP.
        self.passing = ""
        self.refused: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        #: What was sent by unicast, by address and port.
        self.sent_to: Counter[tuple[str, int]] = Counter()

    def source(self, to: str) -> str:
        """Return the address from which it sends to another one."""
        return self.six if ":" in to else self.address

    def knows(self) -> set[str]:
        """Return the ids of those that it may ask."""
        return {peer.node for peer in self.presence.peers() if peer.proved}

    def admits(self, address: str) -> bool:
        admitted = self.is_open or self.link.reaches(address)
        return admitted or (self.sites is not None and self.sites.admits(address))


class Networks:
    """All of them; what is said arrives at once, and a question is answered 5 ms later.

    ``cut`` has networks that are not routed, ``closed`` those that nobody connects into. With
    ``only_six`` IPv6 alone leads from one network to another.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.nodes: dict[str, Node] = {}
        self.cut: set[int] = set()
        self.only_six = False
        #: Networks into which a firewall lets datagrams alone.
        self.closed: set[int] = set()
        self.later: list[tuple[float, int, Any]] = []
        #: TCP connections to addresses where nobody is.
        self.in_vain: Counter[str] = Counter()
        self._number = 0

    def add(self, node: Node, *named: str) -> Node:
        self.nodes[node.address] = node
        node.named = named
        node.presence.networks_changed(self.now, [node.link])
        if node.sites is not None:
            node.sites.networks_changed(self.now, [node.link])
        return node

    def start(self, node: Node) -> None:
        node.presence.start(self.now)
        if node.sites is not None:
            node.sites.resolved(self.now, {one: [(one, PORT)] for one in node.named})

    def stop(self, node: Node) -> None:
        node.presence.stop(self.now)
        self.settle()
        del self.nodes[node.address]

    def move(self, node: Node, address: str) -> None:
        """Give a node another address of its network."""
        del self.nodes[node.address]
        node.address = address
        node.link = Link("eth0", 2, (ip_interface(f"{address}/24"),))
        self.add(node, *node.named)

    def _routed(self, one: Node, address: str) -> Node | None:
        other = self.nodes.get(address) or next(
            (node for node in self.nodes.values() if address in {node.six, node.heard_at}), None
        )
        if other is None or one.network == other.network:
            return other
        if (":" not in address and self.only_six) or (":" in address and not one.six):
            return None
        return None if {one.network, other.network} & self.cut else other

    def settle(self) -> None:
        busy = True
        while busy:
            busy = False
            for node in list(self.nodes.values()):
                busy |= self._pump(node)

    def _pump(self, node: Node) -> bool:
        datagrams, events = node.presence.take_datagrams(), node.presence.take_events()
        for datagram in datagrams:
            node.sent["group"] += 1
            self._multicast(node, datagram)
            if node.sites is not None:
                node.sites.said(datagram)
        for event in events:
            if node.sites is not None:
                node.sites.event(self.now, event)
            self._connect(node, event)
        sends = [] if node.sites is None else node.sites.take_sends()
        for place, datagram in sends:
            if place is None:
                node.sent["told"] += 1
                self._multicast(node, datagram)
            else:
                node.sent["unicast"] += 1
                node.sent_to[place] += 1
                other = self._routed(node, place[0])
                if other is not None and other.sites is not None and place[1] == PORT:
                    source = node.source(place[0])
                    other.sites.receive(self.now, (source, PORT), datagram)
        questions = [] if node.sites is None else node.sites.take_questions()
        for place, _ in questions:
            self._after(0.005, self._answer, node, place)
        return bool(datagrams or events or sends or questions)

    def _multicast(self, node: Node, datagram: bytes) -> None:
        for other in self.nodes.values():
            if other.network == node.network:
                other.presence.receive(self.now, node.heard_at or node.address, datagram)

    def _after(self, seconds: float, call: Any, *arguments: Any) -> None:
        self._number += 1
        self.later.append((self.now + seconds, self._number, lambda: call(*arguments)))

    def ask(self, node: Node, address: str) -> str | None:
        """Return what an address answers to a node's question."""
        other = self._routed(node, address)
        if other is None or (other.network in self.closed and node.network != other.network):
            self.in_vain[address] += 1
            return None
        if not other.admits(node.passing or node.source(address)):
            other.refused[node.address] += 1
            return None
        return other.epoch

    def _answer(self, node: Node, place: tuple[str, int]) -> None:
        if node.sites is not None:
            node.sites.answered(self.now, place, self.ask(node, place[0]))

    def _connect(self, node: Node, event: Any) -> None:
        match event:
            case Doubted(peer):
                self._after(ALL_WAYS, self._doubt, node, peer.node)
            case PeerCame(peer) | PeerRestarted(peer) if not peer.far:
                self._after(0.005, self._look, node, peer.address, peer.port)
            case Claimed(address, port):
                self._after(0.005, self._look, node, address, port)

    def _doubt(self, node: Node, doubted: str) -> None:
        """Do what ``MovedPeers`` does: who has moved away refuses nothing, but is silent."""
        peer = node.presence.peer(doubted)
        if peer is None or not node.presence.is_missed(doubted):
            return
        for address in (peer.address, *node.presence.elsewhere(doubted)):
            epoch = self.ask(node, address)
            if epoch is not None:
                node.presence.answered(self.now, address, peer.port, epoch)
            elif address == peer.address:
                self._after(SILENCE, self._give_up, node, peer)

    def _give_up(self, node: Node, before: Peer) -> None:
        peer = node.presence.peer(before.node)
        there = peer is not None and peer.address == before.address
        if there and node.presence.has_moved(before.node):
            node.presence.unanswered(self.now, before.address, before.port)

    def _look(self, node: Node, address: str, port: int) -> None:
        epoch = self.ask(node, address)
        if epoch is None:
            node.presence.unanswered(self.now, address, port)
        else:
            node.presence.answered(self.now, address, port, epoch)

    def run(self, seconds: float, until: Any = None) -> float | None:
        """Let time pass; return when ``until`` was so, in seconds from now."""
        begin, end = self.now, self.now + seconds
        self.settle()
        while self.now < end:
            if until is not None and until():
                return self.now - begin
            dues = [one[0] for one in self.later]
            for node in self.nodes.values():
                dues += [due for due in (node.presence.deadline(),) if due is not None]
                if node.sites is not None and node.presence.running:
                    due = node.sites.deadline(self.now)
                    dues += [] if due is None else [due]
            self.now = max(self.now, min(min(dues, default=end), end))
            self._tick()
            self.settle()
        return None

    def _tick(self) -> None:
        for when, number, call in sorted(self.later, key=lambda one: one[:2]):
            if when <= self.now:
                self.later = [one for one in self.later if one[1] != number]
                call()
        for node in list(self.nodes.values()):
            due = node.presence.deadline()
            if due is not None and due <= self.now:
                node.presence.tick(self.now)
            if node.sites is not None:
                due = node.sites.deadline(self.now)
                if due is not None and due <= self.now:
                    node.sites.tick(self.now)

    def all_know_all(self) -> bool:
        everybody = {node.node for node in self.nodes.values()}
        return all(node.knows() | {node.node} == everybody for node in self.nodes.values())


class NetworksTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.networks = Networks()

    def meshed(self, networks: int, hosts: int) -> None:
        """Start networks of which the first host names the first one of each other."""
        firsts = [f"10.77.{one}.1" for one in range(1, networks + 1)]
        for network in range(1, networks + 1):
            for host in range(1, hosts + 1):
                node = Node(network, host)
                named = [one for one in firsts if one != node.address] if host == 1 else []
                self.networks.add(node, *named)
        for node in self.networks.nodes.values():
            self.networks.start(node)

    def at(self, network: int, host: int) -> Node:
        return self.networks.nodes[f"10.77.{network}.{host}"]

    def by_place(self) -> dict[tuple[int, int], Node]:
        return {(one.network, one.host): one for one in self.networks.nodes.values()}

    def network(self, text: str) -> tuple[IPv4Network]:
        return (IPv4Network(text),)

    def assert_within(self, seconds: float, so: Any) -> None:
        took = self.networks.run(4 * seconds, so)
        assert took is not None, {
            node.address: sorted(node.knows()) for node in self.networks.nodes.values()
        }
        self.assertLess(took, seconds)
