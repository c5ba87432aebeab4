"""What pacman was sent away for, and which holders deserve it: for a while, and bounded."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.sources.redirects import (
    AGAIN,
    ALIVE,
    MISTRUSTED,
    MOST,
    MOST_UNPROVEN,
    MOST_UNPROVEN_TOGETHER,
    Redirects,
)


class RedirectsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.redirects = Redirects()

    def test_a_file_is_given_away_once_in_a_while(self) -> None:
        self.assertFalse(self.redirects.is_again("a", 5.0))
        self.redirects.sent("a", "n", 5.0)
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
            self.redirects.sent(str(number), "n", 1.0)
        self.redirects.sent("0", "n", 2.0)
        self.redirects.sent("another", "n", 3.0)
        again = [str(number) for number in range(MOST) if self.redirects.is_again(str(number), 3.0)]
        self.assertEqual(len(again), MOST - 1)
        self.assertNotIn("1", again)

    def send(self, count: int, now: float = 1.0) -> None:
        for number in range(count):
            self.redirects.sent(str(number), "n", now)

    def test_a_holder_is_sent_pacman_for_few_files_that_have_not_arrived(self) -> None:
        self.send(MOST_UNPROVEN - 1)
        self.assertTrue(self.redirects.may_be_sent("n", 1.0))
        self.redirects.sent("x", "n", 1.0)
        self.assertFalse(self.redirects.may_be_sent("n", 1.0))
        self.assertTrue(self.redirects.may_be_sent("m", 1.0))

    def test_so_are_all_together_that_have_never_kept_their_word(self) -> None:
        for number in range(MOST_UNPROVEN_TOGETHER):
            self.assertTrue(self.redirects.may_be_sent(f"n{number}", 1.0))
            self.redirects.sent(str(number), f"n{number}", 1.0)
        self.assertFalse(self.redirects.may_be_sent("m", 1.0))
        self.redirects.arrived("0")
        self.assertTrue(self.redirects.may_be_sent("m", 1.0))
        self.redirects.sent("x", "m", 1.0)
        self.assertFalse(self.redirects.may_be_sent("another", 1.0))
        # Who has kept its word is not held up by them.
        self.assertTrue(self.redirects.may_be_sent("n0", 1.0))
        self.assertTrue(self.redirects.may_be_sent("another", 1.0 + AGAIN))

    def test_each_that_arrives_makes_room_for_another(self) -> None:
        self.send(MOST_UNPROVEN)
        self.redirects.arrived("0")
        self.assertTrue(self.redirects.may_be_sent("n", 1.0))

    def test_one_that_is_asked_for_again_tells_of_its_holder(self) -> None:
        self.send(1)
        self.redirects.is_again("0", 2.0)
        self.assertFalse(self.redirects.may_be_sent("n", 2.0 + MISTRUSTED - 1))
        self.assertTrue(self.redirects.may_be_sent("n", 2.0 + MISTRUSTED))

    def test_one_that_arrived_and_is_asked_for_again_does_not(self) -> None:
        self.send(1)
        self.redirects.arrived("0")
        self.redirects.is_again("0", 2.0)
        self.assertTrue(self.redirects.may_be_sent("n", 2.0))

    def test_one_of_which_nothing_is_heard_any_more_counts_for_a_while(self) -> None:
        self.send(MOST_UNPROVEN)
        self.assertFalse(self.redirects.may_be_sent("n", AGAIN))
        self.assertTrue(self.redirects.may_be_sent("n", AGAIN + 1))

    def test_a_file_that_nobody_was_sent_for_is_nothing_to_learn_from(self) -> None:
        self.redirects.arrived("x")
        self.assertTrue(self.redirects.may_be_sent("n", 1.0))
