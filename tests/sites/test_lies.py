"""What is told of nodes that is not so, by one who is believed, about those who are known."""

from __future__ import annotations

from dataclasses import replace

from flocon.datagrams.introductions import Introduction, encode_introduction
from flocon.datagrams.messages import Kind
from tests.sites.virtual_networks import PORT, NetworksTestCase, Node

#: Where the liar has a machine of its own.
DOUBLE = "10.99.0.7"


class LiesTestCase(NetworksTestCase):
    """The victim is in one network with the first of those who lie, the other is in another."""

    def setUp(self) -> None:
        super().setUp()
        self.meshed(2, 3)
        self.networks.run(30)
        self.victim, self.liar, self.far_liar = self.at(1, 1), self.at(1, 3), self.at(2, 1)

    def double(self, of: Node, address: str = DOUBLE) -> None:
        """Have a machine answer at an address as if it were a node."""
        double = Node(int(address.split(".")[2]), 7, epoch=int(of.epoch, 16))
        double.is_open = True
        double.address = address
        self.networks.add(double)

    def tell(
        self, of: Node, address: str, *others: str, kind: Kind = Kind.BEAT, ahead: int = 5
    ) -> None:
        """Have the one in the other network tell the victim of a node."""
        peer = self.victim.presence.peer(of.node)
        assert peer is not None
        assert peer.said is not None
        assert self.victim.sites is not None
        said = replace(peer.said, kind=kind, sequence=peer.said.sequence + ahead, addresses=others)
        told = encode_introduction(Introduction(self.far_liar.node, address, said))
        self.victim.sites.receive(self.networks.now, (self.far_liar.address, PORT), told)
        self.networks.settle()

    def where(self, node: Node) -> str:
        peer = self.victim.presence.peer(node.node)
        return "" if peer is None else peer.address


class Goodbyes(LiesTestCase):
    """Somebody elsewhere says that a node has left."""

    def say_goodbye(self, of: Node, *others: str) -> None:
        self.networks.run(300, lambda: self.is_silent(of))
        self.tell(of, DOUBLE, *others)
        self.networks.run(5)
        self.networks.run(300, lambda: self.is_silent(of))
        self.tell(of, DOUBLE, *others, kind=Kind.BYE)

    def is_silent(self, node: Node) -> bool:
        peer = self.victim.presence.peer(node.node)
        return peer is not None and self.victim.presence.silence(self.networks.now, peer) > 2.5

    def test_of_a_neighbour_by_its_own_address(self) -> None:
        target = self.at(1, 2)
        self.say_goodbye(target, target.address)
        self.assertEqual(self.where(target), target.address)

    def test_of_a_neighbour_as_whom_another_one_answers(self) -> None:
        target = self.at(1, 2)
        self.double(target)
        self.say_goodbye(target)
        self.assertEqual(self.where(target), target.address)

    def test_of_a_far_node_as_whom_another_one_answers(self) -> None:
        target = self.at(2, 2)
        self.double(target)
        self.say_goodbye(target)
        self.assertEqual(self.where(target), target.address)
