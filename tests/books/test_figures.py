"""How long things took, by steps."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.books.figures import Spans


class Counting(SynchronousTestCase):
    def test_each_is_counted_up_to_its_bound_and_in_all_above(self) -> None:
        spans = Spans((1.0, 2.0))
        for seconds in (0.5, 1.0, 1.5, 99.0):
            spans.add(seconds)
        self.assertEqual(spans.cumulative(), [(1.0, 2), (2.0, 3), (float("inf"), 4)])
        self.assertEqual(spans.sum, 102.0)

    def test_a_clock_that_went_back_takes_nothing_off_the_sum(self) -> None:
        spans = Spans((1.0,))
        spans.add(-5.0)
        self.assertEqual((spans.sum, spans.cumulative()[0]), (0.0, (1.0, 1)))
