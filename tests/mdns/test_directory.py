"""Names that were heard, and what they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.mdns.directory import LOOK_AGAIN, SETTLED, TRY_AGAIN, Directory
from tests.mdns.test_services import found


class Lookups(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Directory(3)

    def test_a_new_name_is_looked_up_at_once(self) -> None:
        self.directory.heard(5.0, "a")
        self.assertEqual(self.directory.due(5.0), ["a"])
        self.assertEqual(self.directory.deadline(), 5.0)

    def test_what_stands_for_something_is_looked_up_again_after_minutes(self) -> None:
        self.directory.heard(0.0, "a")
        self.directory.looked_up(1.0, "a", found("a"))
        self.directory.looked_up(1.0 + SETTLED, "a", found("a"))
        self.assertEqual(self.directory.due(LOOK_AGAIN), [])
        self.assertEqual(self.directory.due(1.0 + SETTLED + LOOK_AGAIN), ["a"])

    def test_what_changed_is_looked_up_once_more_when_the_old_is_forgotten(self) -> None:
        self.directory.heard(0.0, "a")
        self.directory.looked_up(1.0, "a", found("a"))
        self.assertEqual(self.directory.deadline(), 1.0 + SETTLED)

    def test_a_change_of_it_is_looked_up_at_once(self) -> None:
        self.directory.heard(0.0, "a")
        self.directory.looked_up(1.0, "a", found("a"))
        self.directory.heard(2.0, "a")
        self.assertEqual(self.directory.due(2.0), ["a"])

    def test_a_stale_name_is_looked_up_ever_more_seldom_however_often_it_is_heard(self) -> None:
        self.directory.heard(0.0, "a")
        now, pauses = 0.0, []
        for _ in range(4):
            self.directory.looked_up(now, "a", None)
            self.directory.heard(now, "a")
            due = self.directory.deadline()
            assert due is not None
            pauses.append(due - now)
            now = due
        self.assertEqual(pauses, [TRY_AGAIN, 2 * TRY_AGAIN, 4 * TRY_AGAIN, 8 * TRY_AGAIN])

    def test_who_left_meanwhile_is_not_there(self) -> None:
        self.directory.heard(0.0, "a")
        self.directory.left("a")
        self.directory.looked_up(1.0, "a", found("a"))
        self.assertEqual((self.directory.all(), self.directory.deadline()), ((), None))


class News(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Directory(3)

    def test_all_that_is_there_is_told_once(self) -> None:
        for name in ("b", "a"):
            self.directory.heard(0.0, name)
            self.directory.looked_up(0.0, name, found(name))
        self.assertEqual(self.directory.news(), (found("a"), found("b")))
        self.assertIsNone(self.directory.news())

    def test_an_end_is_news(self) -> None:
        self.directory.heard(0.0, "a")
        self.directory.looked_up(0.0, "a", found("a"))
        self.directory.news()
        self.directory.clear()
        self.assertTrue(self.directory.has_news)
        self.assertEqual(self.directory.news(), ())

    def test_a_name_that_stands_for_nothing_is_no_news(self) -> None:
        self.directory.heard(0.0, "a")
        self.directory.looked_up(0.0, "a", None)
        self.assertIsNone(self.directory.news())


class Bounds(SynchronousTestCase):
    def test_names_beyond_the_bound_are_left_out_and_counted(self) -> None:
        directory = Directory(2)
        for name in "abcd":
            directory.heard(0.0, name)
        self.assertEqual((len(directory), directory.left_out), (2, 2))

    def test_a_name_that_stands_for_nothing_makes_way(self) -> None:
        directory = Directory(2)
        directory.heard(0.0, "a")
        directory.heard(0.0, "b")
        directory.looked_up(1.0, "a", None)
        directory.heard(2.0, "c")
        self.assertNotIn("a", directory)
        self.assertIn("c", directory)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["heard", "left", "nothing", "found", "news"]),
                st.sampled_from("abcdefgh"),
                st.floats(0, 100),
            ),
            max_size=60,
        )
    )
    def test_whatever_is_heard_it_stays_within_its_bound(
        self, steps: list[tuple[str, str, float]]
    ) -> None:
        directory, now = Directory(3), 0.0
        for what, name, pause in steps:
            now += pause
            if what == "heard":
                directory.heard(now, name)
            elif what == "left":
                directory.left(name)
            elif what == "news":
                directory.news()
                self.assertFalse(directory.has_news)
            else:
                directory.looked_up(now, name, found(name) if what == "found" else None)
            self.assertLessEqual(len(directory), 3)
            self.assertLessEqual({one.instance for one in directory.all()}, set("abcdefgh"))
            self.assertEqual(len(set(directory.due(now + 1e9))), len(directory))
