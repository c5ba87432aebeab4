"""Whose inventory is read, and that those who drip only ever wait for each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.neighbours.turns import (
    AT_ONCE,
    FAR_AT_ONCE,
    HASTE,
    MOST,
    MOST_FAILED,
    PENANCE,
    Turn,
    Turns,
)


class TurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns = Turns()

    def ask(self, *addresses: str, far: bool = False) -> list[Turn]:
        asked = [Turn(address, far) for address in addresses]
        for turn in asked:
            self.turns.wait(turn)
        return asked

    def begun(self, now: float) -> list[str]:
        return [turn.address for turn in self.turns.give(now)[0]]

    def test_a_few_begin_at_once_in_the_order_of_asking(self) -> None:
        self.ask(*"abcdef")
        self.assertEqual(self.begun(0), list("abcd"))
        self.assertEqual(self.begun(0), [])
        self.assertEqual(self.turns.due(0.1), HASTE - 0.1)

    def test_few_of_other_networks_begin_beside_them(self) -> None:
        self.ask("A", "B", "C", far=True)
        self.ask(*"abcde")
        self.assertEqual(self.begun(0), [*"abcd", "A", "B"])
        self.assertEqual(self.begun(HASTE), ["e"])

    def test_however_slow_those_of_other_networks_are_they_end_for_nobody(self) -> None:
        far = self.ask("A", "B", "C", far=True)
        self.ask(*"abcdefghi")
        for number in range(4):
            begun, ended = self.turns.give(number * HASTE)
            self.assertEqual(set(far).intersection(ended), set())
            self.assertEqual(sum(turn.far for turn in begun), FAR_AT_ONCE if number == 0 else 0)
            for turn in begun:
                turn.size = 0 if turn.far else 10
        self.turns.ended(far[0], 9, failed=False)
        self.assertEqual(self.begun(9), ["C"])

    def test_nobody_waits_for_the_moment_of_one_that_is_far(self) -> None:
        self.ask("A", far=True)
        self.turns.give(0)
        self.ask("B", "C", far=True)
        self.turns.give(0)
        self.assertIsNone(self.turns.due(0))

    def test_slow_ones_go_on_beside_those_that_begin(self) -> None:
        self.ask(*"abcdefgh")
        self.turns.give(0)
        self.assertEqual(self.turns.give(HASTE)[1], [])

    def test_of_too_many_slow_ones_the_slowest_ends(self) -> None:
        asked = self.ask(*"abcdefghi")
        self.turns.give(0)
        self.turns.give(HASTE)
        for turn in asked:
            turn.size = 10
        asked[2].size = 1
        begun, ended = self.turns.give(2 * HASTE)
        self.assertEqual(([turn.address for turn in begun], ended), (["i"], [asked[2]]))

    def test_one_that_is_all_here_is_not_slow(self) -> None:
        asked = self.ask(*"abcdefghi")
        self.turns.give(0)
        self.turns.give(HASTE)
        for turn in asked[:4]:
            turn.safe = True
        _, ended = self.turns.give(2 * HASTE)
        self.assertIn(ended[0], asked[4:8])

    def test_an_address_has_one_turn_at_a_time(self) -> None:
        first, _ = self.ask("a", "a")
        self.assertEqual(self.begun(0), ["a"])
        self.assertIsNone(self.turns.due(0))
        self.turns.ended(first, 1, failed=False)
        self.assertEqual(self.begun(1), ["a"])

    def test_one_that_failed_lately_comes_after_all_others(self) -> None:
        [bad] = self.ask("bad")
        self.turns.give(0)
        self.turns.ended(bad, 0, failed=True)
        self.ask("bad", *"abcd")
        self.assertEqual(self.begun(PENANCE - 1), list("abcd"))

    def test_its_failure_is_forgotten(self) -> None:
        [bad] = self.ask("bad")
        self.turns.give(0)
        self.turns.ended(bad, 0, failed=True)
        self.ask("bad", *"abcd")
        self.assertEqual(self.begun(PENANCE), ["bad", *"abc"])

    def test_what_is_remembered_of_failures_is_bounded(self) -> None:
        for at in range(MOST_FAILED + 10):
            [turn] = self.ask(str(at))
            self.turns.give(at * HASTE)
            self.turns.ended(turn, at * HASTE, failed=True)
        self.assertEqual(len(self.turns._failed), MOST_FAILED)

    @given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.floats(0, 1), st.booleans())))
    def test_whatever_comes_the_bounds_hold(self, asked: list[tuple[str, float, bool]]) -> None:
        turns, now = Turns(), 0.0
        running: list[Turn] = []
        for address, pause, ends in asked:
            now += pause
            turns.wait(Turn(address))
            begun, ended = turns.give(now)
            running = [turn for turn in running + begun if turn not in ended]
            addresses = [turn.address for turn in running]
            self.assertLessEqual(len(running), MOST)
            self.assertEqual(len(set(addresses)), len(addresses))
            self.assertLessEqual(sum(now - one.began < HASTE for one in running), AT_ONCE)
            if ends and running:
                turns.ended(running.pop(0), now, failed=ends)
