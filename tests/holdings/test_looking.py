"""What comes, goes and changes in the folders is noticed, with and without a report of it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from typing import Any
from unittest import mock

from flocon.errors import StoreError
from flocon.holdings.judgement import SETTLING
from flocon.holdings.looking import AGAIN, POLL, RESCAN
from flocon.store import folder as disk
from tests.holdings.machine import A, B, HoldingsCase, content_of, put


class LookedAtTests(HoldingsCase):
    def test_ready_fires_when_all_was_read(self) -> None:
        self.lay(A, b"data")
        self.start()
        self.successResultOf(self.cache.ready)

    def test_a_file_written_to_just_now_waits_until_it_settles(self) -> None:
        self.lay(A, b"da")
        os.utime(self.machine.folder / A, (self.machine.wall, self.machine.wall))
        self.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.wall += 2
        self.machine.reactor.advance(2)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {A: content_of(b"da")})

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
        self.machine.reactor.pool.hold("identity")
        for _ in range(5):
            self.machine.reactor.advance(POLL)
        # Once for the cache and once for the store: neither waits for the other.
        self.assertEqual(len(self.machine.reactor.pool._waiting), 2)
        self.machine.resume()

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


class SeveralFoldersTests(HoldingsCase):
    directories = 2

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


class CrowdedTests(HoldingsCase):
    """For want of descriptors nothing is taken for gone."""

    def refuse(self, module: Any, name: str) -> Callable[[], None]:
        """Have a function fail for want of descriptors; return what ends that."""

        def fail(*_: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        patch = mock.patch.object(module, name, fail)
        patch.start()
        self.addCleanup(patch.stop)
        return patch.stop

    def settle_after(self, seconds: float) -> None:
        self.machine.reactor.advance(seconds)
        self.machine.settle()

    def test_a_folder_that_cannot_be_read_is_as_it_was_and_read_soon(self) -> None:
        self.lay(A, b"data")
        self.start()
        self.lay(B, b"data")
        mend = self.refuse(os, "scandir")
        for seconds in (RESCAN, AGAIN):
            self.settle_after(seconds)
            self.assertEqual(set(self.machine.held()), {A})
        mend()
        self.settle_after(AGAIN)
        self.assertEqual(set(self.machine.held()), {A, B})
        self.assertEqual(self.warnings.paths(), [])

    def test_a_folder_that_cannot_be_read_at_the_start_is_read_soon(self) -> None:
        self.lay(A, b"data")
        mend = self.refuse(os, "scandir")
        self.start()
        self.assertNoResult(self.machine.cache.ready)
        mend()
        self.settle_after(AGAIN)
        self.successResultOf(self.machine.cache.ready)
        self.assertEqual(set(self.machine.held()), {A})

    def test_a_file_that_cannot_be_looked_at_is_as_it_was_and_looked_at_soon(self) -> None:
        self.lay(A, b"data")
        self.start()
        self.lay(B, b"data")
        mend = self.refuse(os, "open")
        self.machine.report(self.machine.folder, A, B)
        self.assertEqual(set(self.machine.held()), {A})
        mend()
        self.settle_after(2 * SETTLING)
        self.assertEqual(set(self.machine.held()), {A, B})

    def test_a_file_that_cannot_be_hashed_is_hashed_soon(self) -> None:
        self.lay(A, b"data")
        mend = self.refuse(disk, "open_file")
        self.start()
        self.assertEqual(self.machine.held(), {})
        mend()
        self.settle_after(2 * SETTLING)
        self.assertEqual(set(self.machine.held()), {A})
        self.assertEqual(self.warnings.paths(), [])

    def test_a_file_that_cannot_be_opened_is_offered_still(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.patch(disk, "open_at_once", lambda *_: None)
        self.refuse(disk, "open_file")
        self.failureResultOf(cache.open(held), StoreError)
        self.assertEqual(set(self.machine.held()), {A})
