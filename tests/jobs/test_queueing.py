"""In which order jobs are done, and what waits for what."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.jobs import passing
from flocon.jobs.queueing import following, stages
from flocon.jobs.watched import Phase, Stage, Watched
from tests.jobs.recipes import NOW, again, in_phase, published, queued, waiting


def of(*watched: Watched) -> dict[str, Watched]:
    return {one.base: one for one in watched}


def told(*watched: Watched) -> dict[str, tuple[Stage, tuple[str, ...]]]:
    return {one.base: (stage, blocking) for one, stage, blocking in stages(of(*watched))}


class OrderTests(SynchronousTestCase):
    def assertNext(self, base: str, *watched: Watched) -> None:
        found = following(of(*watched))
        self.assertEqual(found.base if found else "", base)

    def test_the_longest_in_the_queue_is_first(self) -> None:
        self.assertNext("b", queued("a", since=NOW + 1), queued("b"))

    def test_what_is_needed_is_built_first(self) -> None:
        self.assertNext("library", queued("tool", "library"), queued("library", since=NOW + 9))

    def test_a_new_version_of_what_is_needed_is_built_first(self) -> None:
        library = again(published("library"), since=NOW + 9)
        self.assertNext("library", queued("tool", "library"), library)

    def test_what_is_needed_and_failed_is_used_as_it_was_published(self) -> None:
        library = passing.failed(again(published("library")), NOW, ["no"])
        self.assertNext("tool", queued("tool", "library"), library)

    def test_nothing_is_built_whose_needs_were_never_published(self) -> None:
        for library in (waiting("library"), in_phase(queued("library"), Phase.FAILED)):
            self.assertNext("", queued("tool", "library"), library)
        self.assertNext("", queued("tool", "library"))

    def test_what_is_on_hold_or_taken_up_is_not_built(self) -> None:
        self.assertNext("", replace(queued(), on_hold="alice"))
        self.assertNext("", replace(queued(), taken_up="extra"))

    def test_a_need_that_was_put_on_hold_is_not_waited_for(self) -> None:
        library = replace(again(published("library")), on_hold="alice")
        self.assertNext("tool", queued("tool", "library"), library)


class BlockedTests(SynchronousTestCase):
    def test_what_waits_in_the_queue_is_not_blocked(self) -> None:
        said = told(queued("tool", "library"), queued("library"))
        self.assertEqual(said["tool"], (Stage.QUEUED, ()))

    def test_what_waits_for_what_a_person_decides_is_blocked_by_it(self) -> None:
        said = told(queued("tool", "library"), waiting("library"))
        self.assertEqual(said["tool"], (Stage.BLOCKED, ("library",)))

    def test_that_reaches_as_far_as_needs_do(self) -> None:
        said = told(queued("a", "b"), queued("b", "c"), waiting("c"))
        self.assertEqual(said["a"], (Stage.BLOCKED, ("b",)))
        self.assertEqual(said["b"], (Stage.BLOCKED, ("c",)))

    def test_what_need_each_other_block_each_other(self) -> None:
        said = told(queued("a", "b"), queued("b", "a"))
        self.assertEqual(said["a"], (Stage.BLOCKED, ("b",)))
        self.assertEqual(said["b"], (Stage.BLOCKED, ("a",)))

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.lists(st.integers(0, 7), max_size=3), min_size=8, max_size=8))
    def test_a_queue_is_worked_through_but_for_what_is_blocked(
        self, needs: list[list[int]]
    ) -> None:
        """Each is built once, behind all that it needs; the rest is told to be blocked."""
        watched = of(*(queued(str(at), *map(str, some)) for at, some in enumerate(needs)))
        done: list[str] = []
        while (one := following(watched)) is not None:
            some = {str(need) for need in needs[int(one.base)]} - {one.base}
            self.assertLessEqual(some, set(done))
            done.append(one.base)
            built = passing.built(passing.begun(one, "job", NOW), NOW)
            watched[one.base] = passing.published(built, "1-1", NOW)
        self.assertEqual(len(done), len(set(done)))
        left = {base: stage for base, (stage, _) in told(*watched.values()).items()}
        self.assertEqual(
            {base for base, stage in left.items() if stage is not Stage.PUBLISHED},
            {base for base, stage in left.items() if stage is Stage.BLOCKED},
        )
        for base, (stage, blocking) in told(*watched.values()).items():
            if stage is Stage.BLOCKED:
                self.assertTrue(blocking)
                self.assertLessEqual(set(blocking), {str(need) for need in needs[int(base)]})
