"""How builds stand, in lines and numbers."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.builds import sayings
from tests.builds.told import NOW, builds, watched


class Rows(SynchronousTestCase):
    def rows(self, *recipes: dict[str, Any], names: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        return [*sayings.rows(builds(*recipes), names, NOW)]

    def test_what_waits_says_why_and_what_to_type(self) -> None:
        self.assertEqual(
            self.rows(watched()),
            [
                ("paru", "1.0-1 -> 2.0-1", "waits for a person", "PKGBUILD: line 3 was changed"),
                ("", "", "", "decide by 'flocon build approve paru', or reject"),
            ],
        )

    def test_what_is_published_says_its_version_once(self) -> None:
        one = watched(stage="published", version="1.0-1")
        self.assertEqual(self.rows(one), [("paru", "1.0-1", "published", "")])

    def test_what_was_never_built_has_its_version_alone(self) -> None:
        self.assertEqual(self.rows(watched(stage="queued", published=None))[0][1], "2.0-1")

    def test_what_waits_for_time_says_for_how_long(self) -> None:
        one = watched(stage="waits for time", waits_until=NOW + 7_200)
        self.assertEqual(self.rows(one)[0][3], "for another 2 h")

    def test_what_is_blocked_says_by_what(self) -> None:
        one = watched(stage="blocked", blocked_by=["lib-a", "lib-b"])
        self.assertEqual(self.rows(one)[0][3], "waits for lib-a, lib-b")

    def test_what_failed_says_where_to_look(self) -> None:
        self.assertIn("flocon build log paru", self.rows(watched(stage="failed"))[0][3])

    def test_one_is_chosen_by_its_name_or_by_that_of_a_package(self) -> None:
        split = watched("split", "published", names=["split-a", "split-b"])
        for name in ("split", "split-b"):
            found = self.rows(watched(), split, names=(name,))
            self.assertEqual([row[0] for row in found], ["split"])

    def test_a_name_that_nothing_has_is_told(self) -> None:
        self.assertEqual(sayings.unknown(builds(watched()), ["paru", "nosuch"]), ["nosuch"])


class Whole(SynchronousTestCase):
    def test_what_waits_longest_comes_first(self) -> None:
        told = builds(
            watched("young", since=NOW),
            watched("done", "published"),
            watched("old", "held", since=NOW - 9),
        )
        self.assertEqual([one["base"] for one in sayings.waiting(told)], ["old", "young"])

    def test_status_names_some_of_many_that_wait(self) -> None:
        told = builds(*(watched(f"p{number}") for number in range(7)), watched("bad", "failed"))
        self.assertEqual(
            [*sayings.short(told)],
            [
                ("builds", "8 recipes watched"),
                (
                    "",
                    "p0, p1, p2, p3, p4 and 2 more wait for you: 'flocon build status' tells why",
                ),
                ("", "failed: bad"),
            ],
        )

    def test_status_says_nothing_where_nothing_is_watched(self) -> None:
        self.assertEqual([*sayings.short(builds())], [])

    def test_a_link_on_which_nothing_is_looked_at_is_told(self) -> None:
        told = builds(watched(), metered=True, polled=0.0)
        self.assertIn("the link is metered", next(sayings.sums(told, NOW)))

    def test_what_runs_and_what_is_wrong_is_told(self) -> None:
        running = {"base": "paru", "job": "1", "step": "fetch", "since": NOW - 120}
        told = builds(watched(stage="building"), running=running, problem="no signer")
        self.assertEqual(
            [*sayings.sums(told, NOW)],
            [
                "no signer",
                "building paru: fetch, for 2 min",
                "asked 1 min ago whether anything is new",
            ],
        )

    def test_numbers(self) -> None:
        told = builds(watched(since=NOW - 90), watched("b", "failed"), watched("c", "published"))
        self.assertEqual(
            sayings.figures(told, NOW),
            {
                "watched": 3,
                "waiting": 1,
                "failed": 1,
                "running": 0,
                "oldest_wait_seconds": 90.0,
                "polled_timestamp_seconds": NOW - 60,
            },
        )


class Doctor(SynchronousTestCase):
    def reasons(self, *recipes: dict[str, Any], **changed: Any) -> list[str]:
        return [one["reason"] for one in sayings.problems(builds(*recipes, **changed), NOW)]

    def test_all_is_well(self) -> None:
        self.assertEqual(self.reasons(watched(), watched("b", "published")), [])

    def test_what_waits_for_a_week_is_told(self) -> None:
        self.assertEqual(
            self.reasons(watched(since=NOW - sayings.OLD - 1)),
            ["for 7 days nobody has decided of paru"],
        )

    def test_what_failed_is_told(self) -> None:
        self.assertEqual(self.reasons(watched(stage="failed")), ["building paru failed"])

    def test_an_aur_that_was_not_heard_of_for_days_is_told(self) -> None:
        told = self.reasons(polled=NOW - sayings.UNHEARD - 1)
        self.assertEqual(told, ["for 2 days nobody could tell whether anything is new"])

    def test_by_hand_alone_nothing_is_overdue(self) -> None:
        self.assertEqual(self.reasons(polled=NOW - sayings.UNHEARD - 1, next_poll=0.0), [])

    def test_a_problem_is_told(self) -> None:
        self.assertEqual(self.reasons(problem="no builder"), ["no builder"])
