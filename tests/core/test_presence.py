"""Hello, beat, bye and expiry, in virtual time."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_interface
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.core import presence as module
from flocon.core.links import Link
from flocon.core.messages import MAGIC, Announcement, Kind, decode, encode
from flocon.core.presence import (
    Claimed,
    Doubted,
    Event,
    Heard,
    Identity,
    Namesake,
    PeerCame,
    PeerLeft,
    PeerRestarted,
    Presence,
)
from flocon.errors import DatagramError
from tests.core.test_messages import REST, change

REST_EPOCH = f"{1:08x}"
LINK = Link("eth0", 2, (ip_interface("10.0.0.1/16"), ip_interface("fe80::1/64")))
OTHER_LINK = Link("wlan0", 3, (ip_interface("10.7.0.1/16"),))
CABLE = "10.0.0.7"


def make(number: int = 1, *, epoch: int = 1, beat: float = 30.0, **fields: Any) -> Presence:
    presence = Presence(
        Identity(f"{number:016x}", f"{epoch:08x}", f"host-{number}"),
        chance=random.Random(number),
        beat=beat,
        port=19432,
        system="arch",
        architectures=("x86_64",),
        **fields,
    )
    presence.networks_changed(0, [LINK])
    return presence


def said(sequence: int = 1, *, node: int = 7, epoch: int = 1, **fields: Any) -> bytes:
    return encode(
        replace(REST, node=f"{node:016x}", epoch=f"{epoch:08x}", sequence=sequence, **fields)
    )


class Lan:
    """Nodes that hear each other without delay, in virtual time; ``sent`` has (time, length).

    Who has to be connected to, is: a node answers where it is, and nobody does elsewhere.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.nodes: dict[str, Presence] = {}
        self.events: dict[str, list[tuple[float, Event]]] = {}
        self.sent: list[tuple[float, int]] = []
        self.said: list[tuple[float, str, Announcement]] = []

    def add(self, address: str, presence: Presence) -> None:
        self.nodes[address] = presence
        self.events[address] = []

    def deliver(self) -> None:
        busy = True
        while busy:
            busy = False
            for sender, presence in list(self.nodes.items()):
                for datagram in presence.take_datagrams():
                    busy = True
                    self.sent.append((self.now, len(datagram)))
                    self.said.append((self.now, sender, decode(datagram)))
                    for receiver in self.nodes.values():
                        receiver.receive(self.now, sender, datagram)
        for address, presence in self.nodes.items():
            while events := presence.take_events():
                self.events[address].extend((self.now, event) for event in events)
                for event in events:
                    self.connect(presence, event)

    def connect(self, presence: Presence, event: Event) -> None:
        match event:
            case PeerCame(peer) | PeerRestarted(peer) | Doubted(peer):
                address, port = peer.address, peer.port
            case Claimed(address, port):
                pass
            case _:
                return
        there = self.nodes.get(address)
        if there is None:
            presence.unanswered(self.now, address, port)
        else:
            presence.answered(self.now, address, port, there._own.epoch)

    def run_until(self, end: float) -> None:
        self.deliver()
        while True:
            dues = [due for one in self.nodes.values() if (due := one.deadline()) is not None]
            due = min(dues, default=end)
            if due >= end:
                break
            self.now = max(due, self.now)
            for presence in self.nodes.values():
                when = presence.deadline()
                if when is not None and when <= self.now:
                    presence.tick(self.now)
            self.deliver()
        self.now = end


class LanTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.lan = Lan()

    def lan_of(self, count: int, **fields: Any) -> list[Presence]:
        nodes = [make(number + 1, **fields) for number in range(count)]
        for number, node in enumerate(nodes):
            self.lan.add(f"10.0.{number // 250}.{number % 250 + 1}", node)
        return nodes

    def left(self, address: str) -> list[tuple[float, str]]:
        return [
            (when, event.reason)
            for when, event in self.lan.events[address]
            if isinstance(event, PeerLeft)
        ]


