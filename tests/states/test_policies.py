"""What words mean: names of snapshots, days, and how far to lag behind."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import MirrorError
from flocon.states.generation import dump
from flocon.states.policies import (
    bounded,
    free_name,
    is_snapshot_name,
    load_snapshot,
    parse_day,
    parse_policy,
)
from flocon.states.publication import BEHIND, LATEST, SNAPSHOT, Policy
from tests.states.test_publication import DAY, NOW, A, generation


class Words(SynchronousTestCase):
    def test_a_policy_is_the_newest_a_time_behind_or_a_snapshots_name(self) -> None:
        for word, meant in (
            ("latest", Policy(LATEST, chosen=NOW)),
            ("3 days behind", Policy(BEHIND, behind=3.0 * DAY, chosen=NOW)),
            ("1 day", Policy(BEHIND, behind=1.0 * DAY, chosen=NOW)),
            ("36h", Policy(BEHIND, behind=1.5 * DAY, chosen=NOW)),
            ("2 weeks behind", Policy(BEHIND, behind=14.0 * DAY, chosen=NOW)),
            ("spring", Policy(SNAPSHOT, "spring", chosen=NOW)),
            ("2026-11-01", Policy(SNAPSHOT, "2026-11-01", chosen=NOW)),
        ):
            self.assertEqual(parse_policy(word, NOW + 0.5), meant)

    def test_what_can_be_none_is_refused(self) -> None:
        for word in (
            "",
            "now",
            "../x",
            "0 days behind",
            "367 days behind",
            "3 months behind",
            "a b",
        ):
            with self.assertRaises(MirrorError):
                parse_policy(word, NOW)

    @given(st.text(max_size=70))
    def test_a_word_is_a_name_or_means_something_else_never_both(self, word: str) -> None:
        if is_snapshot_name(word):
            self.assertEqual(parse_policy(word, NOW).kind, SNAPSHOT)
            self.assertNotIn("/", word)
            self.assertTrue(word.isascii() and word.isprintable() and word[0].isalnum())

    def test_a_day_is_written_as_a_date_and_is_not_to_come(self) -> None:
        self.assertEqual(parse_day("2026-09-21", NOW), date(2026, 9, 21))
        for word in ("2026-09-22", "20260921", "2026-W38-1", "21.9.2026", "2026-13-01", ""):
            with self.assertRaises(MirrorError):
                parse_day(word, NOW)

    def test_a_name_for_a_day_is_one_that_is_free(self) -> None:
        day = date(2026, 9, 21)
        self.assertEqual(free_name(day, ()), "2026-09-21")
        self.assertEqual(free_name(day, ("2026-09-21", "2026-09-21-2")), "2026-09-21-3")


class Bounds(SynchronousTestCase):
    def test_a_snapshot_is_held_for_so_long(self) -> None:
        policy = bounded(Policy(SNAPSHOT, "x", chosen=NOW), A, NOW + 10, 5.0 * DAY)
        self.assertEqual(policy, Policy(SNAPSHOT, "x", 0.0, NOW, NOW + 10 + 5 * DAY))

    def test_the_newest_is_without_a_bound(self) -> None:
        self.assertEqual(bounded(Policy(), A, NOW + 900 * DAY, 5.0 * DAY), Policy())

    def test_without_hold_at_most_all_is(self) -> None:
        policy = Policy(SNAPSHOT, "x")
        self.assertEqual(bounded(policy, A, NOW + 900 * DAY, 0.0), policy)

    def test_one_that_is_older_than_that_is_refused(self) -> None:
        old = generation(9, NOW - 6 * DAY)
        with self.assertRaises(MirrorError) as caught:
            bounded(Policy(SNAPSHOT, "x"), old, NOW, 5.0 * DAY)
        self.assertIn("6 days old", str(caught.exception))

    def test_to_lag_behind_for_longer_than_that_is_refused(self) -> None:
        allowed = Policy(BEHIND, behind=5.0 * DAY)
        self.assertEqual(bounded(allowed, A, NOW, 5.0 * DAY), allowed)
        with self.assertRaises(MirrorError):
            bounded(Policy(BEHIND, behind=5.1 * DAY), A, NOW, 5.0 * DAY)


class Notes(SynchronousTestCase):
    def test_what_was_kept_under_a_name_is_a_snapshot(self) -> None:
        value = {"taken": 5, "generation": dump(A)}
        self.assertEqual(load_snapshot("x", value), (A, 5))

    def test_what_is_none_is_not(self) -> None:
        whole = {"taken": 5, "generation": dump(A)}
        for name, value in (
            (".x", whole),
            ("latest", whole),
            ("x", {**whole, "taken": "5"}),
            ("x", {**whole, "generation": {}}),
            ("x", None),
            ("x", []),
        ):
            self.assertIsNone(load_snapshot(name, value))
