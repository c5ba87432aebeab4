"""The table of who is there is bounded, whoever fills it, and lets go of who is silent."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flocon.presence.peer import LONGEST_UNPROVED_BEAT
from flocon.presence.peers import Peers, Verdict
from tests.datagrams.test_messages import REST
from tests.presence.heard import CABLE, EPOCH, NODE, RADIO, PeersTestCase, said


class BoundTests(PeersTestCase):
    def test_a_full_table_of_those_who_answered_takes_nobody_until_one_leaves(self) -> None:
        peers = Peers(most=2)
        verdicts = []
        for n in range(3):
            verdicts.append(peers.hear(0, f"10.0.0.{n}", said(node=n)))
            peers.answered(0, f"10.0.0.{n}", REST.port, EPOCH)
        self.assertEqual(verdicts, [Verdict.CAME, Verdict.CAME, Verdict.FULL])
        self.assertIs(peers.hear(1, "10.0.0.1", said(2, node=1)), Verdict.NEWS)
        peers.remove(said(node=0).node)
        self.assertIs(peers.hear(0, "10.0.0.2", said(2, node=2)), Verdict.CAME)

    def test_few_nodes_are_believed_at_one_address(self) -> None:
        peers = Peers(most_of_an_address=2)
        verdicts = [peers.hear(0, CABLE, said(node=n, port=n + 1)) for n in range(3)]
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
        self.assertEqual(self.peers.next_expiry(), 49.99 + 3 * LONGEST_UNPROVED_BEAT)


class CrowdTests(PeersTestCase):
    """A stranger fills the table."""

    def proved(self, peers: Peers, number: int) -> str:
        address = f"10.0.{number // 250}.{number % 250}"
        self.assertIs(peers.hear(0, address, said(node=number)), Verdict.CAME)
        peers.answered(0, address, REST.port, EPOCH)
        return said(node=number).node

    def test_seventy_addresses_with_sixteen_ids_each_keep_nobody_out(self) -> None:
        for number in range(1_120):
            announcement = said(node=10_000 + number, port=1 + number, beat=3600.0)
            self.hear(number / 100, f"10.9.0.{number // 16}", announcement)
        self.assertEqual(self.hear(20, CABLE, said()), "came")
        self.assertEqual(self.peers.answered(20, CABLE, REST.port, EPOCH), None)
        self.assertTrue(self.peer().proved)
        self.assertLessEqual(len(self.peers), 1_024)

    def test_whoever_answered_is_pushed_out_by_nobody_made_up(self) -> None:
        peers = Peers(most=40)
        nodes = [self.proved(peers, number) for number in range(20)]
        for number in range(2_000):
            announcement = said(node=10_000 + number, port=1 + number, beat=3600.0)
            peers.hear(number / 100, f"10.9.{number // 250}.{number % 250}", announcement)
        self.assertEqual([node for node in nodes if peers.get(node) is None], [])
        self.assertEqual(len(peers), 40)

    def test_those_made_up_are_gone_after_three_minutes(self) -> None:
        for number in range(500):
            address = f"10.9.{number // 250}.{number % 250}"
            self.hear(0, address, said(node=10_000 + number, beat=3600.0))
        self.peers.expire(3 * LONGEST_UNPROVED_BEAT)
        self.assertEqual(len(self.peers), 0)

    def test_a_machine_with_many_ids_makes_room_for_another_machine(self) -> None:
        peers = Peers(most=16)
        for number in range(16):
            peers.hear(0, RADIO, said(node=100 + number, port=1 + number))
            peers.answered(0, RADIO, 1 + number, EPOCH)
        self.assertIs(peers.hear(1, CABLE, said()), Verdict.CAME)
        self.assertIs(peers.hear(1, RADIO, said(node=200, port=200)), Verdict.FULL)

    def test_a_flood_pushes_out_few_a_second(self) -> None:
        peers = Peers(most=100)
        out = 0
        for number in range(5_000):
            peers.hear(number / 500, f"10.9.{number // 250}.{number % 250}", said(node=number))
            out += len(peers.take_pushed_out())
        self.assertLess(out, 64 + 20 * 10 + 2)
        self.assertGreater(out, 100)

    def test_ipv6_alone_fills_a_quarter(self) -> None:
        peers = Peers(most=40)
        for number in range(1_000):
            address = f"fe80::{number + 1:x}%eth0"
            peers.hear(number, address, said(node=number, beat=3600.0))
            peers.answered(number, address, REST.port, EPOCH)
        self.assertEqual(len(peers), 10)
        self.assertIs(peers.hear(1_000, CABLE, said(node=2_000)), Verdict.CAME)


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

    def test_a_faster_beat_does_not_cut_short_what_a_slower_one_promised(self) -> None:
        self.hear(0, CABLE, said(1, beat=50))
        self.hear(1, CABLE, said(2, beat=1))
        self.assertEqual(self.peers.next_expiry(), 150)
        self.hear(149, CABLE, said(3, beat=1))
        self.assertEqual(self.peers.next_expiry(), 152)

    def test_a_long_beat_is_believed_of_whom_somebody_saw_answer(self) -> None:
        self.hear(0, CABLE, said(1, beat=3600))
        self.assertEqual(self.peers.next_expiry(), 3 * LONGEST_UNPROVED_BEAT)
        self.peers.answered(0, CABLE, REST.port, EPOCH)
        self.assertEqual(self.peers.next_expiry(), 3 * 3600)

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
                or peers.hear_bye(now, f"10.0.0.{address}", announcement) is Verdict.LEFT
            ):
                peers.remove(announcement.node)
            peers.expire(now)
            known = peers._known.values()
            self.assertLessEqual(len(known), 4)
            at_address = peers._places.at_address
            self.assertEqual(
                sum(map(len, at_address.values())), sum(len(one.addresses) for one in known)
            )
            self.assertTrue(all(0 < len(nodes) <= 2 for nodes in at_address.values()))
            self.assertEqual(
                peers._places.by_ipv6_alone, sum(one.by_ipv6_alone for one in peers._known.values())
            )
            self.assertTrue(all(one.addresses for one in known))
            expected = min((one.expires for one in known), default=None)
            self.assertEqual(peers.next_expiry(), expected)