class MeetingTests(LanTestCase):
    def test_nodes_started_in_any_order_know_each_other_within_two_seconds(self) -> None:
        nodes = self.lan_of(3)
        for start, node in zip((0.0, 0.9, 20.0), nodes, strict=True):
            self.lan.run_until(start)
            node.start(start)
        self.lan.run_until(22)
        self.assertEqual([len(node.peers()) for node in nodes], [2, 2, 2])
        self.assertEqual({peer.address for peer in nodes[0].peers()}, {"10.0.0.2", "10.0.0.3"})

    def test_one_whose_hello_was_lost_is_known_by_the_second(self) -> None:
        early, late = self.lan_of(2)
        early.start(0)
        self.lan.run_until(5)
        late.start(5)
        late.take_datagrams()
        self.lan.run_until(7)
        self.assertEqual((len(early.peers()), len(late.peers())), (1, 1))

    def test_a_stopped_one_is_gone_at_once(self) -> None:
        nodes = self.lan_of(3)
        for node in nodes:
            node.start(0)
        self.lan.run_until(5)
        nodes[0].stop(5)
        self.lan.run_until(5)
        self.assertEqual(self.left("10.0.0.2"), [(5, "bye")])
        self.assertEqual(len(nodes[1].peers()), 1)
        self.assertEqual((nodes[0].deadline(), nodes[0].peers()), (None, []))

    def test_a_killed_one_is_gone_within_three_beats(self) -> None:
        nodes = self.lan_of(3, beat=10.0)
        for node in nodes:
            node.start(0)
        self.lan.run_until(100)
        del self.lan.nodes["10.0.0.1"]
        self.lan.run_until(134)
        ((when, reason),) = self.left("10.0.0.2")
        self.assertEqual(reason, "expired")
        self.assertTrue(115 < when < 133.1, when)

    def test_nobody_expires_while_all_are_well(self) -> None:
        nodes = self.lan_of(20)
        for node in nodes:
            node.start(0)
        self.lan.run_until(2000)
        self.assertEqual([self.left(address) for address in self.lan.nodes], [[]] * 20)

    def test_a_restarted_one_is_told_with_its_new_epoch(self) -> None:
        self.lan_of(2)
        for node in self.lan.nodes.values():
            node.start(0)
        self.lan.run_until(5)
        again = make(1, epoch=2)
        self.lan.nodes["10.0.0.1"] = again
        again.start(5)
        self.lan.run_until(7)
        events = [
            event
            for when, event in self.lan.events["10.0.0.2"]
            if when >= 5 and not isinstance(event, Claimed)
        ]
        assert isinstance(events[0], PeerRestarted)
        self.assertEqual(events[0].peer.epoch, "00000002")
        self.assertIsInstance(events[1], Heard)
        self.assertEqual(len(again.peers()), 1)

    def test_one_that_stopped_can_start_again(self) -> None:
        nodes = self.lan_of(2)
        for node in nodes:
            node.start(0)
        self.lan.run_until(5)
        nodes[0].stop(5)
        self.lan.run_until(6)
        nodes[0].start(6)
        self.lan.run_until(8)
        self.assertEqual([len(node.peers()) for node in nodes], [1, 1])

    def test_beats_of_a_small_lan_come_as_often_as_configured(self) -> None:
        nodes = self.lan_of(3)
        for node in nodes:
            node.start(0)
        self.lan.run_until(1000)
        beats = [when for when, sender, _ in self.lan.said if sender == "10.0.0.1" and when > 5]
        gaps = [later - earlier for earlier, later in pairwise(beats)]
        self.assertTrue(all(26.9 <= gap <= 33.1 for gap in gaps), gaps)
        self.assertGreater(max(gaps) - min(gaps), 1)

    def test_each_datagram_announces_the_silence_after_it(self) -> None:
        nodes = self.lan_of(2)
        for node in nodes:
            node.start(0)
        self.lan.run_until(500)
        own = [(when, one.beat) for when, sender, one in self.lan.said if sender == "10.0.0.1"]
        for (before, beat), (after, _) in pairwise(own):
            self.assertLessEqual(after - before, beat + 1e-6)


class BudgetTests(LanTestCase):
    def test_forty_nodes_at_rest_stay_within_their_budget(self) -> None:
        nodes = self.lan_of(40, beat=1.0)
        for number, node in enumerate(nodes):
            self.lan.run_until(number / 50)
            node.start(number / 50)
        self.lan.run_until(400)
        self.assertEqual({len(node.peers()) for node in nodes}, {39})
        at_rest = [length for when, length in self.lan.sent if when >= 100]
        bits = sum(8 * (2 * length + module.HEADERS) for length in at_rest)
        self.assertLess(bits / 300, 10_000)
        self.assertGreater(bits / 300, 6_000)

    def test_one_of_a_thousand_takes_a_thousandth_of_the_budget(self) -> None:
        presence = make()
        presence.start(0)
        for number in range(2, 1001):
            address = f"10.0.{number // 250}.{number % 250 + 1}"
            presence.receive(number / 100, address, said(node=number, beat=3600.0))
            presence.answered(number / 100, address, REST.port, REST_EPOCH)
        self.assertEqual(len(presence.peers()), 999)
        presence.take_datagrams()
        bits = 0
        while (due := presence.deadline()) is not None and due < 10_000:
            presence.tick(due)
            bits += sum(8 * (2 * len(one) + module.HEADERS) for one in presence.take_datagrams())
        self.assertLess(bits / 10_000, 10.5)

    def test_a_thousand_that_started_together_do_not_beat_together(self) -> None:
        beats = []
        for number in range(1, 31):
            presence = make(number)
            presence.start(0)
            for other in range(200, 600):
                address = f"10.0.{other // 250}.{other % 250}"
                presence._peers.hear(0, address, decode(said(node=other, beat=999.0)))
                presence.answered(0, address, REST.port, REST_EPOCH)
            presence.receive(1, CABLE, said(node=150, kind=Kind.HELLO, beat=999.0))
            presence.take_datagrams()
            while True:
                due = presence.deadline()
                assert due is not None
                presence.tick(due)
                (datagram,) = presence.take_datagrams()
                if decode(datagram).kind is Kind.BEAT and due > 12:
                    beats.append(due)
                    break
        interval = 400 * 4.5 / 9
        in_first_half = sum(1 for due in beats if due < interval / 2)
        self.assertGreater(in_first_half, 5)
        self.assertGreater(max(beats) - min(beats), interval / 2)


class AnswerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)
        self.settle(5)

    def settle(self, end: float) -> list[float]:
        times = []
        while (due := self.presence.deadline()) is not None and due < end:
            self.presence.tick(due)
            times += [due] * len(self.presence.take_datagrams())
        return times

    def test_a_hello_is_answered_after_a_short_pause(self) -> None:
        self.presence.receive(5, CABLE, said(kind=Kind.HELLO))
        (when,) = self.settle(10)
        self.assertTrue(5 <= when <= 5.3, when)

    def test_a_beat_is_not_answered(self) -> None:
        self.presence.receive(5, CABLE, said())
        self.assertEqual(self.settle(10), [])

    def test_many_hellos_are_answered_once_a_second(self) -> None:
        times = []
        for number in range(300):
            now = 5 + number / 50
            times += self.settle(now)
            address = f"10.0.{number % 200}.9"
            self.presence.receive(now, address, said(node=100 + number, kind=Kind.HELLO))
        self.assertLessEqual(len(times), 7)
        self.assertGreaterEqual(len(times), 2)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        self.assertTrue(all(gap >= 0.999 for gap in gaps), gaps)

    def test_whatever_is_said_meanwhile_is_the_answer(self) -> None:
        self.presence.receive(5, CABLE, said(kind=Kind.HELLO))
        self.presence.rejoin(5)
        self.presence.take_datagrams()
        self.assertEqual(len(self.settle(20)), 1)  # the second hello only

    def test_a_replayed_hello_is_not_answered(self) -> None:
        self.presence.receive(5, CABLE, said(kind=Kind.HELLO))
        self.settle(8)
        self.presence.receive(8, CABLE, said(kind=Kind.HELLO))
        self.assertEqual(self.settle(12), [])


class HelloTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)

    def kinds(self, now: float) -> list[str]:
        self.presence.tick(now)
        return [decode(one).kind.value for one in self.presence.take_datagrams()]

    def test_is_said_at_once_and_again_after_a_second(self) -> None:
        self.assertEqual(self.kinds(0), ["hello"])
        self.assertEqual(self.kinds(0.8), [])
        self.assertEqual(self.kinds(1.2), ["hello"])
        self.assertEqual(self.kinds(5), [])

    def test_rejoin_says_it_again(self) -> None:
        self.kinds(1.2)
        self.presence.rejoin(10)
        self.assertEqual(self.kinds(10), ["hello"])
        self.assertEqual(self.kinds(11.2), ["hello"])

    def test_is_not_said_more_than_once_a_second(self) -> None:
        self.kinds(0)
        for number in range(1, 8):
            self.presence.rejoin(number / 10)
        self.assertEqual(self.kinds(0.8), [])
        self.assertEqual(self.kinds(1), ["hello"])
        self.assertEqual(self.kinds(2.2), ["hello"])

    def test_a_new_network_is_greeted(self) -> None:
        self.kinds(1.2)
        self.presence.networks_changed(10, [LINK, OTHER_LINK])
        self.assertEqual(self.kinds(10), ["hello"])

    def test_the_first_network_is_greeted_without_delay(self) -> None:
        presence = make(2)
        presence.networks_changed(0, [])
        presence.start(0)
        presence.take_datagrams()
        presence.networks_changed(0.01, [LINK])
        self.assertEqual([decode(one).kind for one in presence.take_datagrams()], [Kind.HELLO])

    def test_a_network_that_went_is_told_of_without_a_greeting(self) -> None:
        self.kinds(1.2)
        self.presence.networks_changed(10, [replace(LINK, addresses=LINK.addresses[1:])])
        self.assertEqual(self.kinds(10.2), ["beat"])
        self.assertEqual(self.kinds(12), [])

    def test_nothing_is_said_before_the_start_or_after_the_stop(self) -> None:
        idle = make(2)
        idle.rejoin(0)
        idle.tick(0)
        idle.inventory_changed(0, 1, 1, [change(1)])
        idle.receive(0, CABLE, said(kind=Kind.HELLO))
        idle.stop(0)
        self.assertEqual((idle.take_datagrams(), idle.take_events()), ([], []))
        self.assertIsNone(idle.deadline())


class DropTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)
        self.presence.take_datagrams()

    def assert_counted(self, **counts: int) -> None:
        self.assertEqual(dict(self.presence.counters), counts)

    def test_what_is_not_the_protocol_is_counted_by_its_reason(self) -> None:
        for data in (
            b"x",
            b"flocon 2\n",
            MAGIC + b"{",
            MAGIC + b"{}",
            MAGIC + b" " * 1200,
        ):
            self.presence.receive(0, CABLE, data)
        self.assert_counted(foreign=1, version=1, malformed=1, field=1, oversized=1)
        self.assertEqual(self.presence.take_events(), [])

    def test_a_source_off_every_link_is_dropped(self) -> None:
        for address in ("8.8.8.8", "127.0.0.1", "fe80::9%wlan0", "fe80::9", "::1", "junk"):
            self.presence.receive(0, address, said())
        self.assert_counted(off_link=6)

    def test_loopback_is_a_link_like_another_once_it_was_chosen(self) -> None:
        lo = Link("lo", 1, (ip_interface("127.0.0.1/8"), ip_interface("::1/128")))
        self.presence.networks_changed(0, [lo])
        self.presence.receive(0, "127.0.0.1", said())
        self.presence.receive(0, "::1", said())
        self.assert_counted()
        self.assertEqual(self.presence.peers()[0].address, "127.0.0.1")

    def test_its_own_datagrams_come_back_to_nothing(self) -> None:
        self.presence.receive(0, "10.0.0.1", said(node=1, epoch=1))
        self.presence.receive(0, "10.0.0.1", said(node=1, epoch=2))
        self.assert_counted(own=1, clash=1, forged=1)

    def test_replays_are_counted(self) -> None:
        self.presence.receive(0, CABLE, said(3))
        self.presence.receive(0, CABLE, said(3))
        self.presence.receive(0, CABLE, said(2))
        self.assert_counted(replayed=2)
        self.assertEqual(len(self.presence.take_events()), 2)

    def test_a_copy_by_another_address_is_neither_counted_nor_heard(self) -> None:
        self.presence.receive(0, "fe80::7%eth0", said())
        self.presence.receive(0, CABLE, said())
        self.assert_counted()
        self.assertEqual(len(self.presence.take_events()), 2)
        self.assertEqual(self.presence.peers()[0].address, CABLE)

    def test_a_bye_from_elsewhere_is_not_believed(self) -> None:
        self.presence.receive(0, CABLE, said(1))
        self.presence.receive(0, "10.0.0.66", said(2, kind=Kind.BYE))
        self.assert_counted(unknown=1)
        self.assertEqual(len(self.presence.peers()), 1)

    def test_one_source_is_read_so_often_only(self) -> None:
        for sequence in range(1, 1001):
            self.presence.receive(0, CABLE, said(sequence))
        self.assert_counted(rate=1000 - int(module.SOURCE_BURST))
        self.presence.receive(10, CABLE, said(2000))
        self.assertEqual(self.presence.counters["rate"], 800)

    def test_strangers_together_do_not_drown_a_peer(self) -> None:
        self.presence.receive(0, CABLE, said(1))
        for number in range(5000):
            self.presence.receive(0, f"10.0.{number // 250}.{number % 250}", b"noise")
        self.assertGreater(self.presence.counters["rate"], 2900)
        self.presence.take_events()
        self.presence.receive(0, CABLE, said(2))
        self.assertEqual(len(self.presence.take_events()), 1)

    def test_a_full_table_is_counted(self) -> None:
        presence = make(most_peers=1)
        presence.start(0)
        presence.receive(0, CABLE, said(node=7))
        presence.answered(0, CABLE, REST.port, REST_EPOCH)
        presence.receive(0, "10.0.0.8", said(node=8))
        self.assertEqual(dict(presence.counters), {"full": 1})

    def test_a_flood_of_addresses_leaves_every_table_bounded(self) -> None:
        for number in range(8_000):
            address = f"10.0.{number // 250}.{number % 250}"
            self.presence.receive(number / 100, address, said(node=number + 100))
        self.assertLessEqual(len(self.presence._sources), module.MOST_SOURCES)
        self.assertLessEqual(len(self.presence._reached), module.MOST_REACHED)
        self.assertEqual(len(self.presence.peers()), 1024)


class EventTests(SynchronousTestCase):
    def test_who_came_was_heard_too(self) -> None:
        presence = make()
        presence.start(0)
        presence.receive(3, CABLE, said(generation=5, files=4))
        came, heard = presence.take_events()
        assert isinstance(came, PeerCame)
        assert isinstance(heard, Heard)
        self.assertEqual((came.peer.generation, came.peer.files), (5, 4))
        self.assertEqual((came.peer.name, came.peer.port), ("workstation", 19432))
        self.assertEqual(
            (heard.peer, heard.announcement), (came.peer, decode(said(generation=5, files=4)))
        )
        self.assertEqual(presence.peer(came.peer.node), came.peer)
        self.assertEqual(presence.silence(8, came.peer), 5)


class ChangesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)
        self.run_until(5)

    def run_until(self, end: float) -> list[tuple[float, Announcement]]:
        heard = []
        while (due := self.presence.deadline()) is not None and due < end:
            self.presence.tick(due)
            heard += [(due, decode(one)) for one in self.presence.take_datagrams()]
        return heard

    def test_changes_of_a_moment_go_in_one_datagram(self) -> None:
        for number in range(1, 6):
            self.presence.inventory_changed(5 + number / 200, number, number, [change(number)])
        ((when, heard),) = self.run_until(10)
        self.assertAlmostEqual(when, 5.055)
        self.assertEqual((heard.generation, heard.files), (5, 5))
        self.assertEqual(
            [one.file_name for one in heard.changes], [change(n).file_name for n in range(1, 6)]
        )

    def test_none_is_left_out_where_there_are_more_files_in_between(self) -> None:
        # Nine files, then ten and more, then nine: at some length a digit too many does not fit.
        changes = [change(number, held=number <= 16) for number in range(1, 24)]
        for length in range(1, 120):
            presence = make()
            presence.start(0)
            long = replace(changes[0], file_name=f"{'a' * length}-1-1-any.pkg.tar.zst")
            presence.inventory_changed(0, len(changes), 9, [long, *changes[1:]])
            told = 0
            while (due := presence.deadline()) is not None and due < 3:
                presence.tick(due)
                for heard in map(decode, presence.take_datagrams()):
                    told += len(heard.changes)
                    self.assertEqual(heard.generation, told, length)
            self.assertEqual(told, len(changes))

    def test_what_follows_a_gap_before_it_is_told_is_a_part_of_it(self) -> None:
        changes = [change(number) for number in range(1, 311)]
        self.presence.inventory_changed(5, 300, 300, changes[:300])
        self.presence.inventory_changed(5.01, 310, 310, changes[300:])
        (_, heard), *more = self.run_until(10)
        self.assertEqual((heard.generation, heard.files, heard.changes), (310, 310, ()))
        self.assertEqual(more, [])
        self.presence.inventory_changed(10, 311, 311, [change(311)])
        ((_, heard),) = self.run_until(12)
        self.assertEqual((heard.generation, len(heard.changes)), (311, 1))

    def test_more_than_fit_go_in_several_in_order(self) -> None:
        changes = [change(number, held=number % 3 != 0) for number in range(1, 41)]
        files = 100 + sum(1 if one.held else -1 for one in changes)
        self.presence.update(5, generation=60, files=100)
        self.run_until(6)
        self.presence.inventory_changed(6, 100, files, changes)
        heard = self.run_until(10)
        told: list[Any] = []
        generation, held = 60, 100
        for _, one in heard:
            told.extend(one.changes)
            generation += len(one.changes)
            held += sum(1 if each.held else -1 for each in one.changes)
            self.assertEqual((one.generation, one.files), (generation, held))
        self.assertEqual(told, changes)
        self.assertLess(len(heard), 8)
        times = [when for when, _ in heard]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        self.assertTrue(all(0.024 < gap < 0.06 for gap in gaps), gaps)

    def test_however_many_come_at_once_all_are_told_soon(self) -> None:
        for count in (50, 200, 256, 500, 3_000):
            presence = make(2)
            presence.start(0)
            presence.inventory_changed(5, count, count, [change(one) for one in range(count)])
            while True:
                due = presence.deadline()
                assert due is not None
                presence.tick(due)
                datagrams = [decode(one) for one in presence.take_datagrams()]
                if datagrams and datagrams[-1].generation == count:
                    break
            self.assertLess(due - 5, 0.65, count)

    def test_under_load_datagrams_keep_their_distance(self) -> None:
        heard = []
        for number in range(1, 201):
            now = 5 + number / 100
            heard += self.run_until(now)
            self.presence.inventory_changed(now, number, number, [change(number)])
        heard += self.run_until(20)
        times = [when for when, _ in heard]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        self.assertGreater(min(gaps), 0.099)
        self.assertEqual(sum(len(one.changes) for _, one in heard), 200)
        self.assertEqual(heard[-1][1].generation, 200)

    def test_a_beat_meanwhile_announces_no_more_than_was_told(self) -> None:
        self.presence.inventory_changed(5, 40, 40, [change(number) for number in range(1, 41)])
        self.presence.receive(5, CABLE, said(kind=Kind.HELLO))
        generation = 0
        for _, heard in self.run_until(10):
            self.assertEqual(heard.generation, generation + len(heard.changes))
            generation = heard.generation
        self.assertEqual(generation, 40)

    def test_very_many_are_told_as_a_generation_only(self) -> None:
        self.presence.inventory_changed(5, 3000, 3000, [change(n) for n in range(3000)])
        ((_, heard),) = self.run_until(10)
        self.assertEqual((heard.generation, heard.files, heard.changes), (3000, 3000, ()))

    def test_a_gap_is_told_as_a_generation_only(self) -> None:
        self.presence.inventory_changed(5, 1, 1, [change(1)])
        self.presence.inventory_changed(5, 9, 2, [change(2)])
        ((_, heard),) = self.run_until(10)
        self.assertEqual((heard.generation, heard.files, heard.changes), (9, 2, ()))

    def test_no_change_is_no_datagram(self) -> None:
        self.presence.inventory_changed(5, 0, 0, [])
        self.assertEqual(self.run_until(10), [])

    def test_what_changed_before_the_start_is_not_told_in_parts(self) -> None:
        presence = make(2)
        presence.inventory_changed(0, 3, 3, [change(1), change(2), change(3)])
        presence.start(0)
        heard = decode(presence.take_datagrams()[0])
        self.assertEqual((heard.generation, heard.files, heard.changes), (3, 3, ()))

    def test_a_profile_without_room_for_changes_still_tells_the_generation(self) -> None:
        databases = tuple((f"repository-{'x' * 40}-{number}", "00" * 8) for number in range(32))
        self.presence.update(5, databases=databases)
        self.run_until(6)
        self.presence.inventory_changed(6, 5, 5, [change(number) for number in range(5)])
        ((_, heard),) = self.run_until(10)
        self.assertEqual((heard.generation, heard.files, heard.changes), (5, 5, ()))

    def test_a_new_profile_is_told_soon(self) -> None:
        self.presence.update(5, databases=(("core", "ab" * 8),), abilities=frozenset({"store"}))
        ((when, heard),) = self.run_until(10)
        self.assertAlmostEqual(when, 5.05)
        self.assertEqual(heard.databases, (("core", "ab" * 8),))
        self.presence.update(10, abilities=frozenset({"store"}))
        self.assertEqual(self.run_until(12), [])

    def test_a_profile_that_cannot_be_announced_is_refused(self) -> None:
        self.assertRaises(DatagramError, self.presence.update, 5, port=0)
        self.assertRaises(DatagramError, make, abilities=frozenset({"Not a word"}))

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 30), st.sampled_from([0.0, 0.02, 0.3, 40.0])), max_size=25
        )
    )
    def test_a_listener_that_follows_ends_at_the_same_generation(
        self, bursts: list[tuple[int, float]]
    ) -> None:
        presence = make()
        presence.start(0)
        now, generation, replica, files = 0.0, 0, 0, 0
        for count, pause in [*bursts, (0, 100.0)]:
            changes = [change(generation + n, held=bool(n % 4)) for n in range(count)]
            generation += count
            files += sum(1 if one.held else -1 for one in changes)
            presence.inventory_changed(now, generation, max(files, 0), changes)
            end = now + pause
            while (due := presence.deadline()) is not None and due < end:
                presence.tick(due)
                for heard in map(decode, presence.take_datagrams()):
                    # In step, or a gap that has no changes to mend it with.
                    if heard.generation != replica + len(heard.changes):
                        self.assertEqual(heard.changes, ())
                    self.assertGreaterEqual(heard.generation, replica)
                    replica = heard.generation
            now = end
        self.assertEqual(replica, generation)


