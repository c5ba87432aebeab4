"""Files on their way in: where they lie, whether they can be kept, who makes way for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import StoreError
from flocon.store import incoming as module
from flocon.store import room
from flocon.store.accounts import LEAST_FOR_PASSING, MOST_PASSING
from flocon.store.incoming import Incoming
from tests.store.stores import MIB, A, B, Store, StoreTestCase
from tests.store.strangers import Stranger, lent


class ArrivalTests(StoreTestCase):
    def test_as_many_large_files_as_pacman_asks_for_begin_without_a_wait_for_the_disk(self) -> None:
        store = Store(self.path, 1 << 30, lambda _: None)
        store.open()
        self.addCleanup(store.close)
        store.arrivals.prepare()
        opened: list[object] = []

        def open_now(*arguments: object, **named: object) -> int:
            opened.append((arguments, named))
            raise OSError

        with mock.patch.object(os, "open", open_now):
            large = [self.incoming(store, 2 * module.LARGEST_IN_MEMORY) for _ in range(5)]
        self.assertEqual(opened, [])
        self.assertTrue(all(one.keep and not one.in_memory for one in large))

    def test_an_incoming_file_can_be_kept_where_there_is_room(self) -> None:
        store = self.open()
        self.assertTrue(self.incoming(store, 1000).keep)
        self.assertTrue(self.incoming(store, None).keep)
        self.assertFalse(self.incoming(store, 1001).keep)

    def test_what_was_promised_to_others_is_no_room(self) -> None:
        store = self.open(1 << 40)
        free = os.statvfs(self.path)
        half = free.f_bavail * free.f_frsize * 6 // 10
        first = self.incoming(store, half)
        self.assertTrue(first.keep)
        self.assertFalse(self.incoming(store, half).keep)
        first.close()
        self.assertTrue(self.incoming(store, half).keep)

    def test_an_unpublished_file_leaves_nothing(self) -> None:
        store = self.open()
        incoming = store.incoming(5)
        incoming.close()
        incoming.close()
        self.assertEqual(self.names("incoming"), set())

    def test_a_spare_file_works_and_is_not_kept(self) -> None:
        store = self.open()
        for size in (None, 10):
            spare = store.spare(size)
            os.pwrite(spare.fileno(), b"data", 0)
            self.assertEqual(os.pread(spare.fileno(), 10, 0), b"data")
            self.assertFalse(spare.keep)
            spare.close()
        self.assertEqual(self.names("incoming"), set())

    def test_no_room_anywhere_is_an_error_that_says_so(self) -> None:
        store = self.open()
        error = self.assertRaises(StoreError, store.spare, 1 << 60)
        self.assertIn("no room", str(error))
        self.patch(module, "temporary_folders", list)
        with mock.patch.object(os, "memfd_create", side_effect=OSError(24, "Too many")):
            self.assertRaises(StoreError, store.spare, 10)


class RoomTests(SynchronousTestCase):
    """What is open counts until it is closed, and pacman comes before strangers."""

    MAX_SIZE = 400 * MIB

    def setUp(self) -> None:
        self.store = Store(Path(self.mktemp()).absolute() / "store", self.MAX_SIZE)
        self.store.open()
        self.addCleanup(self.store.close)

    def mktemp_on_disk(self) -> str:
        self.patch(module, "is_in_memory", lambda _: False)
        return str(self.store.path)

    def for_stranger(self, size: int | None) -> tuple[Stranger, Incoming]:
        stranger = Stranger()
        incoming = self.store.incoming(size, stranger)
        stranger.close = incoming.close
        self.addCleanup(incoming.close)
        return stranger, incoming

    def for_pacman(self, size: int | None) -> Incoming:
        incoming = self.store.incoming(size)
        self.addCleanup(incoming.close)
        return incoming

    def test_a_small_file_lies_in_memory_until_it_is_kept(self) -> None:
        incoming = self.for_pacman(MIB)
        incoming.write(0, b"data")
        self.assertTrue(incoming.keep)
        self.assertEqual((self.store.room.memory, self.store.room.disk), (MIB, 0))
        received = self.store.harden(incoming, b"signature")
        self.store.place(received, A)
        self.assertEqual((self.store.packages / A).read_bytes(), b"data")
        self.assertEqual((self.store.packages / A).stat().st_mode & 0o777, 0o644)
        self.store.account(A, 4)
        self.store.placed(incoming, A)
        self.assertEqual(self.store.room.memory, MIB)
        incoming.close()
        self.assertEqual(self.store.room.memory, 0)

    def test_strangers_together_get_no_more_than_the_bound(self) -> None:
        kept = [self.for_stranger(100 * MIB)[1] for _ in range(4)]
        self.assertTrue(all(incoming.keep for incoming in kept))
        self.assertEqual(self.store.room.disk, 400 * MIB)
        self.assertRaises(StoreError, self.for_stranger, 100 * MIB)
        kept[0].close()
        self.assertTrue(self.for_stranger(100 * MIB)[1].keep)

    def test_what_finds_no_disk_finds_a_little_memory_and_then_is_refused(self) -> None:
        self.for_stranger(400 * MIB)
        for _ in range(3):
            self.assertFalse(self.for_stranger(30 * MIB)[1].keep)
        self.assertRaises(StoreError, self.for_stranger, 30 * MIB)
        self.assertLessEqual(self.store.room.memory, 96 * MIB)

    def test_a_stranger_whose_file_grows_past_the_bound_is_stopped(self) -> None:
        _, incoming = self.for_stranger(None)
        incoming.write(400 * MIB - 4, b"data")
        self.assertEqual(self.store.room.disk, 400 * MIB)
        self.assertRaises(OSError, incoming.write, 400 * MIB, b"d")

    def test_strangers_make_way_for_pacman(self) -> None:
        stranger, _ = self.for_stranger(300 * MIB)
        other, _ = self.for_stranger(60 * MIB)
        incoming = self.for_pacman(200 * MIB)
        self.assertTrue(incoming.keep)
        self.assertEqual((stranger.cuts, other.cuts), (1, 0))
        self.assertEqual(self.store.room.disk, 260 * MIB)

    def test_who_reads_a_deleted_file_is_cut_off_for_pacman(self) -> None:
        reader = lent(self.store, A, 300 * MIB)
        self.store.account(A, None)
        self.assertEqual((self.store.size, self.store.room.disk), (0, 300 * MIB))
        self.assertTrue(self.for_pacman(200 * MIB).keep)
        self.assertEqual((reader.cuts, self.store.room.disk), (1, 200 * MIB))

    def test_who_reads_a_package_is_cut_off_so_that_it_can_go_for_pacman(self) -> None:
        reader = lent(self.store, A, 300 * MIB)
        incoming = self.for_pacman(200 * MIB)
        self.assertTrue(incoming.keep)
        self.assertEqual(reader.cuts, 1)
        self.assertTrue(self.store.is_crowded)
        self.assertEqual(self.store.victims(0), [A])

    def test_a_received_file_counts_once_when_it_has_become_a_package(self) -> None:
        incoming = self.for_pacman(2 * MIB)
        incoming.write(0, bytes(2 * MIB))
        self.store.place(self.store.harden(incoming, None), A)
        incoming.name = None
        self.store.account(A, 2 * MIB)
        self.store.placed(incoming, A)
        self.assertEqual((self.store.size, self.store.room.disk), (2 * MIB, 0))
        self.store.account(A, None)
        self.assertEqual((self.store.size, self.store.room.disk), (0, 2 * MIB))
        incoming.close()
        self.assertEqual(self.store.room.disk, 0)

    def test_what_is_larger_than_the_store_passes_through_to_pacman_and_pushes_nothing_out(
        self,
    ) -> None:
        self.store.account(A, 400 * MIB)
        incoming = self.for_pacman(500 * MIB)
        self.assertFalse(incoming.keep)
        self.assertFalse(self.store.is_crowded)
        self.assertRaises(StoreError, self.for_stranger, 500 * MIB)

    def test_what_passes_through_is_bounded_in_bytes_save_for_a_single_file(self) -> None:
        self.patch(module, "temporary_folders", lambda: [self.mktemp_on_disk()])
        first = self.for_pacman(LEAST_FOR_PASSING + MIB)
        self.assertRaises(StoreError, self.for_pacman, 500 * MIB)
        first.close()
        second = self.for_pacman(500 * MIB)
        self.assertTrue(self.for_pacman(LEAST_FOR_PASSING - 500 * MIB).is_passing)
        self.assertRaises(StoreError, self.for_pacman, 500 * MIB)
        second.close()
        self.assertTrue(self.for_pacman(500 * MIB).is_passing)

    def test_what_passes_through_is_bounded_in_number(self) -> None:
        self.patch(module, "temporary_folders", lambda: [self.mktemp_on_disk()])
        self.patch(module, "LARGEST_IN_MEMORY", 0)
        self.patch(room, "MOST_MEMORY", 0)
        held = self.for_pacman(400 * MIB)
        self.assertTrue(held.keep)
        for _ in range(MOST_PASSING):
            self.assertTrue(self.for_pacman(1).is_passing)
        self.assertRaises(StoreError, self.for_pacman, 1)

    def test_what_others_were_promised_elsewhere_is_no_room_there(self) -> None:
        self.patch(module, "temporary_folders", lambda: [self.mktemp_on_disk()])
        self.patch(module, "free_bytes", lambda _: 900 * MIB)
        first = self.for_pacman(500 * MIB)
        self.assertRaises(StoreError, self.for_pacman, 401 * MIB)
        self.patch(first.share, "size", 1 * MIB)
        self.assertTrue(self.for_pacman(401 * MIB).is_passing)

    def test_one_of_unknown_size_grows_within_the_bound_for_pacman_too(self) -> None:
        unknown = self.for_pacman(None)
        unknown.grow(400 * MIB)
        self.assertRaises(OSError, unknown.grow, 401 * MIB)
        passing = self.store.spare(None)
        self.addCleanup(passing.close)
        passing.grow(2 * LEAST_FOR_PASSING)
        self.assertTrue(passing.is_passing)

    def test_whether_a_file_can_be_kept_is_told_without_cutting_anybody_off(self) -> None:
        self.store.account(B, 400 * MIB)
        self.assertTrue(self.store.can_keep(300 * MIB))
        self.assertFalse(self.store.can_keep(401 * MIB))
        stranger, _ = self.for_stranger(300 * MIB)
        self.assertTrue(self.store.can_keep(100 * MIB))
        self.assertFalse(self.store.can_keep(101 * MIB))
        self.assertEqual(stranger.cuts, 0)

    def test_a_file_is_closed_in_its_time_by_somebody_else(self) -> None:
        waiting: list[Callable[[], None]] = []
        store = Store(Path(self.mktemp()).absolute() / "store", self.MAX_SIZE, waiting.append)
        store.open()
        self.addCleanup(store.close)
        incoming = store.incoming(2 * MIB)
        before, descriptor = len(waiting), incoming.fileno()
        with mock.patch.object(os, "close") as close, mock.patch.object(os, "unlink") as unlink:
            incoming.close()
            # Threads of other tests may close what is theirs meanwhile.
            self.assertNotIn(mock.call(descriptor), close.mock_calls)
            self.assertFalse(unlink.called)
        waiting[before]()
        self.assertEqual(store.room.disk, 0)

    def test_who_still_needs_a_closed_file_has_it(self) -> None:
        incoming = self.for_pacman(2 * MIB)
        incoming.retain()
        incoming.close()
        self.assertFalse(incoming.keep)
        incoming.write(0, b"data")
        self.assertEqual(os.pread(incoming.fileno(), 9, 0), b"data")
        incoming.release()
        self.assertEqual(self.store.room.disk, 0)

    def test_on_a_disk_that_gives_no_nameless_files_it_is_the_same(self) -> None:
        real = os.open

        def older(path: str, flags: int, mode: int = 0o777, **folder: Any) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(95, "Operation not supported")
            return real(path, flags, mode, **folder)

        with mock.patch.object(os, "open", older):
            store = Store(Path(self.mktemp()).absolute() / "store", self.MAX_SIZE)
            store.open()
            self.addCleanup(store.close)
            incoming = store.incoming(2 * MIB)
            incoming.write(0, b"data")
            incoming_folder = store.path / "incoming"
            assert incoming.name is not None
            self.assertTrue((incoming_folder / incoming.name).exists())
            store.place(store.harden(incoming, b"signature"), A)
            incoming.name = None
            incoming.close()
            store.incoming(2 * MIB).close()
            store.close()
            self.assertEqual(list(incoming_folder.iterdir()), [])
            self.assertEqual((store.packages / A).read_bytes(), b"data")
