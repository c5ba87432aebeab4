"""How often peers that have proved nothing may disappoint."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.sources.strangers import EVERY, LONG, MOST, PROVING_RATE, Strangers


class StrangersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.strangers = Strangers()

    def disappoint(self, count: int) -> None:
        for _ in range(count):
            self.strangers.disappointed(100.0)

    def test_a_few_that_disappoint_are_borne(self) -> None:
        self.disappoint(MOST - 1)
        self.assertTrue(self.strangers.come_first(100.0))

    def test_many_are_not_however_many_addresses_they_have(self) -> None:
        self.disappoint(100)
        self.assertFalse(self.strangers.come_first(100.0))

    def test_now_and_then_one_gets_its_chance_all_the_same(self) -> None:
        self.disappoint(100)
        self.assertFalse(self.strangers.come_first(100.0 + EVERY - 0.1))
        self.assertTrue(self.strangers.come_first(100.0 + EVERY))
        self.strangers.disappointed(100.0 + EVERY)
        self.assertFalse(self.strangers.come_first(100.0 + 2 * EVERY - 0.1))

    def test_what_comes_slowly_for_long_disappoints(self) -> None:
        for _ in range(MOST):
            self.strangers.gave(int(PROVING_RATE * LONG), 2 * LONG, 100.0)
        self.assertFalse(self.strangers.come_first(100.0))

    def test_what_is_small_or_fast_does_not(self) -> None:
        for _ in range(MOST):
            self.strangers.gave(4_000, LONG, 100.0)
            self.strangers.gave(int(PROVING_RATE * 8), 8.0, 100.0)
        self.assertTrue(self.strangers.come_first(100.0))
