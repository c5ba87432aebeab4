"""What came out of a build, taken from a stranger's hands."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from threading import Event
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import BuildError
from flocon.jobs.keeping import MOST_PACKAGES, Made, keep, said_of

NAME = "tool-1-1-any.pkg.tar.zst"


def row(name: str = NAME, data: bytes = b"data") -> dict[str, Any]:
    return {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


class SaidTests(SynchronousTestCase):
    def assertRefused(self, rows: Any, files: int) -> None:
        self.assertRaises(BuildError, said_of, {"packages": rows}, files)

    def test_names_sizes_and_digests_are_taken(self) -> None:
        said = said_of({"packages": [row()]}, 1)
        self.assertEqual(said, [Made(NAME, 4, hashlib.sha256(b"data").hexdigest())])

    def test_names_that_are_no_packages_are_refused(self) -> None:
        for name in ("../" + NAME, "/etc/passwd", NAME + ".sig", "tool.db", "", "manifest.json"):
            self.assertRefused([row(name)], 1)

    def test_another_number_of_files_is_refused(self) -> None:
        self.assertRefused([row()], 0)
        self.assertRefused([], 1)

    def test_a_name_twice_is_refused(self) -> None:
        self.assertRefused([row(), row()], 2)

    def test_too_many_are_refused(self) -> None:
        rows = [row(f"tool{at}-1-1-any.pkg.tar.zst") for at in range(MOST_PACKAGES + 1)]
        self.assertRefused(rows, len(rows))

    def test_what_is_no_list_is_nothing(self) -> None:
        self.assertEqual(said_of({"packages": "x"}, 0), [])
        self.assertRefused([1], 1)


class KeepTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.source = self.folder / "source"
        self.source.write_bytes(b"data")

    def keep(self, said: dict[str, Any], most: int = 100) -> None:
        target = self.folder / "job"
        target.mkdir()
        with self.source.open("rb") as file:
            made = said_of({"packages": [said]}, 1)
            # Wherever it stands: somebody else may have read it.
            file.read()
            keep(target, made, [file.fileno()], most, Event())

    def test_a_file_is_copied(self) -> None:
        self.keep(row())
        self.assertEqual((self.folder / "job" / NAME).read_bytes(), b"data")

    def test_other_bytes_are_refused(self) -> None:
        self.assertRaises(BuildError, self.keep, row(data=b"dame"))

    def test_a_shorter_file_is_refused(self) -> None:
        self.assertRaises(BuildError, self.keep, row(data=b"data and more"))

    def test_more_than_there_is_room_for_is_refused_before_it_is_copied(self) -> None:
        self.assertRaises(BuildError, self.keep, row(), 3)
        self.assertEqual([*(self.folder / "job").iterdir()], [])

    def test_what_is_no_file_is_refused(self) -> None:
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        made = said_of({"packages": [row()]}, 1)
        self.assertRaises(BuildError, keep, self.folder, made, [read], 100, Event())
