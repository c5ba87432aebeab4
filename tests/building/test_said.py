"""What a job says: its head at once, its tail at the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from flocon.building.said import Said


class SaidTests(SynchronousTestCase):
    """With a head and a tail of a few bytes."""

    def test_little_is_told_at_once(self) -> None:
        said = Said(8, 8)
        self.assertEqual(said.add(b"abc"), "abc")
        self.assertEqual(said.rest(), "")

    def test_a_sign_that_comes_in_two_pieces_is_one(self) -> None:
        said = Said(8, 8)
        self.assertEqual(said.add(b"\xc3") + said.add(b"\xa4"), "ä")

    def test_what_is_no_text_is_told_all_the_same(self) -> None:
        said = Said(8, 8)
        self.assertEqual(said.add(b"\xff.") + said.rest(), "\ufffd.")

    def test_what_lies_between_is_counted(self) -> None:
        said = Said(4, 4)
        told = said.add(b"head")
        for _ in range(100_000):
            told += said.add(b"0123456789")
        self.assertEqual(told, "head")
        rest = said.rest()
        self.assertIn("bytes are left out here", rest)
        self.assertTrue(rest.endswith("0123456789"))

    @given(some.lists(some.binary(max_size=200_000), max_size=8))
    def test_whatever_comes_no_more_is_kept_than_it_may(self, pieces: list[bytes]) -> None:
        said = Said(1_000, 100_000)
        told = "".join(map(said.add, pieces)) + said.rest()
        self.assertLess(len(told), 1_000 + 100_000 + 200_000 + 64)
        whole = b"".join(pieces)
        if len(whole) <= 101_000:
            self.assertEqual(
                len(told),
                len(
                    whole[:1_000].decode(errors="replace") + whole[1_000:].decode(errors="replace")
                ),
            )
