"""Small things across restarts: whole or not at all, and no trouble where they are lost."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine import remember as module
from flocon.machine.remember import Notebook, recall, remember
from tests.holdings.machine import Warnings
from tests.inline import InlineReactor

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
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

    def aside(self) -> Path:
        return self.path.with_name(self.path.name + ".set-aside")

    def test_numbers_that_are_none_are_not_recalled(self) -> None:
        for data in (b"[Infinity]", b"[-Infinity]", b"[NaN]", b"[1e999]", b'{"a": [-1e999]}'):
            self.path.write_bytes(data)
            self.assertIsNone(recall(self.path), data)

    def test_half_a_character_is_no_text(self) -> None:
        for data in (b'["\\ud800"]', b'{"\\udfff": 1}'):
            self.path.write_bytes(data)
            self.assertIsNone(recall(self.path), data)

    def test_what_cannot_be_used_is_put_aside_and_said_in_one_sentence(self) -> None:
        warnings = Warnings(self)
        self.path.write_bytes(b"[Infinity]")
        self.assertIsNone(recall(self.path))
        self.assertEqual(self.aside().read_bytes(), b"[Infinity]")
        self.assertIsNone(recall(self.path))
        self.assertEqual(warnings.paths(), [str(self.path)])
        self.assertTrue(remember(self.path, 1))
        self.assertEqual(recall(self.path), 1)

    def test_a_fifo_or_a_link_in_its_place_is_put_aside_and_not_waited_for(self) -> None:
        other = self.path.with_name("other")
        other.write_bytes(b"1")
        for put in (lambda: os.mkfifo(self.path), lambda: self.path.symlink_to(other)):
            put()
            self.assertIsNone(recall(self.path))
            self.assertFalse(self.path.exists())
            self.assertTrue(remember(self.path, 2))
            self.assertEqual((recall(self.path), other.read_bytes()), (2, b"1"))
            self.path.unlink()

    def test_a_file_that_is_damaged_in_part_is_used_and_kept_aside(self) -> None:
        self.path.write_bytes(b"[1, 2]")
        self.assertEqual(recall(self.path, lambda _: False), [1, 2])
        self.assertEqual(self.aside().read_bytes(), b"[1, 2]")
        self.assertEqual(recall(self.path, lambda _: True), [1, 2])

    def test_a_file_that_may_not_be_read_stays(self) -> None:
        self.path.write_bytes(b"1")
        with mock.patch.object(module, "read_small", side_effect=PermissionError(13, "denied")):
            self.assertIsNone(recall(self.path))
        self.assertEqual(self.path.read_bytes(), b"1")


class Notebooks(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.reactor = InlineReactor()
        self.notes = Notebook(self.reactor, self.path)

    def test_it_writes_what_it_is_given(self) -> None:
        for value in (1, 2):
            self.successResultOf(self.notes.write(value))
            self.assertEqual(recall(self.path), value)

    def test_one_write_waits_for_the_disk_however_many_are_asked_for(self) -> None:
        self.reactor.pool.hold("remember")
        written = [self.notes.write(value) for value in range(100)]
        self.assertEqual(len(self.reactor.pool._waiting), 1)
        self.reactor.pool.resume()
        for done in written:
            self.successResultOf(done)
        self.assertEqual(recall(self.path), 99)
