"""A value stays of its kind."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.edits import COMMIT, SUM, VALUE, Change
from flocon.recipes.values import looks_like_commit, may_name_commit, problem


def why(before: str, after: str, name: str = "_tag") -> str:
    return problem(Change(VALUE, name, before, after))


class Values(SynchronousTestCase):
    def test_versions_stay_versions(self) -> None:
        for before, after in (
            ("1.2.3", "1.2.4"),
            ("v1.2", "v1.3-rc.1"),
            ("2024a", "2024b"),
            ("1.0", "1.0beta2"),
            ("release-1.0", "release-1.1"),
            ("r12.abcdef1", "r13.bcdefa2"),
            ("1.0.r3.gabcdef1", "1.0.r14.g0123abc"),
            ("1.0+g1234567", "1.0+gabcdef1"),
            ("20240101", "20250101"),
            ("a" * 40, "b" * 40),
            ("1.0+git5", "1.0+git6"),
        ):
            self.assertEqual(why(before, after), "", (before, after))

    def test_what_becomes_something_else_is_told(self) -> None:
        for before, after, words in (
            ("1.0", "evil", "no number"),
            ("1.0", "1.evil", "evil is nothing"),
            ("1.0", "4evil", "evil"),
            ("1.0", "abcdef1", "abcdef"),
            ("stable1", "main1", "main"),
            ("1.0", "1/0", "no plain text"),
            ("1.0", "1 0", "no plain text"),
            ("1.0", "-1", "no plain text"),
            ("1.0", "$1", "no plain text"),
            ("1.0", "1" * 129, "no plain text"),
            ("a" * 40, "b" * 64, "was a commit"),
            ("a" * 40, "1.0", "was a commit"),
            ("a" * 40, "g" + "a" * 39, "was a commit"),
            ("r12.abcdef1", "r12.evil.abcdef1", "evil"),
        ):
            self.assertIn(words, why(before, after), (before, after))

    def test_a_release_is_a_number(self) -> None:
        for said in ("2", "1.1"):
            self.assertEqual(why("1", said, "pkgrel"), "")
        for said in ("1a", "1.1.1", "v1", "1-1"):
            self.assertIn("no release number", why("1", said, "pkgrel"))

    def test_sums_and_commits_in_their_places_are_no_words(self) -> None:
        for kind in (SUM, COMMIT):
            self.assertEqual(problem(Change(kind, "x", "a" * 40, "b" * 40)), "")

    def test_commits_are_known_by_their_look(self) -> None:
        for said in ("abcdef1", "ABCDEF1", "1" * 40, "a" * 64):
            self.assertTrue(looks_like_commit(said), said)
        for said in ("20240101", "abcdef", "v1.0", "g" * 40):
            self.assertFalse(looks_like_commit(said), said)
        for said in ("20240101", "2a1b"):
            self.assertTrue(may_name_commit(said), said)
