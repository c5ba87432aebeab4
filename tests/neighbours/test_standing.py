"""How failures push a source back, how speed is remembered, and that the record is bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.dates import read_retry_after
from flocon.neighbours.standing import (
    FIRST_TERM,
    LONGEST_REST,
    LONGEST_TERM,
    MOST_SOURCES,
    RESTING_PACE,
    Standing,
)


class Ways(SynchronousTestCase):
    """How far away a source is."""

    def test_of_nobody_who_was_not_met_it_is_known(self) -> None:
        self.assertEqual(Standing().round_trip("a"), 0)

    def test_the_shortest_way_counts_at_once_and_a_longer_one_when_it_stays(self) -> None:
        standing = Standing()
        standing.met("a", 0.05)
        standing.met("a", 0.01)
        self.assertEqual(standing.round_trip("a"), 0.01)
        standing.met("a", 0.11)
        self.assertAlmostEqual(standing.round_trip("a"), 0.04)
        for _ in range(30):
            standing.met("a", 0.11)
        self.assertAlmostEqual(standing.round_trip("a"), 0.11, places=3)


class Failures(SynchronousTestCase):
    def setUp(self) -> None:
        self.standing = Standing()

    def test_a_source_nobody_knows_stands_well(self) -> None:
        self.assertFalse(self.standing.demoted("a", 0.0))
        self.assertEqual((self.standing.throughput("a"), self.standing.active("a")), (0, 0))

    def test_a_failure_demotes_for_a_term(self) -> None:
        self.standing.failed("a", 100.0)
        self.assertTrue(self.standing.demoted("a", 100.0 + FIRST_TERM - 0.1))
        self.assertFalse(self.standing.demoted("a", 100.0 + FIRST_TERM))
        self.assertFalse(self.standing.demoted("b", 100.0))

    def test_terms_double_up_to_the_longest(self) -> None:
        now = 0.0
        terms = []
        for _ in range(30):
            self.standing.failed("a", now)
            end = now
            while self.standing.demoted("a", end):
                end += FIRST_TERM
            terms.append(end - now)
            now = end
        self.assertEqual(terms[:4], [FIRST_TERM * 2**at for at in range(4)])
        self.assertEqual(terms[-1], LONGEST_TERM)

    def test_a_success_clears_the_record(self) -> None:
        self.standing.failed("a", 0.0)
        self.standing.failed("a", 0.0)
        self.standing.succeeded("a", 10, 1.0)
        self.assertFalse(self.standing.demoted("a", 0.0))
        self.standing.failed("a", 0.0)
        self.assertFalse(self.standing.demoted("a", FIRST_TERM))

    def test_a_pardon_clears_the_record(self) -> None:
        self.standing.failed("a", 0.0)
        self.standing.pardon("a")
        self.assertFalse(self.standing.demoted("a", 0.0))

    def test_a_pardon_of_a_stranger_takes_no_room(self) -> None:
        self.standing.pardon("stranger")
        self.assertEqual(len(self.standing._records), 0)


class Load(SynchronousTestCase):
    def setUp(self) -> None:
        self.standing = Standing()

    def test_running_transfers_are_counted(self) -> None:
        self.standing.began("a")
        self.standing.began("a")
        self.standing.ended("a")
        self.assertEqual(self.standing.active("a"), 1)

    def test_an_end_without_a_beginning_is_not_counted(self) -> None:
        self.standing.ended("a")
        self.assertEqual(self.standing.active("a"), 0)

    def test_the_first_measurement_counts_alone(self) -> None:
        self.standing.succeeded("a", 1000, 2.0)
        self.assertEqual(self.standing.throughput("a"), 500.0)

    def test_nothing_is_learnt_from_no_bytes_or_no_time(self) -> None:
        self.standing.succeeded("a", 0, 2.0)
        self.standing.succeeded("a", 5, 0.0)
        self.assertEqual(self.standing.throughput("a"), 0.0)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 10**9), st.floats(0.001, 100)), min_size=1))
    def test_the_average_lies_among_the_measurements(
        self, measured: list[tuple[int, float]]
    ) -> None:
        standing = Standing()
        for size, seconds in measured:
            standing.succeeded("a", size, seconds)
        rates = [size / seconds for size, seconds in measured]
        average = standing.throughput("a")
        self.assertTrue(min(rates) * 0.999 <= average <= max(rates) * 1.001)


class Bounds(SynchronousTestCase):
    def test_the_longest_unused_is_forgotten_first(self) -> None:
        standing = Standing()
        standing.failed("old", 0.0)
        standing.failed("used", 0.0)
        for at in range(MOST_SOURCES - 2):
            standing.failed(str(at), 0.0)
        standing.failed("used", 0.0)
        standing.failed("new", 0.0)
        self.assertFalse(standing.demoted("old", 0.0))
        self.assertTrue(standing.demoted("used", 0.0))
        self.assertTrue(standing.demoted("new", 0.0))
        self.assertEqual(len(standing._records), MOST_SOURCES)

    def test_one_that_is_serving_is_kept(self) -> None:
        standing = Standing()
        standing.began("busy")
        for at in range(MOST_SOURCES + 10):
            standing.failed(str(at), 0.0)
        self.assertEqual(standing.active("busy"), 1)
        self.assertEqual(len(standing._records), MOST_SOURCES)


class Rests(SynchronousTestCase):
    def setUp(self) -> None:
        self.standing = Standing()

    def test_one_that_asked_for_it_rests_so_long(self) -> None:
        self.standing.rest("a", 30.0, 100.0)
        self.assertTrue(self.standing.resting("a", 129.9))
        self.assertFalse(self.standing.resting("a", 130.0))
        self.assertFalse(self.standing.resting("b", 100.0))
        self.assertFalse(self.standing.demoted("a", 100.0))

    def test_no_rest_is_longer_than_the_longest(self) -> None:
        self.standing.rest("a", 1e9, 0.0)
        self.assertFalse(self.standing.resting("a", LONGEST_REST))

    def test_a_shorter_one_does_not_end_a_longer_one(self) -> None:
        self.standing.rest("a", 60.0, 0.0)
        self.standing.rest("a", 1.0, 0.0)
        self.assertTrue(self.standing.resting("a", 59.0))

    def test_one_that_gives_again_rests_no_more(self) -> None:
        self.standing.rest("a", 60.0, 0.0)
        self.standing.succeeded("a", 10, 1.0)
        self.assertFalse(self.standing.resting("a", 0.0))

    def test_one_that_rests_may_be_asked_now_and_then(self) -> None:
        self.standing.began("a", 100.0)
        self.assertTrue(self.standing.may_be_asked("a", 100.0))
        self.standing.rest("a", 60.0, 100.0)
        self.assertFalse(self.standing.may_be_asked("a", 100.1))
        self.assertTrue(self.standing.may_be_asked("a", 100.0 + RESTING_PACE))

    def test_seconds_and_dates_are_read(self) -> None:
        for text in (";", ",", "x", "", "Tue, 14 Nov 99999 22:13:20 GMT"):
            self.assertIsNone(read_retry_after(text, 0.0))
        self.assertEqual(read_retry_after("120", 0.0), 120.0)
        self.assertEqual(read_retry_after(" 0 ", 0.0), 0.0)
        date = "Tue, 14 Nov 2023 22:13:20 GMT"
        self.assertEqual(read_retry_after(date, 1_700_000_000.0 - 7), 7.0)
        self.assertEqual(read_retry_after(date, 1_700_000_000.0 + 7), 0.0)

    def test_what_is_neither_asks_for_nothing(self) -> None:
        for value in ("", "soon", "-1", "1.5", "\u0661", "Tue, 99 Foo 2023", "inf"):
            self.assertIsNone(read_retry_after(value, 0.0), value)

    @given(st.text(max_size=40))
    def test_whatever_it_says_it_can_be_waited_for_or_is_none(self, text: str) -> None:
        seconds = read_retry_after(text, 1.7e9)
        if seconds is not None:
            self.standing.rest("a", seconds, 0.0)
            self.assertFalse(self.standing.resting("a", LONGEST_REST))