class ClockTests(LanTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nodes = self.lan_of(3)
        for node in self.nodes:
            node.start(0)
        self.lan.run_until(100)

    def test_one_that_slept_says_hello_and_misses_nobody(self) -> None:
        sleeper = self.nodes[0]
        address = "10.0.0.1"
        del self.lan.nodes[address]
        self.lan.run_until(4000)
        self.assertEqual(len(self.nodes[1].peers()), 1)
        self.lan.nodes[address] = sleeper
        sleeper.tick(4000)
        self.lan.run_until(4200)
        self.assertEqual(self.left(address), [])
        self.assertEqual([len(node.peers()) for node in self.nodes], [2, 2, 2])

    def test_whoever_left_during_the_sleep_is_missed_a_moment_later(self) -> None:
        sleeper = self.nodes[0]
        sleeper.receive(4000, "10.0.0.9", b"whatever comes first")
        when = 4000.0
        while sleeper.peers():
            due = sleeper.deadline()
            assert due is not None
            when = due
            sleeper.tick(when)
        self.assertTrue(4001 < when < 4010, when)

    def test_a_sleep_is_noticed_once(self) -> None:
        sleeper = self.nodes[0]
        for number in range(50):
            sleeper.receive(4000 + number / 100, "10.0.0.2", b"x")
        kinds = [decode(one).kind for one in sleeper.take_datagrams()]
        self.assertEqual(kinds, [Kind.HELLO])

    def test_a_reactor_that_was_held_misses_nobody_and_says_no_hello(self) -> None:
        nodes = [make(number, beat=0.5) for number in (1, 2)]
        lan = Lan()
        for number, node in enumerate(nodes):
            lan.add(f"10.0.0.{number + 1}", node)
            node.start(0)
        lan.run_until(20)
        nodes[0].tick(24)
        self.assertEqual(len(nodes[0].peers()), 1)
        kinds = [decode(one).kind for one in nodes[0].take_datagrams()]
        self.assertEqual(kinds, [Kind.BEAT])

    def test_a_clock_set_back_loses_nobody_and_stops_nothing(self) -> None:
        node = self.nodes[0]
        node.receive(-5000, "10.0.0.77", said())
        due = node.deadline()
        assert due is not None
        self.assertTrue(-5000 <= due < -4960, due)
        self.assertEqual(len(node.peers()), 3)
        node.tick(due)
        self.assertEqual(len(node.take_datagrams()), 1)
        newcomer = node.peer(f"{7:016x}")
        assert newcomer is not None
        self.assertAlmostEqual(node.silence(-4990, newcomer), 10)


class SpoofedTests(LanTestCase):
    """Somebody sends datagrams in the name of a node, from its own address."""

    def setUp(self) -> None:
        super().setUp()
        self.victim, self.other = self.lan_of(2)
        for node in (self.victim, self.other):
            node.start(0)
        self.lan.run_until(100)

    def forge(self, kind: Kind = Kind.BEAT, *, ahead: int = 1, heard: bool = True) -> None:
        """Send as the victim; ``heard`` by itself too, as what goes to the group is."""
        own = self.victim._own
        datagram = encode(
            replace(own, kind=kind, sequence=self.victim._sequence + ahead, beat=30.0)
        )
        for node in (self.victim, self.other) if heard else (self.other,):
            node.receive(self.lan.now, "10.0.0.1", datagram)
        self.lan.deliver()

    def test_a_bye_is_contradicted_within_a_second(self) -> None:
        self.forge(Kind.BYE)
        self.lan.run_until(101.1)
        self.assertEqual(self.left("10.0.0.2"), [(100, "bye")])
        self.assertEqual(len(self.other.peers()), 1)

    def test_a_bye_that_it_did_not_hear_costs_one_beat(self) -> None:
        self.forge(Kind.BYE, heard=False)
        self.lan.run_until(134)
        self.assertEqual(len(self.other.peers()), 1)

    def test_a_bye_with_the_last_number_of_all_makes_nobody_gone(self) -> None:
        self.forge(Kind.BYE, ahead=(1 << 53) - 1 - self.victim._sequence)
        self.assertEqual(self.left("10.0.0.2"), [])
        self.lan.run_until(1_000)
        self.assertEqual(self.left("10.0.0.2"), [])

    def test_numbers_that_somebody_uses_up_are_skipped(self) -> None:
        for _ in range(200):
            self.forge(ahead=10)
            self.lan.run_until(self.lan.now + 1.1)
        self.victim.update(self.lan.now, files=77)
        self.lan.run_until(self.lan.now + 1)
        self.assertEqual(self.other.peers()[0].files, 77)
        self.assertEqual(self.left("10.0.0.2"), [])

    def test_numbers_used_up_unheard_cost_it_one_beat(self) -> None:
        for _ in range(200):
            self.forge(ahead=60, heard=False)
            self.lan.run_until(self.lan.now + 0.1)
        self.victim.update(self.lan.now, files=77)
        self.lan.run_until(self.lan.now + 34)
        self.assertEqual(self.other.peers()[0].files, 77)
        self.assertEqual(self.left("10.0.0.2"), [])

    def test_contradicting_costs_one_datagram_a_second(self) -> None:
        before = len(self.lan.sent)
        for _ in range(500):
            self.forge()
            self.lan.run_until(self.lan.now + 0.02)
        self.assertLess(len(self.lan.sent) - before, 15)

    def test_one_that_comes_back_on_a_hundred_links_is_known_unread(self) -> None:
        self.victim.update(100, files=5)
        self.victim.tick(101)
        (datagram,) = self.victim.take_datagrams()

        def decode(_: bytes) -> None:
            self.fail("was read")

        self.patch(module, "decode", decode)
        before = self.victim.counters["own"]
        for _ in range(100):
            self.victim.receive(101, "10.0.0.1", datagram)
        self.assertEqual(self.victim.counters["own"], before + 100)

    def test_its_own_datagrams_that_come_back_are_not_contradicted(self) -> None:
        self.assertEqual(self.victim.counters["forged"], 0)
        self.assertGreater(self.victim.counters["own"], 3)

    def test_an_epoch_that_its_address_denies_changes_nothing(self) -> None:
        other_epoch = encode(replace(self.victim._own, epoch="feedbeef", sequence=1))
        for node in (self.victim, self.other):
            node.receive(self.lan.now, "10.0.0.1", other_epoch)
        self.lan.run_until(300)
        (peer,) = self.other.peers()
        self.assertEqual(peer.epoch, self.victim._own.epoch)
        self.assertEqual(self.left("10.0.0.2"), [])
        restarts = [one for _, one in self.lan.events["10.0.0.2"] if isinstance(one, PeerRestarted)]
        self.assertEqual(restarts, [])


class NamesakeTests(SynchronousTestCase):
    """Two machines of one image have the same id."""

    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)
        self.presence.take_datagrams()

    def hear(self, now: float, address: str) -> list[Namesake]:
        self.presence.receive(now, address, said(node=1, epoch=2))
        return [one for one in self.presence.take_events() if isinstance(one, Namesake)]

    def test_the_other_one_is_told_of_with_its_address_once_a_minute(self) -> None:
        (told,) = self.hear(0, CABLE)
        self.assertEqual((told.address, told.announcement.epoch), (CABLE, f"{2:08x}"))
        self.assertEqual(self.hear(30, CABLE), [])
        self.assertEqual(len(self.hear(module.NAMESAKE_PAUSE, CABLE)), 1)

    def test_what_comes_from_an_address_of_its_own_is_none(self) -> None:
        self.assertEqual(self.hear(0, "10.0.0.1"), [])
        self.assertEqual(self.hear(0, "fe80::1%eth0"), [])
        self.assertEqual(self.presence.counters["clash"], 2)


