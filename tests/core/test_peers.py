"""The bounded table of who is there."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.messages import Announcement, Kind
from flocon.core.peers import LONGEST_UNPROVED_BEAT, Peer, Peers, Verdict, rank
from tests.core.test_messages import REST

CABLE, RADIO, GLOBAL, LOCAL = "10.0.0.7", "10.0.1.7", "fd00::7", "fe80::7%eth0"
OTHER_LOCAL = "fe80::8%eth0"


def said(
    sequence: int = 1,
    *,
    node: int = 7,
    epoch: int = 1,
    beat: float = 30.0,
    kind: Kind = Kind.BEAT,
    port: int = REST.port,
) -> Announcement:
    return replace(
        REST,
        kind=kind,
        node=f"{node:016x}",
        epoch=f"{epoch:08x}",
        sequence=sequence,
        beat=beat,
        generation=sequence * 10,
        port=port,
    )


NODE, EPOCH = said().node, said().epoch


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
        self.assertEqual(self.hear(5, RADIO, said(1, epoch=2)), "elsewhere")
        self.peers.expire(90)
        self.assertEqual(self.hear(90, RADIO, said(2, epoch=2)), "came")

    def test_a_datagram_from_before_a_restart_is_a_replay_for_a_moment(self) -> None:
        self.hear(0, CABLE, said(9))
        self.hear(5, CABLE, said(1, epoch=2))
        self.assertEqual(self.hear(5.1, CABLE, said(10)), "replayed")
        self.assertEqual(self.peer().epoch, "00000002")

    def test_what_was_said_before_leaving_is_a_replay_for_a_moment_afterwards(self) -> None:
        self.hear(0, CABLE, said(9))
        self.peers.hear_bye(5, CABLE, said(11, kind=Kind.BYE))
        self.peers.remove(NODE)
        self.assertEqual(self.hear(5.1, LOCAL, said(10)), "replayed")
        self.assertEqual(self.hear(5.1, CABLE, said(12)), "came")


class ByeTests(PeersTestCase):
    def bye(self, address: str, sequence: int, epoch: int = 1) -> str:
        bye = said(sequence, epoch=epoch, kind=Kind.BYE)
        return self.peers.hear_bye(0, address, bye).value

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


class SpoofedTests(PeersTestCase):
    """What a datagram says that anybody may have sent, and what an address answered."""

    def setUp(self) -> None:
        super().setUp()
        self.hear(0, CABLE, said(5))
        self.answer(0, CABLE, EPOCH)

    def answer(self, now: float, address: str, epoch: str, port: int = REST.port) -> str | None:
        outcome = self.peers.answered(now, address, port, epoch)
        return None if outcome is None else outcome[0].value

    def test_a_number_it_cannot_have_got_to_is_dropped_wherever_it_comes_from(self) -> None:
        for address in (CABLE, RADIO):
            self.assertEqual(self.hear(1, address, said((1 << 53) - 1)), "leapt")
        self.assertFalse(self.peers.has_address(RADIO))
        self.assertEqual(self.hear(30, CABLE, said(6)), "news")

    def test_a_number_it_may_have_got_to_unheard_is_not(self) -> None:
        self.assertEqual(self.hear(60, CABLE, said(5 + 64 + 1_200)), "news")

    def test_numbers_used_up_by_somebody_else_keep_it_out_for_a_moment_only(self) -> None:
        self.hear(1, RADIO, said(60))
        self.assertEqual(self.hear(1.5, CABLE, said(6)), "copy")
        self.assertEqual(self.hear(30, CABLE, said(7)), "news")
        self.assertEqual((self.peer().address, self.peer().generation), (CABLE, 70))

    def test_an_address_that_answered_stays_while_it_is_heard(self) -> None:
        for now in range(1, 300):
            self.hear(now, RADIO, said(5 + now, beat=0.2))
            if now % 30 == 0:
                self.hear(now + 0.5, CABLE, said(6 + now))
            self.assertEqual(self.peer().address, CABLE)

    def test_a_beat_made_up_shortens_nothing(self) -> None:
        self.hear(1, CABLE, said(6, beat=0.2))
        self.assertEqual(self.peers.expire(89), [])

    def test_another_port_is_forged(self) -> None:
        self.assertEqual(self.hear(1, CABLE, said(6, port=9100)), "forged")
        self.assertEqual(self.peer().port, REST.port)

    def test_another_epoch_is_a_claim_until_its_address_says_so(self) -> None:
        self.assertEqual(self.hear(1, CABLE, said(1, epoch=2)), "claimed")
        self.assertIsNone(self.answer(1, CABLE, EPOCH))
        self.assertEqual(self.peer().epoch, EPOCH)
        self.hear(2, CABLE, said(1, epoch=2))
        self.assertEqual(self.answer(2, CABLE, f"{2:08x}"), "restarted")
        self.assertEqual((self.peer().epoch, self.peer().proved), (f"{2:08x}", True))

    def test_another_epoch_and_port_is_a_claim_too(self) -> None:
        self.assertEqual(self.hear(1, CABLE, said(1, epoch=2, port=9100)), "claimed")
        self.peers.unanswered(1, CABLE, 9100)
        self.assertIsNone(self.answer(1, CABLE, f"{2:08x}", 9100))
        self.assertEqual((self.peer().epoch, self.peer().port), (EPOCH, REST.port))

    def test_another_id_at_its_address_and_port_is_a_claim(self) -> None:
        self.assertEqual(self.hear(1, CABLE, said(1, node=8, epoch=2)), "claimed")
        self.assertIsNone(self.answer(1, CABLE, EPOCH))
        self.assertEqual([peer.node for peer in self.peers.all()], [NODE])

    def test_the_id_that_its_address_has_now_replaces_the_old_one(self) -> None:
        self.hear(1, CABLE, said(1, node=8, epoch=2))
        self.assertEqual(self.answer(1, CABLE, f"{2:08x}"), "came")
        self.assertEqual([peer.node for peer in self.peers.all()], [said(node=8).node])
        self.assertEqual([peer.node for peer in self.peers.take_pushed_out()], [NODE])

    def test_a_port_made_up_while_it_was_away_is_not_held_against_its_address(self) -> None:
        self.peers.remove(NODE)
        self.hear(10, CABLE, said(20, port=9100))
        self.peers.unanswered(10, CABLE, 9100)
        self.hear(11, LOCAL, said(21))
        self.hear(11, CABLE, said(21))
        self.assertEqual((self.peer().address, self.peer().port), (CABLE, REST.port))

    def test_its_epoch_under_another_id_is_forged(self) -> None:
        self.assertEqual(self.hear(1, CABLE, said(6, node=8)), "forged")

    def test_claims_are_bounded(self) -> None:
        for number in range(20_000):
            self.hear(1, CABLE, said(1, node=100 + number, epoch=2 + number, port=REST.port))
            self.hear(1, CABLE, said(1, epoch=2 + number, port=1 + number % 9_999))
        claims = self.peers._claims
        self.assertLessEqual(len(claims), 256)
        self.assertTrue(all(len(one) <= 4 for one in claims.values()))


class MovedTests(PeersTestCase):
    """A peer gets another address, or another start."""

    def setUp(self) -> None:
        super().setUp()
        for address in (CABLE, LOCAL):
            self.hear(0, address, said(1))
        self.peers.answered(0, CABLE, REST.port, EPOCH)
        self.peers.take_doubted()

    def test_the_old_address_is_doubted_once_the_new_one_is_heard(self) -> None:
        self.hear(10, LOCAL, said(2))
        self.hear(10, RADIO, said(2))
        self.assertEqual(set(self.peers.take_doubted()), {NODE})
        self.assertTrue(self.peers.is_missed(NODE))
        self.assertEqual(self.peers.elsewhere(NODE), [RADIO, LOCAL])
        self.peers.unanswered(11, CABLE, REST.port)
        self.assertEqual(self.peer().address, RADIO)
        self.assertFalse(self.peers.is_missed(NODE))

    def test_also_right_after_it_was_heard_at_the_old_one(self) -> None:
        for address in (CABLE, LOCAL):
            self.hear(10, address, said(2))
        self.hear(10.1, LOCAL, said(3))
        self.assertEqual(self.peers.take_doubted(), [NODE])
        self.assertTrue(self.peers.is_missed(NODE))
        self.hear(10.2, RADIO, said(4))
        self.assertEqual(self.peers.take_doubted(), [NODE])
        self.hear(10.3, RADIO, said(5))
        self.assertEqual(self.peers.take_doubted(), [NODE], "one look may be too early")

    def test_it_has_moved_once_it_answers_where_it_was_heard(self) -> None:
        self.hear(10, RADIO, said(2))
        self.assertFalse(self.peers.has_moved(NODE))
        self.peers.answered(10, RADIO, REST.port, EPOCH)
        self.assertTrue(self.peers.has_moved(NODE))
        self.assertEqual(self.peer().address, CABLE, "it may be at both")
        self.peers.unanswered(11, CABLE, REST.port)
        self.assertEqual(self.peer().address, RADIO)
        self.assertFalse(self.peers.has_moved(NODE))

    def test_it_has_not_where_it_is_heard_at_its_address_again(self) -> None:
        self.hear(10, RADIO, said(2))
        self.peers.answered(10, RADIO, REST.port, EPOCH)
        self.hear(11, CABLE, said(3))
        self.assertFalse(self.peers.has_moved(NODE))
        self.assertEqual(self.peer().address, CABLE)

    def test_nor_where_nobody_answers_in_its_name(self) -> None:
        self.hear(10, RADIO, said(2))
        self.peers.unanswered(10, RADIO, REST.port)
        self.assertFalse(self.peers.has_moved(NODE))

    def test_back_at_its_first_address_it_is_found_there_again(self) -> None:
        self.hear(10, RADIO, said(2))
        self.peers.answered(10, RADIO, REST.port, EPOCH)
        self.peers.unanswered(11, CABLE, REST.port)
        self.peers.take_doubted()
        self.hear(20, CABLE, said(3))
        self.assertEqual(self.peers.take_doubted(), [NODE])
        self.assertEqual(self.peers.elsewhere(NODE), [CABLE])
        self.peers.answered(20, CABLE, REST.port, EPOCH)
        self.peers.unanswered(21, RADIO, REST.port)
        self.assertEqual(self.peer().address, CABLE)

    def test_where_it_could_not_be_connected_to_is_looked_at_when_it_is_heard_there(self) -> None:
        self.peers.unanswered(11, CABLE, REST.port)
        self.hear(12, LOCAL, said(2))
        self.peers.take_promising()
        self.hear(20, CABLE, said(3))
        self.assertEqual(self.peers.take_promising(), [(CABLE, REST.port)])

    def test_it_is_looked_at_where_it_never_answered_once_the_other_is_out_of_reach(self) -> None:
        self.peers.networks_changed(lambda address: address == LOCAL)
        self.assertEqual(self.peers.take_promising(), [(LOCAL, REST.port)])
        self.assertEqual(self.peer().address, LOCAL)

    def test_also_once_the_other_was_silent_for_long(self) -> None:
        for now in range(30, 150, 30):
            self.hear(now, LOCAL, said(now))
        self.assertIn((LOCAL, REST.port), self.peers.take_promising())

    def test_a_better_address_than_the_one_that_answered_is_to_be_looked_at(self) -> None:
        self.hear(0, OTHER_LOCAL, said(1, node=8))
        self.peers.answered(0, OTHER_LOCAL, REST.port, EPOCH)
        self.assertEqual(self.peers.take_promising(), [])
        self.hear(0, RADIO, said(1, node=8))
        self.assertEqual(self.peers.take_promising(), [(RADIO, REST.port)])
        known = self.peers.get(said(node=8).node)
        self.assertEqual(known and known.address, OTHER_LOCAL)
        self.peers.answered(0, RADIO, REST.port, EPOCH)
        known = self.peers.get(said(node=8).node)
        self.assertEqual(known and known.address, RADIO)

    def test_also_once_the_best_cannot_be_connected_to(self) -> None:
        self.peers.answered(0, LOCAL, REST.port, EPOCH)
        self.hear(10, RADIO, said(2))
        self.hear(10, LOCAL, said(2))
        self.peers.unanswered(11, CABLE, REST.port)
        self.assertEqual(self.peers.take_promising(), [(RADIO, REST.port)])
        self.peers.answered(11, RADIO, REST.port, EPOCH)
        self.assertEqual(self.peer().address, RADIO)

    def test_also_if_that_was_heard_before_the_other_answered(self) -> None:
        self.hear(0, OTHER_LOCAL, said(1, node=8))
        self.hear(0, RADIO, said(1, node=8))
        self.peers.answered(0, OTHER_LOCAL, REST.port, EPOCH)
        self.assertEqual(self.peers.take_promising(), [(RADIO, REST.port)])

    def test_it_is_not_missed_while_it_is_heard_too(self) -> None:
        self.hear(10, RADIO, said(2))
        self.hear(10, CABLE, said(2))
        self.assertFalse(self.peers.is_missed(NODE))
        self.assertEqual(self.peer().address, CABLE)

    def test_one_that_cannot_be_connected_to_is_as_good_again_after_a_while(self) -> None:
        self.peers.unanswered(10, CABLE, REST.port)
        self.assertEqual(self.peer().address, LOCAL)
        for now in range(30, 400, 30):
            for address in (CABLE, LOCAL):
                self.hear(now, address, said(now))
        self.assertEqual(self.peer().address, CABLE)

    def test_who_can_be_connected_to_nowhere_may_be_somewhere_else_at_once(self) -> None:
        self.assertEqual(self.hear(10, RADIO, said(1, epoch=2)), "elsewhere")
        self.assertEqual(self.peers.take_doubted(), [NODE])
        for address in (CABLE, LOCAL):
            self.peers.unanswered(11, address, REST.port)
        self.assertEqual(self.hear(12, RADIO, said(2, epoch=2)), "came")
        self.assertEqual((self.peer().address, self.peer().epoch), (RADIO, f"{2:08x}"))


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
            at_address = peers._at_address
            self.assertEqual(
                sum(map(len, at_address.values())), sum(len(one.addresses) for one in known)
            )
            self.assertTrue(all(0 < len(nodes) <= 2 for nodes in at_address.values()))
            self.assertEqual(
                peers._by_ipv6_alone, sum(one.by_ipv6_alone for one in peers._known.values())
            )
            self.assertTrue(all(one.addresses for one in known))
            expected = min((one.expires for one in known), default=None)
            self.assertEqual(peers.next_expiry(), expected)
