"""Which inventories are read, when, and what becomes of an answer."""

from __future__ import annotations

from dataclasses import replace

from flocon.errors import Unreachable
from flocon.neighbours import neighbourhood as module
from flocon.neighbours import replicas
from flocon.neighbours.readings import FIRST_WAIT
from flocon.presence.presence_events import PeerLeft
from tests.neighbours.fakes import NeighbourhoodTestCase, change, peer


class Reading(NeighbourhoodTestCase):
    def test_a_newcomers_inventory_is_read_whole_and_once(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 2, 2)
        self.hear(a, 2, 2)
        self.assertEqual(self.client.asked, [(a.address, None)])
        self.client.answer(2, change(1), change(2), whole=True)
        self.settle()
        self.assertHolding(change(1), "a")
        self.hear(a, 2, 2)
        self.assertEqual(len(self.client.asked), 1)

    def test_files_that_are_told_are_taken_without_asking(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        for generation in (3, 3):
            self.hear(a, generation, 3, change(2), change(3))
            for number in (1, 2, 3):
                self.assertHolding(change(number), "a")
        self.assertEqual(len(self.client.asked), 1)

    def test_those_that_are_gone_stay_until_it_says_so_itself(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        for generation in (3, 3):
            self.hear(a, generation, 1, change(1, held=False), change(2))
            self.assertHolding(change(1), "a")
            self.assertHolding(change(2), "a")
        self.assertEqual(self.client.asked[1:], [(a.address, 1)])
        self.client.answer(3, change(1, held=False), change(2), whole=False)
        self.settle()
        self.assertHolding(change(1))
        self.assertHolding(change(2), "a")

    def test_who_has_it_still_is_asked_before_who_has_it_no_more_by_a_datagram(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.known(peer("b"), 1, change(1))
        self.hear(a, 2, 0, change(1, held=False))
        self.assertHolding(change(1), "b")

    def test_what_it_denies_to_be_gone_is_held(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.known(peer("b"), 1, change(1))
        self.hear(a, 2, 0, change(1, held=False))
        self.hear(a, 2, 0, change(1, held=False))
        self.client.answer(1, whole=False)
        self.settle()
        self.assertHolding(change(1), "a", "b")

    def test_where_others_told_of_its_generation_first_it_is_asked(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 2, 2, change(66))
        self.hear(a, 2, 2, change(2))
        self.assertEqual(self.client.asked[1:], [(a.address, 1)])
        self.client.answer(2, change(2), whole=False)
        self.settle()
        self.assertHolding(change(2), "a")
        self.hear(a, 2, 3, change(2))
        self.assertEqual(len(self.client.asked), 2)

    def test_a_gap_is_mended_by_what_changed_since(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 4, 3, change(4))
        self.hear(a, 5, 4, change(5))
        self.assertEqual(self.client.asked[1:], [(a.address, 1)])
        self.client.answer(5, change(2), change(3), change(4), change(5), whole=False)
        self.settle()
        for number in (1, 2, 3, 4, 5):
            self.assertHolding(change(number), "a")

    def test_a_whole_answer_to_a_gap_replaces_what_was_known(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 9_000, 1)
        self.client.answer(9_000, change(2), whole=True)
        self.settle()
        self.assertHolding(change(1))
        self.assertHolding(change(2), "a")

    def test_what_is_told_while_it_is_read_is_taken_as_well(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 4, 3)
        self.hear(a, 2, 2, change(9))
        self.client.answer(4, change(9), change(2), whole=False)
        self.settle()
        self.assertHolding(change(2), "a")
        self.assertHolding(change(9), "a")

    def test_changes_since_another_generation_than_was_read_are_discarded(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 4, 3)
        self.neighbourhood.holders.replace("a", 3, [change(3)], account=a.address)
        self.client.answer(4, change(2), whole=False)
        self.settle()
        self.assertHolding(change(2))
        self.assertHolding(change(3), "a")

    def test_an_inventory_of_another_start_is_discarded(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.client.answer(1, change(1), whole=True, epoch="f" * 8)
        self.settle()
        self.assertHolding(change(1))
        self.hear(a, 1, 1)
        self.assertEqual(len(self.client.asked), 2)

    def test_a_long_inventory_is_taken_in_slices(self) -> None:
        self.patch(module, "SLICE", 2)
        a = peer("a")
        self.come(a)
        self.hear(a, 5, 5)
        self.client.answer(5, *map(change, range(5)), whole=True)
        self.assertHolding(change(1), "a")
        self.assertHolding(change(4))
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertHolding(change(4), "a")
        self.settle()
        replica = self.neighbourhood.holders.replica("a")
        self.assertEqual((replica.generation, replica.files) if replica else None, (5, 5))

    def test_all_names_of_one_address_have_the_room_of_one(self) -> None:
        self.patch(replicas, "MOST_BYTES_OF_AN_ADDRESS", 1)
        for node in "ab":
            one = replace(peer(node), address="10.0.0.9", port=19432 + ord(node))
            self.come(one)
            self.hear(one, 1, 1)
            self.client.answer(1, change(ord(node)), whole=True)
            self.settle()
            self.assertHolding(change(ord(node)), node)
        self.assertEqual(len(self.neighbourhood.holders), 1)

    def test_what_a_large_one_left_free_is_given_back(self) -> None:
        self.patch(module, "MANY", 2)
        given_back: list[None] = []
        self.neighbourhood._relieve = lambda: given_back.append(None)
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.client.answer(1, change(1), whole=True)
        self.settle()
        self.assertEqual(len(given_back), 0)
        self.hear(a, 7, 3)
        self.client.answer(7, *map(change, range(3)), whole=True)
        self.settle()
        self.assertEqual(len(given_back), 1)
        self.neighbourhood.event(PeerLeft(a, "expired"))
        self.clock.pump([0, 0.01, 0.01, 0.01])
        self.assertEqual(len(given_back), 2)

    def test_what_was_announced_meanwhile_is_read_at_once(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 700, 700)
        self.hear(a, 706, 706)
        self.assertEqual(len(self.client.asked), 1)
        self.client.answer(700, change(1), whole=True)
        self.settle()
        self.assertEqual(self.client.asked, [(a.address, None), (a.address, 700)])
        self.client.answer(706, change(2), whole=False)
        self.settle()
        self.assertHolding(change(2), "a")

    def test_what_it_answered_ahead_of_its_datagrams_is_not_read_again(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 20, 20, change(20))
        self.client.answer(250, *map(change, range(2, 20)), whole=False)
        self.settle()
        for generation in range(30, 250, 10):
            self.hear(a, generation, generation, change(generation))
        self.hear(a, 251, 251, change(251))
        self.assertEqual(len(self.client.asked), 2)
        self.assertHolding(change(251), "a")

    def test_a_generation_made_up_is_asked_for_seldom(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        for number in range(600):
            self.hear(a, (1 << 53) - 1 - number, 1)
            if self.client.answers[-1].called == 0:
                self.client.answer(1, whole=False)
            self.clock.advance(0.1)
        self.assertLess(len(self.client.asked), 1 + 10 + 60 * 0.5 + 2)
        self.hear(a, 2, 2, change(2))
        self.assertHolding(change(2), "a")

    def test_one_that_cannot_be_read_is_not_asked_again_at_once(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.client.answers[-1].errback(Unreachable("a", "x"))
        self.hear(a, 1, 1)
        self.assertEqual(len(self.client.asked), 1)
        self.clock.advance(FIRST_WAIT)
        self.assertEqual(len(self.client.asked), 2)

    def test_whatever_else_goes_wrong_is_logged_and_forgotten(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.client.answers[-1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.hear(a, 1, 1)
        self.clock.advance(FIRST_WAIT)
        self.assertEqual(len(self.client.asked), 2)