class RenamedTests(LanTestCase):
    """One of two takes another id."""

    def test_who_took_another_id_is_known_by_that_alone(self) -> None:
        renamed, other = self.lan_of(2)
        for node in (renamed, other):
            node.start(0)
        self.lan.run_until(100)
        renamed.rename(100, Identity("f" * 16, "feedbeef", "host-1"))
        self.lan.run_until(102)
        self.assertEqual([peer.node for peer in other.peers()], ["f" * 16])
        self.assertEqual(self.left("10.0.0.2"), [(100, "replaced")])
        self.assertEqual(len(renamed.peers()), 1)

    def test_two_with_one_id_know_each_other_once_one_took_another(self) -> None:
        first, twin = make(1), make(1, epoch=2)
        third = make(3)
        for number, node in enumerate((first, twin, third)):
            self.lan.add(f"10.0.0.{number + 1}", node)
            node.networks_changed(0, [Link("eth0", 2, (ip_interface(f"10.0.0.{number + 1}/24"),))])
            node.start(0)
        self.lan.run_until(100)
        self.assertEqual([len(node.peers()) for node in (first, twin, third)], [1, 1, 1])
        told = [one for _, one in self.lan.events["10.0.0.1"] if isinstance(one, Namesake)]
        self.assertEqual({one.address for one in told}, {"10.0.0.2"})
        first.rename(100, Identity("f" * 16, "feedbeef", "host-1"))
        self.lan.run_until(140)
        self.assertEqual([len(node.peers()) for node in (first, twin, third)], [2, 2, 2])


