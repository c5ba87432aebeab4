"""Replicas follow what peers say: gaps are mended once, and who is gone holds nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.datagrams.messages import Announcement, Kind
from flocon.errors import Unreachable
from flocon.neighbours.neighbourhood import DATABASES, FAREWELL, RELAY, SLICE
from flocon.neighbours.replicas import Holders, Replica
from flocon.presence.peer import Peer
from flocon.presence.presence_events import Claimed, Namesake, PeerLeft, PeerRestarted
from tests.neighbours.fakes import NeighbourhoodTestCase, change, peer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flocon.holdings.inventory import Change


class Crowds(NeighbourhoodTestCase):
    def test_one_more_than_are_kept_is_left_out_and_not_read_at_each_beat(self) -> None:
        self.neighbourhood.holders = Holders(most_holders=1)
        self.known(peer("a"), 1, change(1))
        surplus = peer("b")
        self.known(surplus, 1, change(1))
        self.assertHolding(change(1), "a")
        asked = len(self.client.asked)
        for generation in range(1, 20):
            self.hear(surplus, generation, 1)
        self.assertEqual(len(self.client.asked), asked)
        self.assertEqual(self.neighbourhood.holders.overflowed, 1)

    def test_what_was_held_before_a_reading_is_cleared_too(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 9, 1)
        self.client.answer(9, change(2), whole=True)
        self.settle()
        self.assertEqual(len(self.neighbourhood.holders), 1)


class News(NeighbourhoodTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.news = 0
        #: The names of each, None where it may be anything.
        self.named: list[list[str] | None] = []
        self.neighbourhood.news = self.note

    def note(self, changes: Iterable[Change] | None) -> None:
        self.news += 1
        self.named.append(None if changes is None else [one.file_name for one in changes])

    def test_what_is_read_of_a_peer_and_what_it_announces_is_news(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.assertEqual(self.news, 1)
        self.hear(a, 2, 2, change(2))
        self.assertEqual(self.news, 2)
        self.assertHolding(change(2), "a")
        self.assertEqual(self.named, [None, [change(2).file_name]])

    def test_what_changed_since_it_was_read_is_named(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 9, 2)
        self.client.answer(9, change(2), whole=False)
        self.settle()
        self.assertEqual(self.named, [None, [change(2).file_name]])

    def test_that_somebody_is_gone_is_news(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.neighbourhood.event(PeerLeft(a, "expired"))
        self.assertEqual(self.named, [None, None])

    def test_a_beat_is_none(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 1, 1)
        self.assertEqual(self.news, 1)


class Leaving(NeighbourhoodTestCase):
    def test_who_leaves_holds_nothing_at_once(self) -> None:
        a, b = peer("a"), peer("b")
        self.known(a, 1, change(1))
        self.known(b, 1, change(1))
        self.leave(a)
        self.assertHolding(change(1), "b")

    def test_what_it_held_is_cleared_a_slice_at_a_time(self) -> None:
        a = peer("a")
        self.known(a, 3, *map(change, range(3)))
        holders = self.neighbourhood.holders
        sweep = holders.sweep
        self.patch(holders, "sweep", lambda: sweep(1))
        self.leave(a, "expired")
        self.assertEqual(len(holders), 3)
        self.clock.advance(0)
        self.assertEqual(len(holders), 2)
        self.clock.advance(0.01)
        self.assertEqual(len(holders), 1)
        self.clock.pump([0.01] * 5)
        self.assertEqual((len(holders), self.clock.getDelayedCalls()), (0, []))

    def test_who_leaves_is_not_read_to_the_end(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.leave(a)
        self.assertEqual(self.client.cancelled, 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_who_restarts_is_read_anew(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        again = replace(a, epoch="1" * 8)
        self.tell(PeerRestarted(again))
        self.assertHolding(change(1))
        self.hear(again, 1, 1)
        self.client.answer(1, change(2), whole=True, epoch=again.epoch)
        self.settle()
        self.assertHolding(change(2), "a")

    def test_who_restarts_while_it_is_read_is_read_once_more(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        again = replace(a, epoch="1" * 8)
        self.tell(PeerRestarted(again))
        self.hear(again, 1, 1)
        self.client.answer(1, change(1), whole=True)
        self.settle()
        self.assertHolding(change(1))
        self.assertEqual(len(self.client.asked), 2)
        self.client.answer(1, change(2), whole=True, epoch=again.epoch)
        self.settle()
        self.assertHolding(change(2), "a")

    def test_what_it_held_is_kept_for_a_moment_after_its_bye(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.leave(a)
        self.clock.advance(FAREWELL - 1)
        self.come(replace(a, proved=False))
        self.hear(a, 1, 1)
        self.assertHolding(change(1), "a")
        self.clock.advance(FAREWELL)
        self.assertHolding(change(1), "a")
        self.assertEqual(self.client.asked, [(a.address, None), (a.address, 1)])

    def test_but_not_if_it_has_restarted(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.leave(a)
        self.come(replace(a, epoch="1" * 8))
        self.assertHolding(change(1))

    def test_what_it_held_is_forgotten_after_that(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.leave(a)
        self.clock.advance(FAREWELL)
        self.settle()
        self.assertIsNone(self.neighbourhood.holders.replica("a"))

    def test_stopping_ends_every_reading(self) -> None:
        for who in (peer("a"), peer("b")):
            self.come(who)
            self.hear(who, 1, 1)
        self.neighbourhood.stop()
        self.assertEqual(self.client.cancelled, 2)


class Asking(NeighbourhoodTestCase):
    def test_nobody_is_asked_of_whom_only_a_datagram_has_told(self) -> None:
        able = {"databases": (("core", "0"),), "abilities": frozenset({RELAY, DATABASES})}
        self.come(peer("a", proved=False, **able))
        self.assertEqual(self.neighbourhood.able("core"), [])
        self.assertEqual(self.neighbourhood.sharing("core"), [])

    def test_nobody_is_asked_to_bring_what_is_private(self) -> None:
        able = {"databases": (("ours", "0"),), "abilities": frozenset({RELAY, DATABASES})}
        self.come(peer("a", **able))
        self.neighbourhood.is_private = {"ours"}.__contains__
        self.assertEqual(self.neighbourhood.able("ours"), [])
        self.assertEqual(self.neighbourhood.sharing("ours"), [])

    def nodes(self, found: list[Peer]) -> list[str]:
        return [who.node for who in found]

    def test_another_content_of_the_same_name_is_not_held(self) -> None:
        self.known(peer("a"), 1, change(1))
        self.assertHolding(replace(change(1), content=change(2).content))

    def test_who_is_held_off_is_left_out_of_every_answer(self) -> None:
        able = {"databases": (("core", "0"),), "abilities": frozenset({RELAY, DATABASES})}
        for node in ("a", "b"):
            self.known(peer(node, **able), 1, change(1))
        self.held_off.add("a")
        self.assertHolding(change(1), "b")
        self.assertEqual(self.nodes(self.neighbourhood.able("core")), ["b"])
        self.assertEqual(self.nodes(self.neighbourhood.sharing("core")), ["b"])
        self.held_off.clear()
        self.assertHolding(change(1), "a", "b")

    def test_only_who_relays_and_knows_the_repository_fetches_for_others(self) -> None:
        relay = frozenset({RELAY})
        self.come(peer("a", databases=(("core", "0"),), abilities=relay))
        self.come(peer("b", databases=(("core", "0"),)))
        self.come(peer("c", databases=(("extra", "0"),), abilities=relay))
        self.assertEqual(self.nodes(self.neighbourhood.able("core")), ["a"])

    def test_only_who_shares_databases_and_has_this_one_is_asked_for_it(self) -> None:
        sharing = frozenset({DATABASES})
        self.come(peer("a", databases=(("core", "0"),), abilities=sharing))
        self.come(peer("b", databases=(("core", "0"),), abilities=frozenset({RELAY})))
        self.come(peer("c", databases=(("extra", "0"),), abilities=sharing))
        self.assertEqual(self.nodes(self.neighbourhood.sharing("core")), ["a"])


class Elsewhere(NeighbourhoodTestCase):
    """Whoever answers in a peer's name at another address may be another machine."""

    ELSEWHERE = "10.0.0.66"

    def setUp(self) -> None:
        super().setUp()
        self.one = peer("a")
        self.presence.also["a"] = self.ELSEWHERE

    def ask_elsewhere(self) -> None:
        self.tell(Claimed(self.ELSEWHERE, self.one.port))
        self.clock.advance(0)
        self.assertEqual(self.client.asked[-1][0], self.ELSEWHERE)

    def test_a_whole_inventory_from_there_changes_nothing_of_what_it_holds(self) -> None:
        self.known(self.one, 5, change(1))
        self.ask_elsewhere()
        self.client.answer(900, change(2), whole=True)
        self.settle()
        self.assertHolding(change(1), "a")
        self.assertHolding(change(2))
        self.hear(self.one, 6, 2, change(3))
        self.assertHolding(change(3), "a")

    def test_changes_from_there_change_nothing_of_what_it_holds(self) -> None:
        self.known(self.one, 5, change(1))
        self.ask_elsewhere()
        self.client.answer(5, change(1, held=False), change(2), whole=False)
        self.settle()
        self.assertHolding(change(1), "a")
        self.assertHolding(change(2))

    def test_what_it_was_heard_to_hold_there_first_is_asked_of_its_own_address(self) -> None:
        self.come(self.one)
        self.ask_elsewhere()
        self.client.answer(900, change(2), whole=True)
        self.settle()
        self.assertEqual(self.client.asked[-1], (self.one.address, None))
        self.client.answer(1, change(1), whole=True)
        self.settle()
        self.assertHolding(change(1), "a")
        self.assertHolding(change(2))

    def test_what_still_comes_from_there_is_dropped_once_its_own_address_was_read(self) -> None:
        self.come(self.one)
        self.ask_elsewhere()
        self.hear(self.one, 1, 1)
        own, elsewhere = self.client.answers[0], self.client.answers[-1]
        if self.client.asked[0][0] == self.ELSEWHERE:
            own, elsewhere = elsewhere, own
        made_up = [change(number) for number in range(100, 100 + 3 * SLICE)]
        self.client.answers = [elsewhere]
        self.client.answer(900, *made_up, whole=True)
        self.client.answers = [own]
        self.client.answer(1, change(1), whole=True)
        self.settle()
        self.assertHolding(change(1), "a")
        self.assertHolding(made_up[-1])
        replica = self.neighbourhood.holders.replica("a")
        self.assertEqual(replica, Replica(1, 1, 1))

    def test_one_that_is_found_at_its_next_address_is_read_there_as_a_whole(self) -> None:
        self.presence.also.clear()
        self.known(self.one, 5, change(1))
        self.presence.next["a"] = self.ELSEWHERE
        self.neighbourhood.unreachable("a", self.one.address)
        self.clock.advance(0)
        self.client.answer(5, whole=False)
        self.settle()
        self.assertEqual(self.client.asked[-1], (self.ELSEWHERE, None))
        self.assertHolding(change(1), "a")
        self.client.answer(5, change(2), whole=True)
        self.settle()
        self.assertHolding(change(1))
        self.assertHolding(change(2), "a")


