"""What is told of nodes that is not so, by one who is believed, about those who are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.datagrams.introductions import Introduction, encode_introduction
from flocon.datagrams.messages import Kind, encode
from tests.sites.virtual_networks import PORT, NetworksTestCase, Node

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Moves(LiesTestCase):
    """Somebody says that a node is where another machine answers as it, and then it moves."""

    MOVED = "10.77.2.99"

    def setUp(self) -> None:
        super().setUp()
        self.victim, self.moved = self.at(1, 2), self.at(2, 2)

    def lie(self, teller: Node, address: str) -> None:
        """Have a neighbour tell of it, ahead of everybody."""
        peer = self.victim.presence.peer(self.moved.node)
        if peer is not None and peer.said is not None:
            said = replace(peer.said, sequence=peer.said.sequence + 5, generation=999)
            told = encode_introduction(Introduction(teller.node, address, said))
            self.victim.presence.receive(self.networks.now, teller.address, told)

    def be_it(self, address: str) -> None:
        """Have somebody in the victim's network say that the node is here."""
        peer = self.victim.presence.peer(self.moved.node)
        assert peer is not None
        assert peer.said is not None
        said = replace(peer.said, sequence=peer.said.sequence + 5, generation=999)
        self.victim.presence.receive(self.networks.now, address, encode(said))

    def assert_found(self, lie: Callable[[int], None], begin: int = -10) -> None:
        """Move it, and see that it is where it is but for a few seconds, whatever is told."""
        where = {}
        for second in range(begin, 40):
            if second == 0:
                self.networks.move(self.moved, self.MOVED)
            lie(second)
            self.networks.run(1)
            where[second] = self.where(self.moved)
        wrong = [one for one, place in where.items() if place != self.moved.address]
        expected = [one for one, place in where.items() if one < 0 and place == "10.77.2.2"]
        self.assertLess(len(set(wrong) - set(expected)), 6)
        peer = self.victim.presence.peer(self.moved.node)
        assert peer is not None
        self.assertEqual((where[39], peer.generation), (self.MOVED, 0))

    def test_by_one_each_second(self) -> None:
        self.double(self.moved)
        self.assert_found(lambda _: self.lie(self.liar, DOUBLE))

    def test_by_one_for_the_first_time_once_it_has_moved(self) -> None:
        self.double(self.moved)

        def lie(second: int) -> None:
            if second >= 1:
                self.lie(self.liar, DOUBLE)

        self.assert_found(lie, begin=0)

    def test_by_one_that_tells_of_ever_other_places(self) -> None:
        for second in range(60):
            self.double(self.moved, f"10.99.{second}.7")
        self.assert_found(lambda second: self.lie(self.liar, f"10.99.{second + 10}.7"))

    def test_by_twelve(self) -> None:
        liars = [self.networks.add(Node(1, host)) for host in range(4, 16)]
        for number, one in enumerate(liars):
            self.networks.start(one)
            self.double(self.moved, f"10.99.{number}.7")
        self.networks.run(10)

        def lie(_: int) -> None:
            for number, one in enumerate(liars):
                self.lie(one, f"10.99.{number}.7")

        self.assert_found(lie)

    def test_by_neighbours_that_say_that_it_is_here(self) -> None:
        here = [f"10.77.1.{host}" for host in range(200, 212)]
        for one in here:
            self.double(self.moved, one)

        def lie(_: int) -> None:
            for one in here:
                self.be_it(one)

        self.assert_found(lie)

    def test_a_neighbour_that_answers_as_it_says_no_goodbye_for_it(self) -> None:
        self.double(self.moved, "10.77.1.200")
        self.be_it("10.77.1.200")
        self.networks.run(5)
        peer = self.victim.presence.peer(self.moved.node)
        assert peer is not None
        assert peer.said is not None
        bye = replace(peer.said, kind=Kind.BYE, sequence=peer.said.sequence + 9)
        self.victim.presence.receive(self.networks.now, "10.77.1.200", encode(bye))
        self.networks.run(1)
        self.assertEqual(self.where(self.moved), self.moved.address)


class Travels(NetworksTestCase):
    def test_one_that_comes_here_and_leaves_again_is_soon_known_where_it_is(self) -> None:
        self.meshed(3, 3)
        self.networks.run(30)
        moved = self.at(2, 2)
        others = [one for one in self.networks.nodes.values() if one is not moved]
        for stay, network in ((5, 1), (5, 2), (100, 1), (100, 3), (100, 1)):
            moved.network = network
            self.networks.move(moved, f"10.77.{network}.99")
            place = moved.address

            def known(place: str = place) -> bool:
                peers = [one.presence.peer(moved.node) for one in others]
                return all(one is not None and one.address == place for one in peers)

            self.assert_within(6, known)
            self.networks.run(stay)


class Hushing(NetworksTestCase):
    """A neighbour tells the group the truth of a correspondent, and introduces nobody to it."""

    def setUp(self) -> None:
        super().setUp()
        for network, host, *named in (
            (1, 1),
            (1, 2, "10.77.2.1"),
            (1, 3),
            (2, 1, "10.77.1.2"),
            (2, 2),
        ):
            self.networks.add(Node(network, host), *map(str, named))
        for node in self.networks.nodes.values():
            self.networks.start(node)
        self.networks.run(30)

    def hush(self) -> None:
        """Have the first neighbour by its id tell the group of whom the second introduces to."""
        peer = self.at(1, 2).presence.peer(self.at(2, 1).node)
        assert peer is not None
        assert peer.said is not None
        liar = self.at(1, 1)
        told = encode_introduction(Introduction(liar.node, self.at(2, 1).address, peer.said))
        for host in (2, 3):
            self.at(1, host).presence.receive(self.networks.now, liar.address, told)

    def test_all_know_all_nevertheless(self) -> None:
        self.assertTrue(self.networks.all_know_all())
        lost = 0
        for second in range(300):
            if second % 10 == 0:
                self.hush()
            self.networks.run(1)
            lost += not self.networks.all_know_all()
        self.assertEqual(lost, 0)
