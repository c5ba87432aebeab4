"""Text that is kept small comes out as it went in."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.neighbours.condensed import PIECE, Condensed


class CondensedTests(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=3 * PIECE), max_size=5))
    def test_what_was_put_in_comes_out_in_its_order(self, pieces: list[bytes]) -> None:
        text = Condensed()
        for piece in pieces:
            text.add(piece)
        self.assertEqual(b"".join(text.take()), b"".join(pieces))
        self.assertEqual(text.size, 0)

    def test_hexadecimal_digits_take_little_more_than_half(self) -> None:
        text = Condensed()
        data = random.Random(1).randbytes(8 * PIECE).hex().encode()
        text.add(data)
        self.assertLess(text.size, 0.6 * len(data))

    def test_what_does_not_shrink_takes_hardly_more(self) -> None:
        text = Condensed()
        text.add(random.Random(1).randbytes(8 * PIECE))
        self.assertLess(text.size, 8.1 * PIECE)

    def test_what_was_taken_out_is_kept_no_longer(self) -> None:
        text = Condensed()
        text.add(random.Random(1).randbytes(4 * PIECE))
        before = text.size
        taking = text.take()
        next(taking)
        self.assertLess(text.size, 0.8 * before)