class NetworkTests(SynchronousTestCase):
    def test_a_peer_is_met_where_it_can_still_be_reached(self) -> None:
        presence = make()
        presence.networks_changed(0, [LINK, OTHER_LINK])
        presence.start(0)
        presence.receive(0, CABLE, said())
        presence.receive(0, "10.7.0.7", said())
        self.assertEqual(presence.peers()[0].address, CABLE)
        presence.networks_changed(1, [OTHER_LINK])
        self.assertEqual(presence.peers()[0].address, "10.7.0.7")


class AnyOrderTests(SynchronousTestCase):
    @settings(max_examples=80, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(
                    [
                        "start",
                        "stop",
                        "tick",
                        "rejoin",
                        "receive",
                        "noise",
                        "links",
                        "change",
                        "due",
                    ]
                ),
                st.integers(0, 5),
                st.sampled_from([-50.0, 0.0, 0.01, 0.5, 5.0, 100.0, 5000.0]),
            ),
            max_size=60,
        ),
        st.integers(0, 1000),
    )
    def test_whatever_happens_it_ends_in_a_sound_state(
        self, steps: list[tuple[str, int, float]], seed: int
    ) -> None:
        presence = make(seed)
        chance = random.Random(seed)
        now, known, sequence = 0.0, set[str](), 0
        for what, number, pause in steps:
            now += pause
            if what == "due":
                now = presence.deadline() or now
            self.do(presence, what, now, number, chance)
            for datagram in presence.take_datagrams():
                sequence += 1
                self.assertEqual(decode(datagram).sequence, sequence)
            self.follow(presence.take_events(), known)
            if what == "stop":
                known.clear()
            self.assertEqual({peer.node for peer in presence.peers()}, known)
            self.assertEqual(presence.deadline() is None, not presence.running)

    def do(
        self, presence: Presence, what: str, now: float, number: int, chance: random.Random
    ) -> None:
        if what == "receive":
            data = said(
                chance.randint(1, 9),
                node=number + 2000,
                epoch=chance.randint(1, 3),
                kind=chance.choice(list(Kind)),
            )
            presence.receive(now, f"10.0.0.{chance.randint(1, 3)}", data)
        elif what == "noise":
            presence.receive(now, CABLE, chance.randbytes(number * 10))
        elif what == "links":
            presence.networks_changed(now, [LINK, OTHER_LINK][: number % 3])
        elif what == "change":
            changes = [change(each) for each in range(number)]
            presence.inventory_changed(now, chance.randint(number, number * 9), 5, changes)
        else:
            getattr(presence, "tick" if what == "due" else what)(now)

    def follow(self, events: list[Event], known: set[str]) -> None:
        for event in events:
            if isinstance(event, PeerCame):
                self.assertNotIn(event.peer.node, known)
                known.add(event.peer.node)
            elif isinstance(event, (PeerRestarted, PeerLeft, Heard)):
                self.assertIn(event.peer.node, known)
                if isinstance(event, PeerLeft):
                    known.remove(event.peer.node)
