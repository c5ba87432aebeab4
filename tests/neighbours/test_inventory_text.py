"""The text that carries an inventory, whole, cut short or made up."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import InventoryError
from flocon.holdings.inventory import Change, check_change
from flocon.neighbours.inventory_text import LONGEST_LINE, InventoryReader, format_inventory
from tests.neighbours.changes import NAMES, changes, contents


def read(data: bytes, cuts: Iterable[int] = ()) -> InventoryReader:
    """Read ``data`` cut into chunks at ``cuts``."""
    reader = InventoryReader()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        reader.feed(data[start:end])
    return reader


HEAD = b"flocon-inventory 1 0a1b2c3d 7 whole\n"
LINE = b"+ 5 " + b"ab" * 32 + b" " + NAMES[0].encode() + b"\n"


class Reading(SynchronousTestCase):
    def assertRefused(self, reason: str, data: bytes) -> None:
        with self.assertRaises(InventoryError) as caught:
            read(data)
        self.assertEqual(caught.exception.reason, reason, data)

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.builds(Change, st.sampled_from(NAMES), contents, st.booleans()), max_size=8),
        st.integers(0, 10**15 - 1),
        st.booleans(),
        st.lists(st.integers(0), max_size=10),
    )
    def test_what_was_written_is_read_however_it_is_cut(
        self, written: list[Change], generation: int, whole: bool, cuts: list[int]
    ) -> None:
        data = b"".join(format_inventory("0a1b2c3d", generation, written, whole=whole))
        reader = read(data, cuts)
        self.assertEqual(list(reader.take()), written)
        self.assertEqual(
            (reader.epoch, reader.generation, reader.whole, reader.ended),
            ("0a1b2c3d", generation, whole, True),
        )

    @settings(max_examples=150, deadline=None)
    @given(st.lists(changes, max_size=4), st.data())
    def test_one_cut_short_is_never_taken_for_whole(
        self, written: list[Change], data: st.DataObject
    ) -> None:
        text = b"".join(format_inventory("e", 7, written, whole=True))
        cut = data.draw(st.integers(0, len(text) - 1))
        self.assertFalse(read(text[:cut]).ended)

    @settings(max_examples=300, deadline=None)
    @given(
        st.one_of(
            st.binary(),
            st.lists(
                st.sampled_from([HEAD, LINE, b"end\n", b"+", b" ", b"\n", b"5", b"\xff", b"\0"]),
            ).map(b"".join),
        ),
        st.lists(st.integers(0), max_size=5),
    )
    def test_garbage_is_refused_or_harmless(self, data: bytes, cuts: list[int]) -> None:
        try:
            reader = read(data, cuts)
        except InventoryError:
            return
        for change in reader.take():
            check_change(change)
        if reader.ended:
            self.assertTrue(data.startswith(b"flocon-inventory 1 "))
            self.assertTrue(data.endswith(b"\nend\n"))

    def test_what_is_not_an_inventory(self) -> None:
        for data in (
            b"\n",
            b"<html>\n",
            b"flocon-inventory 2 e 7 whole\n",
            b"flocon-inventory 1 e 7\n",
            b"flocon-inventory 1 e 7 some\n",
            b"end\n",
        ):
            self.assertRefused("head", data)

    def test_numbers_are_bounded(self) -> None:
        for text in (b"-1", b"1.5", b"", b"1e3", b"9" * 16):
            self.assertRefused("number", b"flocon-inventory 1 e " + text + b" whole\n")
        self.assertRefused("size", HEAD + LINE.replace(b"+ 5", b"+ " + b"9" * 15))

    def test_lines_are_checked(self) -> None:
        self.assertRefused("line", HEAD + b"* " + LINE[2:])
        self.assertRefused("line", HEAD + LINE[:-1] + b" more\n")
        self.assertRefused("line", HEAD + b"\xc3\xa9\n")
        self.assertRefused("digest", HEAD + LINE.replace(b"ab" * 32, b"xy" * 32))
        self.assertRefused("digest", HEAD + LINE.replace(b"ab" * 32, b"ab" * 31))
        self.assertRefused("digest", HEAD + LINE.replace(b"ab" * 32, b"ab" * 31 + b"\t\t"))
        self.assertRefused("name", HEAD + LINE.replace(NAMES[0].encode(), b"../etc/passwd"))

    def test_a_line_without_end_is_not_collected(self) -> None:
        reader = InventoryReader()
        with self.assertRaises(InventoryError):
            for _ in range(LONGEST_LINE + 1):
                reader.feed(b"a")

    def test_nothing_may_follow_the_end(self) -> None:
        self.assertRefused("tail", HEAD + b"end\n\n")
        self.assertRefused("tail", HEAD + b"end\nmore")

    def test_more_files_than_are_believed_are_refused(self) -> None:
        reader = InventoryReader(most_changes=2)
        with self.assertRaises(InventoryError) as caught:
            reader.feed(HEAD + LINE * 3)
        self.assertEqual(caught.exception.reason, "many")
