"""Who was wrong where sources said different things."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Origin, Source
from flocon.extents import Extents
from flocon.transfers.disputes import Disputes, alike

PEER, OTHER = (Source(Origin.PEER, key, key, f"http://{key}/x") for key in "ab")
MIRROR, SECOND = (Source(Origin.MIRROR, key, key, f"http://{key}/x") for key in "mn")


def extents(start: int, end: int) -> Extents:
    made = Extents()
    made.add(start, end)
    return made


class Doubted(SynchronousTestCase):
    def setUp(self) -> None:
        self.disputes = Disputes()

    def test_only_who_had_other_bytes_there_is_blamed(self) -> None:
        self.disputes.doubt(PEER, extents(0, 4))
        self.disputes.doubt(OTHER, extents(4, 8))
        self.disputes.replaced(0, b"abcdefgh", b"abcdefXh")
        self.assertEqual(self.disputes.to_blame_at_last(lambda *_: False), [OTHER])
        self.assertFalse(self.disputes.any_spoilt(0, 6))
        self.assertTrue(self.disputes.any_spoilt(0, 7))

    def test_bytes_that_nobody_doubts_are_not_compared(self) -> None:
        self.disputes.doubt(PEER, extents(0, 4))
        self.disputes.replaced(4, b"old!", b"new!")
        self.assertEqual(self.disputes.to_blame_at_last(lambda *_: False), [])

    def test_begun_anew_nothing_is_doubted_and_who_was_wrong_is_known_still(self) -> None:
        self.disputes.doubt(PEER, extents(0, 4))
        self.disputes.replaced(0, b"old!", b"new!")
        self.disputes.clear()
        self.assertFalse(self.disputes.any_doubted or self.disputes.any_spoilt(0, 4))
        self.assertEqual(self.disputes.to_blame_at_last(lambda *_: False), [PEER])

    @given(st.binary(max_size=64), st.integers(0, 64), st.binary(min_size=1, max_size=1))
    def test_what_is_alike_ends_at_the_first_other_byte(
        self, data: bytes, at: int, byte: bytes
    ) -> None:
        other = (data[:at] + byte + data[at + 1 :])[: len(data)]
        pairs = enumerate(zip(data, other, strict=True))
        expected = next((place for place, (a, b) in pairs if a != b), len(data))
        self.assertEqual(alike(data, other), expected)


class Blamed(SynchronousTestCase):
    def setUp(self) -> None:
        self.disputes = Disputes()

    def test_who_brought_all_of_it_alone_is(self) -> None:
        self.assertEqual(self.disputes.to_blame([PEER]), [PEER])

    def test_mirrors_alone_are(self) -> None:
        self.assertEqual(self.disputes.to_blame([MIRROR, SECOND]), [MIRROR, SECOND])

    def test_of_several_nobody_is_yet(self) -> None:
        self.assertEqual(self.disputes.to_blame([PEER, MIRROR]), [])

    def test_who_replaced_it_in_vain_is_blamed_with_who_had_it(self) -> None:
        self.disputes.doubt(PEER, extents(0, 4))
        self.disputes.replaced(0, b"old!", b"new!")
        self.assertEqual(self.disputes.to_blame([MIRROR, OTHER]), [OTHER, PEER])
        # Once.
        self.assertEqual(self.disputes.to_blame([MIRROR, OTHER]), [])

    def test_where_a_mirror_said_otherwise_nobody_is_until_the_right_bytes_are_here(self) -> None:
        self.disputes.contest(MIRROR, 0, b"x")
        self.assertTrue(self.disputes.concern([PEER, MIRROR]))
        self.assertEqual(self.disputes.to_blame([MIRROR, SECOND]), [])

    def test_a_mirror_that_was_wrong_bears_it_alone(self) -> None:
        self.disputes.doubt(PEER, extents(0, 4))
        self.disputes.replaced(0, b"old!", b"new!")
        self.disputes.contest(MIRROR, 0, b"new!")
        self.disputes.contest(SECOND, 0, b"old!")
        blamed = self.disputes.to_blame_at_last(lambda _, data: data == b"new!")
        self.assertEqual(blamed, [MIRROR])


class Contested(SynchronousTestCase):
    def test_a_second_mirror_bears_the_first_out_where_it_says_the_same(self) -> None:
        disputes = Disputes()
        self.assertFalse(disputes.contest(MIRROR, 0, b"x"))
        self.assertFalse(disputes.contest(MIRROR, 0, b"x"))
        self.assertFalse(disputes.contest(SECOND, 0, b"y"))
        self.assertTrue(disputes.contest(SECOND, 0, b"x"))
