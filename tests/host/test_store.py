"""The store's folder and accounts; its life within a node is in test_cache."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import StoreError
from flocon.host.store import Incoming, Store

A = "a-1-1-any.pkg.tar.zst"
B = "b-1-1-any.pkg.tar.zst"
C = "c-1-1-any.pkg.tar.zst"


class StoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "store"

    def open(self, max_size: int = 1000) -> Store:
        store = Store(self.path, max_size)
        store.open()
        self.addCleanup(store.close)
        return store

    def incoming(self, store: Store, size: int | None) -> Incoming:
        incoming = store.incoming(size)
        self.addCleanup(incoming.close)
        return incoming

    def publish(self, store: Store, name: str, data: bytes, signature: bytes | None) -> None:
        incoming = self.incoming(store, len(data))
        os.write(incoming.fileno(), data)
        beside = store.harden(incoming.fileno(), signature)
        assert incoming.name is not None
        store.place(incoming.name, name, beside)
        incoming.name = None
        incoming.close()

    def names(self, folder: str = "packages") -> set[str]:
        return {path.name for path in (self.path / folder).iterdir()}

    def test_the_folder_is_made_for_all_to_read_and_what_comes_in_for_one(self) -> None:
        self.assertEqual(self.open().problem, "")
        modes = [
            (self.path / name).stat().st_mode & 0o777 for name in (".", "packages", "incoming")
        ]
        self.assertEqual(modes, [0o755, 0o755, 0o700])

    def test_a_second_node_is_told_the_folder_and_the_remedy(self) -> None:
        first = self.open()
        with self.assertRaises(StoreError) as caught:
            Store(self.path, 1000).open()
        self.assertIn(str(self.path), str(caught.exception))
        self.assertIn("--store", str(caught.exception))
        first.close()
        self.assertEqual(self.open().problem, "")

    def test_what_was_on_its_way_in_is_gone_at_the_next_start(self) -> None:
        store = self.open()
        self.incoming(store, 5)
        self.assertEqual(len(self.names("incoming")), 1)
        store.close()
        self.open()
        self.assertEqual(self.names("incoming"), set())

    def test_a_folder_that_cannot_be_made_is_a_problem_and_no_error(self) -> None:
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b"a file")
        store = self.open()
        self.assertIn("File exists", store.problem)
        self.assertFalse(self.incoming(store, 5).keep)

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
        for size in (None, 10, 1 << 60):
            spare = store.spare(size)
            os.pwrite(spare.fileno(), b"data", 0)
            self.assertEqual(os.pread(spare.fileno(), 10, 0), b"data")
            self.assertFalse(spare.keep)
            spare.close()
        self.assertEqual(self.names("incoming"), set())

    def test_no_room_anywhere_is_an_error_that_says_so(self) -> None:
        store = self.open()
        with mock.patch.object(os, "memfd_create", side_effect=OSError(24, "Too many")):
            self.assertRaises(StoreError, store.spare, 1 << 60)

    def test_a_package_is_placed_with_its_signature(self) -> None:
        self.publish(self.open(), A, b"data", b"signature")
        self.assertEqual(self.names(), {A, A + ".sig"})
        self.assertEqual((self.path / "packages" / (A + ".sig")).read_bytes(), b"signature")
        self.assertEqual(self.names("incoming"), set())

    def test_the_signature_is_there_before_the_package(self) -> None:
        store = self.open()
        seen = []
        rename = Path.rename

        def watched(path: Path, target: Path) -> Path:
            result = rename(path, target)
            seen.append(self.names())
            return result

        with mock.patch.object(Path, "rename", watched):
            self.publish(store, A, b"data", b"signature")
        self.assertEqual(seen, [{A + ".sig"}, {A, A + ".sig"}])

    def test_another_package_of_the_name_is_gone_before_the_new_signature_comes(self) -> None:
        store = self.open()
        self.publish(store, A, b"old", b"old signature")
        with mock.patch.object(Path, "rename", side_effect=OSError(5, "I/O error")):
            self.assertRaises(OSError, self.publish, store, A, b"new", b"new signature")
        self.assertEqual(self.names(), set())

    def test_an_unsigned_package_does_not_keep_the_old_signature(self) -> None:
        store = self.open()
        self.publish(store, A, b"old", b"signature")
        self.publish(store, A, b"new", None)
        self.assertEqual(self.names(), {A})

    def test_a_signature_without_package_is_swept(self) -> None:
        store = self.open()
        self.publish(store, A, b"data", b"signature")
        (self.path / "packages" / (B + ".sig")).write_bytes(b"signature")
        (self.path / "packages" / "notes").write_bytes(b"of somebody")
        store.sweep()
        self.assertEqual(self.names(), {A, A + ".sig", "notes"})

    def test_the_longest_unused_goes_first(self) -> None:
        store = self.open(100)
        for name in (A, B, C):
            store.account(name, 30)
            store.use(name)
        store.use(A)
        self.assertEqual(store.victims(10), [])
        self.assertEqual(store.victims(11), [B])
        self.assertEqual(store.victims(70), [B, C])
        self.assertEqual(store.victims(100), [B, C, A])
        self.assertIsNone(store.victims(101))

    def test_what_is_replaced_goes_in_any_case_and_counts(self) -> None:
        store = self.open(100)
        for name in (A, B, C):
            store.account(name, 30)
            store.use(name)
        self.assertEqual(store.victims(40, replacing=C), [C])
        self.assertEqual(store.victims(41, replacing=C), [C, A])

    def test_files_never_used_go_before_all_others(self) -> None:
        store = self.open(100)
        store.recall({A: 3, B: 1})
        for name in (A, B, C):
            store.account(name, 30)
        self.assertEqual(store.victims(100), [C, B, A])

    def test_turns_go_on_where_they_were(self) -> None:
        store = self.open()
        store.recall({A: 41})
        self.assertEqual(store.use(B), 42)

    def test_a_full_disk_lowers_the_bound(self) -> None:
        store = self.open(1000)
        info = mock.Mock(f_frsize=1, f_blocks=2000, f_bavail=150)
        store.account(A, 300)
        with mock.patch.object(os, "statvfs", return_value=info):
            # A twentieth stays free: 300 there already, and 150 - 100 more.
            self.assertEqual(store.bound(), 350)
            self.assertEqual(store.bound(arriving=20), 370)
            self.assertEqual(store.victims(400), [])
            info.f_bavail = 50
            self.assertEqual(store.victims(0), [A])
