"""What a node holds: which files are offered when, and what the store does with what it is given.

Most run in virtual time with threads that run at once (``tests.host.inline``), on real folders;
the last ones use the real reactor, real inotify, and a real ``kill -9``.
"""

from __future__ import annotations

import gc
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from flocon.core.content import Content
from flocon.core.inventory import Change
from flocon.errors import StoreError
from flocon.host import folder as disk
from flocon.host.cache import (
    KEEPING_PAUSE,
    LONGEST_KEEPING_PAUSE,
    LONGEST_PAUSE,
    PAUSE,
    POLL,
    RESCAN,
    SAVE_AFTER,
    Cache,
)
from flocon.host.store import Incoming
from tests.host.inline import FakeWatch, InlineReactor

T = TypeVar("T")
A = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
B = "zlib-1.3-2-x86_64.pkg.tar.zst"
C = "core-1-1-any.pkg.tar.xz"
SIGNATURE = b"a signature of some bytes"
#: Long before anything that is "still growing".
OLD = 1_600_000_000


def content_of(data: bytes) -> Content:
    return Content(len(data), hashlib.sha256(data).digest())


def put(folder: Path, name: str, data: bytes, signature: bytes | None = SIGNATURE) -> None:
    """Lay a package down as pacman does: with the mirror's time, under its final name at once."""
    for file_name, part in ((name + ".sig", signature), (name, data)):
        if part is not None:
            path = folder / (file_name + ".part")
            path.write_bytes(part)
            os.utime(path, (OLD, OLD))
            path.rename(folder / file_name)


@dataclass(frozen=True)
class Listed:
    """What a database says of a file."""

    size: int
    sha256: bytes
    signature: bytes | None

    def read_signature(self) -> bytes | None:
        return self.signature


def result_of(done: Deferred[T]) -> T:
    """Return the result of what needed no time."""
    results: list[T] = []
    done.addCallback(results.append)
    (result,) = results
    return result


class Machine:
    """A Cache with its folders, in virtual time."""

    def __init__(self, top: Path, max_size: int = 1 << 20, directories: int = 1) -> None:
        self.top = top
        self.directories = [top / f"cache{number}" for number in range(directories)]
        for directory in self.directories:
            directory.mkdir(parents=True, exist_ok=True)
        self.listing: dict[str, list[Content]] = {}
        #: The signatures that the databases carry.
        self.signatures: dict[Content, bytes] = {}
        self.unsigned: set[str] = set()
        self.private: set[str] = set()
        self.changes: list[Change] = []
        self.max_size = max_size
        self.wall = 1_700_000_000.0
        self.make()

    def make(self) -> None:
        self.reactor = InlineReactor()
        self.cache = Cache(
            self.reactor,
            store=self.top / "store",
            max_size=self.max_size,
            listed=self._listed,
            signature_needed=lambda name: name not in self.unsigned,
            changed=self.changes.extend,
            offered=lambda name, _: name not in self.private,
            directories=self.directories,
            watch=self._make_watch,
            pool=self.reactor.pool,  # type: ignore[arg-type]
            wall=lambda: self.wall,
        )

    def _listed(self, name: str) -> list[Listed]:
        return [
            Listed(one.size, one.sha256, self.signatures.get(one))
            for one in self.listing.get(name, ())
        ]

    def _make_watch(self, reactor: object, changed: Callable[[Path, str], None]) -> FakeWatch:
        self.watch = FakeWatch(reactor, changed)
        return self.watch

    @property
    def folder(self) -> Path:
        return self.directories[0]

    @property
    def packages(self) -> Path:
        return self.top / "store" / "packages"

    def start(self) -> Machine:
        self.cache.startService()
        self.settle()
        return self

    def settle(self) -> None:
        """Let everything happen that waits for nothing but quiet."""
        self.reactor.settle()
        while self.cache._patient or self.cache._keeping:
            self.reactor.advance(PAUSE)
            self.reactor.settle()

    def resume(self) -> None:
        """Let the threads do what they were kept from."""
        self.reactor.pool.resume()
        self.settle()

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        done: list[T] = []
        Deferred.fromCoroutine(work).addCallback(done.append)
        self.settle()
        (result,) = done
        return result

    def stop(self) -> None:
        done: list[None] = []
        self.cache.stopService().addCallback(done.append)
        self.settle()
        assert done == [None]
        assert not self.reactor.getDelayedCalls()

    def restart(self) -> None:
        self.stop()
        self.make()
        self.start()

    def crash(self) -> None:
        """End as a kill does: nothing is saved, the kernel gives up the lock."""
        self.cache.store.close()
        self.make()
        self.start()

    def report(self, folder: Path, *names: str) -> None:
        self.watch.report(folder, names)
        self.settle()

    def lay(self, name: str, data: bytes, signature: bytes | None = SIGNATURE) -> None:
        put(self.folder, name, data, signature)
        self.report(self.folder, name, name + ".sig")

    def relist(self, name: str, *contents: Content) -> None:
        self.listing[name] = list(contents)
        self.cache.listing_changed()
        self.settle()

    def received(self, data: bytes) -> Incoming:
        incoming = self.cache.incoming(len(data))
        os.write(incoming.fileno(), data)
        return incoming

    def publishing(
        self, incoming: Incoming, name: str, data: bytes, signature: bytes | None = SIGNATURE
    ) -> list[bool]:
        result: list[bool] = []
        work = Deferred.fromCoroutine(
            self.cache.publish(incoming, name, content_of(data), signature)
        )
        work.addCallback(result.append)
        self.settle()
        return result

    def publish(self, name: str, data: bytes, signature: bytes | None = SIGNATURE) -> bool:
        incoming = self.received(data)
        try:
            (kept,) = self.publishing(incoming, name, data, signature)
        finally:
            incoming.close()
        return kept

    def held(self) -> dict[str, Content]:
        return {change.file_name: change.content for change in self.cache.inventory.whole()}

    def read(self, name: str, *, signature: bool = False) -> bytes:
        held = self.cache.find(name)
        assert held is not None
        opened = result_of(self.cache.open(held, signature=signature))
        try:
            return os.read(opened.fileno(), opened.size + 1)
        finally:
            opened.close()

    def stored(self) -> set[str]:
        return {path.name for path in self.packages.iterdir()}


