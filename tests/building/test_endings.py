"""How a step that failed is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.building.endings import (
    BUILT,
    DEPENDENCIES,
    FAILED,
    REFUSED,
    UNREACHABLE,
    step_failed,
    without_packages,
)


class EndingTests(SynchronousTestCase):
    """By a status, and by the last words."""

    def test_a_source_that_is_away_is_worth_another_try(self) -> None:
        for words in (
            "curl: (6) Could not resolve host: a.org",
            "curl: (22) The requested URL returned error: 503",
            "fatal: unable to access 'https://a.org/b.git/': x",
        ):
            self.assertEqual(step_failed("fetch", 1, words).result, UNREACHABLE)

    def test_a_wrong_sum_is_not(self) -> None:
        ending = step_failed(
            "fetch", 1, "==> ERROR: One or more files did not pass the validity check!"
        )
        self.assertEqual(ending.result, FAILED)

    def test_a_file_that_does_not_exist_is_not(self) -> None:
        ending = step_failed("fetch", 1, "curl: (22) The requested URL returned error: 404")
        self.assertEqual(ending.result, FAILED)

    def test_the_same_words_while_it_is_built_are_the_recipes_own(self) -> None:
        self.assertEqual(step_failed("build", 1, "Could not resolve host").result, FAILED)

    def test_a_key_that_is_not_known_is_said(self) -> None:
        ending = step_failed("fetch", 1, "a.tar.gz ... FAILED (unknown public key 0123)")
        self.assertIn("keys/pgp", ending.reason)

    def test_without_a_wall_nothing_was_tried(self) -> None:
        words = "bwrap: No permissions to create a new namespace\n"
        ending = step_failed("fetch", 1, words, walled=False)
        self.assertEqual(ending.result, REFUSED)
        self.assertIn("No permissions", ending.reason)

    def test_behind_a_wall_the_same_words_are_a_recipes(self) -> None:
        for step in ("fetch", "build"):
            self.assertEqual(step_failed(step, 1, "bwrap: no\n").result, FAILED)

    def test_what_was_installed_may_have_said_so_as_well(self) -> None:
        ending = step_failed("fetch", 1, "bwrap: no\n", walled=False, installed=True)
        self.assertEqual(ending.result, DEPENDENCIES)
        self.assertIn("installed for it", ending.reason)

    def test_no_source_is_blamed_for_what_comes_after_it(self) -> None:
        self.assertIn("a source", step_failed("fetch", 1, "").reason)
        self.assertNotIn("source", step_failed("build", 1, "").reason)

    def test_every_status_has_a_sentence(self) -> None:
        for status in range(1, 256):
            ending = step_failed("build", status, "")
            self.assertEqual((ending.result, ending.exit), (FAILED, status))
            self.assertTrue(ending.reason)

    def test_a_signal_is_told_by_its_number(self) -> None:
        self.assertIn("signal 9", step_failed("build", 137, "").reason)

    def test_without_packages_nothing_was_built(self) -> None:
        self.assertNotEqual(without_packages(0).result, BUILT)
