"""Work for threads before, while and after there are any, and calls that are put off."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.threads import Alarm, Delay, Threads
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


class AlarmTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.called: list[float] = []
        self.alarm = Alarm(self.clock, lambda: self.called.append(self.clock.seconds()))

    def test_it_calls_when_it_was_last_set_to(self) -> None:
        self.alarm.set(5.0)
        self.alarm.set(9.0)
        self.alarm.set(7.0)
        self.clock.pump([1.0] * 20)
        self.assertEqual(self.called, [7.0])

    def test_what_is_past_is_due_now(self) -> None:
        self.clock.advance(10.0)
        self.alarm.set(3.0)
        self.clock.advance(0.0)
        self.assertEqual(self.called, [10.0])

    def test_set_to_no_time_or_stopped_it_does_not_call(self) -> None:
        self.alarm.set(5.0)
        self.alarm.set(None)
        self.alarm.set(5.0)
        self.alarm.stop()
        self.clock.advance(9.0)
        self.assertEqual((self.called, self.clock.getDelayedCalls()), ([], []))


class DelayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.calls = 0
        self.delay = Delay(self.clock, self.call)

    def call(self) -> None:
        self.calls += 1

    def test_it_calls_once_however_often_it_was_asked(self) -> None:
        self.delay.begin(5)
        self.clock.advance(4)
        self.delay.begin(5)
        self.clock.advance(1)
        self.assertEqual(self.calls, 1)
        self.clock.advance(10)
        self.assertEqual(self.calls, 1)

    def test_it_can_begin_again_in_the_call(self) -> None:
        def call() -> None:
            self.call()
            delay.begin(5)

        delay = Delay(self.clock, call)
        delay.begin(5)
        self.clock.pump([5, 5, 5])
        self.assertEqual(self.calls, 3)
        delay.stop()

    def test_it_calls_no_more_once_it_was_stopped(self) -> None:
        self.delay.begin(5)
        self.delay.stop()
        self.delay.begin(5)
        self.clock.advance(5)
        self.assertEqual((self.calls, self.clock.getDelayedCalls()), (0, []))
