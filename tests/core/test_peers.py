"""The bounded table of who is there."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.messages import Announcement, Kind
from flocon.core.peers import Peer, Peers, Verdict, rank
from tests.core.test_messages import REST

CABLE, RADIO, GLOBAL, LOCAL = "10.0.0.7", "10.0.1.7", "fd00::7", "fe80::7%eth0"


def said(
    sequence: int = 1,
    *,
    node: int = 7,
    epoch: int = 1,
    beat: float = 30.0,
    kind: Kind = Kind.BEAT,
) -> Announcement:
    return replace(
        REST,
        kind=kind,
        node=f"{node:016x}",
        epoch=f"{epoch:08x}",
        sequence=sequence,
        beat=beat,
        generation=sequence * 10,
    )


NODE = said().node


class PeersTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.peers = Peers()

    def hear(self, now: float, address: str, announcement: Announcement) -> str:
        return self.peers.hear(now, address, announcement).value

    def peer(self) -> Peer:
        peer = self.peers.get(NODE)
        assert peer is not None
        return peer


class HearTests(PeersTestCase):
    def test_a_newcomer_is_kept_as_it_says(self) -> None:
        self.assertEqual(self.hear(5, CABLE, said()), "came")
        peer = self.peer()
        self.assertEqual(
            (peer.node, peer.address, peer.first_heard, peer.last_heard, peer.generation),
            (NODE, CABLE, 5, 5, 10),
        )
        self.assertEqual(self.peers.all(), [peer])

    def test_a_later_datagram_is_news(self) -> None:
        self.hear(0, CABLE, said(1))
        self.assertEqual(self.hear(9, CABLE, said(2)), "news")
        self.assertEqual((self.peer().generation, self.peer().last_heard), (20, 9))
        self.assertEqual(self.peer().first_heard, 0)

    def test_what_it_can_fetch_is_as_old_as_its_newest_database_or_ability(self) -> None:
        self.hear(0, CABLE, said(1))
        self.hear(3, CABLE, said(2))
        self.assertEqual(self.peer().able_since, 0)
        newer = replace(said(3), databases=(("core", "new"),))
        self.hear(5, CABLE, newer)
        self.assertEqual((self.peer().able_since, self.peer().first_heard), (5, 0))
        self.hear(7, CABLE, replace(newer, sequence=4, abilities=frozenset({"store"})))
        self.assertEqual(self.peer().able_since, 7)
        self.hear(9, CABLE, said(1, epoch=2))
        self.assertEqual(self.peer().able_since, 9)

    def test_the_same_datagram_on_another_way_adds_the_address(self) -> None:
        self.hear(0, LOCAL, said())
        self.assertEqual(self.hear(0, CABLE, said()), "copy")
        self.assertEqual(self.peer().address, CABLE)
        self.assertTrue(self.peers.has_address(LOCAL))

    def test_the_same_datagram_from_the_same_address_is_a_replay(self) -> None:
        self.hear(0, CABLE, said(5))
        for sequence in (5, 4, 1):
            self.assertEqual(self.hear(1, CABLE, said(sequence)), "replayed")
        self.assertEqual(self.peer().last_heard, 0)

    def test_an_old_datagram_from_an_unknown_address_is_a_replay(self) -> None:
        self.hear(0, CABLE, said(5))
        self.assertEqual(self.hear(1, RADIO, said(4)), "replayed")
        self.assertFalse(self.peers.has_address(RADIO))

    def test_a_datagram_overtaken_on_another_way_tells_nothing_new(self) -> None:
        self.hear(0, CABLE, said(1))
        self.hear(0, RADIO, said(1))
        self.hear(1, CABLE, said(3))
        self.assertEqual(self.hear(2, RADIO, said(2)), "copy")
        self.assertEqual(self.peer().generation, 30)

    def test_a_new_epoch_from_a_known_address_is_a_restart(self) -> None:
        self.hear(0, CABLE, said(9))
        self.hear(0, LOCAL, said(9))
        self.assertEqual(self.hear(5, CABLE, said(1, epoch=2)), "restarted")
        self.assertEqual((self.peer().epoch, self.peer().first_heard), ("00000002", 5))
        self.assertFalse(self.peers.has_address(LOCAL))
        self.assertEqual(self.hear(5, LOCAL, said(1, epoch=2)), "copy")
        self.assertEqual(self.hear(5, CABLE, said(1, epoch=2)), "replayed")

    def test_a_new_epoch_from_elsewhere_waits_until_the_old_one_is_missed(self) -> None:
        self.hear(0, CABLE, said(9))
        self.assertEqual(self.hear(5, RADIO, said(1, epoch=2)), "unknown")
        self.peers.expire(90)
        self.assertEqual(self.hear(90, RADIO, said(2, epoch=2)), "came")

    def test_four_past_epochs_are_remembered(self) -> None:
        for epoch in range(1, 7):
            self.hear(epoch, CABLE, said(1, epoch=epoch))
        verdicts = [self.hear(9, CABLE, said(50, epoch=epoch)) for epoch in range(2, 6)]
        self.assertEqual(verdicts, ["replayed"] * 4)
        self.assertEqual(self.peer().epoch, "00000006")

    def test_what_was_said_before_leaving_is_a_replay_afterwards(self) -> None:
        self.hear(0, CABLE, said(9, epoch=1))
        self.hear(0, CABLE, said(9, epoch=2))
        self.peers.remove(NODE)
        self.assertEqual(self.hear(1, CABLE, said(9, epoch=2)), "replayed")
        self.assertEqual(self.hear(1, CABLE, said(99, epoch=1)), "replayed")
        self.assertEqual(self.hear(1, CABLE, said(10, epoch=2)), "came")
        self.assertEqual(self.hear(1, CABLE, said(99, epoch=1)), "replayed")


class ByeTests(PeersTestCase):
    def bye(self, address: str, sequence: int, epoch: int = 1) -> str:
        bye = said(sequence, epoch=epoch, kind=Kind.BYE)
        return self.peers.hear_bye(address, bye).value

    def test_is_believed_from_an_address_known_for_that_peer(self) -> None:
        self.hear(0, CABLE, said(1))
        self.assertEqual(self.bye(RADIO, 2), "unknown")
        self.assertEqual(self.bye(CABLE, 2), "left")

    def test_an_old_one_is_a_replay(self) -> None:
        self.hear(0, CABLE, said(2))
        self.assertEqual(self.bye(CABLE, 2), "replayed")
        self.assertEqual(self.bye(CABLE, 3, epoch=9), "replayed")

    def test_its_copy_on_another_way_is_no_surprise(self) -> None:
        self.hear(0, CABLE, said(1))
        self.bye(CABLE, 2)
        self.peers.remove(NODE)
        self.assertEqual(self.bye(LOCAL, 2), "copy")
        self.assertEqual(self.bye(LOCAL, 3), "unknown")

    def test_of_nobody_known_is_dropped(self) -> None:
        self.assertEqual(self.bye(CABLE, 1), "unknown")


class AddressTests(PeersTestCase):
    def test_ipv4_is_better_than_ipv6_and_link_local_is_last(self) -> None:
        self.assertLess(rank(CABLE), rank(GLOBAL))
        self.assertLess(rank(GLOBAL), rank(LOCAL))
        for address in (LOCAL, GLOBAL, CABLE):
            self.hear(0, address, said())
            self.assertEqual(self.peer().address, address)

    def test_an_address_that_went_silent_is_not_the_best(self) -> None:
        self.hear(0, CABLE, said(1))
        self.hear(0, LOCAL, said(1))
        self.hear(30, LOCAL, said(2))
        self.assertEqual(self.peer().address, CABLE)
        self.hear(60, LOCAL, said(3))
        self.assertEqual(self.peer().address, LOCAL)

    def test_an_address_silent_for_three_beats_is_forgotten(self) -> None:
        self.hear(0, CABLE, said(1))
        self.hear(0, LOCAL, said(1))
        self.hear(91, LOCAL, said(2))
        self.assertFalse(self.peers.has_address(CABLE))

    def test_four_addresses_are_kept_and_no_fifth(self) -> None:
        for number in range(4):
            self.hear(0, f"10.0.0.{number}", said(1))
        self.assertEqual(self.hear(0, "10.0.0.9", said(2)), "crowded")
        self.assertEqual(self.peer().generation, 10)
        self.assertEqual(self.hear(0, "10.0.0.0", said(2)), "news")

    def test_addresses_out_of_reach_go_where_another_is_left(self) -> None:
        self.hear(0, CABLE, said(1))
        self.hear(0, RADIO, said(1))
        self.peers.networks_changed(lambda address: address == RADIO)
        self.assertEqual(self.peer().address, RADIO)
        self.peers.networks_changed(lambda _: False)
        self.assertEqual(self.peer().address, RADIO)


class BoundTests(PeersTestCase):
    def test_a_full_table_takes_nobody_until_one_leaves(self) -> None:
        peers = Peers(most=2)
        verdicts = [peers.hear(0, f"10.0.0.{n}", said(node=n)) for n in range(3)]
        self.assertEqual(verdicts, [Verdict.CAME, Verdict.CAME, Verdict.FULL])
        self.assertIs(peers.hear(1, "10.0.0.1", said(2, node=1)), Verdict.NEWS)
        peers.remove(said(node=0).node)
        self.assertIs(peers.hear(0, "10.0.0.2", said(2, node=2)), Verdict.CAME)

    def test_few_nodes_are_believed_at_one_address(self) -> None:
        peers = Peers(most_of_an_address=2)
        verdicts = [peers.hear(0, CABLE, said(node=n)) for n in range(3)]
        self.assertEqual(verdicts, [Verdict.CAME, Verdict.CAME, Verdict.CROWDED])
        peers.remove(said(node=0).node)
        self.assertIs(peers.hear(0, CABLE, said(node=3)), Verdict.CAME)

    def test_those_who_left_are_remembered_within_a_bound(self) -> None:
        for number in range(3000):
            self.hear(0, CABLE, said(node=number))
            self.peers.remove(said(node=number).node)
        self.assertEqual(len(self.peers._departed), 1024)
        self.assertFalse(self.peers.has_address(CABLE))

    def test_a_peer_that_changes_its_beat_does_not_grow_the_heap(self) -> None:
        for number in range(1, 5000):
            self.hear(number / 100, CABLE, said(number, beat=3600 if number % 2 else 0.2))
        self.assertLess(len(self.peers._expiries), 100)
        self.assertEqual(self.peers.next_expiry(), 49.99 + 3 * 3600)


class ExpiryTests(PeersTestCase):
    def test_three_silent_beats_are_the_end(self) -> None:
        self.hear(0, CABLE, said(beat=10))
        self.hear(0, RADIO, said(node=8, beat=20))
        self.assertEqual(self.peers.next_expiry(), 30)
        self.assertEqual(self.peers.expire(29.9), [])
        self.assertEqual([peer.node for peer in self.peers.expire(30)], [NODE])
        self.assertEqual(self.peers.next_expiry(), 60)

    def test_whoever_is_heard_lives_on(self) -> None:
        self.hear(0, CABLE, said(1, beat=10))
        self.hear(25, CABLE, said(2, beat=10))
        self.assertEqual(self.peers.expire(54), [])
        self.assertEqual(len(self.peers.expire(55)), 1)
        self.assertIsNone(self.peers.next_expiry())

    def test_a_faster_beat_is_missed_sooner(self) -> None:
        self.hear(0, CABLE, said(1, beat=3600))
        self.hear(1, CABLE, said(2, beat=1))
        self.assertEqual(self.peers.next_expiry(), 4)

    def test_whoever_is_spared_lives_until_then(self) -> None:
        self.hear(0, CABLE, said(beat=10))
        self.peers.spare_until(500)
        self.assertEqual(self.peers.expire(499), [])
        self.assertEqual(len(self.peers.expire(500)), 1)

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 4),  # node
                st.integers(0, 3),  # address
                st.integers(1, 6),  # sequence
                st.integers(1, 3),  # epoch
                st.sampled_from([0.2, 1.0, 5.0]),  # beat
                st.sampled_from(["hear", "hear", "hear", "bye", "remove"]),
                st.sampled_from([0.0, 0.1, 1.0, 4.0]),  # pause
            ),
            max_size=60,
        )
    )
    def test_whatever_comes_the_table_stays_consistent(
        self, steps: list[tuple[int, int, int, int, float, str, float]]
    ) -> None:
        peers = Peers(most=4, most_of_an_address=2)
        now = 0.0
        for node, address, sequence, epoch, beat, what, pause in steps:
            now += pause
            announcement = said(sequence, node=node, epoch=epoch, beat=beat)
            if what == "hear":
                peers.hear(now, f"10.0.0.{address}", announcement)
            elif (
                what == "remove"
                or peers.hear_bye(f"10.0.0.{address}", announcement) is Verdict.LEFT
            ):
                peers.remove(announcement.node)
            peers.expire(now)
            known = peers._known.values()
            self.assertLessEqual(len(known), 4)
            self.assertEqual(
                sum(peers._at_address.values()), sum(len(one.addresses) for one in known)
            )
            self.assertTrue(all(0 < count <= 2 for count in peers._at_address.values()))
            self.assertTrue(all(one.addresses for one in known))
            expected = min((one.expires for one in known), default=None)
            self.assertEqual(peers.next_expiry(), expected)
