"""What stands on a library is built again when that is another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from flocon.jobs import passing
from flocon.jobs.standing import MOST_LIBRARIES, libraries, rebuilt
from flocon.jobs.watched import Stage
from tests.jobs.recipes import NOW, queued

if TYPE_CHECKING:
    from flocon.jobs.watched import Watched

BEFORE = {"library": frozenset({"liba.so=1-64"}), "data": frozenset[str]()}
AFTER = {**BEFORE, "library": frozenset({"liba.so=2-64"})}


def standing() -> Watched:
    """Return one that was built with the library as it was."""
    one = passing.begun(queued(), "job", NOW)
    return passing.published(passing.built(one, NOW, libraries(BEFORE, BEFORE)), "1-1", NOW)


class StandingTests(SynchronousTestCase):
    def test_what_misses_nothing_stays_as_it_is(self) -> None:
        one = standing()
        more = {**BEFORE, "library": BEFORE["library"] | {"libb.so=1-64"}}
        for provided in (BEFORE, more):
            self.assertIs(rebuilt(one, provided, "bump", NOW), one)

    def test_another_version_of_the_library_has_it_built_again(self) -> None:
        one = rebuilt(standing(), AFTER, "bump", NOW)
        self.assertEqual(one.stage(), Stage.QUEUED)
        self.assertIn("library has no liba.so=1-64", one.reasons()[0])

    def test_a_library_that_is_gone_has_it_built_again(self) -> None:
        one = rebuilt(standing(), {"library": frozenset()}, "bump", NOW)
        self.assertEqual(one.stage(), Stage.QUEUED)

    def test_nothing_can_be_built_with_a_package_that_is_not_published_any_more(self) -> None:
        one = standing()
        self.assertIs(rebuilt(one, {}, "bump", NOW), one)

    def test_whoever_is_on_hold_taken_up_or_at_work_stays_so(self) -> None:
        for one in (
            passing.held_back(standing(), "alice"),
            replace(standing(), taken_up="extra"),
            passing.again(standing(), NOW),
        ):
            self.assertIs(rebuilt(one, AFTER, "bump", NOW), one)

    def test_where_nothing_is_approved_by_rule_a_person_is_asked_once(self) -> None:
        one = rebuilt(standing(), AFTER, "never", NOW)
        self.assertEqual(one.stage(), Stage.WAITS)
        self.assertIs(rebuilt(one, AFTER, "never", NOW), one)
        refused = passing.rejected(one, "alice", NOW)
        self.assertIs(rebuilt(refused, AFTER, "never", NOW), refused)
        approved = passing.approved(one, "alice", NOW)
        self.assertEqual(approved.stage(), Stage.QUEUED)

    def test_no_more_is_kept_than_can_be_written(self) -> None:
        many = {"library": frozenset(f"lib{n}.so=1-64" for n in range(2 * MOST_LIBRARIES))}
        self.assertEqual(len(libraries(["library"], many)), MOST_LIBRARIES)
