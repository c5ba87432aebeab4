"""When a mirror is looked at again."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.upstream.schedule import (
    LONGEST_RETRY,
    RETRY,
    SPREAD,
    SPREAD_OF_DAY,
    Last,
    next_time,
    remembered,
    wait,
)

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = 3_600.0, 86_400.0
#: Clocks are put forward from 2 to 3 h on 29 March 2026 there, and back on 25 October.
NOON = datetime(2026, 11, 27, 12, tzinfo=BERLIN).timestamp()
TIMES = st.lists(
    st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=4
).map(tuple)


def moment(*parts: int) -> float:
    return datetime(*parts, tzinfo=BERLIN).timestamp()  # type: ignore[misc, arg-type]


class Regularly(SynchronousTestCase):
    def wait(self, last: Last | None, now: float, chance: float = 0.5) -> float | None:
        return wait(HOUR, last, now, 0.0, chance=chance)

    def test_what_was_never_read_is_read_at_once(self) -> None:
        self.assertEqual(self.wait(None, 5.0), 0.0)

    def test_then_after_each_such_time(self) -> None:
        self.assertEqual(self.wait(Last(100.0, 0.0), 100.0), HOUR)
        self.assertEqual(self.wait(Last(100.0, 0.0), 100.0 + HOUR - 1), 1.0)
        self.assertEqual(self.wait(Last(100.0, 0.0), 200.0 + HOUR), 0.0)

    def test_more_or_less_so_that_nodes_spread(self) -> None:
        last = Last(0.0, 0.0)
        self.assertEqual(self.wait(last, 0.0, 0.0), HOUR * (1 - SPREAD / 2))
        self.assertEqual(self.wait(last, 0.0, 1.0), HOUR * (1 + SPREAD / 2))

    def test_whatever_the_time_of_day_is_set_to(self) -> None:
        last = Last(100.0, NOON)
        for wall in (NOON - DAY, NOON + 365 * DAY):
            self.assertEqual(wait(HOUR, last, 100.0, wall, chance=0.5), HOUR)

    def test_by_hand_alone_is_never_by_itself(self) -> None:
        self.assertIsNone(wait((), None, 0.0, NOON, chance=0.5))


class Starting(SynchronousTestCase):
    def test_a_young_state_is_not_read_again_at_once(self) -> None:
        last = remembered(int(NOON) - 600, 50.0, float(int(NOON)))
        self.assertEqual(wait(HOUR, last, 50.0, NOON, chance=0.5), HOUR - 600)

    def test_an_old_one_is(self) -> None:
        last = remembered(int(NOON - DAY), 50.0, NOON)
        self.assertEqual(wait(HOUR, last, 50.0, NOON, chance=0.5), 0.0)

    def test_one_that_is_yet_to_come_says_nothing(self) -> None:
        self.assertIsNone(remembered(int(NOON) + 60, 50.0, NOON))
        self.assertIsNone(remembered(0, 50.0, NOON))


class Failing(SynchronousTestCase):
    def waits(self, refresh: float | tuple[str, ...]) -> list[float]:
        wall = moment(2026, 11, 27, 6, 5)
        return [
            wait(refresh, Last(0.0, wall, failures), 0.0, wall, chance=0.0, zone=BERLIN) or 0.0
            for failures in range(1, 8)
        ]

    def test_it_is_tried_again_soon_and_then_less_and_less_often(self) -> None:
        expected = [RETRY, 2 * RETRY, 4 * RETRY, 8 * RETRY, *[LONGEST_RETRY] * 3]
        self.assertEqual(self.waits(DAY), expected)
        self.assertEqual(self.waits(("06:00",)), expected)

    def test_what_is_looked_at_often_is_left_alone_for_longer(self) -> None:
        self.assertEqual(self.waits(60.0), [60, 120, 240, 480, 960, 1_920, LONGEST_RETRY])

    def test_a_time_of_day_that_comes_first_is_kept(self) -> None:
        wall = moment(2026, 11, 27, 5, 58)
        seconds = wait(("06:00",), Last(0.0, wall, 1), 0.0, wall, chance=0.0, zone=BERLIN)
        self.assertEqual(seconds, 120.0)

    def test_very_many_failures_are_no_more_than_many(self) -> None:
        seconds = wait(HOUR, Last(0.0, 0.0, 10**6), 0.0, 0.0, chance=0.0)
        self.assertEqual(seconds, LONGEST_RETRY)


class TimesOfDay(SynchronousTestCase):
    def wait(
        self, last: float, wall: float, *times: str, chance: float = 0.0, failures: int = 0
    ) -> float | None:
        return wait(times, Last(0.0, last, failures), 0.0, wall, chance=chance, zone=BERLIN)

    def test_the_next_one_is_kept(self) -> None:
        self.assertEqual(self.wait(NOON, NOON, "06:00", "18:30"), 6.5 * HOUR)
        self.assertEqual(self.wait(NOON, NOON, "06:00"), 18 * HOUR)

    def test_a_little_later_so_that_nodes_spread(self) -> None:
        self.assertEqual(self.wait(NOON, NOON, "13:00", chance=1.0), HOUR + SPREAD_OF_DAY)

    def test_one_that_was_slept_through_is_made_up_for(self) -> None:
        self.assertEqual(self.wait(NOON - DAY, NOON, "06:00"), 0.0)

    def test_one_over_which_the_clock_was_set_is_made_up_for(self) -> None:
        self.assertEqual(self.wait(NOON, NOON + 7 * HOUR, "18:30"), 0.0)

    def test_a_clock_that_was_a_year_ahead_is_forgotten(self) -> None:
        self.assertEqual(self.wait(NOON + 365 * DAY, NOON, "13:00"), HOUR)

    def test_where_clocks_are_put_forward_over_it_it_is_as_long_after(self) -> None:
        found = next_time(("02:30",), moment(2026, 3, 29, 1), BERLIN)
        self.assertEqual(found, moment(2026, 3, 29, 3, 30))

    def test_where_clocks_are_put_back_over_it_it_is_once(self) -> None:
        first = next_time(("02:30",), moment(2026, 10, 25, 1), BERLIN)
        self.assertEqual(first - moment(2026, 10, 25, 1), 1.5 * HOUR)
        self.assertEqual(next_time(("02:30",), first, BERLIN), moment(2026, 10, 26, 2, 30))

    @given(TIMES, st.floats(NOON - 400 * DAY, NOON + 400 * DAY))
    def test_each_moment_is_later_and_within_a_day_and_a_changed_clock(
        self, times: tuple[str, ...], after: float
    ) -> None:
        found = next_time(times, after, BERLIN)
        self.assertTrue(after < found <= after + DAY + HOUR)

    @given(TIMES, st.floats(NOON - 400 * DAY, NOON + 400 * DAY), st.integers(1, 30))
    def test_as_many_come_in_some_days_as_are_named(
        self, times: tuple[str, ...], after: float, days: int
    ) -> None:
        count, moment = 0, after
        while (moment := next_time(times, moment, BERLIN)) <= after + days * DAY:
            count += 1
        named = len(set(times)) * days
        self.assertTrue(named - len(times) <= count <= named + len(times))
