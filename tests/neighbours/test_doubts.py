"""Who is in doubt too often."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.neighbours.doubts import LASTING, MOST_ADDRESSES, MOST_DOUBTS, Doubts


class DoubtsTests(SynchronousTestCase):
    def test_the_last_of_so_many_is_too_many(self) -> None:
        doubts = Doubts()
        told = [doubts.note("10.0.0.1", float(at)) for at in range(MOST_DOUBTS)]
        self.assertEqual(told, [False] * (MOST_DOUBTS - 1) + [True])

    def test_each_address_is_counted_for_itself(self) -> None:
        doubts = Doubts()
        self.assertFalse(any(doubts.note(f"10.0.0.{at}", 1.0) for at in range(20)))

    def test_old_doubts_are_forgotten(self) -> None:
        doubts = Doubts()
        told = [doubts.note("10.0.0.1", at * LASTING / 2 + 1) for at in range(10)]
        self.assertFalse(any(told))

    def test_after_an_offence_it_is_counted_anew(self) -> None:
        doubts = Doubts()
        told = [doubts.note("10.0.0.1", float(at)) for at in range(MOST_DOUBTS + 1)]
        self.assertFalse(told[-1])

    def test_no_more_addresses_are_remembered_than_so_many(self) -> None:
        doubts = Doubts()
        doubts.note("first", 0.0)
        doubts.note("first", 1.0)
        for at in range(MOST_ADDRESSES):
            doubts.note(str(at), 2.0)
        self.assertFalse(doubts.note("first", 3.0))
