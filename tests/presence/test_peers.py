"""What is believed of what was heard, and of what an address answered."""

from __future__ import annotations

from dataclasses import replace

from flocon.datagrams.messages import Announcement, Kind
from tests.datagrams.test_messages import REST
from tests.presence.heard import CABLE, EPOCH, LOCAL, NODE, OTHER_LOCAL, RADIO, PeersTestCase, said


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


class UsurpedTests(PeersTestCase):
    """Somebody was there in a peer's name, and answered so, before the peer came."""

    def usurp(self, sequence: int, *, epoch: int = 1, port: int = REST.port) -> None:
        one = said(sequence, epoch=epoch, port=port, beat=3_600.0)
        self.hear(0, RADIO, one)
        self.peers.answered(0, RADIO, port, one.epoch)
        self.place = RADIO, port

    def assert_looked_at_and_gone(self, verdict: str, announcement: Announcement) -> None:
        self.assertEqual(self.hear(10, CABLE, announcement), verdict)
        self.assertEqual(self.peers.take_promising(), [self.place])
        self.peers.unanswered(11, *self.place)
        later = replace(announcement, sequence=announcement.sequence + 1)
        self.assertEqual(self.hear(12, CABLE, later), "came")
        self.assertEqual((self.peer().address, self.peer().port), (CABLE, REST.port))

    def test_by_another_port_it_is_known_once_nobody_is_there(self) -> None:
        self.usurp(5, port=9_100)
        self.assert_looked_at_and_gone("forged", said(8))

    def test_by_another_epoch_too(self) -> None:
        self.usurp(5, epoch=9)
        self.assert_looked_at_and_gone("elsewhere", said(8))

    def test_one_that_answers_and_says_nothing_more_is_missed_all_the_same(self) -> None:
        self.hear(0, RADIO, said(5))
        for now in range(0, 90, 10):
            self.peers.answered(now, RADIO, REST.port, EPOCH)
        self.assertEqual([one.node for one in self.peers.expire(90)], [NODE])

    def test_by_a_small_number_too(self) -> None:
        self.usurp(5)
        self.assert_looked_at_and_gone("leapt", said(100_000))


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
        claims = self.peers._claims._at
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

    def test_it_is_heard_though_all_its_places_are_taken_by_who_speaks_in_its_name(self) -> None:
        for number in range(10, 16):
            self.hear(10, f"10.0.0.{number}", said(2))
        self.peers.take_promising()
        moved = "10.0.0.99"
        self.assertEqual(self.hear(15, moved, said(3)), "crowded")
        self.assertEqual(self.peers.take_promising(), [(CABLE, REST.port)])
        self.peers.unanswered(16, CABLE, REST.port)
        self.assertEqual(self.hear(20, moved, said(4)), "news")

    def test_it_is_looked_at_once_more_where_it_went_on_before_it_was_seen_to_answer(self) -> None:
        for number in (10, 11):
            self.hear(number, f"10.0.0.{number}", said(number))
        for address in (CABLE, LOCAL, "10.0.0.10"):
            self.peers.unanswered(12, address, REST.port)
        self.peers.take_promising()
        self.hear(15, "10.0.0.12", said(12))
        self.assertEqual(self.peers.take_promising(), [("10.0.0.11", REST.port)])
        self.peers.unanswered(16, "10.0.0.11", REST.port)
        self.assertEqual(self.peers.take_promising(), [("10.0.0.12", REST.port)])
        self.peers.unanswered(16, "10.0.0.12", REST.port)
        self.hear(17, "10.0.0.13", said(13))
        self.assertEqual(self.peers.take_promising(), [("10.0.0.13", REST.port)])

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

    def test_also_where_another_as_good_has_answered_since_and_is_heard_as_well(self) -> None:
        self.hear(10, RADIO, said(2))
        self.peers.answered(10, RADIO, REST.port, EPOCH)
        self.peers.unanswered(11, CABLE, REST.port)
        self.peers.take_promising()
        self.hear(20, RADIO, said(3))
        self.hear(20, CABLE, said(3))
        self.assertEqual(self.peers.take_promising(), [(CABLE, REST.port)])
        self.peers.answered(20, CABLE, REST.port, EPOCH)
        self.assertEqual(self.peer().address, CABLE)

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
