"""When mDNS stands still."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.mdns.rests import (
    FIRST,
    FIRST_TRY,
    FORGOTTEN,
    LONGEST,
    LONGEST_TRY,
    MOST_IN_A_LOOK,
    MOST_REMEMBERED,
    Rests,
)


class Resting(SynchronousTestCase):
    def setUp(self) -> None:
        self.rests = Rests()

    def test_a_busy_lan_is_no_flood(self) -> None:
        self.assertFalse(self.rests.look(0.0, MOST_REMEMBERED, MOST_IN_A_LOOK))
        self.assertTrue(self.rests.is_over(0.0))

    def test_services_without_end_are(self) -> None:
        self.assertTrue(self.rests.look(0.0, MOST_REMEMBERED + 1, 10))
        self.assertIn("without end", self.rests.why)

    def test_datagrams_of_one_look_count_and_not_those_of_all_time(self) -> None:
        for number in range(1, 5):
            self.assertFalse(self.rests.look(number * 10.0, 0, number * MOST_IN_A_LOOK))
        self.assertTrue(self.rests.look(50.0, 0, 6 * MOST_IN_A_LOOK))

    def test_it_begins_again_after_a_minute(self) -> None:
        self.rests.begin(100.0, "a flood")
        self.assertFalse(self.rests.is_over(100.0 + FIRST - 1))
        self.assertTrue(self.rests.is_over(100.0 + FIRST))
        self.assertEqual(self.rests.why, "")

    def test_each_rest_is_longer_up_to_an_hour(self) -> None:
        now, rests = 0.0, []
        for _ in range(8):
            self.rests.begin(now, "a flood")
            rests.append(self.rests.until - now)
            now = self.rests.until
        self.assertEqual(rests[:3], [FIRST, 2 * FIRST, 4 * FIRST])
        self.assertEqual(rests[-1], LONGEST)

    def test_what_was_long_ago_is_forgotten(self) -> None:
        for _ in range(5):
            self.rests.begin(0.0, "a flood")
        self.rests.begin(FORGOTTEN + 1, "another")
        self.assertEqual(self.rests.until, FORGOTTEN + 1 + FIRST)

    def test_a_failure_is_tried_again_sooner(self) -> None:
        self.rests.begin(0.0, "the port is taken", is_failure=True)
        self.assertFalse(self.rests.is_over(FIRST_TRY - 1))
        self.assertTrue(self.rests.is_over(FIRST_TRY))

    def test_what_the_operator_has_mended_works_within_minutes(self) -> None:
        for _ in range(12):
            self.rests.begin(0.0, "the port is taken", is_failure=True)
        self.assertTrue(self.rests.is_over(LONGEST_TRY))
