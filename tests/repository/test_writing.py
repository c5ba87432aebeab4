"""Databases from entries, and back: always the same bytes, and read by a node as well."""

from __future__ import annotations

import gzip
import io
import tarfile
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RepositoryError
from flocon.pacman.compression import without_compression
from flocon.pacman.syncdb import read_entries
from flocon.repository import writing
from flocon.repository.entries import Listed, list_package
from flocon.repository.writing import read_files, write_database, write_files
from tests.repository.packages import SIGNATURE, package


def listed(*names: str, version: str = "1.0-1") -> list[Listed]:
    return [list_package(package(name, version), SIGNATURE) for name in names]


def names_in(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return tar.getnames()


class Writing(SynchronousTestCase):
    def test_each_package_has_its_folder(self) -> None:
        entries = listed("b", "a")
        folders = ["a-1.0-1", "a-1.0-1/desc", "b-1.0-1", "b-1.0-1/desc"]
        self.assertEqual(names_in(write_database(entries)), folders)
        self.assertEqual(names_in(write_files(entries))[:3], [*folders[:2], "a-1.0-1/files"])

    def test_the_same_entries_give_the_same_bytes(self) -> None:
        one, two = listed("b", "a", "c"), listed("c", "b", "a")
        self.assertEqual(write_database(one), write_database(two))
        self.assertEqual(write_files(one), write_files(two))

    def test_what_was_written_is_read(self) -> None:
        entries = listed(*(f"p{number}" for number in range(50)))
        found = read_files(write_files(entries))
        self.assertCountEqual(found, entries)

    def test_a_node_reads_them(self) -> None:
        entries = listed("a", "b")
        for data in (write_database(entries), write_files(entries)):
            found = list(read_entries("home", without_compression(io.BytesIO(data))))
            self.assertEqual(
                [(one.file_name, one.content, one.signature) for one in found],
                [(one.file_name, one.content, SIGNATURE) for one in entries],
            )

    def test_nothing_at_all_is_a_database(self) -> None:
        self.assertEqual(names_in(write_database([])), [])
        self.assertEqual(read_files(write_files([])), [])

    def test_names_as_long_as_they_may_be(self) -> None:
        entries = listed("n" * 200, version="1." + "0" * 30 + "-1")
        self.assertEqual(read_files(write_files(entries)), entries)
        (entry,) = read_entries("home", without_compression(io.BytesIO(write_database(entries))))
        self.assertEqual(entry.name, "n" * 200)

    def test_one_name_twice_is_refused(self) -> None:
        both = [*listed("a", "b"), *listed("a", version="2.0-1")]
        error = self.assertRaises(RepositoryError, write_database, both)
        self.assertEqual(str(error), "a comes twice: 1.0-1 and 2.0-1; leave one of them out")

    def test_more_than_pacman_takes_is_refused(self) -> None:
        with mock.patch.object(writing, "LARGEST_DATABASE", 100):
            self.assertRaises(RepositoryError, write_database, listed("a"))
        with mock.patch.object(writing, "LARGEST_UNPACKED", 100):
            self.assertRaises(RepositoryError, write_database, listed("a"))

    def test_what_is_no_database_is_refused(self) -> None:
        whole = write_files(listed("a"))
        wrong = (
            b"",
            b"x",
            whole[:-20],
            write_database(listed("a")),
            gzip.compress(b"x" * 600),
            gzip.compress(gzip.decompress(whole).replace(b"%NAME%\na", b"%NAME%\nb")),
        )
        for data in wrong:
            self.assertRaises(RepositoryError, read_files, data)
