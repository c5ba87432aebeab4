"""When the AUR may be asked again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.aur import pauses
from flocon.aur.pauses import Pauses


class Waiting(SynchronousTestCase):
    def setUp(self) -> None:
        self.pauses = Pauses()

    def wait(self, now: float, *, urgent: bool = False) -> float:
        return self.pauses.wait(now, urgent=urgent)

    def test_it_may_be_asked_at_once(self) -> None:
        self.assertEqual(self.wait(0.0), 0.0)

    def test_each_failure_doubles_the_pause_up_to_the_longest(self) -> None:
        waits = []
        for _ in range(9):
            self.pauses.failed(100.0, "is away")
            waits.append(self.wait(100.0))
        self.assertEqual(waits[:4], [60.0, 120.0, 240.0, 480.0])
        self.assertEqual(waits[-1], pauses.LONGEST)

    def test_the_pause_passes(self) -> None:
        self.pauses.failed(100.0, "is away")
        self.assertEqual(self.wait(130.0), 30.0)
        self.assertEqual(self.wait(161.0), 0.0)

    def test_an_answer_ends_it_all(self) -> None:
        self.pauses.failed(100.0, "is away", too_often=True)
        self.pauses.answered()
        self.assertEqual(self.wait(100.0), 0.0)
        self.pauses.failed(100.0, "is away")
        self.assertEqual(self.wait(100.0), pauses.FIRST)

    def test_who_waits_asks_in_spite_of_failures(self) -> None:
        self.pauses.failed(100.0, "is away")
        self.assertEqual(self.wait(100.0, urgent=True), 0.0)

    def test_what_the_aur_asked_for_holds_for_all(self) -> None:
        self.pauses.failed(100.0, "answered 503", told=500.0)
        self.assertEqual(self.wait(100.0, urgent=True), 500.0)
        self.assertEqual(self.wait(100.0), 500.0)

    def test_nobody_has_us_wait_longer_than_a_day(self) -> None:
        self.pauses.failed(100.0, "answered 503", told=1e12)
        self.assertEqual(self.wait(100.0), pauses.LONGEST_TOLD)

    def test_asked_too_often_is_a_long_pause_for_all(self) -> None:
        self.pauses.failed(100.0, "answered 429", too_often=True)
        self.assertEqual(self.wait(100.0, urgent=True), pauses.FIRST_TOO_OFTEN)

    def test_questions_of_a_day_are_counted(self) -> None:
        asked = sum(self.pauses.take(second * 10.0) for second in range(8_640))
        self.assertLessEqual(asked, pauses.DAILY + pauses.AT_ONCE)
        self.assertGreaterEqual(asked, pauses.DAILY)
