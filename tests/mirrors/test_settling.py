"""When a state is given out: complete, or when its time is up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred

from flocon.mirrors.settling import LOOK_AGAIN, Settling
from flocon.settings.settings import Mirror
from flocon.states.publication import BEHIND, Policy
from tests.wanted.wanting_case import WantingTestCase, desc

HOUR = 3_600.0


class When(WantingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.complete: set[str] = set()
        self.settings = Mirror(serve=True, publish_within=HOUR)
        self.settling = Settling(
            self.reactor,
            self.states,
            settings=lambda: self.settings,
            is_complete=lambda identity: identity in self.complete,
            run=self.run_work,
        )
        self.addCleanup(self.settling.stop)
        self.first = self.move("1-1")

    def run_work(self, work: Any) -> None:
        Deferred.fromCoroutine(work)

    def move(self, version: str) -> str:
        generation = self.read(core=[desc("a", version)])
        self.done(self.settling.settle())
        return generation.identity

    def pass_time(self, seconds: float) -> None:
        """Let the clocks go on together, a minute at a time."""
        for _ in range(int(seconds // LOOK_AGAIN)):
            self.now += LOOK_AGAIN
            self.reactor.advance(LOOK_AGAIN)

    @property
    def published(self) -> str:
        now = self.states.published
        return "" if now is None else now[0].identity

    def test_the_first_is_given_out_as_it_is(self) -> None:
        self.assertEqual(self.published, self.first)

    def test_the_log_tells_of_each_state_once(self) -> None:
        told = []
        self.patch(self.settling, "_log", SimpleNamespace(info=lambda _, **of: told.append(of)))
        self.settling.look()
        self.assertEqual(told, [])
        second = self.move("2-1")
        self.assertEqual(told, [])
        self.complete.add(second)
        self.settling.look()
        self.settling.look()
        self.assertEqual([str(one["policy"]) for one in told], ["latest"])

    def test_the_next_once_all_that_is_wanted_of_it_is_here(self) -> None:
        second = self.move("2-1")
        self.assertEqual(self.published, self.first)
        self.complete.add(second)
        self.settling.look()
        self.assertEqual(self.published, second)
        self.assertIsNone(self.states.waiting)
        self.assertEqual(self.reactor.getDelayedCalls()[1:], [])

    def test_or_when_its_time_is_up(self) -> None:
        second = self.move("2-1")
        self.pass_time(HOUR - 60)
        self.assertEqual(self.published, self.first)
        self.pass_time(120)
        self.assertEqual(self.published, second)

    def test_time_that_is_shortened_meanwhile_counts(self) -> None:
        second = self.move("2-1")
        self.settings = Mirror(serve=True, publish_within=10.0)
        self.settling.changed()
        self.now += 11
        self.reactor.advance(11)
        self.assertEqual(self.published, second)

    def test_what_stopped_looks_no_more(self) -> None:
        self.move("2-1")
        self.settling.stop()
        self.settling.changed()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_time_runs_from_the_first_that_waits(self) -> None:
        self.move("2-1")
        self.pass_time(HOUR / 2)
        third = self.move("3-1")
        self.pass_time(HOUR / 2 + 60)
        self.assertEqual(self.published, third)

    def test_a_clock_that_was_set_back_holds_nothing_up(self) -> None:
        second = self.move("2-1")
        self.now -= 1_000_000
        self.pass_time(60)
        self.assertEqual(self.published, second)

    def test_at_once_where_the_operator_wants_that(self) -> None:
        self.settings = Mirror(serve=True, publish="at once")
        second = self.move("2-1")
        self.assertEqual(self.published, second)

    def test_behind_by_some_time_it_follows_as_time_goes_on(self) -> None:
        self.settings = Mirror(serve=True, publish="at once")
        self.done(self.states.follow(Policy(BEHIND, behind=HOUR)))
        second = self.move("2-1")
        self.assertEqual(self.published, self.first)
        self.pass_time(HOUR + 120)
        self.assertEqual(self.published, second)
