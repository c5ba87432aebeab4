"""Who is slow, and when the next source helps."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.patience import (
    ALL_ASKED,
    LEAST_MEASURED,
    MEASURED_FOR,
    MOST_CONTRADICTIONS,
    PACMAN,
    PEERS,
    PROBE_SECONDS,
    STAGGER,
    USUAL_RATE,
    Course,
    Pace,
    is_slow,
    peers_come_last,
    stagger,
)
from flocon.asking.source import Kind

MB = 1 << 20
SILENT = Course(
    Kind.HOLDER, members=1, elapsed=1.0, taken=1.0, recent=0.0, size=4 * MB, left=4 * MB
)


class Slow(SynchronousTestCase):
    def test_nobody_is_slow_at_once(self) -> None:
        for kind in Kind:
            course = replace(SILENT, kind=kind, elapsed=0.4, taken=0.4)
            self.assertFalse(is_slow(course, USUAL_RATE))

    def test_a_silent_one_of_any_kind_is_slow_before_peers_patience_ends(self) -> None:
        for kind in Kind:
            course = replace(SILENT, kind=kind, elapsed=PEERS, taken=PEERS)
            self.assertTrue(is_slow(course, USUAL_RATE))

    def test_a_drip_is_as_slow_as_silence(self) -> None:
        self.assertTrue(is_slow(replace(SILENT, recent=4_000.0), USUAL_RATE))

    def test_one_as_fast_as_a_mirror_is_waited_for_until_a_mirror_would_have_been_done(
        self,
    ) -> None:
        steady = replace(SILENT, recent=USUAL_RATE * 0.6)
        self.assertFalse(is_slow(replace(steady, elapsed=4.9, taken=4.9), USUAL_RATE))
        self.assertTrue(is_slow(replace(steady, elapsed=5.0, taken=5.0), USUAL_RATE))

    def test_a_holder_that_is_a_little_slow_costs_no_wan_on_a_fast_one_at_once(self) -> None:
        self.assertFalse(is_slow(replace(SILENT, recent=USUAL_RATE * 0.6, size=64 * MB), 30.0 * MB))

    def test_an_owner_on_a_busy_wan_is_not_slow(self) -> None:
        owner = replace(
            SILENT, kind=Kind.OWNER, recent=60_000.0, elapsed=20.0, taken=20.0, size=4 * MB
        )
        self.assertFalse(is_slow(owner, 62_000.0))

    def test_a_slow_wan_makes_nobody_slow_who_is_as_slow(self) -> None:
        self.assertFalse(is_slow(replace(SILENT, recent=6_000.0), 10_000.0))

    def test_more_mirrors_are_asked_sooner_one_after_the_other(self) -> None:
        mirror = replace(SILENT, kind=Kind.MIRROR)
        self.assertFalse(is_slow(mirror, USUAL_RATE))
        self.assertTrue(is_slow(mirror, USUAL_RATE, stagger=0.75))


class Budgets(SynchronousTestCase):
    @given(st.integers(0, 100))
    def test_however_many_mirrors_all_are_asked_while_pacman_waits(self, mirrors: int) -> None:
        self.assertLessEqual(stagger(mirrors), STAGGER)
        self.assertLessEqual(stagger(mirrors) * mirrors, ALL_ASKED + 1e-9)
        self.assertLess(ALL_ASKED, PACMAN)

    def test_peers_come_last_once_their_time_is_over(self) -> None:
        self.assertFalse(peers_come_last(PEERS - 0.1, 0, 60.0))
        self.assertTrue(peers_come_last(PEERS, 0, PEERS))

    def test_peers_come_last_once_they_contradicted_themselves_for_long_or_often(self) -> None:
        self.assertFalse(peers_come_last(0.1, 1, PEERS - 0.1))
        self.assertTrue(peers_come_last(0.1, 1, PEERS))
        self.assertTrue(peers_come_last(0.1, MOST_CONTRADICTIONS, 0.2))


class Measuring(SynchronousTestCase):
    def test_without_a_measurement_the_usual_is_expected(self) -> None:
        self.assertEqual(Pace().reference(5.0), USUAL_RATE)

    def test_what_was_measured_is_expected_for_a_while(self) -> None:
        pace = Pace()
        pace.measured(4 * MB, 2.0, 10.0)
        self.assertEqual(pace.reference(10.0 + MEASURED_FOR - 1), 2 * MB)
        self.assertEqual(pace.reference(10.0 + MEASURED_FOR), USUAL_RATE)

    def test_the_newest_counts_most_but_not_alone(self) -> None:
        pace = Pace()
        pace.measured(4 * MB, 1.0, 10.0)
        pace.measured(4 * MB, 4.0, 11.0)
        self.assertTrue(1 * MB < pace.reference(12.0) < 4 * MB)

    def test_an_old_one_is_forgotten_and_not_averaged(self) -> None:
        pace = Pace()
        pace.measured(4 * MB, 1.0, 0.0)
        pace.measured(1 * MB, 1.0, MEASURED_FOR + 1)
        self.assertEqual(pace.reference(MEASURED_FOR + 2), MB)

    def test_a_few_bytes_tell_nothing(self) -> None:
        pace = Pace()
        pace.measured(LEAST_MEASURED - 1, 9.0, 0.0)
        self.assertFalse(pace.is_known(0.0))

    def test_one_finds_out_for_all_while_nothing_is_known(self) -> None:
        pace = Pace()
        self.assertTrue(pace.probe(10.0))
        self.assertFalse(pace.probe(10.5))
        self.assertTrue(pace.probe(10.0 + PROBE_SECONDS))
        pace.measured(4 * MB, 1.0, 12.0)
        self.assertTrue(pace.probe(12.0))
        self.assertTrue(pace.probe(12.1))
