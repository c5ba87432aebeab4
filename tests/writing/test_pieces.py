"""Pieces that wait to be written: a reader sees them, and they end up as they came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.writing.pieces import MOST_AT_ONCE, PIECE, Piece, Pieces, runs

LENGTH = 40
piece_lists = st.lists(
    st.builds(Piece, st.integers(0, LENGTH), st.binary(min_size=1, max_size=LENGTH)), max_size=12
)


def put(file: bytearray, position: int, data: bytes) -> None:
    """Write into a file, which may have a hole before that."""
    file.extend(bytes(max(0, position - len(file))))
    file[position : position + len(data)] = data


def waiting(*pieces: Piece) -> Pieces:
    all_of_them = Pieces()
    for piece in pieces:
        all_of_them.add(piece)
    return all_of_them


class Waiting(SynchronousTestCase):
    def test_they_are_taken_in_the_order_in_which_they_came(self) -> None:
        one, two, three = Piece(9, b"a"), Piece(0, b"b"), Piece(9, b"c")
        pieces = waiting(one, two)
        self.assertEqual(pieces.take(), [one, two])
        pieces.add(three)
        pieces.done()
        self.assertEqual(list(pieces), [three])
        self.assertEqual(pieces.take(), [three])

    def test_what_was_given_back_is_taken_again(self) -> None:
        one, two = Piece(0, b"a"), Piece(1, b"b")
        pieces = waiting(one)
        pieces.take()
        pieces.add(two)
        pieces.give_back()
        self.assertEqual(pieces.take(), [one, two])

    def test_what_is_being_written_is_not_dropped(self) -> None:
        one, two = Piece(0, b"a"), Piece(1, b"b")
        pieces = waiting(one)
        pieces.take()
        pieces.add(two)
        pieces.drop()
        self.assertEqual(list(pieces), [one])
        pieces.done()
        self.assertEqual((len(pieces), pieces.cost), (0, 0))

    def test_no_more_are_taken_than_go_into_one_call(self) -> None:
        pieces = waiting(*(Piece(at, b"a") for at in range(MOST_AT_ONCE + 1)))
        self.assertEqual(len(pieces.take()), MOST_AT_ONCE)
        pieces.done()
        self.assertEqual(len(pieces.take()), 1)

    def test_single_bytes_are_not_taken_for_little(self) -> None:
        pieces = waiting(*(Piece(at, b"a") for at in range(10)))
        self.assertEqual(pieces.cost, 10 * (PIECE + 1))


class Reading(SynchronousTestCase):
    def test_only_what_comes_before_the_first_of_them_can_be_read_back(self) -> None:
        pieces = waiting(Piece(30, b"c" * 10), Piece(10, b"a" * 10))
        for start, expected in ((0, 10), (10, 10), (15, 15), (20, 30), (35, 35), (40, 50)):
            self.assertEqual(pieces.first(start, 50), expected, start)
        self.assertEqual(pieces.first(0, 10), 10)
        self.assertEqual(pieces.first(0, 5), 5)

    @given(st.binary(max_size=LENGTH), piece_lists, st.integers(0, 60), st.integers(0, 60))
    def test_a_reader_sees_the_file_as_it_will_be(
        self, before: bytes, came: list[Piece], position: int, size: int
    ) -> None:
        file = bytearray(before)
        for piece in came:
            put(file, piece.position, piece.data)
        seen = waiting(*came).lay_over(position, size, before[position : position + size])
        expected = bytes(file[position : position + size])
        # A hole at the end is nothing yet.
        self.assertEqual(seen.ljust(len(expected), b"\0"), expected)


class Runs(SynchronousTestCase):
    def test_two_sources_make_two_runs(self) -> None:
        a, b, c, d = Piece(0, b"aa"), Piece(50, b"bb"), Piece(2, b"cc"), Piece(52, b"dd")
        self.assertEqual(runs([a, b, c, d]), [[a, c], [b, d]])

    @given(piece_lists)
    def test_written_in_runs_the_file_is_what_it_is_piece_by_piece(self, came: list[Piece]) -> None:
        expected, file = bytearray(), bytearray()
        for piece in came:
            put(expected, piece.position, piece.data)
        for run in runs(came):
            self.assertEqual(
                [piece.position for piece in run[1:]], [piece.end for piece in run[:-1]]
            )
            put(file, run[0].position, b"".join(piece.data for piece in run))
        self.assertEqual(file, expected)
