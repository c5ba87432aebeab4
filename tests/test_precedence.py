"""Who goes first: what holds back that for which nobody waits, for how long, and whom it wakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.precedence import (
    LEAST_RATE,
    MOST_AT_ONCE,
    MOST_FOR_PEERS,
    MOST_RESTING,
    PART_AT_ONCE,
    PART_FOR_PEERS,
    QUIET,
    REST,
    TAKING,
    Precedence,
)

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 0.05


class PrecedenceTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.precedence = Precedence(self.clock)
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    @property
    def stands(self) -> bool:
        """Whether the unhurried stands still now."""
        stands = self.precedence.stands(self.wake)
        self.precedence.forget(self.wake)
        return stands

    def held(self, seconds: float, size: int) -> float:
        """Return for how long it stood while a peer was sent ``size`` bytes a step."""
        held = 0.0
        for _ in range(round(seconds / STEP)):
            self.precedence.sent(size)
            self.clock.advance(STEP)
            held += STEP if self.stands else 0.0
        return held


class Pacman(PrecedenceTestCase):
    def test_with_nothing_hurried_nobody_stands(self) -> None:
        self.assertFalse(self.precedence.stands(self.wake))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_holds_back_as_long_as_it_asks_and_a_moment_longer(self) -> None:
        with self.precedence.pacman():
            self.assertTrue(self.precedence.stands(self.wake))
            self.clock.advance(3600)
        self.clock.advance(QUIET * 0.9)
        self.assertEqual(self.woken, 0)
        self.clock.advance(QUIET * 0.2)
        self.assertEqual(self.woken, 1)
        self.assertFalse(self.stands)

    def test_its_next_request_within_the_moment_goes_on_holding_back(self) -> None:
        for _ in range(5):
            with self.precedence.pacman():
                self.assertTrue(self.precedence.stands(self.wake))
            self.clock.advance(QUIET * 0.9)
        self.assertEqual(self.woken, 0)
        self.clock.advance(QUIET)
        self.assertEqual(self.woken, 1)

    def test_the_last_of_several_requests_lets_go(self) -> None:
        with self.precedence.pacman():
            with self.precedence.pacman():
                self.assertTrue(self.precedence.stands(self.wake))
            self.clock.advance(10)
            self.assertEqual(self.woken, 0)
        self.clock.advance(QUIET)
        self.assertEqual(self.woken, 1)

    def test_who_was_forgotten_is_not_woken_and_leaves_no_timer(self) -> None:
        with self.precedence.pacman():
            self.precedence.stands(self.wake)
        self.precedence.forget(self.wake)
        self.precedence.forget(self.wake)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_holds_back_while_there_is_nothing_for_it_to_take(self) -> None:
        with self.precedence.pacman() as taking:
            taking.took()
            taking.offered(False)
            self.clock.advance(3600)
            self.assertTrue(self.stands)

    def test_while_it_takes_something_now_and_again_it_holds_back(self) -> None:
        with self.precedence.pacman() as taking:
            taking.offered(True)
            self.precedence.stands(self.wake)
            for _ in range(10):
                self.clock.advance(TAKING * 0.9)
                taking.took()
            self.assertEqual(self.woken, 0)

    def test_one_that_takes_nothing_of_what_is_there_lets_go_until_it_does(self) -> None:
        with self.precedence.pacman() as taking:
            self.precedence.stands(self.wake)
            taking.offered(True)
            self.clock.advance(TAKING * 0.5)
            # Looked at again, nothing having been taken.
            taking.offered(True)
            self.clock.advance(TAKING * 0.5)
            self.assertEqual(self.woken, 1)
            self.assertFalse(self.stands)
            taking.took()
            self.assertTrue(self.stands)
        self.clock.advance(QUIET)
        self.assertFalse(self.stands)

    def test_one_that_takes_nothing_keeps_no_other_from_holding_back(self) -> None:
        with self.precedence.pacman() as slow, self.precedence.pacman():
            slow.took()
            self.clock.advance(TAKING)
            self.assertTrue(self.stands)


class OtherUsers(PrecedenceTestCase):
    """Anybody on this machine asks as pacman does."""

    PACMANS, OTHER = 969, 1000

    def setUp(self) -> None:
        super().setUp()
        self.precedence.set_users({0, self.PACMANS})

    def held_by(self, user: int | None, seconds: float) -> float:
        """Return for how long all stood while a user's request waited for this node."""
        held = 0.0
        with self.precedence.pacman(user):
            for _ in range(round(seconds / STEP)):
                held += STEP if self.stands else 0.0
                self.clock.advance(STEP)
        return held

    def test_pacmans_users_and_unknown_ones_hold_back_all_the_time(self) -> None:
        for user in (0, self.PACMANS, None):
            self.assertAlmostEqual(self.held_by(user, 600), 600, delta=1)

    def test_another_does_for_a_while(self) -> None:
        self.assertAlmostEqual(self.held_by(self.OTHER, MOST_AT_ONCE), MOST_AT_ONCE)

    def test_and_then_for_most_of_the_time(self) -> None:
        held = self.held_by(self.OTHER, MOST_FOR_PEERS)
        self.assertLess(abs(held - PART_AT_ONCE * MOST_FOR_PEERS), 2)

    def test_and_in_the_long_run_for_a_part_of_the_time_together_with_peers(self) -> None:
        hour, held = 3600.0, 0.0
        most = MOST_FOR_PEERS + hour * PART_FOR_PEERS
        with self.precedence.pacman(self.OTHER), self.precedence.pacman(self.OTHER + 1):
            held = self.held(hour, 1 << 20)
        self.assertLess(held, most * 1.05)
        self.assertGreater(held, most * 0.9)

    def test_who_stands_is_woken_though_a_request_has_no_end(self) -> None:
        with self.precedence.pacman(self.OTHER):
            self.precedence.stands(self.wake)
            for _ in range(round(MOST_FOR_PEERS * 2 / PART_FOR_PEERS / QUIET) + 2):
                self.clock.advance(QUIET)
            self.assertEqual(self.woken, 1)

    def test_pacman_goes_first_whatever_they_have_spent(self) -> None:
        with self.precedence.pacman(self.OTHER):
            self.held_by(self.OTHER, MOST_FOR_PEERS * 4)
            self.assertAlmostEqual(self.held_by(0, 60), 60, delta=1)

    def test_one_that_takes_nothing_of_what_is_there_lets_go(self) -> None:
        with self.precedence.pacman(self.OTHER) as taking:
            taking.offered(True)
            self.assertTrue(self.stands)
            self.clock.advance(TAKING + QUIET)
            self.assertFalse(self.stands)
        self.clock.advance(QUIET)
        self.assertFalse(self.stands)


