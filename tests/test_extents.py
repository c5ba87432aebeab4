"""Sets of bytes against a set of numbers, and HTTP ranges against RFC 9110, section 14."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.extents import (
    Extent,
    Extents,
    Unsatisfiable,
    parse_content_range,
    parse_open_range,
    parse_range,
)

positions = st.integers(0, 60)
spans = st.tuples(positions, positions)


def build(added: list[tuple[int, int]]) -> tuple[Extents, set[int]]:
    extents = Extents()
    model: set[int] = set()
    for start, end in added:
        extents.add(start, end)
        model.update(range(start, end))
    return extents, model


class ExtentsAgainstASet(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(st.lists(spans, max_size=12))
    def test_extents_are_sorted_apart_and_complete(self, added: list[tuple[int, int]]) -> None:
        extents, model = build(added)
        parts = list(extents)
        self.assertEqual({at for part in parts for at in range(part.start, part.end)}, model)
        self.assertEqual(len(extents), len(model))
        self.assertEqual(bool(extents), bool(model))
        for left, right in pairwise(parts):
            self.assertLess(left.end, right.start)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(spans, max_size=12), positions)
    def test_reach_is_the_first_byte_that_lacks(
        self, added: list[tuple[int, int]], position: int
    ) -> None:
        extents, model = build(added)
        expected = next(at for at in range(position, 100) if at not in model)
        self.assertEqual(extents.reach(position), expected)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(spans, max_size=12), positions, positions)
    def test_missing_is_the_rest_in_order(
        self, added: list[tuple[int, int]], start: int, end: int
    ) -> None:
        extents, model = build(added)
        gaps = extents.missing(start, end)
        listed = [at for gap in gaps for at in range(gap.start, gap.end)]
        self.assertEqual(listed, [at for at in range(start, end) if at not in model])
        for left, right in pairwise(gaps):
            self.assertLess(left.end, right.start)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(spans, max_size=12), positions, positions)
    def test_within_is_what_is_there_in_order(
        self, added: list[tuple[int, int]], start: int, end: int
    ) -> None:
        extents, model = build(added)
        listed = [at for one in extents.within(start, end) for at in range(one.start, one.end)]
        self.assertEqual(listed, [at for at in range(start, end) if at in model])

    def test_an_extent_counts_its_bytes(self) -> None:
        self.assertEqual(len(Extent(3, 10)), 7)


class Ranges(SynchronousTestCase):
    def test_forms_of_rfc_9110(self) -> None:
        for header, expected in {
            "bytes=0-499": Extent(0, 500),
            "bytes=500-999": Extent(500, 1000),
            "bytes=-500": Extent(9500, 10000),
            "bytes=9500-": Extent(9500, 10000),
            "bytes=0-0": Extent(0, 1),
            "bytes=-1": Extent(9999, 10000),
            "bytes=0-": Extent(0, 10000),
            "bytes=9999-20000": Extent(9999, 10000),
            "bytes=-20000": Extent(0, 10000),
            " bytes=5-6 ": Extent(5, 7),
        }.items():
            self.assertEqual(parse_range(header, 10_000), expected, header)

    def test_what_may_be_ignored_is(self) -> None:
        for header in (
            None,
            "",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=7-6",
            "bytes=0-1,5-6",
            "bytes=a-b",
            "bytes=+5-",
            "bytes=1 -2",
            "items=0-5",
            "bytes=\N{ARABIC-INDIC DIGIT ONE}-",
            "bytes=" + "9" * 19 + "-",
        ):
            self.assertIsNone(parse_range(header, 10_000), header)

    def test_a_range_behind_the_end_cannot_be_satisfied(self) -> None:
        for header in ("bytes=10000-", "bytes=10000-10001", "bytes=-0"):
            with self.assertRaises(Unsatisfiable):
                parse_range(header, 10_000)

    def test_an_empty_file_has_no_first_byte(self) -> None:
        with self.assertRaises(Unsatisfiable):
            parse_range("bytes=0-", 0)

    def test_the_last_bytes_of_an_empty_file_are_all_of_it(self) -> None:
        # Satisfiable by RFC 9110, 14.1.2, but no Content-Range can say so.
        self.assertIsNone(parse_range("bytes=-5", 0))

    @settings(max_examples=300, deadline=None)
    @given(
        st.one_of(st.none(), st.integers(0, 50)),
        st.one_of(st.none(), st.integers(0, 50)),
        st.integers(0, 40),
    )
    def test_a_range_selects_what_slicing_selects(
        self, first: int | None, last: int | None, size: int
    ) -> None:
        header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
        every = range(size)
        if first is not None:
            valid = last is None or last >= first
            expected = every[first:] if last is None else every[first : last + 1]
            satisfiable = first < size
        else:
            valid = last is not None and not (size == 0 and last > 0)
            expected = every[size - min(last or 0, size) :]
            satisfiable = bool(last)
        try:
            extent = parse_range(header, size)
        except Unsatisfiable:
            self.assertTrue(valid and not satisfiable)
            return
        if not valid:
            self.assertIsNone(extent)
            return
        assert extent is not None
        self.assertTrue(satisfiable)
        self.assertEqual(range(extent.start, extent.end), expected)

    @settings(max_examples=200, deadline=None)
    @given(st.text(), st.integers(0, 100))
    def test_no_text_gives_a_range_outside_the_file(self, header: str, size: int) -> None:
        try:
            extent = parse_range(header, size)
        except Unsatisfiable:
            return
        if extent is not None:
            self.assertTrue(0 <= extent.start < extent.end <= size)

    def test_only_an_open_range_has_a_place_to_resume_at(self) -> None:
        self.assertEqual(parse_open_range("bytes=4711-"), 4711)
        for header in (None, "", "bytes=1-2", "bytes=-5", "bytes=1-,4-", "nonsense"):
            self.assertEqual(parse_open_range(header), 0, header)


class ContentRanges(SynchronousTestCase):
    def test_the_place_and_size_of_a_206(self) -> None:
        self.assertEqual(parse_content_range("bytes 0-499/1234"), (Extent(0, 500), 1234))
        self.assertEqual(parse_content_range("bytes 734-1233/1234"), (Extent(734, 1234), 1234))

    def test_impossible_ones_are_unusable(self) -> None:
        for header in (
            None,
            "",
            "bytes */1234",
            "bytes 0-499/*",
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes 0-1/0",
            "bytes=0-1/2",
            "bytes 0-1/2 x",
            "bytes 0-1/" + "9" * 19,
        ):
            self.assertIsNone(parse_content_range(header), header)
