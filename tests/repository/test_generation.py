"""A generation as it is written down, and that nothing else is taken for one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.files import Content
from flocon.repository.entries import list_package
from flocon.repository.generation import (
    Generation,
    database_names,
    dump,
    is_sequence,
    listed_files,
    load,
)
from tests.repository.packages import BUILT, SIGNATURE, package


def content(text: str) -> Content:
    return Content(len(text), hashlib.sha256(text.encode()).digest())


def generation(*names: str, sequence: int = 7) -> Generation:
    databases = {
        file + end: content(file + end) for file in database_names("home") for end in ("", ".sig")
    }
    entries = [list_package(package(name), SIGNATURE) for name in names]
    return Generation("home", sequence, BUILT, databases, listed_files(entries))


class Noting(SynchronousTestCase):
    def test_what_was_dumped_is_loaded(self) -> None:
        one = generation("b", "a")
        self.assertEqual(load(json.loads(json.dumps(dump(one)))), one)
        self.assertEqual(load(dump(generation())), generation())

    def test_it_is_said_by_name_what_is_listed(self) -> None:
        one = generation("b", "a")
        self.assertEqual([file.name for file in one.files], ["a", "b"])
        found = one.find("b")
        assert found is not None
        self.assertEqual((found.version, found.built), ("1.0-1", BUILT))
        self.assertIsNone(one.find("c"))

    def test_what_is_none_is_not_loaded(self) -> None:
        right = dump(generation("a"))
        file = right["files"][0]
        wrong: list[Any] = [
            None,
            [],
            {},
            {**right, "name": "../x"},
            {**right, "sequence": 0},
            {**right, "sequence": True},
            {**right, "signed": 0},
            {**right, "signed": 10**30},
            {**right, "databases": right["databases"][:3]},
            {**right, "databases": [*right["databases"], {**right["databases"][0], "file": "x"}]},
            {**right, "files": [{**file, "file": "../../x"}]},
            {**right, "files": [{**file, "size": -1}]},
            {**right, "files": [{**file, "sha256": "x"}]},
            {**right, "files": [{**file, "version": "2.0-1"}]},
            {**right, "files": [None]},
        ]
        for value in wrong:
            self.assertIsNone(load(value))

    def test_numbers_of_generations(self) -> None:
        self.assertTrue(is_sequence("1"))
        self.assertTrue(is_sequence("123456"))
        for text in ("0", "01", "-1", "", "1.new", "x", "1" * 30, "\u0661"):
            self.assertFalse(is_sequence(text))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_no_value_does_harm(self, value: Any) -> None:
        load(value)
        load({**dump(generation("a")), "files": value, "databases": [value]})
