"""What was fetched ahead was used, was for nothing, or waits; each byte is one of the three."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.books.fetched_ahead import MOST_AHEAD, FetchedAhead
from flocon.files import LARGEST_FILE

ZLIB = "zlib-1.3-1-x86_64.pkg.tar.zst"
NEWER = "zlib-1.4-1-x86_64.pkg.tar.zst"
WHICH = "which-2-1-any.pkg.tar.zst"


class Counting(SynchronousTestCase):
    def setUp(self) -> None:
        self.ahead = FetchedAhead()

    def told(self) -> tuple[int, int, int]:
        ahead = self.ahead
        return ahead.used_bytes, ahead.unused_bytes, ahead.waiting_bytes

    def test_what_came_waits_for_pacman(self) -> None:
        self.ahead.came(ZLIB, 7)
        self.ahead.came(WHICH, 2)
        self.assertEqual(self.told(), (0, 0, 9))

    def test_what_pacman_was_given_is_used_once_however_often_it_asks(self) -> None:
        self.ahead.came(ZLIB, 7)
        self.assertEqual([self.ahead.gave(ZLIB) for _ in range(3)], [True] * 3)
        self.assertEqual(self.told(), (7, 0, 0))

    def test_after_the_transaction_it_is_held_as_all_else(self) -> None:
        self.ahead.came(ZLIB, 7)
        self.ahead.gave(ZLIB)
        self.ahead.close()
        self.assertFalse(self.ahead.gave(ZLIB))

    def test_what_was_never_fetched_ahead_is_not_counted(self) -> None:
        self.assertFalse(self.ahead.gave(WHICH))
        self.ahead.gone(WHICH)
        self.assertEqual(self.told(), (0, 0, 0))

    def test_what_left_before_pacman_asked_was_for_nothing(self) -> None:
        self.ahead.came(ZLIB, 7)
        self.ahead.gone(ZLIB)
        self.assertEqual(self.told(), (0, 7, 0))

    def test_what_left_after_pacman_had_it_was_not_for_nothing(self) -> None:
        self.ahead.came(ZLIB, 7)
        self.ahead.gave(ZLIB)
        self.ahead.gone(ZLIB)
        self.assertEqual(self.told(), (7, 0, 0))

    def test_a_newer_version_makes_the_older_one_useless(self) -> None:
        self.ahead.came(ZLIB, 7)
        self.ahead.came(NEWER, 8)
        self.assertEqual(self.told(), (0, 7, 8))

    def test_a_newer_version_after_the_older_one_was_used_is_only_new(self) -> None:
        self.ahead.came(ZLIB, 7)
        self.ahead.gave(ZLIB)
        self.ahead.came(NEWER, 8)
        self.assertEqual(self.told(), (7, 0, 8))

    def test_no_more_than_so_many_wait_and_the_oldest_goes_first(self) -> None:
        for number in range(MOST_AHEAD + 9):
            self.ahead.came(f"a{number}-1-1-any.pkg.tar.zst", 1)
        self.assertEqual(self.told(), (0, 9, MOST_AHEAD))
        self.assertEqual(next(iter(self.ahead.dump())), "a9-1-1-any.pkg.tar.zst")


class Remembering(SynchronousTestCase):
    def test_what_waits_is_remembered_with_its_bytes(self) -> None:
        ahead = FetchedAhead()
        ahead.came(ZLIB, 7)
        ahead.came(WHICH, 2)
        ahead.gave(WHICH)
        again = FetchedAhead(ahead.dump())
        self.assertEqual(again.describe(), {**again.describe(), "waiting_bytes": 7})
        self.assertTrue(again.gave(ZLIB))
        self.assertFalse(again.gave(WHICH))

    def test_of_a_damaged_memory_what_is_good_is_taken(self) -> None:
        damaged: list[object] = [
            None,
            7,
            [ZLIB],
            {ZLIB: "7"},
            {ZLIB: True},
            {ZLIB: -1},
            {ZLIB: LARGEST_FILE + 1},
            {f"{ZLIB}.sig": 7},
            {"../x": 7},
            {"": 7},
        ]
        for value in damaged:
            self.assertEqual(FetchedAhead(value).dump(), {}, value)
        self.assertEqual(FetchedAhead({ZLIB: 7, "../x": 1, WHICH: None}).dump(), {ZLIB: 7})

    def test_two_versions_in_a_damaged_memory_are_the_last_one_and_count_as_nothing(self) -> None:
        ahead = FetchedAhead({ZLIB: 7, NEWER: 8})
        self.assertEqual(ahead.describe(), {"used_bytes": 0, "unused_bytes": 0, "waiting_bytes": 8})


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["came", "gave", "gone", "close", "dump"]),
        st.sampled_from([ZLIB, NEWER, WHICH]),
        st.integers(0, LARGEST_FILE),
    ),
    max_size=60,
)


class AnyOrder(SynchronousTestCase):
    @given(STEPS)
    def test_each_byte_that_came_is_used_unused_or_waits(
        self, steps: list[tuple[str, str, int]]
    ) -> None:
        ahead, came = FetchedAhead(), 0
        for what, name, size in steps:
            if what == "came":
                ahead.came(name, size)
                came += size
            elif what in {"gave", "gone"}:
                getattr(ahead, what)(name)
            elif what == "close":
                ahead.close()
            self.assertEqual(ahead.waiting_bytes, sum(ahead.dump().values()))
            self.assertEqual(came, ahead.used_bytes + ahead.unused_bytes + ahead.waiting_bytes)
