"""The store's folder: what is taken in and dropped is whole, and nothing else is touched."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any
from unittest import mock

from flocon.errors import StoreError
from flocon.machine.beneath import put_aside
from flocon.store import store as store_module
from tests.store.stores import A, B, Store, StoreTestCase


class StoreTests(StoreTestCase):
    def publish(self, store: Store, name: str, data: bytes, signature: bytes | None) -> None:
        incoming = self.incoming(store, len(data))
        os.write(incoming.fileno(), data)
        store.place(store.harden(incoming, signature), name)
        incoming.name = None
        incoming.close()

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
        store.harden(self.incoming(store, 5), b"signature")
        for name in ("tmpab_cd01x", "0123456789abcdef.in"):
            (self.path / "incoming" / name).touch()
        (self.path / "quarantine.json.abcd_123").touch()
        (self.path / "neighbours.json.abcd_123").touch()
        self.assertEqual(len(self.names("incoming")), 4)
        store.close()
        self.open()
        self.assertEqual(self.names("incoming"), set())
        self.assertFalse((self.path / "quarantine.json.abcd_123").exists())
        self.assertFalse((self.path / "neighbours.json.abcd_123").exists())

    def test_what_was_put_aside_stays(self) -> None:
        self.path.mkdir(parents=True)
        (self.path / "quarantine.json").write_bytes(b"{")
        aside = put_aside(self.path / "quarantine.json")
        assert aside is not None
        self.open()
        self.assertTrue(aside.exists())

    def test_a_folder_that_cannot_be_made_is_a_problem_and_no_error(self) -> None:
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b"a file")
        store = self.open()
        self.assertIn("File exists", store.problem)
        self.assertFalse(self.incoming(store, 5).keep)

    @property
    def quoted(self) -> str:
        """The folder as a shell takes it, for a pattern."""
        return re.escape(shlex.quote(str(self.path)))

    def test_a_file_in_it_that_is_not_this_users_is_named_with_what_mends_that(self) -> None:
        refused = PermissionError(13, "Permission denied", "lock")
        with mock.patch.object(store_module, "open_regular", side_effect=refused):
            store = self.open()
        self.assertEqual(store.problem, f"{self.path}/lock: Permission denied")
        self.assertRegex(store.remedy, rf"^chown -R \w+ {self.quoted}$")

    def test_packages_that_cannot_be_written_are_found_at_the_start(self) -> None:
        self.open().close()
        with mock.patch.object(os, "access", return_value=False):
            store = self.open()
        self.assertEqual(store.problem, f"{self.path}/packages: Permission denied")
        self.assertFalse(self.incoming(store, 5).keep)

    def test_a_folder_that_this_user_may_not_make_is_to_be_made_by_root(self) -> None:
        refused = PermissionError(13, "Permission denied", str(self.path))
        with mock.patch.object(Path, "mkdir", side_effect=refused):
            store = self.open()
        self.assertEqual(store.problem, f"{self.path}: Permission denied")
        self.assertRegex(store.remedy, rf"^install -d -o \w+ {self.quoted}$")

    def test_a_package_is_placed_with_its_signature(self) -> None:
        self.publish(self.open(), A, b"data", b"signature")
        self.assertEqual(self.names(), {A, A + ".sig"})
        self.assertEqual((self.path / "packages" / (A + ".sig")).read_bytes(), b"signature")
        self.assertEqual(self.names("incoming"), set())

    def test_the_signature_is_there_before_the_package(self) -> None:
        store = self.open()
        seen = []
        rename = os.rename

        def watched(*arguments: Any, **folders: Any) -> None:
            rename(*arguments, **folders)
            seen.append(self.names())

        with mock.patch.object(os, "rename", watched):
            self.publish(store, A, b"data", b"signature")
        self.assertEqual(seen, [{A + ".sig"}, {A, A + ".sig"}])

    def test_another_package_of_the_name_is_gone_before_the_new_signature_comes(self) -> None:
        store = self.open()
        self.publish(store, A, b"old", b"old signature")
        with mock.patch.object(os, "rename", side_effect=OSError(5, "I/O error")):
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

    def test_a_full_disk_lowers_the_bound(self) -> None:
        store = self.open(1000)
        info = mock.Mock(f_frsize=1, f_blocks=2000, f_bavail=150)
        store.account(A, 300)
        with mock.patch.object(os, "fstatvfs", return_value=info):
            store.measure()
            # A twentieth stays free: 300 there already, and 150 - 100 more.
            self.assertEqual(store.bound(), 350)
            self.assertEqual(store.bound(arriving=20), 370)
            self.assertEqual(store.victims(400), [])
            info.f_bavail = 50
            store.measure()
            self.assertEqual(store.victims(0), [A])
