"""Work for threads before, while and after there are any, and calls that are put off."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.threads import Alarm, Delay


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
