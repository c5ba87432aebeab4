"""All that surprises is told, as far as a message has room; what is left out is counted."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.repository.surprises import Surprise
from flocon.repository.telling import MOST_TOLD, told


def many(name: str, count: int) -> Surprise:
    return Surprise("foo", name, "\n".join(f"srv/{name}/{at:05}" for at in range(count)))


def bytes_of(surprises: list[Surprise]) -> int:
    rows = [{"package": one.package, "what": one.what, "detail": one.detail} for one in surprises]
    return len(json.dumps(rows))


class Told(SynchronousTestCase):
    def test_what_has_room_is_told_whole(self) -> None:
        surprises = [many("a", 5_000), Surprise("foo", "b"), many("c", 1)]
        self.assertEqual(told(surprises, 1 << 20), surprises)

    def test_who_has_much_to_say_leaves_room_for_the_others(self) -> None:
        surprises = [many("a", 90_000), many("b", 3), many("c", 90_000)]
        first, second, third = told(surprises, 100_000)
        self.assertEqual(second, surprises[1])
        for one, of in ((first, surprises[0]), (third, surprises[2])):
            *lines, last = one.detail.split("\n")
            self.assertEqual(lines, of.detail.split("\n")[: len(lines)])
            self.assertEqual(last, f"and {90_000 - len(lines)} more lines")
            self.assertGreater(len(lines), 3_000)

    def test_those_that_were_left_out_before_are_counted_with_them(self) -> None:
        one = many("a", 100)
        one = Surprise(one.package, one.what, f"{one.detail}\nand 900 more lines")
        self.assertEqual(told([one], 1 << 20), [one])
        (found,) = told([one], 600)
        *lines, last = found.detail.split("\n")
        self.assertEqual(last, f"and {1_000 - len(lines)} more lines")

    def test_more_than_can_be_told_are_counted(self) -> None:
        surprises = [Surprise(f"foo-{at:05}", "x") for at in range(MOST_TOLD + 7)]
        found = told(surprises, 1 << 20)
        self.assertEqual(found[:-1], surprises[:MOST_TOLD])
        self.assertEqual(found[-1].detail, "7 more surprises than can be told")

    @given(
        st.lists(
            st.builds(
                Surprise,
                st.text(max_size=20),
                st.text(max_size=20),
                st.lists(st.text(max_size=60)).map("\n".join),
            ),
            max_size=30,
        ),
        st.integers(24_000, 30_000),
    )
    def test_it_always_has_room(self, surprises: list[Surprise], most: int) -> None:
        found = told(surprises, most)
        self.assertEqual([one.what for one in found], [one.what for one in surprises])
        self.assertLessEqual(bytes_of(found), most)
