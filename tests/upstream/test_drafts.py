"""A database while it comes: on a disk that may be slow or full, and looked at."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.answer import Head
from flocon.errors import Broken, StoreError
from flocon.states.generation import Where
from flocon.upstream import drafts
from flocon.upstream.drafts import MOST_BEHIND, Draft, find_problem, open_draft
from tests.fakes import FakeReactor
from tests.upstream.web import database

CORE = Where("x86_64", "core")
DATABASE = database("bash", "zsh")


class DraftCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.draft = Draft(self.reactor, "one", self.folder, open_draft(self.folder))
        self.closed = False
        self.addCleanup(self.close)
        self.draft.begin(Head(200, 0, None, None, None))

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.reactor.work()
            self.successResultOf(Deferred.fromCoroutine(self.draft.close()))

    def end(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.draft.end())


class Writing(DraftCase):
    def test_all_of_it_is_written(self) -> None:
        for position in range(0, len(DATABASE), 100):
            self.draft.write(position, DATABASE[position : position + 100])
        self.successResultOf(self.end())
        self.assertEqual(os.pread(self.draft.descriptor, 1 << 20, 0), DATABASE)

    def test_a_slow_disk_stops_who_sends_and_no_sooner(self) -> None:
        self.reactor.held = True
        data = DATABASE.ljust(MOST_BEHIND, b"\0")
        self.assertIsNone(self.draft.write(0, data))
        more = self.draft.write(len(data), b"\0")
        assert more is not None
        self.assertNoResult(more)
        self.reactor.work()
        self.successResultOf(more)

    def test_it_has_ended_once_all_of_it_is_written(self) -> None:
        self.reactor.held = True
        self.draft.write(0, DATABASE)
        ended = self.end()
        self.assertNoResult(ended)
        self.reactor.work()
        self.successResultOf(ended)

    def test_a_full_disk_is_told_of_by_its_folder(self) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(drafts, "_write", full)
        self.draft.write(0, DATABASE)
        with self.assertRaises(StoreError):
            self.draft.write(len(DATABASE), b"\0")
        told = str(self.failureResultOf(self.end(), StoreError).value)
        self.assertEqual(told, f"{self.folder}: No space left on device")

    def test_it_is_closed_after_the_last_write_whoever_was_cancelled(self) -> None:
        self.reactor.held = True
        self.draft.write(0, DATABASE)
        ended = self.end()
        ended.cancel()
        self.failureResultOf(ended)
        closing = Deferred.fromCoroutine(self.draft.close())
        os.fstat(self.draft.descriptor)
        self.closed = True
        self.reactor.work()
        self.successResultOf(closing)
        self.assertRaises(OSError, os.fstat, self.draft.descriptor)


class Looking(DraftCase):
    def test_a_page_is_one_with_its_first_bytes(self) -> None:
        with self.assertRaises(Broken) as raised:
            self.draft.write(0, b"<!DOCTYPE html>" + b" " * 600)
        self.assertIn("no database under that name", str(raised.exception))

    def test_what_is_empty_is_none(self) -> None:
        self.failureResultOf(self.end(), Broken)

    def test_one_that_is_said_to_be_larger_than_pacman_takes_is_not_begun(self) -> None:
        with self.assertRaises(Broken):
            self.draft.begin(Head(200, 0, (128 << 20) + 1, None, None))


class Problems(SynchronousTestCase):
    def problem(self, data: bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(data)
        with path.open("rb") as file:
            return find_problem(CORE, file.fileno())

    def test_a_database_has_none(self) -> None:
        self.assertEqual(self.problem(DATABASE), "")

    def test_an_empty_one_and_one_for_all_machines_have_none(self) -> None:
        self.assertEqual(self.problem(database()), "")
        self.assertEqual(self.problem(database("a", architecture="any")), "")
        self.assertEqual(self.problem(database("a", architecture="x86_64_v3")), "")

    def test_one_for_other_machines_has_one(self) -> None:
        told = self.problem(database("a", architecture="aarch64"))
        self.assertEqual(told, "has a database for aarch64, not x86_64")

    def test_one_that_is_damaged_has_one(self) -> None:
        for data in (DATABASE[:-30], DATABASE[:50], b"\x1f\x8b" + bytes(100), b""):
            self.assertIn("cannot be read", self.problem(data))
