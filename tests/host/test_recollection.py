"""What was hashed once is known again, across a restart and a crash."""

from __future__ import annotations

from unittest import mock

from flocon.host import folder as disk
from flocon.host.recollection import SAVE_AFTER
from tests.host.machine import (
    A,
    HoldingsCase,
    content_of,
)


class RememberedTests(HoldingsCase):
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
