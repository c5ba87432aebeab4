"""Where a recipe's history is fetched from."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.aur.git import Remote
from flocon.aur.origins import Origins, parse_origin
from flocon.errors import Broken, BuildError, Refused, SourceError, Stalled, Unreachable


class OfTheAur(SynchronousTestCase):
    def setUp(self) -> None:
        self.origins = Origins("https://aur.example", "https://copy.example/aur")

    def test_the_aur_has_a_repository_for_each_and_its_copy_a_branch(self) -> None:
        first, second = self.origins.of("foo")
        self.assertEqual(first.remote, Remote("https://aur.example/foo.git", "aur.example"))
        self.assertEqual(first.ref, "refs/heads/master")
        self.assertEqual(second.remote, Remote("https://copy.example/aur", "copy.example"))
        self.assertEqual(second.ref, "refs/heads/foo")

    def test_there_may_be_no_copy(self) -> None:
        self.assertEqual(len(Origins("https://aur.example", "").of("foo")), 1)

    def test_who_is_away_is_left_alone_for_all_bases_and_the_other_is_not(self) -> None:
        for failure in (
            Unreachable("aur", "is away"),
            Stalled("aur", "is silent"),
            Refused("aur", 429),
            Refused("aur", 500),
        ):
            origins = Origins("https://aur.example", "https://copy.example/aur")
            origins.of("foo")[0].failed(failure, 100.0)
            first, second = origins.of("bar")
            with self.assertRaises(Unreachable):
                first.demand_asked(110.0, urgent=False)
            first.demand_asked(110.0, urgent=True)
            second.demand_asked(110.0, urgent=False)
            first.demand_asked(161.0, urgent=False)

    def test_what_is_wrong_with_one_recipe_is_no_reason(self) -> None:
        failures: list[SourceError] = [Refused("aur", 404), Refused("aur", 401), Broken("aur", "x")]
        for failure in failures:
            self.origins.of("foo")[0].failed(failure, 100.0)
            self.origins.of("foo")[0].demand_asked(100.0, urgent=False)


class ByAddress(SynchronousTestCase):
    def test_the_head_is_meant_where_no_branch_is_named(self) -> None:
        for address in ("https://example.org/x.git", "git+https://example.org/x.git"):
            origin = parse_origin(address)
            self.assertEqual(origin.remote, Remote("https://example.org/x.git", "example.org"))
            self.assertEqual(origin.ref, "HEAD")

    def test_a_branch_may_be_named(self) -> None:
        for branch in ("main", "a/b", "v1.0+x", "f@x"):
            origin = parse_origin(f"https://example.org/x.git#branch={branch}")
            self.assertEqual(origin.ref, f"refs/heads/{branch}")

    def test_what_is_called_in_sentences_has_no_password(self) -> None:
        origin = parse_origin("https://alice:secret@example.org:8443/x.git")
        self.assertEqual(origin.remote.name, "example.org:8443")

    def test_what_is_no_branch_is_refused(self) -> None:
        for branch in (
            "", "/", "a//b", "-x", ".x", "x.", "x.lock", "a..b", "a b", "a:b", "a*", "a~1", "a^",
            "a?", "a[b", "a\\b", "a@{1}", "a\x7fb", "+a:b",
        ):  # fmt: skip
            with self.assertRaises(BuildError):
                parse_origin(f"https://example.org/x.git#branch={branch}")
