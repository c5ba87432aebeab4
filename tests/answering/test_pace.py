"""How many bytes go out in a second, and who waits for them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.answering.pace import LEAST, LONGEST_STAND, PLENTY, TICK, Pacer, Yielding
from flocon.precedence import QUIET, Precedence

RATE = 1_000_000.0


class Sender:
    """Sends whatever it is allowed to, at most ``step`` bytes at once."""

    def __init__(self, clock: Clock, pacer: Pacer, step: int = 1 << 30) -> None:
        self._clock = clock
        self._pacer = pacer
        self._step = step
        self.sent = 0

    def send(self) -> None:
        count = min(self._step, self._pacer.allowance(self.send))
        if count:
            self._pacer.took(count)
            self.sent += count
            # As a socket does: it says later that there is room again.
            self._clock.callLater(0, self.send)


class Pacing(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pacer = Pacer(self.clock, RATE)

    def run_for(self, seconds: float, pacer: Pacer, *senders: Sender) -> int:
        for sender in senders:
            sender.send()
        self.clock.pump([0.001] * round(seconds * 1000))
        for sender in senders:
            pacer.forget(sender.send)
        return sum(sender.sent for sender in senders)

    def test_a_new_bound_holds_at_once_for_who_waits_too(self) -> None:
        woken: list[str] = []
        self.pacer.took(int(10 * RATE))
        self.assertEqual(self.pacer.allowance(lambda: woken.append("waited")), 0)
        self.pacer.bound(0)
        self.assertEqual(woken, ["waited"])
        self.assertEqual(self.pacer.allowance(self.fail), PLENTY)
        self.pacer.took(1 << 40)
        self.pacer.bound(RATE)
        self.assertEqual(self.pacer.allowance(self.fail), RATE * TICK * 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_sender_gets_the_rate(self) -> None:
        sent = self.run_for(5, self.pacer, Sender(self.clock, self.pacer))
        self.assertTrue(4.9 * RATE <= sent <= 5.2 * RATE, sent)

    def test_many_share_it(self) -> None:
        senders = [Sender(self.clock, self.pacer) for _ in range(4)]
        sent = self.run_for(5, self.pacer, *senders)
        self.assertTrue(4.9 * RATE <= sent <= 5.2 * RATE, sent)
        for sender in senders:
            self.assertGreater(sender.sent, RATE / 2)

    def test_silence_saves_up_no_more_than_one_portion(self) -> None:
        self.clock.advance(3600)
        self.assertEqual(self.pacer.allowance(lambda: None), RATE * TICK * 2)

    def test_a_small_rate_still_sends_whole_portions(self) -> None:
        pacer = Pacer(self.clock, 100.0)
        self.assertEqual(pacer.allowance(lambda: None), LEAST)

    def test_who_finds_nothing_is_woken_once_there_is_some(self) -> None:
        woken: list[float] = []
        self.pacer.took(200_000)
        self.assertEqual(self.pacer.allowance(lambda: woken.append(self.clock.seconds())), 0)
        self.clock.pump([0.01] * 20)
        self.assertEqual(len(woken), 1)
        self.assertGreater(self.pacer.allowance(lambda: None), 0)

    def test_who_is_forgotten_is_not_woken_and_leaves_no_timer(self) -> None:
        self.pacer.took(200_000)
        self.pacer.allowance(self.fail)
        self.pacer.forget(self.fail)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_forgetting_one_leaves_the_others_waiting(self) -> None:
        woken: list[str] = []
        self.pacer.took(200_000)
        self.pacer.allowance(self.fail)
        self.pacer.allowance(lambda: woken.append("other"))
        self.pacer.forget(self.fail)
        self.clock.advance(1)
        self.assertEqual(woken, ["other"])

    def test_who_never_waited_can_be_forgotten(self) -> None:
        self.pacer.forget(self.fail)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @settings(max_examples=15, deadline=None)
    @given(st.floats(1_000, 1e7), st.lists(st.integers(1 << 14, 1 << 20), min_size=1, max_size=5))
    def test_never_more_than_the_rate_and_one_portion(self, rate: float, steps: list[int]) -> None:
        self.clock = Clock()
        pacer = Pacer(self.clock, rate)
        sent = self.run_for(1, pacer, *[Sender(self.clock, pacer, step) for step in steps])
        self.assertLessEqual(sent, rate * 1.001 + max(LEAST, rate * TICK * 2) + 1)


class Yields(SynchronousTestCase):
    """What nobody waits for: after all else, and then as fast as any."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.precedence = Precedence(self.clock)
        self.woken = self.ended = 0

    def wake(self) -> None:
        self.woken += 1

    def end(self) -> None:
        self.ended += 1

    def yielding(self, pacer: Pacer | None = None) -> Yielding:
        return Yielding(self.clock, self.precedence, pacer, self.end)

    def test_nothing_goes_until_nothing_is_hurried(self) -> None:
        one = self.yielding()
        with self.precedence.pacman():
            self.assertEqual(one.allowance(self.wake), 0)
        self.clock.advance(QUIET)
        self.assertEqual(self.woken, 1)
        self.assertGreater(one.allowance(self.wake), 1 << 40)
        one.forget(self.wake)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_bound_of_all_holds_for_it_too(self) -> None:
        pacer = Pacer(self.clock, RATE)
        one = self.yielding(pacer)
        allowed = one.allowance(self.wake)
        self.assertEqual(allowed, RATE * TICK * 2)
        one.took(allowed)
        self.assertEqual(pacer.allowance(self.wake), 0)
        one.forget(self.wake)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_is_ended_once_and_not_before_it_stood_still_for_long(self) -> None:
        one = self.yielding()
        for _ in range(3):
            with self.precedence.pacman():
                one.allowance(self.wake)
                self.clock.advance(LONGEST_STAND * 0.9)
            self.clock.advance(QUIET)
            one.allowance(self.wake)
        self.assertEqual(self.ended, 0)
        with self.precedence.pacman():
            one.allowance(self.wake)
            self.clock.advance(LONGEST_STAND * 2)
        self.assertEqual(self.ended, 1)
