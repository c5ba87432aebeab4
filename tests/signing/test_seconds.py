"""Signatures are of seconds that grow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.signing.seconds import next_second


class SecondsTests(SynchronousTestCase):
    def test_it_is_the_clocks(self) -> None:
        self.assertEqual(next_second(0, 1_790_000_000.9), 1_790_000_000)

    def test_a_clock_that_stands_makes_no_second_twice(self) -> None:
        self.assertEqual(next_second(1_790_000_000, 1_790_000_000.9), 1_790_000_001)

    @given(st.lists(st.floats(0, 4e9), min_size=2, max_size=20))
    def test_whatever_the_clock_does_each_is_later_than_the_one_before(
        self, clock: list[float]
    ) -> None:
        seconds = [0]
        for now in clock:
            seconds.append(next_second(seconds[-1], now))
        self.assertEqual(seconds, sorted(set(seconds)))
