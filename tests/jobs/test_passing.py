"""How a watched recipe passes from stage to stage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import BuildError
from flocon.jobs import passing
from flocon.jobs.watched import Candidate, Phase, Stage, Surprise, Watched
from tests.jobs.recipes import NOW, commit, in_phase, published, queued, waiting, watched

if TYPE_CHECKING:
    from collections.abc import Callable

SURPRISES = (Surprise("tool", "setuid", "/usr/bin/tool is setuid"),)


class ApprovingTests(SynchronousTestCase):
    def test_what_is_approved_is_queued_and_waits_no_more(self) -> None:
        one = passing.approved(waiting(), "alice", NOW, ["a@b"])
        self.assertEqual(one.stage(), Stage.QUEUED)
        self.assertIsNone(one.candidate)
        assert one.approval is not None
        self.assertEqual((one.approval.commit, one.approval.by), (commit("a"), "alice"))
        self.assertEqual(one.authors, ("a@b",))

    def test_what_lacks_something_cannot_be_approved(self) -> None:
        one = waiting(lacks=("tool needs nothing-has-it",))
        self.assertRaises(BuildError, passing.approved, one, "alice", NOW)

    def test_nothing_that_does_not_wait_can_be_approved(self) -> None:
        self.assertRaises(BuildError, passing.approved, published(), "alice", NOW)

    def test_a_rejected_commit_leaves_what_was_approved_before(self) -> None:
        one = passing.rejected(passing.seen(published(), _candidate()), "alice", NOW)
        self.assertEqual(one.stage(), Stage.PUBLISHED)
        assert one.refused is not None
        self.assertEqual(one.refused.commit, commit("b"))

    def test_a_first_commit_that_is_rejected_leaves_nothing(self) -> None:
        one = passing.rejected(waiting(), "alice", NOW)
        self.assertEqual(one.stage(), Stage.REJECTED)
        self.assertEqual(passing.approved(one, "alice", NOW).stage(), Stage.QUEUED)

    def test_a_commit_that_is_ripe_later_waits_for_time(self) -> None:
        one = passing.seen(published(), replace(_candidate(), matures=NOW + 1))
        self.assertEqual(one.stage(), Stage.MATURES)
        self.assertEqual(one.notice, "")

    def test_a_job_that_goes_on_is_told_of_rather_than_what_waits(self) -> None:
        one = passing.seen(passing.begun(queued(), "job", NOW), _candidate())
        self.assertEqual(one.stage(), Stage.BUILDING)


class HeldTests(SynchronousTestCase):
    def held(self) -> Watched:
        one = passing.built(passing.begun(queued(), "job", NOW), NOW)
        return passing.held(one, NOW, SURPRISES, "d" * 64)

    def test_surprises_wait_for_a_person(self) -> None:
        self.assertEqual(self.held().stage(), Stage.HELD)
        (reason,) = self.held().reasons()
        self.assertEqual(reason, f"tool: {SURPRISES[0].what}: /usr/bin/tool is setuid")

    def test_what_is_let_pass_is_handed_on_with_what_was_seen(self) -> None:
        one = passing.accepted(self.held(), "d" * 12, NOW)
        assert one.job is not None
        self.assertEqual((one.stage(), one.job.accepted), (Stage.EXAMINING, ("d" * 64,)))

    def test_other_surprises_than_those_seen_are_not_let_pass(self) -> None:
        self.assertRaises(BuildError, passing.accepted, self.held(), "e" * 12, NOW)

    def test_what_is_refused_has_failed_and_is_not_tried_again(self) -> None:
        one = passing.rejected(self.held(), "alice", NOW)
        assert one.job is not None
        self.assertEqual((one.stage(), one.job.again), (Stage.FAILED, 0.0))


class FailingTests(SynchronousTestCase):
    def test_what_may_pass_is_tried_again_ever_later_and_not_for_ever(self) -> None:
        one, waits = queued(), []
        for _ in range(passing.MOST_AGAIN + 1):
            one = passing.failed(passing.begun(one, "job", NOW), NOW, ["away"], may_pass=True)
            assert one.job is not None
            waits.append(one.job.again - NOW)
            if one.job.again:
                one = passing.due(one, one.job.again)
        self.assertEqual(waits[:3], [900.0, 1_800.0, 3_600.0])
        self.assertEqual(waits[-1], -NOW)

    def test_it_is_not_tried_before_its_time(self) -> None:
        one = passing.failed(passing.begun(queued(), "job", NOW), NOW, ["away"], may_pass=True)
        self.assertEqual(passing.due(one, NOW + 1), one)

    def test_what_something_else_ended_is_taken_up_again_a_few_times(self) -> None:
        one = queued()
        for _ in range(passing.MOST_INTERRUPTIONS - 1):
            one = passing.interrupted(passing.begun(one, "job", NOW), NOW, "killed")
            self.assertEqual(one.stage(), Stage.QUEUED)
        one = passing.interrupted(passing.begun(one, "job", NOW), NOW, "killed")
        self.assertEqual(one.stage(), Stage.FAILED)

    def test_a_node_that_ends_on_purpose_does_not_count(self) -> None:
        one = queued()
        for _ in range(10):
            one = passing.put_back(passing.begun(one, "job", NOW))
        assert one.job is not None
        self.assertEqual((one.stage(), one.job.attempts, one.job.name), (Stage.QUEUED, 0, ""))


class RebuildingTests(SynchronousTestCase):
    def test_what_was_approved_is_queued_once_more(self) -> None:
        one = passing.again(replace(published(), on_hold="alice"), NOW)
        self.assertEqual(one.stage(), Stage.QUEUED)

    def test_what_was_never_approved_is_not_built_by_that(self) -> None:
        self.assertRaises(BuildError, passing.again, waiting(), NOW)


class HoldTests(SynchronousTestCase):
    def test_a_job_is_put_back_and_stays_so_until_it_is_let_go(self) -> None:
        one = passing.held_back(passing.begun(queued(), "job", NOW), "alice")
        self.assertEqual(one.stage(), Stage.ON_HOLD)
        self.assertEqual(passing.released(one).stage(), Stage.QUEUED)

    def test_to_approve_lets_it_go(self) -> None:
        one = passing.held_back(waiting(), "alice")
        self.assertEqual(passing.approved(one, "alice", NOW).stage(), Stage.QUEUED)


class StartTests(SynchronousTestCase):
    def test_what_was_being_built_begins_anew(self) -> None:
        one = passing.found_at_start(passing.begun(queued(), "job", NOW), NOW, frozenset())
        self.assertEqual(one.stage(), Stage.QUEUED)

    def test_what_was_built_is_examined_if_all_of_it_is_there(self) -> None:
        one = in_phase(queued(), Phase.EXAMINING)
        self.assertEqual(passing.found_at_start(one, NOW, frozenset({"job"})), one)
        lost = passing.found_at_start(one, NOW, frozenset())
        self.assertEqual(lost.stage(), Stage.QUEUED)

    def test_what_waits_stays_as_it_is(self) -> None:
        for one in (waiting(), published(), watched(), in_phase(queued(), Phase.FAILED)):
            self.assertEqual(passing.found_at_start(one, NOW, frozenset()), one)


class AnyOrderTests(SynchronousTestCase):
    """Whatever happens in whatever order, nothing is built that nobody approved."""

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.integers(0, 13), max_size=30), st.integers(0, 2))
    def test_nothing_is_built_or_published_that_was_not_approved(
        self, steps: list[int], start: int
    ) -> None:
        one = (watched(), waiting(), published())[start]
        approved = {one.approval.commit} if one.approval else set()
        now = NOW
        for at, step in enumerate(steps):
            now += 1
            digits = "0123456789abcdef"[at % 16]
            before = one
            try:
                one = _step(one, step, digits, now)
            except BuildError:
                self.assertEqual(one, before)
                continue
            if step == 1 and before.open is not None:
                approved.add(before.open.commit)
            if one.job is not None and one.job.phase in {Phase.BUILDING, Phase.EXAMINING}:
                assert one.approval is not None
                self.assertIn(one.approval.commit, approved)
            if one.published is not None:
                self.assertIn(one.published.commit, approved)
            self.assertIsInstance(one.stage(), Stage)
            self.assertLessEqual(len(one.reasons()), 5)


def _candidate() -> Candidate:
    return Candidate(commit("b"), "2-1", NOW)


def _step(one: Watched, step: int, digit: str, now: float) -> Watched:
    return _STEPS[step](one, digit, now)


_STEPS: tuple[Callable[[Watched, str, float], Watched], ...] = (
    lambda one, digit, now: passing.seen(one, Candidate(commit(digit), "2-1", now)),
    lambda one, _, now: passing.approved(one, "alice", now),
    lambda one, _, now: passing.rejected(one, "alice", now),
    lambda one, _, now: passing.again(one, now),
    lambda one, *_: passing.held_back(one, "alice"),
    lambda one, *_: passing.released(one),
    lambda one, _, now: passing.begun(one, f"job{now}", now),
    lambda one, _, now: passing.built(one, now),
    lambda one, _, now: passing.held(one, now, SURPRISES, "d" * 64),
    lambda one, _, now: passing.published(one, "2-1", now),
    lambda one, _, now: passing.failed(one, now, ["no"], may_pass=True) if one.job else one,
    lambda one, _, now: passing.interrupted(one, now, "killed"),
    lambda one, _, now: passing.accepted(one, "", now),
    lambda one, _, now: passing.found_at_start(one, now, frozenset()),
)
