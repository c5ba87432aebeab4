"""Hello, beat, bye and expiry, in virtual time."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_interface
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import MAGIC, TOLD_MAGIC, Kind, decode, encode
from flocon.machine.links import Link
from flocon.presence import presence as module
from flocon.presence.own_announcement import Identity
from flocon.presence.presence import Presence
from flocon.presence.presence_events import (
    Claimed,
    Event,
    Heard,
    Namesake,
    PeerCame,
    PeerLeft,
    PeerRestarted,
    Proved,
    Told,
)
from tests.datagrams.test_messages import REST, change
from tests.presence.virtual_lan import (
    CABLE,
    LINK,
    OTHER_LINK,
    REST_EPOCH,
    DropTestCase,
    Lan,
    LanTestCase,
    make,
    said,
)


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


class DropTests(DropTestCase):
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

    def test_a_full_table_is_counted(self) -> None:
        presence = make(most_peers=1)
        presence.start(0)
        presence.receive(0, CABLE, said(node=7))
        presence.answered(0, CABLE, REST.port, REST_EPOCH)
        presence.receive(0, "10.0.0.8", said(node=8))
        self.assertEqual(dict(presence.counters), {"full": 1})


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
        own = self.victim._own.said
        datagram = encode(
            replace(own, kind=kind, sequence=self.victim._speaker.sequence + ahead, beat=30.0)
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
        self.forge(Kind.BYE, ahead=(1 << 53) - 1 - self.victim._speaker.sequence)
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
        other_epoch = encode(replace(self.victim._own.said, epoch="feedbeef", sequence=1))
        for node in (self.victim, self.other):
            node.receive(self.lan.now, "10.0.0.1", other_epoch)
        self.lan.run_until(300)
        (peer,) = self.other.peers()
        self.assertEqual(peer.epoch, self.victim._own.said.epoch)
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


class RecallTests(LanTestCase):
    """One that was there before this node was started, and has said much since."""

    ADDRESS = "10.0.0.7"

    def setUp(self) -> None:
        super().setUp()
        (node,) = self.lan_of(1)
        self.node = node
        node.start(0)
        self.old = replace(REST, kind=Kind.BEAT, node=f"{7:016x}", epoch=REST_EPOCH, sequence=9)

    def recall(self) -> bool:
        return self.node.recall(0.0, self.ADDRESS, self.old)

    def hear(self, now: float, sequence: int) -> None:
        self.node.receive(now, self.ADDRESS, encode(replace(self.old, sequence=sequence)))

    def test_it_is_looked_at_and_not_there_before_it_answers(self) -> None:
        self.node.take_events()
        self.assertTrue(self.recall())
        self.assertEqual(self.node.take_events(), [Claimed(self.ADDRESS, self.old.port)])
        self.assertEqual(self.node.peers(), [])

    def test_it_is_there_once_what_listens_there_says_so(self) -> None:
        self.recall()
        peer = self.node.answered(0.1, self.ADDRESS, self.old.port, self.old.epoch)
        assert peer is not None
        self.assertTrue(peer.proved)
        self.assertEqual(self.node.peers(), [peer])

    def test_what_has_another_epoch_now_is_another(self) -> None:
        self.recall()
        self.assertIsNone(self.node.answered(0.1, self.ADDRESS, self.old.port, "f" * 8))
        self.assertEqual(self.node.peers(), [])

    def test_its_next_datagram_is_believed_whatever_its_number(self) -> None:
        self.recall()
        self.node.answered(0.1, self.ADDRESS, self.old.port, self.old.epoch)
        self.hear(0.2, 1_000_000)
        self.assertEqual(self.node.counters["leapt"], 0)
        # But only the next one.
        self.hear(0.3, 3_000_000)
        self.assertEqual(self.node.counters["leapt"], 1)

    def test_one_that_is_heard_first_is_as_any_other(self) -> None:
        self.hear(0, 10)
        self.assertFalse(self.recall())

    def test_nobody_who_is_not_on_a_link_is_looked_for(self) -> None:
        self.node.take_events()
        self.assertFalse(self.node.recall(0.0, "192.0.2.7", self.old))
        self.assertEqual(self.node.take_events(), [])


class FarTests(SynchronousTestCase):
    """A node of another network, of which presence is told by who looks after those."""

    FAR = "10.99.0.7"

    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)
        self.said = decode(said(1, port=19432))

    def far(self) -> bool:
        peer = self.presence.peer(self.said.node)
        assert peer is not None
        return peer.far

    def test_what_it_says_is_not_heard_on_a_link(self) -> None:
        self.presence.receive(0, self.FAR, said(1))
        self.assertEqual(self.presence.counters["off_link"], 1)

    def test_it_is_far_for_as_long_as_its_address_is_on_no_link(self) -> None:
        self.presence.hear_far(0, self.FAR, self.said, vouched=True)
        self.assertTrue(self.far())
        tunnel = Link("wg0", 9, (ip_interface("10.99.0.1/24"),))
        self.presence.networks_changed(1, [LINK, tunnel])
        self.assertFalse(self.far())
        self.presence.networks_changed(2, [LINK])
        self.assertTrue(self.far())

    def test_one_that_is_heard_on_a_link_too_is_connected_to_there(self) -> None:
        self.presence.hear_far(0, self.FAR, self.said, vouched=True)
        self.presence.receive(1, CABLE, said(2, port=19432))
        peer = self.presence.peer(self.said.node)
        assert peer is not None
        self.assertEqual((peer.address, peer.far), (CABLE, False))

    def test_that_it_has_answered_is_told_once(self) -> None:
        self.presence.hear_far(0, self.FAR, self.said, vouched=True)
        self.presence.take_events()
        for _ in range(2):
            self.presence.answered(0, self.FAR, 19432, self.said.epoch)
        proved = [one.peer for one in self.presence.take_events() if isinstance(one, Proved)]
        self.assertEqual([(one.node, one.proved) for one in proved], [(self.said.node, True)])

    def test_what_a_neighbour_tells_of_others_is_handed_on_unread(self) -> None:
        data = TOLD_MAGIC + b"whatever"
        self.presence.receive(0, CABLE, data)
        self.presence.receive(0, self.FAR, data)
        self.assertEqual(self.presence.take_events(), [Told(CABLE, data)])

    def test_a_stopped_node_hears_nobody(self) -> None:
        self.presence.stop(0)
        self.presence.hear_far(0, self.FAR, self.said, vouched=True)
        self.assertEqual(self.presence.peers(), [])