class Looking(NeighbourhoodTestCase):
    """What a datagram says is looked up where it says that somebody is, and seldom."""

    def test_what_an_address_answers_is_told_to_presence(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.assertEqual(self.presence.answers, [(a.address, a.port, a.epoch)])

    def test_a_claim_is_looked_up_by_what_changed_since(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.tell(Claimed(a.address, a.port))
        self.clock.advance(0)
        self.assertEqual(self.client.asked[-1], (a.address, 5))
        self.client.answer(5, whole=False, epoch="f" * 8)
        self.assertEqual(self.presence.answers[-1], (a.address, a.port, "f" * 8))
        self.assertHolding(change(1), "a")

    def test_nobody_has_a_third_machine_connected_to_often(self) -> None:
        for number in range(232):
            who = peer(f"a{number}", port=9100)
            self.come(who)
            self.hear(who, 1, 1)
            if not self.client.answers[-1].called:
                self.client.answers[-1].errback(Unreachable("a", "refused"))
            self.clock.advance(0.5)
            if number % 2:
                self.leave(who)
        self.assertLessEqual(len(self.client.asked), 3)

    def test_nor_a_thousand_machines_each_once(self) -> None:
        for number in range(1_000):
            who = peer(f"a{number}", address=f"10.1.{number // 250}.{number % 250}")
            self.come(who)
            self.hear(who, 1, 1)
            for answer in self.client.answers:
                if not answer.called:
                    answer.errback(Unreachable("a", "refused"))
            self.clock.advance(0.01)
        self.assertLessEqual(len(self.client.asked), 128 + 10 + 16)

    def test_one_that_could_not_be_connected_to_is_asked_at_its_next_address(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.presence.next["a"] = "10.0.9.9"
        self.neighbourhood.unreachable("a", a.address)
        found = self.neighbourhood.holding(change(1).file_name, change(1).content)
        self.assertEqual([one.address for one in found], ["10.0.9.9"])
        self.clock.advance(0)
        self.assertEqual(self.client.asked[-1], ("10.0.9.9", 5))

    def test_one_that_has_no_other_stays_where_it_is(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.neighbourhood.unreachable("a", a.address)
        self.clock.advance(0)
        self.assertEqual(len(self.client.asked), 1)
        self.assertHolding(change(1), "a")

    def test_another_machine_with_this_nodes_id_is_believed_once_it_answers_so(self) -> None:
        told: list[str] = []
        self.neighbourhood.namesake = lambda address, said: told.append(f"{address} {said.epoch}")
        other = Announcement(Kind.BEAT, "0" * 16, "b" * 8, 1, "twin", 19432, "arch", (), 30.0, 7, 7)
        for epoch in ("c" * 8, "b" * 8):
            self.tell(Namesake("10.0.0.5", other))
            self.clock.advance(20)
            self.client.answer(7, whole=False, epoch=epoch)
        self.assertEqual(told, ["10.0.0.5 " + "b" * 8])
