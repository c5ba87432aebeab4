"""Small things across restarts: whole or not at all, and no trouble where they are lost."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.host import remember as module
from flocon.host.remember import recall, remember

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Remembering(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "thing.json"

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    @settings(max_examples=50, deadline=None)
    @given(values)
    def test_what_was_remembered_is_recalled(self, value: object) -> None:
        self.assertTrue(remember(self.path, value))
        self.assertEqual(recall(self.path), value)

    def test_nothing_else_is_left_in_the_folder(self) -> None:
        for value in (1, 2):
            remember(self.path, value)
        self.assertEqual(self.names(), ["thing.json"])

    def test_only_the_node_itself_may_read_it(self) -> None:
        remember(self.path, 1)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_a_folder_that_is_not_there_is_told(self) -> None:
        self.assertFalse(remember(self.folder / "none" / "thing.json", 1))

    def test_a_write_that_fails_leaves_what_was_there_before(self) -> None:
        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        remember(self.path, "before")
        self.patch(os, "fsync", full)
        self.assertFalse(remember(self.path, "after"))
        self.assertEqual(recall(self.path), "before")
        self.assertEqual(self.names(), ["thing.json"])

    def test_a_path_that_is_a_folder_is_told(self) -> None:
        self.path.mkdir()
        self.assertFalse(remember(self.path, 1))
        self.assertEqual(self.names(), ["thing.json"])


class Recalling(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_what_was_never_remembered_is_none(self) -> None:
        self.assertIsNone(recall(self.path))

    def test_a_folder_is_none(self) -> None:
        self.path.mkdir()
        self.assertIsNone(recall(self.path))

    def test_what_is_not_json_is_none(self) -> None:
        for data in (b"", b"{", b"\xff\xfe", b"1 2", b"[" * 100_000, b"9" * 10_000):
            self.path.write_bytes(data)
            self.assertIsNone(recall(self.path), data[:10])

    def test_a_file_that_is_too_large_is_none(self) -> None:
        self.patch(module, "LARGEST", 10)
        self.path.write_bytes(b'"12345678"')
        self.assertEqual(recall(self.path), "12345678")
        self.path.write_bytes(b'"123456789"')
        self.assertIsNone(recall(self.path))
