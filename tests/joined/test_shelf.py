"""Generations on disk: whole or not there, whatever a kill left; and how new the newest was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import StoreError
from flocon.joined.shelf import NEWEST, Shelf
from flocon.joined.told import Generation, Piece, file_names


def generation(signed: int) -> Generation:
    files = {name: Piece("ab" * 32, 4) for name in file_names("home")}
    return Generation("home", signed, signed, "AB" * 20, files)


class ShelfTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = Path(self.mktemp())
        self.folder = self.store / "own/home"
        self.shelf = Shelf(self.store)

    def place(self, signed: int, data: bytes = b"data") -> None:
        descriptors = {}
        for name in file_names("home"):
            descriptors[name] = os.memfd_create(name)
            self.addCleanup(os.close, descriptors[name])
            os.write(descriptors[name], data)
        self.shelf.place(generation(signed), descriptors)

    def read(self, signed: int, name: str = "home.db") -> bytes:
        opened = self.shelf.open("home", signed, name)
        try:
            self.assertEqual(opened.modified, float(signed))
            return os.pread(opened.fileno(), 100, 0)
        finally:
            opened.close()

    def test_what_was_placed_is_there_and_the_one_before_too(self) -> None:
        self.place(5, b"first")
        self.place(6, b"second")
        self.assertEqual((self.read(5), self.read(6)), (b"first", b"second"))
        self.assertEqual(self.shelf.newest("home"), generation(6))

    def test_what_a_kill_left_half_written_is_in_nobodys_way(self) -> None:
        self.place(5)
        (self.folder / "6.new").mkdir()
        (self.folder / "6.new/home.db").write_bytes(b"half")
        (self.folder / "newest.json.0123abcd").write_bytes(b"half")
        self.assertEqual(self.shelf.newest("home"), generation(5))
        self.place(6, b"whole")
        self.assertEqual(self.read(6), b"whole")
        self.shelf.sweep("home", [5, 6])
        self.assertEqual({one.name for one in self.folder.iterdir()}, {"5", "6", NEWEST})

    def test_one_that_was_not_said_to_be_there_is_replaced(self) -> None:
        self.place(5)
        shutil.copytree(self.folder / "5", self.folder / "6")
        self.assertEqual(self.shelf.newest("home"), generation(5))
        self.place(6, b"other")
        self.assertEqual(self.read(6), b"other")

    def test_how_new_it_was_is_known_when_its_files_are_lost(self) -> None:
        self.place(5)
        shutil.rmtree(self.folder / "5")
        self.assertEqual(self.shelf.newest("home"), generation(5))
        self.assertRaises(StoreError, self.shelf.candidate, generation(5))
        self.assertRaises(StoreError, self.shelf.open, "home", 5, "home.db")

    def test_older_ones_are_swept(self) -> None:
        for signed in (5, 6, 7):
            self.place(signed)
        self.shelf.sweep("home", [6, 7])
        self.assertFalse((self.folder / "5").exists())
        self.assertEqual(self.read(6), b"data")

    def test_damaged_notes_are_none(self) -> None:
        self.place(5)
        for text in (b"", b"{", b'{"name":"other"}'):
            (self.folder / NEWEST).write_bytes(text)
            self.assertIsNone(self.shelf.newest("home"))

    def test_links_are_not_followed(self) -> None:
        self.place(5)
        path = self.folder / "5/home.db"
        path.unlink()
        path.symlink_to("/etc/passwd")
        self.assertRaises(StoreError, self.shelf.candidate, generation(5))
        self.assertRaises(StoreError, self.shelf.open, "home", 5, "home.db")

    def test_what_is_left_is_dropped_whole(self) -> None:
        self.place(5)
        self.assertEqual(self.shelf.names(), ["home"])
        self.shelf.drop("home")
        self.assertEqual(self.shelf.names(), [])
