"""What is believed of a pacserve's answers."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.answers import (
    LARGEST_LISTING,
    LISTING,
    LONGEST_PART,
    MOST_FILES,
    SLICE,
    file_check,
    is_true,
    nudge,
    read_check,
    read_listing,
)
from flocon.foreign.place import Place, Tool

NAME = "gtk++-1:2-1-any.pkg.tar.zst"
ASKED = Place(Tool.PACSERVE, "10.0.0.7", 15_678)
OTHER = Place(Tool.PACSERVE, "10.0.0.8", 15_678)


_ANYTHING = st.none() | st.integers() | st.text(max_size=9) | st.lists(st.integers(), max_size=3)


def entry(size: int = 7, **more: Any) -> list[dict[str, Any]]:
    return [{"mtime": 1.5, "size": size, "dir": False, "href": "/pkg/x", **more}]


def listed(answer: object) -> dict[str, int]:
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    found: dict[str, int] = {}
    for some in read_listing(data):
        found.update(some)
    return found


class Questions(SynchronousTestCase):
    def test_they_are_forms_with_quoted_json(self) -> None:
        self.assertEqual(
            LISTING,
            b"json=%7B%22type%22%3A%20%22directory%20listing%22%2C%20%22path%22%3A%20%22pkg%22%2C"
            b"%20%22hops%22%3A%200%7D",
        )
        self.assertIn(b"gtk%2B%2B-1%3A2-1-any", file_check(NAME))
        self.assertIn(b"%22hops%22%3A%200", file_check(NAME))
        self.assertTrue(nudge("http://flocon:1/").startswith(b"json=%7B%22type%22%3A%20%22nudge"))

    def test_a_nudge_is_taken_by_true_alone(self) -> None:
        self.assertTrue(is_true(b"true"))
        for answer in (b"null", b"1", b'"true"', b"", b"tru"):
            self.assertFalse(is_true(answer))


class Checks(SynchronousTestCase):
    def check(self, where: object, *known: Place) -> Place | None:
        answer = json.dumps({f"pkg/{NAME}": where}).encode()
        return read_check(answer, ASKED, NAME, lambda place: place in known)

    def test_a_relative_path_is_at_the_asked_one(self) -> None:
        self.assertEqual(self.check(f"pkg/{NAME}"), ASKED)
        self.assertEqual(self.check("pkg/gtk%2B%2B-1%3A2-1-any.pkg.tar.zst"), ASKED)

    def test_an_absolute_url_of_a_known_place_is_believed(self) -> None:
        self.assertEqual(self.check(f"{OTHER.root}pkg/{NAME}", OTHER), OTHER)

    def test_nobody_is_sent_to_a_stranger_or_to_another_file(self) -> None:
        for where in (
            f"{OTHER.root}pkg/{NAME}",
            "http://203.0.113.7/pkg/" + NAME,
            f"http://localhost:19433/pkg/{NAME}",
            "pkg/another-1-1-any.pkg.tar.zst",
            f"../{NAME}",
            f"etc/{NAME}",
            "",
            None,
            7,
            [f"pkg/{NAME}"],
        ):
            self.assertIsNone(self.check(where, ASKED), where)
        self.assertIsNone(self.check(f"{OTHER.root}pkg/other", OTHER))

    def test_no_answer_is_nowhere(self) -> None:
        for answer in (b"null", b"{}", b"[]", b"", b"[" * 100_000, b"\xff"):
            self.assertIsNone(read_check(answer, ASKED, NAME, lambda _: True))


class Listings(SynchronousTestCase):
    def test_packages_are_kept_with_their_sizes(self) -> None:
        answer = {
            NAME: entry(9),
            NAME + ".sig": entry(566),
            "core.db": entry(),
            "folder": entry(0, dir=True),
            "../x-1-1-any.pkg.tar.zst": entry(),
            ".x-1-1-any.pkg.tar.zst": entry(),
        }
        self.assertEqual(listed(answer), {NAME: 9})

    def test_what_others_have_is_not_its_own(self) -> None:
        self.assertEqual(listed({NAME: entry(href="http://10.0.0.8:1/pkg/x")}), {})

    def test_a_size_that_is_none_is_no_file(self) -> None:
        for size in (0, -1, 1 << 60, 1.5, "7", None, True):
            answer = {NAME: [{"size": size, "dir": False, "href": "/x"}]}
            expected = {NAME: 1} if size is True else {}
            self.assertEqual(listed(answer), expected)

    def test_it_comes_in_slices(self) -> None:
        names = [f"p{number}-1-1-any.pkg.tar.zst" for number in range(SLICE + 5)]
        slices = list(read_listing(json.dumps({one: entry() for one in names}).encode()))
        self.assertEqual([len(one) for one in slices], [SLICE, 5])

    def test_no_more_than_so_many_are_kept(self) -> None:
        answer = {f"p{number}-1-1-any.pkg.tar.zst": entry() for number in range(MOST_FILES + 9)}
        self.assertEqual(len(listed(answer)), MOST_FILES)

    def test_blanks_are_passed_over(self) -> None:
        answer = json.dumps({NAME: entry(3)}, indent=1).encode()
        self.assertEqual(listed(b" \n" + answer), {NAME: 3})
        self.assertEqual(listed(b"{ }"), {})

    def test_what_is_no_listing_says_so(self) -> None:
        for answer in (
            b"",
            b"null",
            b"[]",
            b"{",
            b'{"a"',
            b'{"a": 1,',
            b'{"a": 1 "b": 2}',
            b'{"a": ' + b"[" * 100_000,
            b"\xff\xfe",
        ):
            with self.assertRaises(ValueError):
                listed(answer)

    def test_a_part_that_is_too_long_makes_it_none(self) -> None:
        for part in (b"[" * 100_000, b'"' + b"n" * LONGEST_PART + b'"', b"[" + b"{}," * 9_999):
            for answer in (b"{" + part, b'{"a": ' + part, b'{"a": 1, ' + part):
                with self.assertRaises(ValueError):
                    listed(answer)

    def test_no_answer_of_any_form_takes_long_to_read_on(self) -> None:
        most = LARGEST_LISTING - 99
        for answer in (
            b"{" + b" " * most + b"}",
            b'{"a":[' + b"[]," * (most // 3) + b"[]]}",
            b'{"a":[' + b"{}," * (most // 3) + b"{}]}",
        ):
            slices = read_listing(answer)
            began = time.thread_time()
            with contextlib.suppress(ValueError):
                next(slices)
            self.assertLess(time.thread_time() - began, 0.05)

    @given(st.binary(max_size=200))
    def test_nothing_is_not_survived(self, answer: bytes) -> None:
        try:
            for name, size in listed(answer).items():
                self.assertGreater(size, 0, name)
        except ValueError:
            pass

    @settings(max_examples=60, deadline=None)
    @given(st.dictionaries(st.text(max_size=20), _ANYTHING, max_size=5))
    def test_any_object_is_read_to_its_end(self, answer: dict[str, object]) -> None:
        self.assertEqual(listed(answer), {})
