"""Work for threads before, while and after there are any, and calls that are put off."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.store.waiting import Threads
from tests.inline import InlineReactor


class ThreadsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = InlineReactor()
        self.threads = Threads(self.reactor, self.reactor.pool)  # type: ignore[arg-type]

    def test_work_is_done_at_once_where_there_are_none(self) -> None:
        self.reactor.pool.hold("<lambda>")
        done = self.threads.run(self.threads.keeping, lambda: 5)
        self.assertEqual(self.successResultOf(done), 5)

    def test_work_is_done_in_one_while_there_are_some(self) -> None:
        self.threads.start()
        self.reactor.pool.hold("<lambda>")
        done = self.threads.run(self.threads.keeping, lambda: 5)
        self.assertNoResult(done)
        self.reactor.pool.resume()
        self.assertEqual(self.successResultOf(done), 5)

    def test_work_that_fails_is_told_to_who_waits_for_it_and_else_logged(self) -> None:
        def fail() -> None:
            raise ValueError

        self.failureResultOf(self.threads.run(self.threads.keeping, fail), ValueError)
        self.threads.some_time(fail)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
