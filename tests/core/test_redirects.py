"""What pacman was sent away for, and who is known to be there: for a while, and bounded."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.core.redirects import AGAIN, ALIVE, MOST, Redirects


class RedirectsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.redirects = Redirects()

    def test_a_file_is_given_away_once_in_a_while(self) -> None:
        self.assertFalse(self.redirects.is_again("a", 5.0))
        self.redirects.sent("a", 5.0)
        self.assertTrue(self.redirects.is_again("a", 5.0 + AGAIN - 1))
        self.assertFalse(self.redirects.is_again("b", 5.0))
        self.assertFalse(self.redirects.is_again("a", 5.0 + AGAIN))

    def test_a_holder_that_answered_is_there_for_a_moment(self) -> None:
        self.assertFalse(self.redirects.is_alive("n", 5.0))
        self.redirects.answered("n", 5.0)
        self.assertTrue(self.redirects.is_alive("n", 5.0 + ALIVE - 1))
        self.assertFalse(self.redirects.is_alive("m", 5.0))
        self.assertFalse(self.redirects.is_alive("n", 5.0 + ALIVE))

    def test_of_too_many_the_longest_unmentioned_are_forgotten(self) -> None:
        for number in range(MOST):
            self.redirects.sent(str(number), 1.0)
        self.redirects.sent("0", 2.0)
        self.redirects.sent("another", 3.0)
        again = [str(number) for number in range(MOST) if self.redirects.is_again(str(number), 3.0)]
        self.assertEqual(len(again), MOST - 1)
        self.assertNotIn("1", again)