@implementer(ILogObserver)
class Warnings:
    """What was said from level warn on, while a test runs."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.events: list[dict[str, object]] = []
        globalLogPublisher.addObserver(self)
        case.addCleanup(globalLogPublisher.removeObserver, self)

    def __call__(self, event: dict[str, object]) -> None:
        if str(event.get("log_namespace", "")).startswith("flocon.") and getattr(
            event["log_level"], "name", ""
        ) in {"warn", "error", "critical"}:
            self.events.append(event)

    def paths(self) -> list[str]:
        return [str(event.get("path")) for event in self.events]


class CacheCase(SynchronousTestCase):
    directories = 1

    def setUp(self) -> None:
        top = Path(tempfile.mkdtemp(prefix="flocon-test-"))
        self.addCleanup(shutil.rmtree, top)
        self.machine = Machine(top, directories=self.directories)
        self.cache = self.machine.cache
        self.warnings = Warnings(self)

    def start(self) -> Cache:
        self.machine.start()
        self.addCleanup(lambda: self.machine.stop() if self.machine.cache.running else None)
        return self.machine.cache

    def lay(self, name: str, data: bytes, signature: bytes | None = SIGNATURE) -> None:
        put(self.machine.folder, name, data, signature)


class OfferedTests(CacheCase):
    """When a file of a CacheDir is offered."""

    def test_a_package_with_its_signature_is_held_under_its_hash(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.assertEqual(held.content, content_of(b"data"))
        self.assertEqual((held.origin, held.signed, held.verified), ("cache", True, True))
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        self.assertEqual(self.machine.changes, [Change(A, content_of(b"data"))])
        self.assertEqual(self.machine.read(A), b"data")
        self.assertEqual(self.machine.read(A, signature=True), SIGNATURE)

    def test_ready_fires_when_all_was_read(self) -> None:
        self.lay(A, b"data")
        self.start()
        self.successResultOf(self.cache.ready)

    def test_a_package_without_signature_is_not_held(self) -> None:
        self.lay(A, b"data", None)
        self.start()
        self.assertEqual(self.machine.held(), {})
        (self.machine.folder / (A + ".sig")).write_bytes(SIGNATURE)
        self.machine.report(self.machine.folder, A + ".sig")
        self.assertEqual(set(self.machine.held()), {A})

    def test_one_that_needs_no_signature_is_held_without(self) -> None:
        self.lay(A, b"data", None)
        self.machine.unsigned.add(A)
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.assertFalse(held.signed)
        self.failureResultOf(cache.open(held, signature=True), StoreError)
        self.assertEqual(cache.find(A), held)

    def test_it_leaves_when_its_signature_goes(self) -> None:
        self.lay(A, b"data")
        self.start()
        (self.machine.folder / (A + ".sig")).unlink()
        self.machine.report(self.machine.folder, A + ".sig")
        self.assertEqual(self.machine.held(), {})

    def test_an_empty_file_is_never_held(self) -> None:
        self.lay(A, b"")
        self.machine.listing[A] = [content_of(b"")]
        self.start()
        self.assertEqual(self.machine.held(), {})

    def test_a_file_written_to_just_now_waits_until_it_settles(self) -> None:
        self.lay(A, b"da")
        os.utime(self.machine.folder / A, (self.machine.wall, self.machine.wall))
        self.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.wall += 2
        self.machine.reactor.advance(2)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {A: content_of(b"da")})

    def test_a_listed_file_is_offered_before_it_is_hashed(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"data"), Content(9, bytes(32))]
        self.machine.reactor.pool.hold("digest")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.assertEqual((held.content, held.verified), (content_of(b"data"), False))
        self.machine.resume()
        held = cache.find(A)
        assert held is not None
        self.assertTrue(held.verified)
        self.assertEqual(len(self.machine.changes), 1)

    def test_where_two_of_that_size_are_listed_its_own_hash_decides(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"tada"), content_of(b"data")]
        self.machine.reactor.pool.hold("digest")
        self.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.resume()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})

    def test_an_unlisted_file_is_not_offered_before_it_is_hashed(self) -> None:
        self.lay(A, b"data")
        self.machine.reactor.pool.hold("digest")
        self.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.resume()
        self.assertEqual(set(self.machine.held()), {A})

    def test_listed_files_are_hashed_first(self) -> None:
        for name in (A, B, C):
            self.lay(name, b"data")
        self.machine.listing[B] = [content_of(b"data")]
        order = []
        digest = disk.digest

        def noted(directory: Path, name: str, *rest: Any) -> bytes | None:
            order.append(name)
            return digest(directory, name, *rest)

        with mock.patch.object(disk, "digest", noted):
            self.start()
        self.assertEqual((order[0], set(order)), (B, {A, B, C}))

    def test_a_damaged_file_leaves_and_is_told_once(self) -> None:
        self.lay(A, b"dama")
        self.machine.listing[A] = [content_of(b"data")]
        self.machine.reactor.pool.hold("digest")
        self.start()
        self.assertEqual(set(self.machine.held()), {A})
        self.machine.resume()
        self.assertEqual(self.machine.held(), {})
        self.machine.cache.listing_changed()
        self.machine.settle()
        self.machine.reactor.advance(RESCAN)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {})
        self.assertEqual(self.warnings.paths(), [str(self.machine.folder / A)])
        self.assertIn(content_of(b"data").sha256.hex(), str(self.warnings.events[0]["expected"]))

    def test_a_damaged_file_is_found_as_well_when_the_listing_comes_later(self) -> None:
        self.lay(A, b"dama")
        self.start()
        self.machine.relist(A, content_of(b"data"))
        self.assertEqual(self.machine.held(), {})
        self.assertEqual(self.warnings.paths(), [str(self.machine.folder / A)])

    def test_a_mended_file_comes_back(self) -> None:
        self.test_a_damaged_file_leaves_and_is_told_once()
        self.machine.lay(A, b"data")
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})

    def test_a_file_cut_short_is_not_offered_while_it_is_listed(self) -> None:
        self.lay(A, b"da")
        self.machine.listing[A] = [content_of(b"data")]
        self.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.relist(A)
        self.assertEqual(self.machine.held(), {A: content_of(b"da")})

    def test_a_file_once_listed_is_held_as_what_it_is_when_another_is_listed(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"data")]
        self.start()
        self.machine.relist(A, content_of(b"tada"))
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        self.machine.restart()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        self.assertEqual(self.warnings.events, [])

    def test_a_file_replaced_is_offered_as_the_new_one(self) -> None:
        self.lay(A, b"data")
        self.start()
        self.machine.lay(A, b"other")
        self.assertEqual(self.machine.held(), {A: content_of(b"other")})
        self.assertEqual([change.held for change in self.machine.changes], [True, False, True])

    def test_a_file_removed_leaves(self) -> None:
        self.lay(A, b"data")
        self.start()
        (self.machine.folder / A).unlink()
        self.machine.report(self.machine.folder, A)
        self.assertEqual(self.machine.held(), {})

    def test_whatever_was_missed_is_found_by_the_next_scan(self) -> None:
        self.lay(A, b"data")
        self.start()
        (self.machine.folder / A).unlink()
        self.lay(B, b"data")
        self.machine.reactor.advance(RESCAN)
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {B})

    def test_a_folder_that_cannot_be_watched_is_scanned_each_minute(self) -> None:
        self.machine.watch.refused.add(self.machine.folder)
        self.start()
        self.lay(A, b"data")
        self.machine.reactor.advance(POLL)
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {A})

    def test_a_folder_that_is_missing_is_said_once_and_found_when_it_comes(self) -> None:
        self.machine.folder.rmdir()
        self.machine.watch.refused.add(self.machine.folder)
        self.start()
        self.successResultOf(self.machine.cache.ready)
        for _ in range(3):
            self.machine.reactor.advance(POLL)
            self.machine.settle()
        self.assertEqual(self.warnings.paths(), [str(self.machine.folder)])
        self.machine.folder.mkdir()
        self.lay(A, b"data")
        self.machine.reactor.advance(POLL)
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {A})

    def test_another_folder_at_its_place_is_noticed_within_a_poll_without_an_event(self) -> None:
        """As where something is mounted over it, unmounted, or a link leads elsewhere by now."""
        self.lay(A, b"data")
        self.start()
        folder, away = self.machine.folder, self.machine.top / "away"
        folder.rename(away)
        folder.mkdir()
        put(folder, B, b"data")
        self.machine.reactor.advance(POLL)
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {B})
        shutil.rmtree(folder)
        folder.symlink_to(away)
        self.machine.reactor.advance(POLL)
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {A})
        folder.unlink()
        self.machine.reactor.advance(POLL)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {})

    def test_a_folder_that_stays_is_not_read_again_each_minute(self) -> None:
        self.lay(A, b"data")
        self.start()
        with mock.patch.object(disk, "scan") as scan:
            self.machine.reactor.advance(POLL)
            self.machine.settle()
        self.assertFalse(scan.called)

    def test_a_disk_that_does_not_answer_is_asked_once(self) -> None:
        self.start()
        self.machine.reactor.pool.hold("identities")
        for _ in range(5):
            self.machine.reactor.advance(POLL)
        self.assertEqual(len(self.machine.reactor.pool._waiting), 1)
        self.machine.resume()

    def test_hashes_are_remembered_across_restarts(self) -> None:
        self.lay(A, b"data")
        self.start()
        with mock.patch.object(disk, "digest", side_effect=AssertionError("hashed again")):
            self.machine.restart()
            held = self.machine.cache.find(A)
        assert held is not None
        self.assertTrue(held.verified)

    def test_hashes_are_saved_soon_without_a_stop(self) -> None:
        self.lay(A, b"data")
        self.start()
        self.machine.reactor.advance(SAVE_AFTER)
        self.machine.settle()
        with mock.patch.object(disk, "digest", side_effect=AssertionError("hashed again")):
            self.machine.crash()
            self.assertEqual(set(self.machine.held()), {A})

    def test_a_file_changed_meanwhile_is_hashed_again(self) -> None:
        self.lay(A, b"data")
        self.start()
        self.machine.stop()
        self.lay(A, b"tada")
        self.machine.make()
        self.machine.start()
        self.assertEqual(self.machine.held(), {A: content_of(b"tada")})

    def test_an_empty_folder_forgets_no_hash(self) -> None:
        # A CacheDir on a disk that is not mounted yet.
        self.lay(A, b"data")
        self.start()
        self.machine.stop()
        elsewhere = self.machine.top / "elsewhere"
        self.machine.folder.rename(elsewhere)
        self.machine.folder.mkdir()
        self.machine.make()
        self.machine.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.folder.rmdir()
        elsewhere.rename(self.machine.folder)
        with mock.patch.object(disk, "digest", side_effect=AssertionError("hashed again")):
            self.machine.report(self.machine.folder, "")
        self.assertEqual(set(self.machine.held()), {A})

    def test_a_file_that_lost_bits_is_found_by_a_check(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        path = self.machine.folder / A
        stamp = path.stat()
        path.write_bytes(b"dita")
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        checked = self.machine.result(cache.check(A))
        self.assertEqual((checked, self.machine.held()), (None, {}))
        self.assertEqual(self.warnings.paths(), [str(path)])

    def test_a_check_of_a_good_file_confirms_it(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        checked = self.machine.result(cache.check(A))
        self.assertEqual(checked, cache.find(A))
        self.assertIsNotNone(checked)

    def test_a_file_that_cannot_be_read_is_not_offered_and_said_once(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"data")]
        with mock.patch.object(disk, "digest", side_effect=OSError(5, "I/O error")):
            self.start()
            self.machine.reactor.advance(RESCAN)
            self.machine.settle()
        self.assertEqual(self.machine.held(), {})
        self.assertEqual(self.warnings.paths(), [str(self.machine.folder / A)])

    def test_a_listing_that_changes_the_moment_all_was_read_is_heeded(self) -> None:
        self.lay(A, b"dama")
        cache = self.machine.cache

        def relist(_: None) -> None:
            self.machine.listing[A] = [content_of(b"data")]
            cache.listing_changed()

        self.machine.reactor.pool.hold("digest")
        cache.ready.addCallback(relist)
        self.start()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        self.machine.resume()
        self.assertEqual(self.machine.held(), {})

    def test_whoever_listens_cannot_stop_the_scan(self) -> None:
        self.lay(A, b"data")
        self.machine.cache._changed = mock.Mock(side_effect=ValueError("listener"))
        self.start()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(set(self.machine.held()), {A})


class OpenTests(CacheCase):
    """Opening what is held, when the disk has changed under it."""

    def test_a_file_gone_is_an_error_and_leaves_at_once(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        (self.machine.folder / A).unlink()
        self.failureResultOf(cache.open(held), StoreError)
        self.assertEqual((cache.find(A), self.machine.held()), (None, {}))

    def test_what_is_private_is_held_and_not_told_of(self) -> None:
        self.lay(A, b"data")
        self.machine.private.add(A)
        cache = self.start()
        self.assertIsNotNone(cache.find(A))
        self.assertEqual(self.machine.held(), {})
        self.machine.private.clear()
        cache.listing_changed()
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {A})
        self.machine.private.add(A)
        cache.listing_changed()
        self.machine.settle()
        self.assertEqual(self.machine.held(), {})
        self.assertEqual([one.held for one in self.machine.changes], [True, False])

    def test_a_link_in_its_place_is_not_followed(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        (self.machine.folder / A).rename(self.machine.top / "elsewhere")
        (self.machine.folder / A).symlink_to(self.machine.top / "elsewhere")
        self.failureResultOf(cache.open(held), StoreError)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {})

    def test_another_file_in_its_place_is_looked_at_again(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.lay(A, b"tada")
        self.failureResultOf(cache.open(held), StoreError)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {A: content_of(b"tada")})

    def test_a_signature_gone_takes_the_package_with_it(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        (self.machine.folder / (A + ".sig")).unlink()
        self.failureResultOf(cache.open(held, signature=True), StoreError)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {})

    def test_a_signature_that_is_not_the_listed_one_is_not_given(self) -> None:
        self.lay(A, b"data", b"of something else")
        self.machine.listing[A] = [content_of(b"other"), content_of(b"data")]
        self.machine.signatures = {content_of(b"other"): b"another", content_of(b"data"): b"right"}
        self.start()
        self.assertEqual(self.machine.read(A, signature=True), b"right")

    def test_a_listed_signature_of_other_bytes_says_nothing_of_these(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"data")]
        self.start()
        # The database goes on; what was listed once is held as what it is.
        self.machine.signatures = {content_of(b"newer"): b"another"}
        self.machine.relist(A, content_of(b"newer"))
        self.assertEqual(self.machine.read(A, signature=True), SIGNATURE)

    def test_what_the_kernel_has_not_in_memory_is_opened_in_a_thread(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.patch(disk, "open_at_once", lambda *_: None)
        self.machine.reactor.pool.hold("open_file")
        opening = cache.open(held)
        self.assertNoResult(opening)
        self.machine.resume()
        opened = self.successResultOf(opening)
        self.assertEqual(os.read(opened.fileno(), 9), b"data")
        opened.close()

    def test_who_leaves_while_a_file_is_opened_leaves_no_descriptor_behind(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.patch(disk, "open_at_once", lambda *_: None)
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        self.machine.reactor.pool.hold("open_file")
        opening = cache.open(held)
        opening.cancel()
        self.machine.resume()
        self.failureResultOf(opening, CancelledError)
        gc.collect()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)  # noqa: PTH208

    def test_an_opened_file_tells_size_and_time(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        opened = self.successResultOf(cache.open(held))
        self.addCleanup(opened.close)
        self.assertEqual((opened.size, opened.modified), (4, OLD))


class SeveralFoldersTests(CacheCase):
    directories = 2

    def test_the_first_folder_wins(self) -> None:
        for folder in self.machine.directories:
            put(folder, A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.assertEqual(held.directory, self.machine.directories[0])

    def test_the_listed_one_wins_over_the_first(self) -> None:
        put(self.machine.directories[0], A, b"other")
        put(self.machine.directories[1], A, b"data")
        self.machine.listing[A] = [content_of(b"data")]
        self.start()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})

    def test_the_other_folder_serves_when_the_first_loses_it(self) -> None:
        for folder in self.machine.directories:
            put(folder, A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        (self.machine.directories[0] / A).unlink()
        self.failureResultOf(cache.open(held), StoreError)
        self.assertEqual(self.machine.read(A), b"data")
        self.assertEqual(len(self.machine.changes), 1)

    def test_a_folder_taken_away_takes_its_files_and_comes_back_with_them(self) -> None:
        first, second = self.machine.directories
        put(first, A, b"data")
        put(second, B, b"data")
        cache = self.start()
        cache.set_directories([first])
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {A})
        self.assertNotIn(second, self.machine.watch.followed)
        cache.set_directories([second, first])
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {A, B})


class StoreTests(CacheCase):
    """What comes into the store and goes again."""

    def test_a_published_package_is_held_at_once(self) -> None:
        cache = self.start()
        self.assertTrue(self.machine.publish(A, b"data"))
        held = cache.find(A)
        assert held is not None
        self.assertEqual((held.origin, held.signed, held.verified), ("store", True, True))
        self.assertEqual(self.machine.read(A), b"data")
        self.assertEqual(self.machine.read(A, signature=True), SIGNATURE)
        self.assertEqual(self.machine.changes, [Change(A, content_of(b"data"))])

    def test_it_is_held_after_a_restart_without_being_hashed(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        with mock.patch.object(disk, "digest", side_effect=AssertionError("hashed again")):
            self.machine.crash()
            self.assertEqual(set(self.machine.held()), {A})

    def test_a_file_that_nobody_remembers_is_hashed_before_it_is_offered(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        self.machine.stop()
        (self.machine.top / "store" / "state.sqlite").unlink()
        self.machine.listing[A] = [content_of(b"data")]
        self.machine.make()
        self.machine.reactor.pool.hold("digest")
        self.machine.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.resume()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})

    def test_a_damaged_file_is_removed(self) -> None:
        self.start()
        put(self.machine.packages, A, b"dama")
        self.machine.listing[A] = [content_of(b"data")]
        self.machine.report(self.machine.packages, A)
        self.assertEqual((self.machine.held(), self.machine.stored()), ({}, set()))
        self.assertEqual(self.warnings.paths(), [str(self.machine.packages / A)])

    def test_without_its_signature_it_is_not_taken(self) -> None:
        self.start()
        self.assertFalse(self.machine.publish(A, b"data", None))
        self.assertFalse(self.machine.publish(A, b"data", bytes(20_000)))
        self.assertEqual((self.machine.held(), self.machine.stored()), ({}, set()))

    def test_where_none_is_needed_it_is_taken_without(self) -> None:
        self.machine.unsigned.add(A)
        self.start()
        self.assertTrue(self.machine.publish(A, b"data", None))
        self.assertEqual(self.machine.stored(), {A})

    def test_a_file_of_another_size_is_not_taken(self) -> None:
        self.start()
        incoming = self.machine.received(b"dat")
        self.addCleanup(incoming.close)
        self.assertEqual(self.machine.publishing(incoming, A, b"data"), [False])
        self.assertEqual(self.machine.stored(), set())

    def test_a_name_that_is_no_packages_is_not_taken(self) -> None:
        self.start()
        for name in ("../" + A, "core.db", A + ".sig"):
            self.assertFalse(self.machine.publish(name, b"data"))

    def test_a_spare_file_is_not_taken(self) -> None:
        cache = self.start()
        spare = cache.spare()
        self.addCleanup(spare.close)
        os.write(spare.fileno(), b"data")
        self.assertEqual(self.machine.publishing(spare, A, b"data"), [False])

    def test_what_is_held_already_is_not_written_again(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        inode = (self.machine.packages / A).stat().st_ino
        self.assertTrue(self.machine.publish(A, b"data"))
        self.assertEqual((self.machine.packages / A).stat().st_ino, inode)

    def test_another_content_replaces_the_first(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        self.assertTrue(self.machine.publish(A, b"other", b"other signature"))
        self.assertEqual(self.machine.held(), {A: content_of(b"other")})
        self.assertEqual(self.machine.read(A, signature=True), b"other signature")

    def test_a_full_disk_keeps_nothing_and_says_why_once(self) -> None:
        cache = self.start()
        with mock.patch.object(cache.store, "harden", side_effect=OSError(28, "No space left")):
            for _ in range(3):
                self.assertFalse(self.machine.publish(A, b"data"))
        (event,) = self.warnings.events
        self.assertEqual(event["reason"], "No space left")
        self.assertTrue(self.machine.publish(A, b"data"))

    def test_published_before_the_store_was_read_it_is_taken_then(self) -> None:
        self.machine.reactor.pool.hold("_read")
        self.start()
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        result = self.machine.publishing(incoming, A, b"data")
        self.assertEqual(result, [])
        self.machine.resume()
        self.assertEqual((result, set(self.machine.held())), ([True], {A}))

    def test_a_scan_that_began_before_does_not_undo_it(self) -> None:
        cache = self.start()
        put(self.machine.packages, A, b"tada")
        self.machine.reactor.pool.hold("_read")
        self.machine.report(self.machine.packages, "")
        stale = disk.scan(self.machine.packages, {}, lambda: False)
        self.machine.publish(A, b"data")
        with mock.patch.object(disk, "scan", return_value=stale):
            self.machine.resume()
        held = cache.find(A)
        assert held is not None
        self.assertEqual(held.content, content_of(b"data"))
        self.assertEqual([change.held for change in self.machine.changes], [True])

    def test_a_caller_that_leaves_does_not_stop_it(self) -> None:
        cache = self.start()
        self.machine.reactor.pool.hold("harden")
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        work = Deferred.fromCoroutine(cache.publish(incoming, A, content_of(b"data"), SIGNATURE))
        work.cancel()
        self.failureResultOf(work, CancelledError)
        self.machine.resume()
        self.assertEqual(set(self.machine.held()), {A})

    def test_a_file_closed_meanwhile_is_not_taken(self) -> None:
        self.start()
        self.machine.reactor.pool.hold("harden")
        incoming = self.machine.received(b"data")
        result = self.machine.publishing(incoming, A, b"data")
        incoming.close()
        self.machine.resume()
        self.assertEqual((result, self.machine.stored()), ([False], set()))

    def test_the_longest_unused_goes_first_and_being_sent_counts_as_use(self) -> None:
        self.machine.max_size = 3 * (1000 + len(SIGNATURE))
        self.machine.make()
        self.start()
        for name in (A, B, C):
            self.machine.publish(name, os.urandom(1000))
        self.machine.read(A)
        self.machine.restart()
        self.assertTrue(self.machine.publish("d-1-1-any.pkg.tar.zst", os.urandom(1000)))
        self.assertEqual(set(self.machine.held()), {A, C, "d-1-1-any.pkg.tar.zst"})

    def test_a_file_being_sent_stays_readable_when_it_goes(self) -> None:
        self.machine.max_size = 2000
        self.machine.make()
        cache = self.start()
        self.machine.publish(A, b"data" * 400)
        held = cache.find(A)
        assert held is not None
        opened = self.successResultOf(cache.open(held))
        self.addCleanup(opened.close)
        self.machine.publish(B, bytes(1500))
        self.assertEqual(set(self.machine.held()), {B})
        self.assertEqual(os.read(opened.fileno(), 4000), b"data" * 400)

    def test_a_smaller_bound_is_kept_from_the_next_start(self) -> None:
        self.start()
        for name in (A, B, C):
            self.machine.publish(name, bytes(1000))
        self.machine.max_size = 2500
        self.machine.restart()
        self.assertEqual(set(self.machine.held()), {B, C})

    def test_what_pacmans_cache_has_got_the_store_drops(self) -> None:
        cache = self.start()
        self.machine.publish(A, b"data")
        self.machine.lay(A, b"data")
        held = cache.find(A)
        assert held is not None
        self.assertEqual((held.origin, self.machine.stored()), ("cache", set()))
        self.assertEqual([change.held for change in self.machine.changes], [True])
        self.assertEqual(cache.store.size, 0)

    def test_what_pacmans_cache_has_without_signature_the_store_keeps(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        put(self.machine.folder, A, b"data", None)
        self.machine.report(self.machine.folder, A)
        self.assertEqual(self.machine.stored(), {A, A + ".sig"})

    def test_what_lost_its_signature_in_pacmans_cache_the_store_keeps(self) -> None:
        self.lay(A, b"data")
        self.start()
        (self.machine.folder / (A + ".sig")).unlink()
        self.machine.report(self.machine.folder, A + ".sig")
        self.assertTrue(self.machine.publish(A, b"data"))
        self.assertEqual(self.machine.stored(), {A, A + ".sig"})

    def test_another_content_in_pacmans_cache_leaves_the_store_alone(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        self.machine.lay(A, b"tada")
        self.assertEqual(self.machine.stored(), {A, A + ".sig"})

    def test_two_nodes_on_one_store_are_told_apart(self) -> None:
        self.start()
        second = Machine(self.machine.top)
        with self.assertRaises(StoreError) as caught:
            second.cache.startService()
        self.assertIn(str(self.machine.top / "store"), str(caught.exception))

    def test_a_store_that_cannot_be_written_is_said_once_and_the_cache_still_serves(self) -> None:
        self.lay(A, b"data")
        (self.machine.top / "store").write_bytes(b"in the way")
        cache = self.start()
        self.assertEqual(set(self.machine.held()), {A})
        self.assertFalse(self.machine.publish(B, b"data"))
        self.assertEqual(len(self.warnings.events), 1)
        incoming = cache.incoming(10)
        self.addCleanup(incoming.close)
        self.assertFalse(incoming.keep)

    def test_after_stop_nothing_is_taken(self) -> None:
        self.start()
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        self.machine.stop()
        self.assertEqual(self.machine.publishing(incoming, A, b"data"), [False])


class StoreMachine(RuleBasedStateMachine):
    """The store against a model: names in the order of their last use."""

    names = st.sampled_from([f"package{number}-1-1-any.pkg.tar.zst" for number in range(8)])
    MAX_SIZE = 20_000

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="flocon-test-"))
        self.machine = Machine(self.top, self.MAX_SIZE).start()
        #: What the store should have: name to data, the longest unused first.
        self.model: OrderedDict[str, bytes] = OrderedDict()

    def teardown(self) -> None:
        self.machine.stop()
        shutil.rmtree(self.top)

    def needed(self, data: bytes) -> int:
        return len(data) + len(SIGNATURE)

    @rule(name=names, size=st.integers(1, 24_000), seed=st.integers(0, 1))
    def publish(self, name: str, size: int, seed: int) -> None:
        data = bytes([seed]) * size
        kept = self.machine.publish(name, data)
        if self.machine_cache_has(name, data):
            assert kept
            return
        assert kept == (self.needed(data) <= self.MAX_SIZE)
        if kept and self.model.get(name) != data:
            self.model.pop(name, None)
            while sum(map(self.needed, [*self.model.values(), data])) > self.MAX_SIZE:
                self.model.popitem(last=False)
            self.model[name] = data

    def machine_cache_has(self, name: str, data: bytes) -> bool:
        path = self.machine.folder / name
        return path.exists() and path.read_bytes() == data

    @rule(name=names)
    def send(self, name: str) -> None:
        held = self.machine.cache.find(name)
        if held is not None and held.origin == "store":
            assert self.machine.read(name) == self.model[name]
            self.model.move_to_end(name)

    @rule(name=names)
    def pacman_gets_it_too(self, name: str) -> None:
        if name in self.model:
            self.machine.lay(name, self.model.pop(name))

    @rule(name=names)
    def pacman_cleans_its_cache(self, name: str) -> None:
        for path in (self.machine.folder / name, self.machine.folder / (name + ".sig")):
            path.unlink(missing_ok=True)
        self.machine.report(self.machine.folder, name)

    @rule()
    def restart(self) -> None:
        self.machine.restart()

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        expected = {name: content_of(data) for name, data in self.model.items()}
        on_disk = self.machine.stored()
        assert on_disk == {*self.model, *(name + ".sig" for name in self.model)}
        for name, content in expected.items():
            assert content_of((self.machine.packages / name).read_bytes()) == content
        size = sum(path.stat().st_size for path in self.machine.packages.iterdir())
        assert size == self.machine.cache.store.size <= self.MAX_SIZE
        assert not list((self.top / "store" / "incoming").iterdir())

    @invariant()
    def everything_on_disk_is_offered(self) -> None:
        in_cache = {path.name for path in self.machine.folder.iterdir() if path.suffix != ".sig"}
        assert set(self.machine.held()) == {*self.model, *in_cache}


class StoreModelTests(SynchronousTestCase):
    def test_the_bound_holds_and_the_longest_unused_goes(self) -> None:
        # The disk's own promises are tested by kill -9; here they would only take time.
        with mock.patch.object(os, "fsync"):
            run_state_machine_as_test(
                StoreMachine,
                settings=settings(max_examples=40, stateful_step_count=25, deadline=None),
            )


class RealTests(TestCase):
    """With the real reactor, threads and inotify."""

    def setUp(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="flocon-test-"))
        self.addCleanup(shutil.rmtree, self.top)
        self.folder = self.top / "cache"
        self.folder.mkdir()
        self.waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def make(self) -> Cache:
        cache = Cache(
            real_reactor,
            store=self.top / "store",
            max_size=1 << 20,
            listed=lambda _: (),
            signature_needed=lambda _: True,
            changed=self.changed,
            directories=[self.folder],
        )
        self.cache = cache
        cache.startService()
        self.addCleanup(cache.stopService)
        return cache

    def changed(self, _changes: list[Change]) -> None:
        for true, done in list(self.waiting):
            if true():
                self.waiting.remove((true, done))
                done.callback(None)

    def until(self, true: Callable[[], bool]) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        if true():
            done.callback(None)
        else:
            self.waiting.append((true, done))
            done.addTimeout(20, real_reactor)
        return done

    async def test_what_comes_and_goes_is_noticed(self) -> None:
        put(self.folder, A, b"data")
        cache = self.make()
        await cache.ready
        await self.until(lambda: A in cache.inventory.names())
        put(self.folder, B, b"data")
        await self.until(lambda: B in cache.inventory.names())
        (self.folder / A).unlink()
        await self.until(lambda: A not in cache.inventory.names())

    async def test_a_published_package_is_there_and_makes_way_for_pacmans(self) -> None:
        cache = self.make()
        incoming = cache.incoming(4)
        os.write(incoming.fileno(), b"data")
        self.assertTrue(await cache.publish(incoming, A, content_of(b"data"), SIGNATURE))
        self.assertEqual(os.pread(incoming.fileno(), 9, 0), b"data")
        incoming.close()
        put(self.folder, A, b"data")
        stored = self.top / "store" / "packages" / A
        for _ in range(500):
            if not stored.exists():
                break
            await deferLater(real_reactor, 0.02)
        held = cache.find(A)
        assert held is not None
        self.assertEqual((held.origin, stored.exists()), ("cache", False))

    async def test_stopping_does_not_wait_for_a_large_file(self) -> None:
        with (self.folder / A).open("wb") as file:
            file.truncate(20 << 30)
        os.utime(self.folder / A, (OLD, OLD))
        (self.folder / (A + ".sig")).write_bytes(SIGNATURE)
        cache = self.make()
        await cache.ready
        await deferLater(real_reactor, 0.05)
        began = real_reactor.seconds()
        await cache.stopService()
        self.assertLess(real_reactor.seconds() - began, 1)
        self.assertEqual(len(cache.inventory), 0)


#: Publishes without end, under eight names, more than the bound allows.
_PUBLISHER = """
import hashlib, os, random, sys
from pathlib import Path
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from flocon.core.inventory import Content
from flocon.host.cache import Cache

