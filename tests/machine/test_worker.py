"""A loop that runs while there is something to do."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.worker import Worker
from tests.inline import InlineReactor


class WorkerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = InlineReactor()
        self.jobs: list[Deferred[bool]] = []
        self.worker = Worker(self.reactor, self.step)

    def step(self) -> Deferred[bool]:
        self.jobs.append(Deferred())
        return self.jobs[-1]

    def start(self) -> None:
        self.worker.start()
        self.reactor.settle()

    def test_it_goes_on_until_there_is_nothing_to_do(self) -> None:
        self.start()
        self.jobs[0].callback(True)
        self.assertEqual(len(self.jobs), 2)
        self.jobs[1].callback(False)
        self.assertEqual(len(self.jobs), 2)

    def test_nothing_is_done_before_the_start(self) -> None:
        self.worker.wake()
        self.reactor.settle()
        self.assertEqual(self.jobs, [])

    def test_woken_in_the_middle_of_a_step_it_looks_again(self) -> None:
        self.start()
        self.worker.wake()
        self.jobs[0].callback(False)
        self.assertEqual(len(self.jobs), 2)

    def test_a_step_that_fails_is_logged_and_the_rest_is_done(self) -> None:
        self.start()
        self.jobs[0].errback(ValueError("bad job"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(len(self.jobs), 2)

    def test_stopping_waits_for_the_running_step_and_begins_no_other(self) -> None:
        self.start()
        stopped = self.worker.stop()
        self.assertNoResult(stopped)
        self.jobs[0].callback(True)
        self.successResultOf(stopped)
        self.assertEqual(len(self.jobs), 1)

    def test_stopped_between_waking_and_work_it_does_nothing(self) -> None:
        self.worker.start()
        stopped = self.worker.stop()
        self.reactor.settle()
        self.successResultOf(stopped)
        self.assertEqual(self.jobs, [])
