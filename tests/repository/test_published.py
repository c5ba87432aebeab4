"""What anybody on the machine finds of what is published."""

from __future__ import annotations

import os

from flocon.errors import StoreError
from flocon.repository.published import (
    CURRENT,
    GENERATIONS,
    newest_generation,
    open_database,
    open_package,
    read_generation,
    read_key,
    repositories,
)
from tests.repository.packages import package
from tests.repository.repository_case import RepositoryTestCase, data_of


class Finding(RepositoryTestCase):
    def test_repositories_that_have_published_something(self) -> None:
        self.assertEqual(repositories(self.published), [])
        self.add("a")
        (self.published / "other").mkdir()
        (self.published / ".x").mkdir()
        self.assertEqual(repositories(self.published), ["home"])

    def test_a_machine_that_publishes_nothing(self) -> None:
        self.assertEqual(repositories(self.published / "nowhere"), [])
        self.assertIsNone(newest_generation(self.published / "nowhere"))

    def test_the_newest_generation(self) -> None:
        self.add("a")
        generation = self.add("b")
        self.assertEqual(newest_generation(self.folder), generation)

    def test_an_earlier_one_by_its_number(self) -> None:
        first = self.add("a")
        self.add("b")
        self.assertEqual(read_generation(self.folder, 1), first)
        self.assertRaises(StoreError, read_generation, self.folder, 3)

    def test_files_of_it(self) -> None:
        self.add("a")
        one = package("a")
        with os.fdopen(open_package(self.folder, one.file_name), "rb") as file:
            self.assertEqual(file.read(), data_of(one))
        os.close(open_database(self.folder, 1, "home.db.sig"))
        self.assertRaises(StoreError, open_database, self.folder, 1, "other.db")
        self.assertRaises(StoreError, open_database, self.folder, 9, "home.db")
        self.assertRaises(StoreError, open_package, self.folder, "other")

    def test_keys(self) -> None:
        self.assertRaises(StoreError, read_key, self.folder)
        self.repository.write_key(b"\x98key")
        self.assertEqual(read_key(self.folder), b"\x98key")

    def test_what_leads_nowhere_is_said(self) -> None:
        self.add("a")
        (self.folder / CURRENT).unlink()
        (self.folder / CURRENT).symlink_to(f"{GENERATIONS}/9")
        error = self.assertRaises(StoreError, newest_generation, self.folder)
        self.assertIn("leads to no generation", str(error))

    def test_a_note_that_is_another_ones_is_none(self) -> None:
        self.add("a")
        self.add("b")
        note = (self.folder / GENERATIONS / "1" / "generation.json").read_bytes()
        (self.folder / GENERATIONS / "2" / "generation.json").write_bytes(note)
        self.assertRaises(StoreError, read_generation, self.folder, 2)
        (self.folder / GENERATIONS / "2" / "generation.json").write_bytes(b"[" * 100_000)
        self.assertRaises(StoreError, read_generation, self.folder, 2)
