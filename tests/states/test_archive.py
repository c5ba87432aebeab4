"""Where generations lie on disk: whole or not there, whatever happens while they are written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import StoreError
from flocon.states import archive as module
from flocon.states.archive import CONTENT, GENERATIONS, SNAPSHOTS, Archive
from flocon.states.generation import (
    LARGEST_DATABASE,
    DatabaseFiles,
    Generation,
    Piece,
    Where,
    dump,
)
from tests.states.states_case import keep

CORE = Where("x86_64", "core")


class Killed(BaseException):
    """The end of a process amid a call."""


class ArchiveCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.archive = self.open()

    def open(self) -> Archive:
        archive = Archive(self.path)
        archive.open()
        self.addCleanup(archive.close)
        return archive

    def memory(self, data: bytes) -> int:
        """Return a descriptor of a file in memory."""
        descriptor = os.memfd_create("test")
        self.addCleanup(os.close, descriptor)
        os.write(descriptor, data)
        return descriptor

    def generation(self, *contents: bytes, made: int = 1) -> Generation:
        """Return a generation whose contents were taken."""
        databases = {
            Where("x86_64", f"repo{at}"): DatabaseFiles(keep(self.archive, data))
            for at, data in enumerate(contents)
        }
        return Generation(made, "mirror", databases)

    def names(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.path / folder).iterdir())

    def why_not(self, call: Callable[[], object]) -> str:
        return str(self.assertRaises(StoreError, call))

    def break_call(self, name: str, error: BaseException, at: int = 1) -> None:
        """Have the system call ``name`` fail when it is made the ``at``-th time."""
        calls, real = [], getattr(os, name)

        def failing(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == at:
                raise error
            return real(*arguments, **options)

        self.patch(os, name, failing)


class ContentTests(ArchiveCase):
    def test_a_content_is_kept_by_its_sha256_and_read_again(self) -> None:
        data = os.urandom(3_000_000)
        piece = keep(self.archive, data)
        self.assertEqual(piece, Piece(hashlib.sha256(data).hexdigest(), len(data)))
        self.assertEqual(self.names(CONTENT), [piece.sha256])
        descriptor = self.open().open_piece(piece)
        with os.fdopen(descriptor, "rb") as file:
            self.assertEqual(file.read(), data)

    def test_a_disk_that_takes_less_at_a_time_gets_all_of_it(self) -> None:
        real, data = os.write, os.urandom(10_001)
        descriptor = self.memory(data)
        self.patch(os, "write", lambda fd, data: real(fd, data[:1000]))
        piece = self.archive.take(descriptor)
        self.assertEqual((self.path / CONTENT / piece.sha256).read_bytes(), data)

    def test_the_same_again_is_one_file(self) -> None:
        self.assertEqual(keep(self.archive, b"data"), keep(self.archive, b"data"))
        self.assertEqual(len(self.names(CONTENT)), 1)

    def test_what_no_database_can_be_is_not_kept(self) -> None:
        descriptor = self.memory(b"")
        self.assertIn("0 bytes is no database", self.why_not(lambda: self.archive.take(descriptor)))
        os.ftruncate(descriptor, LARGEST_DATABASE + 1)
        self.assertIn("is no database", self.why_not(lambda: self.archive.take(descriptor)))
        self.assertEqual(self.names(CONTENT), [])

    def test_where_the_disk_is_full_nothing_is_left_and_it_is_said(self) -> None:
        for call in ("write", "fsync", "rename"):
            with self.subTest(call):
                descriptor = self.memory(b"data")
                self.break_call(call, OSError(errno.ENOSPC, "No space left on device"))
                said = self.why_not(lambda: self.archive.take(descriptor))  # noqa: B023
                self.assertIn("No space left", said)
                self.assertEqual(self.names(CONTENT), [])

    def test_what_has_another_size_or_is_no_file_is_not_there(self) -> None:
        piece = keep(self.archive, b"data")
        path = self.path / CONTENT / piece.sha256
        self.assertTrue(self.archive.has(piece))
        path.write_bytes(b"dat")
        self.assertFalse(self.archive.has(piece))
        path.unlink()
        path.symlink_to("/etc/hostname")
        self.assertFalse(self.archive.has(piece))
        path.unlink()
        self.assertFalse(self.archive.has(piece))

    def test_before_it_is_open_and_after_nothing_can_be_kept(self) -> None:
        closed = Archive(self.path)
        self.assertIn("not open", self.why_not(lambda: keep(closed, b"data")))
        self.archive.close()
        self.assertIn("not open", self.why_not(lambda: keep(self.archive, b"data")))


class KilledTests(ArchiveCase):
    """What a node finds that was killed while something was written."""

    def killed_at(self, call: str, do: Callable[[], object]) -> None:
        self.break_call(call, Killed())
        self.assertRaises(Killed, do)

    def test_half_of_a_content_is_discarded(self) -> None:
        for call in ("write", "fsync", "rename"):
            with self.subTest(call):
                descriptor = self.memory(b"data")
                self.killed_at(call, lambda: self.archive.take(descriptor))  # noqa: B023
                self.assertNotEqual(self.names(CONTENT), [])
                self.open()
                self.assertEqual(self.names(CONTENT), [])

    def test_of_a_note_it_finds_the_one_before(self) -> None:
        for call in ("fsync", "rename"):
            with self.subTest(call):
                self.archive.write_state({"state": "before"})
                self.killed_at(
                    call, lambda: self.archive.write_state({"state": "after" * 1_000_000})
                )
                self.assertEqual(self.open().read_state(), {"state": "before"})
                self.assertEqual(
                    sorted(path.name for path in self.path.iterdir()),
                    [CONTENT, GENERATIONS, SNAPSHOTS, "state.json"],
                )

    def test_nothing_but_what_is_half_written_goes(self) -> None:
        stays = self.path / CONTENT / "somebody.else.new"
        stays.write_text("")
        self.open()
        self.assertTrue(stays.exists())


class GenerationTests(ArchiveCase):
    def test_those_that_were_kept_are_found_the_oldest_first(self) -> None:
        late, early = self.generation(b"a", made=20), self.generation(b"b", b"c", made=10)
        for one in (late, early):
            self.archive.keep(one)
        self.assertEqual(self.open().generations(), [early, late])

    def test_one_of_which_a_content_is_missing_or_cut_short_is_not_found(self) -> None:
        one = self.generation(b"aaaa", b"bbbb")
        self.archive.keep(one)
        last = list(one.pieces())[-1]
        path = self.path / CONTENT / last.sha256
        path.write_bytes(b"bb")
        self.assertEqual(self.archive.generations(), [])
        path.unlink()
        self.assertEqual(self.archive.generations(), [])

    def test_what_is_damaged_is_not_found_and_the_others_are(self) -> None:
        whole, other = self.generation(b"a"), self.generation(b"b")
        self.archive.keep(whole)
        damages = {
            "0" * 16: json.dumps(dump(other)).encode(),
            "1" * 16: b"",
            "2" * 16: b"\xff{",
            "3" * 16: b"[" * 100_000,
            "4" * 16: b"[]",
        }
        for name, data in damages.items():
            (self.path / GENERATIONS / f"{name}.json").write_bytes(data)
        self.assertEqual(self.archive.generations(), [whole])

    def test_a_note_that_is_too_large_is_not_read(self) -> None:
        self.patch(module, "LARGEST_NOTE", 10)
        self.archive.write_note(SNAPSHOTS, "name", "x" * 100)
        self.assertEqual(self.archive.notes(SNAPSHOTS), [])


class SweepTests(ArchiveCase):
    def setUp(self) -> None:
        super().setUp()
        self.old, self.new = self.generation(b"a", b"b"), self.generation(b"a", b"c")
        for one in (self.old, self.new):
            self.archive.keep(one)

    def sweep(self, archive: Archive | None = None) -> int:
        pieces = {piece.sha256 for piece in self.new.pieces()}
        return (archive or self.archive).sweep({self.new.identity}, pieces)

    def test_only_what_is_named_stays(self) -> None:
        self.assertEqual(self.sweep(), 2)
        self.assertEqual(self.archive.generations(), [self.new])
        self.assertEqual(self.names(CONTENT), sorted(one.sha256 for one in self.new.pieces()))

    def test_what_is_not_ours_stays(self) -> None:
        for folder in (CONTENT, GENERATIONS):
            (self.path / folder / "README").write_text("")
        self.sweep()
        self.assertIn("README", self.names(CONTENT))
        self.assertIn("README", self.names(GENERATIONS))

    def test_who_reads_a_content_reads_on(self) -> None:
        piece = keep(self.archive, b"gone soon")
        descriptor = self.archive.open_piece(piece)
        self.addCleanup(os.close, descriptor)
        self.sweep()
        self.assertFalse(self.archive.has(piece))
        self.assertEqual(os.read(descriptor, 100), b"gone soon")

    def test_contents_that_are_being_gathered_stay(self) -> None:
        with self.archive.gathering():
            piece = keep(self.archive, b"new")
            self.sweep()
            self.assertTrue(self.archive.has(piece))
        self.sweep()
        self.assertFalse(self.archive.has(piece))

    def test_where_a_note_could_not_be_read_nothing_goes(self) -> None:
        (self.path / SNAPSHOTS / "mine.json").mkdir()
        archive = self.open()
        self.assertEqual(archive.notes(SNAPSHOTS), [])
        self.assertEqual(self.sweep(archive), 0)
        self.assertEqual(archive.generations(), sorted([self.old, self.new], key=_order))

    def test_a_folder_that_cannot_be_read_is_said(self) -> None:
        error = OSError(errno.EIO, "Input/output error")
        self.patch(module, "names_in", mock.Mock(side_effect=error))
        self.assertIn("Input/output error", self.why_not(self.sweep))
        self.assertIn("Input/output error", self.why_not(lambda: self.archive.notes(SNAPSHOTS)))


def _order(one: Generation) -> tuple[int, str]:
    return one.made, one.identity


class FolderTests(SynchronousTestCase):
    def test_a_folder_that_cannot_be_made_is_said(self) -> None:
        path = Path(self.mktemp())
        path.write_text("")
        error = self.assertRaises(StoreError, Archive(path / "mirror").open)
        self.assertIn(str(path), str(error))

    def test_a_link_in_its_place_is_not_followed(self) -> None:
        path, other = Path(self.mktemp()), Path(self.mktemp())
        path.mkdir()
        other.mkdir()
        (path / CONTENT).symlink_to(other.absolute())
        archive = Archive(path)
        self.assertRaises(StoreError, archive.open)
        self.assertRaises(StoreError, lambda: archive.notes(CONTENT))
        self.assertEqual(list(other.iterdir()), [])
