"""What is remembered, and that a bad file of memories costs nothing but memories."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.store import index as module
from flocon.store.folder import Stamp
from flocon.store.index import AGAIN, Index, Remembered

CACHE = Path("/cache")
KNOWN = Remembered(Stamp(1, 2, 3, 4), bytes(32), confirmed=True)
_NUMBERS = st.integers(0, 2**63 - 1)


class IndexTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def index(self, path: Path | None = None) -> Index:
        index = Index(path or self.path)
        self.addCleanup(index.close)
        return index

    def test_files_and_turns_are_there_after_a_restart(self) -> None:
        first = self.index()
        first.save({(CACHE, "a"): KNOWN, (Path("/other"), "b"): KNOWN}, {"a": 7})
        first.close()
        second = self.index()
        self.assertEqual((second.files(CACHE), second.turns()), ({"a": KNOWN}, {"a": 7}))

    def test_what_is_none_is_forgotten(self) -> None:
        index = self.index()
        index.save({(CACHE, "a"): KNOWN, (CACHE, "b"): KNOWN}, {"a": 1, "b": 2})
        index.save({(CACHE, "a"): None}, {"b": None})
        self.assertEqual((index.files(CACHE), index.turns()), ({"b": KNOWN}, {"a": 1}))

    @given(
        st.builds(
            Remembered,
            st.builds(Stamp, st.integers(0, 2**64 - 1), _NUMBERS, _NUMBERS, _NUMBERS),
            st.binary(min_size=32, max_size=32),
            st.booleans(),
        )
    )
    @settings(max_examples=50, deadline=None)
    def test_every_possible_stamp_comes_back_as_it_was(self, known: Remembered) -> None:
        index = Index(None)
        index.save({(CACHE, "a"): known})
        self.assertEqual(index.files(CACHE), {"a": known})
        index.close()

    def test_a_corrupt_file_is_replaced(self) -> None:
        self.path.write_bytes(b"no database " * 1000)
        index = self.index()
        self.assertEqual(index.files(CACHE), {})
        index.save({(CACHE, "a"): KNOWN})
        index.close()
        self.assertEqual(self.index().files(CACHE), {"a": KNOWN})

    def test_a_file_spoilt_within_is_replaced(self) -> None:
        index = self.index()
        index.save({(CACHE, f"{number:04}"): KNOWN for number in range(2000)})
        index.close()
        data = bytearray(self.path.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        self.path.write_bytes(data)
        again = self.index()
        self.assertEqual(again.files(CACHE), {})
        again.save({(CACHE, "a"): KNOWN})
        self.assertEqual(again.files(CACHE), {"a": KNOWN})

    def test_a_file_of_another_version_is_replaced(self) -> None:
        with sqlite3.connect(self.path) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
        index = self.index()
        index.save({(CACHE, "a"): KNOWN})
        index.close()
        self.assertEqual(self.index().files(CACHE), {"a": KNOWN})

    def test_a_digest_of_wrong_length_is_not_believed(self) -> None:
        index = self.index()
        index.save({(CACHE, "a"): Remembered(Stamp(1, 2, 3, 4), b"short")})
        self.assertEqual(index.files(CACHE), {})

    def test_without_a_place_on_disk_memory_serves(self) -> None:
        index = self.index(Path("/proc/no/such/place"))
        index.save({(CACHE, "a"): KNOWN})
        self.assertEqual(index.files(CACHE), {"a": KNOWN})

    def test_what_finds_no_room_on_disk_is_written_once_there_is_some(self) -> None:
        now = [0.0]
        index = Index(self.path, lambda: now[0])
        self.addCleanup(index.close)
        index.save({(CACHE, "a"): KNOWN}, {"a": 1})
        # As on a disk that is full: no page more.
        full = index._opened()
        (pages,) = full.execute("PRAGMA page_count").fetchone()
        full.execute(f"PRAGMA max_page_count = {pages}")
        many = {(CACHE, f"{number:04}"): KNOWN for number in range(2000)}
        index.save(many, {"b": 2})
        self.assertEqual(len(index.files(CACHE)), 2000)
        self.assertEqual(list(self.index().files(CACHE)), ["a"])
        now[0] = AGAIN
        with mock.patch.object(module, "_open", side_effect=sqlite3.OperationalError("full")):
            self.assertEqual(len(index.files(CACHE)), 2000)
        now[0] = 2 * AGAIN - 1
        self.assertEqual(len(index.files(CACHE)), 2000)
        now[0] = 2 * AGAIN
        index.save({(CACHE, "c"): KNOWN})
        expected = {"a", "c", *(name for _, name in many)}
        for one in (index, self.index()):
            self.assertEqual(set(one.files(CACHE)), expected)
            self.assertEqual(one.turns(), {"a": 1, "b": 2})

    def test_values_of_wrong_types_are_not_believed(self) -> None:
        index = self.index()
        index.save({(CACHE, name): KNOWN for name in ("a", "b", "c")}, {"a": 1, "b": 2, "c": 3})
        index.close()
        with sqlite3.connect(self.path) as database:
            database.execute("UPDATE files SET inode = 'many' WHERE name = 'a'")
            database.execute("UPDATE files SET confirmed = 'x' WHERE name = 'b'")
            database.execute("UPDATE uses SET turn = 'last' WHERE name = 'a'")
            database.execute("UPDATE uses SET turn = 9223372036854775807 WHERE name = 'b'")
        database.close()
        again = self.index()
        self.assertEqual(again.files(CACHE), {"c": KNOWN})
        self.assertEqual(again.turns(), {"c": 3})

    def test_what_is_no_file_is_put_aside_and_not_waited_for(self) -> None:
        other = self.path.with_name("other")
        for suffix in ("", "-wal", "-shm", "-journal"):
            for put in (os.mkfifo, lambda path: path.symlink_to(other)):
                path = self.path.with_name(self.path.name + suffix)
                path.unlink(missing_ok=True)
                put(path)
                index = self.index()
                index.save({(CACHE, "a"): KNOWN})
                self.assertEqual(index.files(CACHE), {"a": KNOWN})
                index.close()
                self.assertFalse(other.exists())
        self.assertTrue(self.path.is_file())

    def test_a_folders_name_that_is_no_text_is_remembered(self) -> None:
        odd = Path(os.fsdecode(b"/srv/p\xe4kke"))
        index = self.index()
        index.save({(odd, "a"): KNOWN})
        self.assertEqual(index.files(odd), {"a": KNOWN})
        index.save({(odd, "a"): None})
        self.assertEqual(index.files(odd), {})

    def test_a_file_without_end_is_put_aside(self) -> None:
        with self.path.open("wb") as file:
            file.truncate(1 << 40)
        index = self.index()
        index.save({(CACHE, "a"): KNOWN})
        self.assertEqual(index.files(CACHE), {"a": KNOWN})
        self.assertEqual(self.path.with_name(self.path.name + ".set-aside").stat().st_size, 1 << 40)