class Peers(PrecedenceTestCase):
    def test_a_request_holds_back_for_a_moment(self) -> None:
        self.precedence.asked()
        self.assertTrue(self.precedence.stands(self.wake))
        self.clock.advance(QUIET)
        self.assertEqual(self.woken, 1)

    def test_one_that_takes_what_comes_holds_back_all_the_time_for_a_while(self) -> None:
        self.assertAlmostEqual(self.held(MOST_AT_ONCE, 1 << 20), MOST_AT_ONCE)

    def test_one_that_goes_on_leaves_a_part_of_each_few_seconds(self) -> None:
        stretches = self.stretches(lambda: True, MOST_FOR_PEERS)
        stood = [seconds for stands, seconds in stretches if stands]
        went = [seconds for stands, seconds in stretches if not stands]
        self.assertGreater(len(went), MOST_FOR_PEERS / MOST_AT_ONCE / 2)
        self.assertLess(max(stood), MOST_AT_ONCE + QUIET)
        self.assertGreater(min(stood), MOST_AT_ONCE - QUIET)
        # A connection that stood still needs more than a moment to be fast again.
        self.assertGreater(min(went), 1.0)
        # And no more than that: it is what those who ask are slowed by.
        self.assertLess(sum(went), (1 - PART_AT_ONCE) * MOST_FOR_PEERS + 1)

    @settings(max_examples=30)
    @given(st.lists(st.tuples(st.booleans(), st.floats(STEP, 4.0)), max_size=60))
    def test_however_they_ask_nobody_stands_for_longer_at_once(
        self, turns: list[tuple[bool, float]]
    ) -> None:
        self.setUp()
        asks = [one for one, seconds in turns for _ in range(round(seconds / STEP))]
        asking = iter(asks)
        for stands, seconds in self.stretches(lambda: next(asking), len(asks) * STEP):
            if stands:
                self.assertLess(seconds, MOST_AT_ONCE + QUIET)

    def stretches(self, asks: Callable[[], bool], seconds: float) -> list[tuple[bool, float]]:
        """Return for how long all stood and went by turns; ``asks`` says who asks, step by step."""
        found: list[tuple[bool, float]] = []
        for _ in range(round(seconds / STEP)):
            if asks():
                self.precedence.sent(1 << 20)
            self.clock.advance(STEP)
            stands = self.stands
            if found and found[-1][0] is stands:
                found[-1] = stands, found[-1][1] + STEP
            else:
                found.append((stands, STEP))
        # The last one had not ended.
        return found[:-1]

    def test_one_that_drips_holds_back_for_little(self) -> None:
        dripping = int(LEAST_RATE * STEP / 100)
        self.assertLess(self.held(MOST_FOR_PEERS, dripping), MOST_FOR_PEERS / 20)

    def test_in_the_long_run_they_hold_back_for_a_part_of_the_time(self) -> None:
        hour = 3600.0
        most = MOST_FOR_PEERS + hour * PART_FOR_PEERS
        held = self.held(hour, 1 << 20)
        self.assertLess(held, most * 1.05)
        # But no less than that, either: it is theirs.
        self.assertGreater(held, most * 0.9)

    @settings(max_examples=40)
    @given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 2.0)), max_size=60))
    def test_whatever_happens_all_are_woken_a_moment_after_it(
        self, events: list[tuple[bool, float]]
    ) -> None:
        self.setUp()
        for is_pacman, pause in events:
            if is_pacman:
                with self.precedence.pacman():
                    self.precedence.stands(self.wake)
                    self.clock.advance(pause)
            else:
                self.precedence.sent(1 << 30)
                self.precedence.stands(self.wake)
                self.clock.advance(pause)
        waits = self.precedence.stands(self.wake)
        before = self.woken
        self.clock.advance(QUIET + 0.001)
        self.assertEqual(self.woken - before, int(waits))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Silent(PrecedenceTestCase):
    def test_a_peer_that_was_silent_rests_for_a_while(self) -> None:
        self.precedence.was_silent("a")
        self.assertTrue(self.precedence.rests("a"))
        self.assertFalse(self.precedence.rests("b"))
        self.clock.advance(REST)
        self.assertFalse(self.precedence.rests("a"))

    def test_no_more_than_so_many_are_remembered(self) -> None:
        for number in range(MOST_RESTING + 1):
            self.precedence.was_silent(str(number))
        self.assertFalse(self.precedence.rests("0"))
        self.assertTrue(self.precedence.rests("1"))


class AtOnce(PrecedenceTestCase):
    def test_what_pacman_was_given_as_it_asked_holds_back_for_a_moment(self) -> None:
        self.precedence.gave()
        self.assertTrue(self.precedence.stands(self.wake))
        self.clock.advance(QUIET + 0.001)
        self.assertEqual(self.woken, 1)

    def test_pacman_is_root_and_who_it_downloads_as(self) -> None:
        self.precedence.set_users([0, 955])
        known = [self.precedence.is_pacman(user) for user in (None, 0, 955, 1000)]
        self.assertEqual(known, [True, True, True, False])
