"""What a day saved: bytes by origin, seconds against the WAN's rate, and what is remembered."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Came
from flocon.books.savings import MOST_DAYS, Day, Savings, is_sound, load

MIB = 1 << 20
LAN, WAN = Came.PEER, Came.MIRROR
TODAY = "2026-11-21"


def fetch(
    savings: Savings, came: Came, size: int, since: float, until: float, *, day: str = TODAY
) -> None:
    savings.began(came, since)
    savings.ended(came, size, until, day)


class Saving(SynchronousTestCase):
    def setUp(self) -> None:
        self.savings = Savings()

    def test_bytes_are_kept_by_day_and_origin(self) -> None:
        fetch(self.savings, WAN, 5, 0, 1)
        fetch(self.savings, LAN, 7, 1, 2)
        fetch(self.savings, LAN, 3, 2, 3, day="2026-11-22")
        self.assertEqual(self.savings.days, {TODAY: Day(7, 5, 0.0), "2026-11-22": Day(3, 0, 0.0)})

    def test_what_the_wan_would_have_taken_less_what_the_lan_took(self) -> None:
        fetch(self.savings, WAN, 10 * MIB, 0, 10)
        self.assertEqual(self.savings.wan_rate, MIB)
        fetch(self.savings, LAN, 60 * MIB, 20, 22)
        self.assertEqual(self.savings.days[TODAY].seconds_saved, 58)
        self.assertEqual(self.savings.seconds_saved, 58)

    def test_what_a_peer_fetched_for_us_saves_nothing_and_is_counted_apart(self) -> None:
        fetch(self.savings, WAN, 10 * MIB, 0, 10)
        fetch(self.savings, Came.OWNER, 60 * MIB, 20, 22)
        self.assertEqual(self.savings.days[TODAY], Day(0, 10 * MIB, 0.0, 60 * MIB))
        self.assertEqual((self.savings.seconds_saved, self.savings.wan_rate), (0, MIB))

    def test_transfers_beside_each_other_share_the_wan(self) -> None:
        for _ in range(5):
            self.savings.began(WAN, 0)
        for _ in range(5):
            self.savings.ended(WAN, 2 * MIB, 10, TODAY)
        self.assertEqual(self.savings.wan_rate, MIB)

    def test_transfers_beside_each_other_save_their_time_once(self) -> None:
        fetch(self.savings, WAN, 10 * MIB, 0, 10)
        for _ in range(3):
            self.savings.began(LAN, 20)
        for _ in range(3):
            self.savings.ended(LAN, 10 * MIB, 25, TODAY)
        self.assertEqual(self.savings.seconds_saved, 25)

    def test_nothing_is_claimed_before_the_wan_was_measured(self) -> None:
        fetch(self.savings, LAN, 60 * MIB, 0, 2)
        self.assertEqual((self.savings.wan_rate, self.savings.seconds_saved), (0, 0))

    def test_small_answers_tell_nothing_of_a_rate(self) -> None:
        fetch(self.savings, WAN, 300, 0, 2)
        self.assertEqual(self.savings.wan_rate, 0)

    def test_a_mirror_that_never_answered_is_no_measurement(self) -> None:
        fetch(self.savings, WAN, 10 * MIB, 0, 10)
        fetch(self.savings, WAN, 0, 10, 90)
        self.assertEqual(self.savings.wan_rate, MIB)

    def test_a_slow_lan_takes_nothing_away(self) -> None:
        fetch(self.savings, WAN, 10 * MIB, 0, 10)
        fetch(self.savings, LAN, MIB, 20, 90)
        self.assertEqual(self.savings.seconds_saved, 0)

    def test_a_new_rate_is_believed_after_a_while(self) -> None:
        for at in range(30):
            fetch(self.savings, WAN, 100 * MIB, 100 * at, 100 * at + 100)
        for at in range(60):
            fetch(self.savings, WAN, 100 * MIB, 9_000 + 10 * at, 9_001 + 10 * at)
        self.assertGreater(self.savings.wan_rate, 50 * MIB)

    def test_the_oldest_day_goes_first(self) -> None:
        for number in range(MOST_DAYS + 2):
            day = f"{2000 + number // 300}-{1 + number % 300 // 25:02d}-{1 + number % 25:02d}"
            fetch(self.savings, LAN, 1, 0, 1, day=day)
        self.assertEqual(len(self.savings.days), MOST_DAYS)
        self.assertNotIn("2000-01-02", self.savings.days)
        self.assertIn("2000-01-03", self.savings.days)


class Remembering(SynchronousTestCase):
    def test_what_was_written_down_is_read(self) -> None:
        savings = Savings()
        fetch(savings, WAN, 10 * MIB, 0, 10)
        fetch(savings, LAN, 60 * MIB, 20, 22)
        dumped = json.loads(json.dumps(savings.dump()))
        self.assertTrue(is_sound(dumped))
        again = load(dumped)
        self.assertEqual((again.days, again.wan_rate), (savings.days, savings.wan_rate))
        self.assertEqual(again.seconds_saved, 0)

    def test_what_is_no_day_is_left_out(self) -> None:
        rows = {
            TODAY: [1, 2, 3.5],
            "2026-11-15": [1, 2, 3.5, 4],
            "yesterday": [1, 2, 3],
            "2026-11-20": [1, 2],
            "2026-11-19": [1, -2, 3],
            "2026-11-18": [1, float("nan"), 3],
            "2026-11-17": [1, 1e300, 3],
            "2026-11-16": [True, 1, 1],
            "2026-13-01": [1, 2, 3],
        }
        whole = {TODAY: Day(1, 2, 3.5), "2026-11-15": Day(1, 2, 3.5, 4)}
        self.assertEqual(load({"days": rows}).days, whole)
        for name, row in rows.items():
            value: object = {"wan": [0, 0], "days": {name: row}}
            self.assertEqual(is_sound(value), name in whole, name)

    def test_a_rate_that_no_link_has_is_left_out(self) -> None:
        for wan in ([1e17, 1e-300], [1e17, 0], [float("inf"), 1], [1, float("nan")], ["1", 1], 1):
            value: object = {"wan": wan, "days": {}}
            self.assertEqual(load(value).wan_rate, 0, wan)
            self.assertFalse(is_sound(value))

    @settings(max_examples=150, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["wan", "days", TODAY, "x"]), inner, max_size=3)
            ),
            max_leaves=8,
        )
    )
    def test_any_file_can_be_read(self, value: object) -> None:
        savings = load(value)
        fetch(savings, LAN, MIB, 0, 1)
        json.dumps(savings.dump(), allow_nan=False)
        self.assertLess(round(savings.wan_rate), 1e13)
