"""Networks that become one: introductions, byes, restarts, a network that is cut off."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from flocon.datagrams.introductions import Introduction, decode_introduction, encode_introduction
from flocon.datagrams.messages import TOLD_MAGIC, Announcement, Kind, decode, encode
from flocon.machine.links import Link
from flocon.presence.presence_events import Namesake, Told
from flocon.sites.addresses import Permitted
from flocon.sites.hints import Hint
from flocon.sites.sites import STRANGERS_BURST
from tests.sites.virtual_networks import PORT, NetworksTestCase, Node

if TYPE_CHECKING:
    from collections.abc import Sequence


class TwoNetworks(NetworksTestCase):
    def test_all_know_all_within_five_seconds(self) -> None:
        self.meshed(2, 3)
        self.assert_within(5, self.networks.all_know_all)

    def test_a_far_node_is_far_and_a_neighbour_is_not(self) -> None:
        self.meshed(2, 2)
        self.networks.run(5)
        seen = {peer.name: peer.far for peer in self.at(1, 2).presence.peers()}
        self.assertEqual(seen, {"n1h1": False, "n2h1": True, "n2h2": True})

    def test_one_name_suffices_where_the_other_side_names_the_network(self) -> None:
        namer, named = Node(1, 1), Node(2, 1)
        self.networks.add(namer, named.address)
        self.networks.add(named)
        assert named.sites is not None
        named.sites.permit(self.network("10.77.1.0/24"))
        for node in (namer, named):
            self.networks.start(node)
        self.assert_within(5, self.networks.all_know_all)

    def test_one_that_is_named_by_nobody_it_knows_of_sends_it_nothing(self) -> None:
        namer, named = Node(1, 1), Node(2, 1)
        self.networks.add(namer, named.address)
        self.networks.add(named)
        for node in (namer, named):
            self.networks.start(node)
        self.networks.run(100)
        self.assertEqual(named.sent["unicast"], 0)
        self.assertFalse(named.knows())
        assert named.sites is not None
        self.assertGreater(named.sites.counters["stranger"], 0)

    def test_who_starts_later_is_known_to_all_within_five_seconds(self) -> None:
        self.meshed(2, 3)
        self.networks.run(50)
        self.networks.start(self.networks.add(Node(2, 9)))
        self.assert_within(5, self.networks.all_know_all)

    def test_a_bye_crosses_over(self) -> None:
        self.meshed(2, 3)
        self.networks.run(10)
        self.networks.stop(self.at(2, 3))
        self.networks.run(1)
        self.assertTrue(self.networks.all_know_all())

    def test_one_that_falls_silent_is_missed_over_there_too(self) -> None:
        self.meshed(2, 3)
        self.networks.run(10)
        del self.networks.nodes["10.77.2.3"]
        self.networks.run(120)
        self.assertTrue(self.networks.all_know_all())

    def test_one_that_is_there_all_the_time_is_not_missed(self) -> None:
        self.meshed(2, 2)
        self.networks.run(10)
        for _ in range(40):
            self.networks.run(25)
            self.assertTrue(self.networks.all_know_all())

    def test_a_restarted_node_is_known_by_its_new_epoch(self) -> None:
        self.meshed(2, 3)
        self.networks.run(10)
        del self.networks.nodes["10.77.2.3"]
        again = self.networks.add(Node(2, 3, epoch=2))
        self.networks.start(again)
        self.networks.run(5)
        for host in (1, 2, 3):
            peer = self.at(1, host).presence.peer(again.node)
            assert peer is not None
            self.assertEqual((peer.epoch, peer.proved), (again.epoch, True))

    def test_a_restarted_introducer_introduces_again(self) -> None:
        self.meshed(2, 3)
        self.networks.run(10)
        del self.networks.nodes["10.77.2.1"]
        again = self.networks.add(Node(2, 1, epoch=2), "10.77.1.1")
        self.networks.start(again)
        self.assert_within(5, self.networks.all_know_all)

    def test_one_that_has_moved_is_known_at_its_new_address(self) -> None:
        self.meshed(2, 3)
        self.networks.run(10)
        self.networks.stop(self.at(2, 3))
        moved = Node(2, 3, epoch=2)
        moved.address = "10.77.2.77"
        self.networks.start(self.networks.add(moved))
        self.networks.run(5)
        for host in (1, 2, 3):
            peer = self.at(1, host).presence.peer(moved.node)
            assert peer is not None
            self.assertEqual((peer.address, peer.proved), ("10.77.2.77", True))

    def test_a_network_that_is_cut_off_goes_on_alone_and_is_joined_again(self) -> None:
        self.meshed(2, 3)
        self.networks.run(10)
        self.networks.cut.add(2)
        self.networks.run(120)
        self.assertEqual(self.at(1, 2).knows(), {self.at(1, 1).node, self.at(1, 3).node})
        self.networks.cut.clear()
        # Who is named is greeted every 15 s at least.
        self.assert_within(20, self.networks.all_know_all)

    def test_once_a_firewall_is_opened_who_is_named_is_known_in_a_minute(self) -> None:
        self.networks.closed = {1}
        self.meshed(2, 1)
        self.networks.run(3_600)
        here, there = self.at(1, 1), self.at(2, 1)
        self.assertEqual(there.knows(), set())
        self.assertLess(self.networks.in_vain[here.address], 70)
        self.networks.closed = set()
        self.assert_within(65, self.networks.all_know_all)

    def test_changes_of_an_inventory_cross_over(self) -> None:
        self.meshed(2, 2)
        self.networks.run(10)
        node = self.at(2, 2)
        node.presence.update(self.networks.now, generation=7, files=5)
        self.networks.run(2)
        peer = self.at(1, 2).presence.peer(node.node)
        assert peer is not None
        self.assertEqual((peer.generation, peer.files), (7, 5))

    def test_no_datagram_is_told_again_by_who_was_told(self) -> None:
        self.meshed(3, 3)
        self.networks.run(200)
        for (network, host), node in self.by_place().items():
            self.assertEqual(node.sent["told"] > 0, host == 1, (network, host))
            if host > 1:
                self.assertEqual(node.sent["unicast"], 0)

    def test_a_node_of_before_is_not_introduced_and_hears_of_nobody(self) -> None:
        self.meshed(2, 2)
        old = Node(2, 8, abilities=frozenset())
        old.sites = None
        self.networks.start(self.networks.add(old))
        self.networks.run(30)
        self.assertNotIn(old.node, self.at(1, 1).knows() | self.at(1, 2).knows())
        self.assertEqual(len(old.knows()), 2)
        self.assertIn(old.node, self.at(2, 1).knows())

    def test_of_two_introducers_one_tells(self) -> None:
        firsts = ["10.77.1.1", "10.77.1.2", "10.77.2.1", "10.77.2.2"]
        for network in (1, 2):
            for host in (1, 2, 3):
                node = Node(network, host)
                named = [one for one in firsts if one.split(".")[2] != str(network)]
                self.networks.add(node, *(named if host < 3 else ()))
        for node in self.networks.nodes.values():
            self.networks.start(node)
        self.assert_within(5, self.networks.all_know_all)
        self.networks.run(60)
        before = {place: node.sent["unicast"] for place, node in self.by_place().items()}
        self.networks.run(300)
        self.assertTrue(self.networks.all_know_all())
        sent = {place: n.sent["unicast"] - before[place] for place, n in self.by_place().items()}
        # Each says its own beats to two; the first one passes on those of two neighbours, the other
        # tells of them each minute.
        self.assertGreater(sent[1, 1], 1.3 * sent[1, 2])
        del self.networks.nodes["10.77.1.1"]
        self.networks.run(400)
        self.assertTrue(self.networks.all_know_all())


class ThreeNetworks(NetworksTestCase):
    def test_all_know_all_within_five_seconds(self) -> None:
        self.meshed(3, 3)
        self.assert_within(5, self.networks.all_know_all)


class ByMdns(NetworksTestCase):
    """Networks between which mDNS is reflected, and in which nobody is named."""

    def setUp(self) -> None:
        super().setUp()
        self.meshed(1, 2)
        for host in (1, 2):
            self.networks.start(self.networks.add(Node(2, host)))
        self.networks.run(5)

    def hint(self, *of: tuple[int, int], at: Node, address: str = "") -> None:
        hints = [
            Hint((address or node.address, PORT), node.node, node.epoch)
            for node in (self.at(*one) for one in of)
        ]
        assert at.sites is not None
        at.sites.hinted(self.networks.now, hints)

    def test_two_that_hear_of_each_other_join_their_networks(self) -> None:
        self.hint((2, 1), at=self.at(1, 1))
        self.hint((1, 1), at=self.at(2, 1))
        self.assert_within(15, self.networks.all_know_all)

    def test_who_is_hinted_at_in_vain_is_asked_and_sent_no_datagram(self) -> None:
        self.hint((2, 1), at=self.at(1, 1), address="10.99.0.7")
        self.networks.run(100)
        self.assertEqual(set(self.networks.in_vain), {"10.99.0.7"})
        self.assertEqual(self.at(1, 1).sent["unicast"], 0)

    def test_an_address_outside_is_not_asked(self) -> None:
        self.hint((2, 1), at=self.at(1, 1), address="8.8.8.8")
        self.networks.run(100)
        self.assertFalse(self.networks.in_vain)

    def test_who_is_announced_no_more_is_greeted_no_more_once_it_is_gone(self) -> None:
        self.hint((2, 1), at=self.at(1, 1))
        self.hint((1, 1), at=self.at(2, 1))
        self.networks.run(15)
        self.hint(at=self.at(1, 1))
        self.assertTrue(self.networks.all_know_all())
        self.networks.stop(self.at(2, 1))
        self.networks.run(1)
        sent = self.at(1, 1).sent["unicast"]
        self.networks.run(100)
        self.assertEqual(self.at(1, 1).sent["unicast"], sent)

    def test_a_neighbour_that_the_group_does_not_reach_is_found(self) -> None:
        deaf = Node(1, 9)
        deaf.network = 9
        self.networks.start(self.networks.add(deaf))
        self.hint((1, 1), at=deaf)
        assert self.at(1, 1).sites is not None
        self.at(1, 1).sites.hinted(  # type: ignore[union-attr]
            self.networks.now, [Hint((deaf.address, PORT), deaf.node, deaf.epoch)]
        )
        self.networks.run(15)
        self.assertIn(deaf.node, self.at(1, 1).knows())
        peer = deaf.presence.peer(self.at(1, 1).node)
        assert peer is not None
        self.assertFalse(peer.far)


class Hostile(NetworksTestCase):
    """What somebody tells who lies: in this network, or the correspondent in another one."""

    def setUp(self) -> None:
        super().setUp()
        self.meshed(2, 3)
        self.networks.run(30)
        self.networks.in_vain.clear()
        self.liar, self.victim = self.at(1, 3), self.at(1, 2)

    def tell(
        self, address: str, number: int, *others: str, teller: str | None = None, sequence: int = 1
    ) -> None:
        """Have the liar tell its network of somebody."""
        said = replace(
            self._said(),
            node=f"{number:016x}",
            epoch=f"{number:08x}",
            sequence=sequence,
            addresses=others,
        )
        told = Introduction(teller or self.liar.node, address, said)
        data = encode_introduction(told)
        self.victim.presence.receive(self.networks.now, self.liar.address, data)
        self.networks.settle()

    def _said(self) -> Announcement:
        data = self.liar.presence.last_said
        assert data is not None
        return decode(data)

    def counted(self, reason: str) -> int:
        assert self.victim.sites is not None
        return self.victim.sites.counters[reason]

    def test_nothing_is_sent_to_an_address_outside(self) -> None:
        addresses = ["8.8.8.8", "100.64.0.1", "127.0.0.1", "224.0.0.1", "169.254.1.1", "0.0.0.0"]
        addresses += ["255.255.255.255", "10.77.1.2", "10.77.1.99", "2001:db8::1", "::1", "ff02::1"]
        for number, address in enumerate(addresses, 1_000):
            self.tell(address, number)
        self.networks.run(60)
        self.assertFalse(self.networks.in_vain)
        self.assertEqual(self.counted("told_elsewhere"), len(addresses))

    def test_ten_thousand_introductions_are_some_tries(self) -> None:
        for number in range(10_000):
            if number % 40 == 0:
                self.networks.run(1)
            self.tell(f"10.{100 + number % 100}.{number // 100}.7", 5_000 + number)
        assert self.victim.sites is not None
        self.assertLessEqual(self.victim.sites.believing.is_waiting(), 256)
        # 32 at once, and one in four seconds.
        self.assertLess(sum(self.networks.in_vain.values()), 32 + 260 / 4 + 2)
        # At once, and after 2, 10, 42 and 170 seconds.
        self.assertLessEqual(max(self.networks.in_vain.values()), 5)
        self.assertGreater(self.counted("told_too_many"), 9_000)
        # Others are heard of as ever.
        self.networks.start(self.networks.add(Node(2, 9)))
        self.assert_within(10, lambda: self.at(2, 9).node in self.victim.knows())

    def test_one_node_that_has_ever_other_addresses_is_some_tries_too(self) -> None:
        for number in range(2_000):
            if number % 20 == 0:
                self.networks.run(1)
            others = [f"10.{100 + number % 100}.{number // 100}.{last}" for last in (7, 8)]
            self.tell("10.99.0.7", 9_000, *others, sequence=number + 1)
        assert self.victim.sites is not None
        self.assertLessEqual(self.victim.sites.believing.is_waiting(), 256)
        self.assertGreater(len(self.networks.in_vain), 5)
        self.assertLess(sum(self.networks.in_vain.values()), 32 + 110 / 4 + 2)
        outside = ["8.8.8.8", "127.0.0.1"]
        self.tell("10.99.0.7", 9_000, *outside, sequence=5_000)
        self.networks.run(60)
        self.assertFalse(set(self.networks.in_vain).intersection(outside))

    def test_a_neighbour_that_gives_a_far_node_another_epoch_keeps_nobody_from_knowing_it(
        self,
    ) -> None:
        late = Node(2, 9)
        self.networks.start(self.networks.add(late))
        for number in range(250):
            self.tell(late.address, 8_000 + number)
            self.networks.run(0.02)
        self.assertIn(late.node, self.victim.knows())

    def test_many_ids_at_one_address_tell_of_no_more_than_one(self) -> None:
        other = Node(1, 7)
        self.networks.start(self.networks.add(other))
        self.networks.run(5)
        believing = self.victim.sites.believing if self.victim.sites else None
        assert believing is not None
        for number in range(600):
            told = Introduction(
                f"{number % 8:016x}",
                f"10.99.{number // 200}.{number % 200}",
                replace(self._said(), node=f"{number + 999:016x}", epoch="12345678"),
            )
            believing._is_introducer = lambda *_, **__: True  # type: ignore[method-assign]
            believing.hear_told(self.networks.now, self.liar.address, told, by_group=True)
        self.assertEqual(believing.is_waiting(), 256)

    def test_strangers_together_cannot_have_everything_read(self) -> None:
        sites = self.victim.sites
        assert sites is not None
        sites.permit(self.network("10.88.0.0/16"))
        far = self.at(2, 2)
        for number in range(10_000):
            said = replace(self._said(), node=f"{number + 999:016x}", epoch="12345678")
            place = f"10.88.{number >> 8}.{number & 255}", PORT
            sites.receive(self.networks.now, place, encode(said))
        self.assertEqual(self.counted("strangers_rate"), 10_000 - STRANGERS_BURST)
        # Who is known is heard all the same.
        sites.permit(self.network("10.77.2.0/24"))
        before = self.counted("strangers_rate")
        assert far.presence.last_said is not None
        sites.receive(self.networks.now, (far.address, PORT), far.presence.last_said)
        self.assertEqual(self.counted("strangers_rate"), before)

    def test_strangers_together_have_the_room_of_one_who_tells(self) -> None:
        believing = self.victim.sites.believing if self.victim.sites else None
        assert believing is not None
        for number in range(600):
            said = replace(self._said(), node=f"{number + 999:016x}", epoch="12345678")
            address = f"10.99.{number // 200}.{number % 200}"
            believing.hear_itself(self.networks.now, address, said)
        self.assertEqual(believing.is_waiting(), 256)

    def test_who_is_no_proved_neighbour_introduces_nobody(self) -> None:
        self.tell("10.99.0.7", 7, teller="f" * 16)
        self.tell("10.99.0.8", 8, teller=self.at(2, 1).node)
        self.networks.run(10)
        self.assertFalse(self.networks.in_vain)
        self.assertEqual(self.counted("told_by_nobody"), 1)
        self.assertFalse(self.victim.admits("10.99.0.7"))

    def test_a_bye_is_not_believed_of_who_never_told_of_that_node(self) -> None:
        far = self.at(2, 2)
        peer = self.victim.presence.peer(far.node)
        assert peer is not None
        assert peer.said is not None
        bye = replace(peer.said, kind=Kind.BYE, sequence=peer.said.sequence + 1)
        told = encode_introduction(Introduction(self.liar.node, far.address, bye))
        self.victim.presence.receive(self.networks.now, self.liar.address, told)
        self.networks.run(1)
        self.assertIsNotNone(self.victim.presence.peer(far.node))

    def test_a_neighbour_is_not_told_of_from_afar(self) -> None:
        self.networks.start(self.networks.add(Node(1, 4)))
        self.networks.run(1.5)
        said = replace(self._said(), node=self.at(1, 4).node, epoch=self.at(1, 4).epoch)
        told = Introduction(self.liar.node, "10.99.0.7", replace(said, sequence=60, generation=999))
        self.victim.presence.receive(
            self.networks.now, self.liar.address, encode_introduction(told)
        )
        self.networks.run(5)
        peer = self.victim.presence.peer(self.at(1, 4).node)
        assert peer is not None
        self.assertEqual((peer.far, peer.generation), (False, 0))
        self.assertEqual(self.counted("told_near"), 1)

    def lie_on(self, node: str, addresses: Sequence[str]) -> set[str]:
        """Have the liar tell each second, ahead of everybody, that a node is elsewhere now.

        Whatever is there answers in that node's name. Return where the node was known.
        """
        for address in addresses:
            peer = self.victim.presence.peer(node)
            assert peer is not None
            double = Node(int(address.split(".")[2]), 7, epoch=int(peer.epoch, 16))
            double.is_open = True
            double.address = address
            self.networks.add(double)
        where = set()
        for number in range(300):
            peer = self.victim.presence.peer(node)
            assert peer is not None
            assert peer.said is not None
            where.add(peer.address)
            said = replace(peer.said, sequence=peer.said.sequence + 5)
            told = Introduction(self.liar.node, addresses[number % len(addresses)], said)
            data = encode_introduction(told)
            self.victim.presence.receive(self.networks.now, self.liar.address, data)
            self.networks.run(1)
        return where

    def test_nobody_is_taken_away_by_who_tells_that_it_has_moved(self) -> None:
        where = self.lie_on(self.at(2, 2).node, ["10.99.0.7"])
        self.assertEqual(where, {"10.77.2.2"})

    def test_nor_is_a_neighbour(self) -> None:
        where = self.lie_on(self.at(1, 1).node, ["10.99.0.7"])
        self.assertEqual(where, {"10.77.1.1"})

    def test_nor_by_who_tells_of_many_places(self) -> None:
        places = [f"10.99.{number}.7" for number in range(6)]
        self.assertEqual(self.lie_on(self.at(2, 2).node, places), {"10.77.2.2"})

    def test_a_namesake_in_another_network_is_told_of(self) -> None:
        said = replace(self._said(), node=self.victim.node, epoch="0badc0de")
        told = encode_introduction(Introduction(self.liar.node, "10.99.0.7", said))
        self.victim.presence.receive(self.networks.now, self.liar.address, told)
        [event] = self.victim.presence.take_events()
        assert self.victim.sites is not None
        self.victim.sites.event(self.networks.now, event)
        [namesake] = self.victim.presence.take_events()
        assert isinstance(namesake, Namesake)
        self.assertEqual(namesake.address, "10.99.0.7")

    def test_a_place_that_says_another_epoch_is_known_to_nobody(self) -> None:
        there = self.networks.add(Node(3, 1))
        said = replace(self._said(), node=there.node, epoch="0badc0de")
        told = Introduction(self.liar.node, there.address, said)
        self.victim.presence.receive(
            self.networks.now, self.liar.address, encode_introduction(told)
        )
        self.networks.run(5)
        self.assertIsNone(self.victim.presence.peer(there.node))

    def test_what_is_no_introduction_is_counted(self) -> None:
        for data in (b"", b"[]\n", b'["x","10.9.0.1"]\n', b'["' + b"a" * 16 + b'","10.9.0.1"]\nx'):
            event = Told(self.liar.address, TOLD_MAGIC + data)
            assert self.victim.sites is not None
            self.victim.sites.event(self.networks.now, event)
        self.assertEqual(self.counted("malformed"), 2)
        self.assertEqual(self.counted("field"), 1)
        self.assertEqual(self.counted("foreign"), 1)

    def test_a_hello_in_another_ones_name_gets_no_answer(self) -> None:
        """An address that was made up is sent nothing but the one connection that asks it."""
        named = self.at(1, 1)
        assert named.sites is not None
        named.sites.permit(self.network("10.88.0.0/16"))
        sent = named.sent["unicast"]
        for number in range(200):
            said = replace(self._said(), node=f"{number:016x}", kind=Kind.HELLO)
            named.sites.receive(self.networks.now, (f"10.88.0.{number}", PORT), encode(said))
        self.networks.run(2)
        to_others = named.sent["unicast"] - sent
        self.assertLess(to_others, 5)
        self.assertEqual(set(self.networks.in_vain.values()), {1})
        self.assertLessEqual(len(self.networks.in_vain), 32)


class OverIpv6(NetworksTestCase):
    """IPv6 alone leads from one network to the other, though each has IPv4 within."""

    def setUp(self) -> None:
        super().setUp()
        self.networks.only_six = True

    def begin(self, hosts: int, *, passing: bool = False, alone: bool = False) -> None:
        for network, other in ((1, 2), (2, 1)):
            for host in range(1, hosts + 1):
                node = Node(network, host, six=f"fd77:{network}::{host}")
                if passing:
                    node.passing = f"fd77:{network}::cafe:{host}"
                if alone:
                    ones = (ip_interface(f"{node.six}/64"), ip_interface(f"fe80::{host}/64"))
                    node.link = Link("eth0", 2, ones)
                    node.heard_at = f"fe80::{network}:{host}%eth0"
                named = [f"fd77:{other}::1"] if host == 1 else []
                self.networks.add(node, *named)
        for node in self.networks.nodes.values():
            self.networks.start(node)

    def test_one_name_of_each_network_is_enough(self) -> None:
        self.begin(4)
        self.assert_within(5, self.networks.all_know_all)
        self.networks.run(200)
        self.assertTrue(self.networks.all_know_all())
        # They tell their addresses once they know of others: some were told of by IPv4 before.
        self.assertLessEqual(max(self.networks.in_vain.values()), 2)

    def test_though_machines_ask_from_passing_addresses(self) -> None:
        self.begin(3, passing=True)
        self.assert_within(5, self.networks.all_know_all)

    def test_and_where_networks_have_no_ipv4_so_that_neighbours_are_heard_link_local(self) -> None:
        self.begin(3, alone=True)
        self.assert_within(5, self.networks.all_know_all)
        self.networks.run(200)
        self.assertTrue(self.networks.all_know_all())

    def test_a_node_that_only_ipv4_leads_to_is_asked_at_its_other_address_too(self) -> None:
        """As an older one tells of it: by the address at which it is known in its network."""
        self.patch(Permitted, "told_to", lambda _, __, address, ___: address)
        self.begin(2)
        self.assert_within(15, self.networks.all_know_all)
        self.networks.run(200)
        self.assertTrue(self.networks.all_know_all())

    def test_where_there_is_nobody_else_no_address_is_told(self) -> None:
        node = Node(1, 1, six="fd77:1::1")
        self.networks.start(self.networks.add(node))
        self.networks.run(100)
        data = node.presence.last_said
        assert data is not None
        self.assertEqual(decode(data).addresses, ())


class Renumbered(NetworksTestCase):
    def test_one_that_has_another_address_is_told_of_there_before_its_next_beat(self) -> None:
        """Whoever asks at the old one hears nothing, and gives it up after a second."""
        self.meshed(2, 3)
        self.networks.run(30)
        moved = self.at(2, 2)
        self.networks.move(moved, "10.77.2.99")
        others = [one for one in self.networks.nodes.values() if one is not moved]

        def addresses() -> set[str]:
            peers = [one.presence.peer(moved.node) for one in others]
            return {peer.address if peer is not None else "" for peer in peers}

        self.assert_within(5, lambda: addresses() == {"10.77.2.99"})

    def test_one_that_has_moved_on_before_it_was_found_is_known_where_it_has_stayed(self) -> None:
        self.meshed(2, 3)
        self.networks.run(30)
        moved = self.at(2, 2)
        others = [one for one in self.networks.nodes.values() if one is not moved]
        for number in range(20, 28):
            self.networks.move(moved, f"10.77.2.{number}")
            self.networks.run(1)

        def proved_at() -> set[str]:
            peers = [one.presence.peer(moved.node) for one in others]
            return {one.address if one is not None and one.proved else "" for one in peers}

        self.assert_within(6, lambda: proved_at() == {"10.77.2.27"})

    def test_one_that_has_gone_to_another_network_is_known_there_before_its_next_beat(self) -> None:
        self.meshed(3, 3)
        self.networks.run(30)
        moved = self.at(2, 2)
        moved.network = 3
        self.networks.move(moved, "10.77.3.99")
        others = [one for one in self.networks.nodes.values() if one is not moved]

        def addresses() -> set[str]:
            peers = [one.presence.peer(moved.node) for one in others]
            return {peer.address if peer is not None else "" for peer in peers}

        self.assert_within(5, lambda: addresses() == {"10.77.3.99"})

    def test_one_that_was_met_is_told_nothing_where_it_is_no_more(self) -> None:
        """It goes on as before, at another address; somebody else may have the old one."""
        namer, named = Node(1, 1), Node(2, 1)
        self.networks.add(namer, named.address)
        self.networks.add(named)
        assert named.sites is not None
        assert namer.sites is not None
        named.sites.permit(self.network("10.77.1.0/24"))
        for node in (namer, named):
            self.networks.start(node)
        self.assert_within(5, self.networks.all_know_all)
        before = namer.address
        self.networks.move(namer, "10.77.1.99")
        self.networks.run(150)
        self.assertTrue(self.networks.all_know_all())
        sent = named.sent_to[before, PORT]
        self.networks.run(300)
        self.assertEqual(named.sent_to[before, PORT], sent)
        self.assertGreater(named.sent_to["10.77.1.99", PORT], 5)
        self.assertTrue(self.networks.all_know_all())


class ForgedPorts(NetworksTestCase):
    """From which port a datagram came anybody can make up: nodes hear at the usual one."""

    def setUp(self) -> None:
        super().setUp()
        self.namer, self.named = Node(1, 1), Node(2, 1)
        self.networks.add(self.namer, self.named.address)
        self.networks.add(self.named)
        assert self.named.sites is not None
        self.named.sites.permit(self.network("10.77.1.0/24"))
        for node in (self.namer, self.named):
            node.presence.start(self.networks.now)

    def forge(self, port: int) -> None:
        """Have the named one read the namer's last words, from another port."""
        assert self.named.sites is not None
        data = self.namer.presence.last_said
        assert data is not None
        self.named.sites.receive(self.networks.now, (self.namer.address, port), data)

    def begin(self, port: int = PORT) -> None:
        """Have the namer greet the other one, which hears at the usual port, and let it in."""
        assert self.namer.sites is not None
        self.namer.sites.resolved(self.networks.now, {"n": [(self.named.address, port)]})

    def test_who_is_first_does_not_lead_for_long_what_is_told_to_one_that_is_met(self) -> None:
        self.begin(9)
        self.networks.run(1)
        self.forge(53)
        self.networks.run(5)
        self.assertGreater(self.named.sent_to[self.namer.address, 53], 0)
        self.begin()
        self.assert_within(5, self.networks.all_know_all)
        self.networks.run(30)
        before = self.named.sent_to[self.namer.address, 53]
        self.networks.run(300)
        self.assertEqual(self.named.sent_to[self.namer.address, 53], before)
        self.assertGreater(self.named.sent_to[self.namer.address, PORT], 5)

    def test_nor_does_who_comes_later(self) -> None:
        self.begin()
        self.assert_within(5, self.networks.all_know_all)
        for port in range(1_000, 1_300):
            self.forge(port)
            self.networks.run(1)
        self.assertEqual(set(self.named.sent_to), {(self.namer.address, PORT)})
        self.assertTrue(self.networks.all_know_all())

    def test_whoever_made_it_up_is_sent_little_for_many(self) -> None:
        self.begin(9)
        self.networks.run(1)
        for number in range(3_000):
            self.forge(1_000 + number % 50)
            self.networks.run(0.1)
        sent = sum(self.named.sent_to.values())
        self.assertGreater(sent, 5)
        self.assertLess(sent, 100)


class Introductions(NetworksTestCase):
    def test_what_is_written_is_read(self) -> None:
        self.meshed(1, 1)
        self.networks.run(1)
        data = self.at(1, 1).presence.last_said
        assert data is not None
        for address in ("10.9.0.1", "fd00::7", "fd00:1111:2222:3333:4444:5555:6666:7777"):
            told = Introduction("a" * 16, address, decode(data))
            self.assertEqual(decode_introduction(encode_introduction(told)), told)
