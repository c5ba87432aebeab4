"""A result for many: before and after, and each waiter on its own."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.waiting import Outcome


class OutcomeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.outcome: Outcome[int] = Outcome()

    def test_everyone_learns_it_who_waited_before_or_asks_after(self) -> None:
        before = [self.outcome.wait(), self.outcome.wait()]
        self.assertNoResult(before[0])
        self.outcome.succeed(5)
        self.assertTrue(self.outcome.known)
        for one in (*before, self.outcome.wait()):
            self.assertEqual(self.successResultOf(one), 5)

    def test_everyone_learns_of_a_failure(self) -> None:
        before = [self.outcome.wait(), self.outcome.wait()]
        self.outcome.fail(KeyError("x"))
        for one in (*before, self.outcome.wait()):
            self.failureResultOf(one, KeyError)

    def test_a_failure_nobody_waits_for_is_no_error(self) -> None:
        self.outcome.fail(KeyError("x"))  # trial would report one that is collected unhandled

    def test_who_gives_up_leaves_the_others_waiting(self) -> None:
        patient, hasty = self.outcome.wait(), self.outcome.wait()
        hasty.cancel()
        self.failureResultOf(hasty, CancelledError)
        self.outcome.succeed(5)
        self.assertEqual(self.successResultOf(patient), 5)

    def test_what_one_waiter_makes_of_it_is_its_own(self) -> None:
        first, second = self.outcome.wait(), self.outcome.wait()
        first.addCallback(lambda value: value * 2)
        self.outcome.succeed(5)
        self.assertEqual(self.successResultOf(first), 10)
        self.assertEqual(self.successResultOf(second), 5)

    def test_it_is_set_once(self) -> None:
        self.outcome.succeed(5)
        self.outcome.succeed(6)
        self.outcome.fail(KeyError("late"))
        self.assertEqual(self.successResultOf(self.outcome.wait()), 5)

    def test_a_failure_is_not_mended(self) -> None:
        self.outcome.fail(KeyError("x"))
        self.outcome.succeed(5)
        self.failureResultOf(self.outcome.wait(), KeyError)

    def test_a_waiter_that_is_called_may_wait_again(self) -> None:
        again = []
        self.outcome.wait().addCallback(lambda _: again.append(self.outcome.wait()))
        self.outcome.succeed(5)
        self.assertEqual(self.successResultOf(again[0]), 5)
