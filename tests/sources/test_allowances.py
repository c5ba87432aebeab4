"""Nobody has more fetched at a time, or in a day, than is good for the others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.sources.allowances import MOST_AT_A_TIME, MOST_OF_ONE, Allowances

DAY = 86_400.0
GIB = 1 << 30


class AtATime(SynchronousTestCase):
    def test_one_has_so_many_and_the_others_theirs(self) -> None:
        allowances = Allowances()
        for _ in range(MOST_OF_ONE):
            self.assertTrue(allowances.has_place("a"))
            allowances.begin("a")
        self.assertFalse(allowances.has_place("a"))
        self.assertTrue(allowances.has_place("b"))
        allowances.end("a", 0, 0.0)
        self.assertTrue(allowances.has_place("a"))

    def test_all_together_have_theirs(self) -> None:
        allowances = Allowances()
        for number in range(MOST_AT_A_TIME):
            allowances.begin(f"10.0.0.{number}")
        self.assertFalse(allowances.has_place("new"))

    def test_a_network_of_ipv6_is_one(self) -> None:
        allowances = Allowances()
        for number in range(MOST_OF_ONE):
            allowances.begin(f"fd00::{number:x}")
        self.assertFalse(allowances.has_place("fd00::ffff"))
        self.assertTrue(allowances.has_place("fd00:0:0:1::1"))


class InADay(SynchronousTestCase):
    def test_who_has_had_enough_waits_for_it(self) -> None:
        allowances = Allowances(GIB)
        allowances.begin("a")
        allowances.end("a", GIB, 0.0)
        self.assertTrue(allowances.is_spent("a", 0.0))
        self.assertFalse(allowances.is_spent("b", 0.0))
        self.assertFalse(allowances.is_spent("a", DAY / 2))
        self.assertEqual(allowances.counters["clients of a day"], 1)

    def test_all_together_have_four_times_as_much(self) -> None:
        allowances = Allowances(GIB)
        for number in range(5):
            allowances.begin(f"10.0.0.{number}")
            allowances.end(f"10.0.0.{number}", GIB - 1, 0.0)
        self.assertTrue(allowances.is_spent("new", 0.0))

    def test_without_a_bound_there_is_none(self) -> None:
        allowances = Allowances()
        allowances.begin("a")
        allowances.end("a", 1 << 50, 0.0)
        self.assertFalse(allowances.is_spent("a", 0.0))

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, GIB))))
    def test_what_began_and_ended_is_no_longer_counted(
        self, steps: list[tuple[str, bool, int]]
    ) -> None:
        allowances, running = Allowances(GIB), list[str]()
        for client, begins, size in steps:
            if begins:
                allowances.begin(client)
                running.append(client)
            elif client in running:
                running.remove(client)
                allowances.end(client, size, 0.0)
            self.assertEqual(len(allowances), len(running))
