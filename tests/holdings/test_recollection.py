"""What was hashed once is known again, across a restart and a crash."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.holdings.known import KnownFile
from flocon.holdings.recollection import SAVE_AFTER, Recollection
from flocon.store import folder as disk
from flocon.store.folder import Found, Stamp
from flocon.store.index import Remembered
from flocon.store.waiting import Threads
from tests.holdings.machine import OLD, A, B, C, HoldingsCase, content_of
from tests.inline import InlineReactor


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


class RecollectionTests(SynchronousTestCase):
    """Alone, with an index in memory."""

    def setUp(self) -> None:
        self.reactor = InlineReactor()
        self.threads = Threads(self.reactor, self.reactor.pool)  # type: ignore[arg-type]
        self.recollection = Recollection(self.reactor, self.threads)
        self.recollection.start()
        self.reactor.settle()
        self.addCleanup(self.recollection.stop)
        self.file = KnownFile(Found(Stamp(1, 4, OLD, OLD)))
        self.file.sha256 = bytes(32)

    def known(self) -> set[str]:
        return set(self.recollection.index.files(Path("/cache")))

    def wait(self) -> None:
        self.reactor.advance(SAVE_AFTER)
        self.reactor.settle()

    def test_what_comes_within_some_seconds_is_written_together(self) -> None:
        with mock.patch.object(self.recollection.index, "save") as save:
            self.recollection.remember(Path("/cache"), A, self.file)
            self.reactor.advance(SAVE_AFTER / 2)
            self.recollection.remember(Path("/cache"), B, self.file)
            self.recollection.remember_turn(C, 5)
            self.assertFalse(save.called)
            self.reactor.advance(SAVE_AFTER / 2)
            self.reactor.settle()
            self.reactor.advance(SAVE_AFTER)
            self.reactor.settle()
        ((files, turns), _) = save.call_args
        self.assertEqual(save.call_count, 1)
        self.assertEqual(({name for _, name in files}, turns), ({A, B}, {C: 5}))

    def test_what_is_forgotten_is_gone_from_the_index(self) -> None:
        self.recollection.remember(Path("/cache"), A, self.file)
        self.wait()
        self.assertEqual(self.known(), {A})
        self.recollection.forget(Path("/cache"), A)
        self.wait()
        self.assertEqual(self.known(), set())

    def test_a_file_whose_hash_is_not_known_is_not_worth_it(self) -> None:
        self.file.sha256 = None
        self.recollection.remember(Path("/cache"), A, self.file)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_what_the_index_was_told_already_is_not_undone_by_what_was_before(self) -> None:
        self.recollection.forget(Path("/cache"), A)
        known = Remembered(self.file.found.stamp, bytes(32))
        self.recollection.index.save({(Path("/cache"), A): known})
        self.recollection.is_saved(Path("/cache"), A)
        self.wait()
        self.assertEqual(self.known(), {A})

    def test_what_was_not_written_yet_is_when_it_closes(self) -> None:
        with mock.patch.object(self.recollection.index, "save") as save:
            self.recollection.remember_turn(A, 7)
            self.recollection.stop()
            self.successResultOf(Deferred.fromCoroutine(self.recollection.close()))
        self.assertEqual(save.call_args.args, ({}, {A: 7}))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