cache = Cache(reactor, store=Path(sys.argv[1]), max_size=2_000_000, listed=lambda name: (),
              signature_needed=lambda name: True, changed=lambda changes: None, pause=0)
chance = random.Random(sys.argv[2])

async def publish():
    while True:
        data = chance.randbytes(chance.randrange(1, 600_000))
        incoming = cache.incoming(len(data))
        os.write(incoming.fileno(), data)
        content = Content(len(data), hashlib.sha256(data).digest())
        name = f"package{chance.randrange(8)}-1-1-any.pkg.tar.zst"
        await cache.publish(incoming, name, content, content.sha256)
        incoming.close()

cache.startService()
os.write(1, b"x")
for _ in range(3):
    Deferred.fromCoroutine(publish())
reactor.run()
"""


class PauseTests(CacheCase):
    """Nothing that can wait is done while packages come in."""

    def test_what_pacman_wrote_is_looked_at_once_it_is_quiet(self) -> None:
        self.start()
        incoming = self.machine.received(b"another")
        put(self.machine.folder, A, b"data")
        self.machine.watch.report(self.machine.folder, [A])
        self.machine.reactor.advance(PAUSE / 2)
        self.assertEqual(self.machine.held(), {})
        self.machine.reactor.advance(PAUSE / 2)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        incoming.close()

    def test_a_package_is_taken_in_once_it_is_quiet(self) -> None:
        cache = self.start()
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        work = cache.publish(incoming, A, content_of(b"data"), SIGNATURE)
        done: list[bool] = []
        Deferred.fromCoroutine(work).addCallback(done.append)
        self.machine.reactor.settle()
        self.assertEqual(done, [])
        self.machine.reactor.advance(KEEPING_PAUSE)
        self.machine.reactor.settle()
        self.assertEqual(done, [True])

    def test_packages_without_end_hold_up_what_came_for_a_moment_only(self) -> None:
        cache = self.start()
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        work = cache.publish(incoming, A, content_of(b"data"), SIGNATURE)
        done: list[bool] = []
        Deferred.fromCoroutine(work).addCallback(done.append)
        waited = 0.0
        while not done:
            self.assertLessEqual(waited, LONGEST_KEEPING_PAUSE)
            self.machine.received(b"another").close()
            self.machine.reactor.advance(KEEPING_PAUSE / 2)
            self.machine.reactor.settle()
            waited += KEEPING_PAUSE / 2
        self.assertGreater(waited, KEEPING_PAUSE)

    def test_packages_without_end_hold_it_up_for_some_seconds_only(self) -> None:
        self.start()
        self.machine.received(b"another").close()
        put(self.machine.folder, A, b"data")
        self.machine.watch.report(self.machine.folder, [A])
        waited = 0.0
        while not self.machine.held():
            self.assertLess(waited, LONGEST_PAUSE + PAUSE)
            self.machine.received(b"another").close()
            self.machine.reactor.advance(PAUSE / 4)
            waited += PAUSE / 4
        self.assertGreater(waited, PAUSE)

    def test_stopping_waits_for_no_quiet(self) -> None:
        self.start()
        incoming = self.machine.received(b"another")
        self.addCleanup(incoming.close)
        self.machine.watch.report(self.machine.folder, [A])
        self.machine.reactor.settle()
        began = self.machine.reactor.seconds()
        self.machine.stop()
        self.assertEqual(self.machine.reactor.seconds(), began)


class KilledTests(TestCase):
    KILLS = 20

    def test_a_killed_node_leaves_whole_and_signed_packages_only(self) -> None:
        """Here a package's signature is its SHA-256, so each file can be judged by itself."""
        top = Path(tempfile.mkdtemp(prefix="flocon-test-"))
        self.addCleanup(shutil.rmtree, top)
        chance = random.Random(7)
        survived = interrupted = 0
        for kill in range(self.KILLS):
            self.run_and_kill(top / "store", kill, chance.uniform(0, 0.15))
            machine = Machine(top, max_size=2_000_000)
            # Lying there after the kill, before anything of ours has looked at it:
            on_disk = {path.name: path for path in machine.packages.iterdir()}
            for name, path in on_disk.items():
                if not name.endswith(".sig"):
                    sha256 = hashlib.sha256(path.read_bytes()).digest()
                    self.assertEqual(on_disk[name + ".sig"].read_bytes(), sha256, name)
            interrupted += len(list((top / "store" / "incoming").iterdir()))
            machine.start()
            for name, content in machine.held().items():
                self.assertEqual(content_of((machine.packages / name).read_bytes()), content)
            whole = {name for name in on_disk if not name.endswith(".sig")}
            self.assertEqual(set(machine.held()), whole)
            self.assertEqual(machine.stored(), whole | {name + ".sig" for name in whole})
            self.assertLessEqual(
                sum(path.stat().st_size for path in machine.packages.iterdir()), 2_000_000
            )
            self.assertEqual(list((top / "store" / "incoming").iterdir()), [])
            survived += len(whole)
            machine.stop()
        # The kills came neither all too early nor all too late to prove anything.
        self.assertGreater(survived, self.KILLS)
        self.assertGreater(interrupted, self.KILLS)

    def run_and_kill(self, store: Path, seed: int, after: float) -> None:
        command = [sys.executable, "-c", _PUBLISHER, str(store), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.read(1), b"x")
            time.sleep(after)
            process.send_signal(signal.SIGKILL)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
