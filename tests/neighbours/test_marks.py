"""A set of very many keys does what a set does, in little memory."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.neighbours.marks import Marks

KEYS = [bytes([number]) for number in range(8)]


class MarksTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.booleans(), st.sampled_from(KEYS))))
    def test_it_does_what_a_set_does(self, steps: list[tuple[bool, bytes]]) -> None:
        marks = Marks()
        twin: set[bytes] = set()
        for put_in, key in steps:
            if put_in:
                self.assertEqual(marks.add(key), key not in twin)
                twin.add(key)
            else:
                self.assertEqual(marks.discard(key), key in twin)
                twin.discard(key)
            self.assertEqual(len(marks), len(twin))
        self.assertEqual([key for key in KEYS if key in marks], sorted(twin))

    def test_it_takes_some_ten_bytes_for_each(self) -> None:
        marks = Marks()
        for number in range(20_000):
            marks.add(number.to_bytes(300))
        self.assertLess(sys.getsizeof(marks._digests), 10 * 20_000)
