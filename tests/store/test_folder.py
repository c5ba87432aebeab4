"""What a folder is seen to hold, and that nothing outside it can be opened."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import StoreError
from flocon.store import folder

A = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
C = "core-1-1-any.pkg.tar"
B = "zlib-1.3-2-x86_64.pkg.tar.zst"


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def put(self, name: str, data: bytes = b"data") -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def scan(self) -> dict[str, folder.Found]:
        return folder.scan(self.folder, {}, lambda: False).different

    def test_packages_are_found_with_their_signature(self) -> None:
        self.put(A)
        self.put(A + ".sig", b"signature")
        self.put(B)
        found = self.scan()
        self.assertEqual(set(found), {A, B})
        self.assertEqual((found[A].stamp.size, found[A].signature is None), (4, False))
        self.assertIsNone(found[B].signature)

    def test_a_second_scan_tells_only_what_is_different(self) -> None:
        self.put(A)
        self.put(B)
        known = self.scan()
        self.put(C)
        (self.folder / B).unlink()
        (self.folder / (A + ".sig")).write_bytes(b"signature")
        again = folder.scan(self.folder, known, lambda: False)
        self.assertEqual((set(again.different), again.gone), ({A, C}, [B]))
        now = self.scan()
        self.assertEqual(folder.scan(self.folder, now, lambda: False), folder.Scanned({}, []))

    def test_what_is_not_a_whole_package_is_not_seen(self) -> None:
        self.put(A + ".part")
        self.put("notes.txt")
        self.put("core.db")
        self.put(B + ".sig")
        (self.folder / "download-abc123").mkdir()
        (self.folder / "download-abc123" / A).write_bytes(b"x")
        (self.folder / A).mkdir()
        self.assertEqual(self.scan(), {})

    def test_links_and_fifos_are_not_seen(self) -> None:
        (self.folder / A).symlink_to("/etc/passwd")
        os.mkfifo(self.folder / B)
        self.assertEqual(self.scan(), {})
        self.assertEqual(folder.look(self.folder, [A, B]), {})

    def test_what_anybody_can_have_made_in_another_tools_folder_does_not_count(self) -> None:
        for number in range(200):
            self.put(f"forged-{number}-1-any.pkg.tar.zst", b"")
        self.put(A.replace("+", "%2B"))
        scanned = folder.scan(self.folder, {}, lambda: False, escaped=True)
        self.assertEqual(set(scanned.different), {A})
        seen = folder.look(self.folder, [A, "forged-7-1-any.pkg.tar.zst"], escaped=True)
        self.assertEqual(set(seen), {A})
        self.assertEqual(len(self.scan()), 200)

    def test_of_another_tools_folder_only_so_much_is_known_and_read(self) -> None:
        for number in range(20):
            self.put(f"p{number}-1-1-any.pkg.tar.zst")
        for most, names, there in ((7, 20, 7), (20, 5, 5)):
            self.patch(folder, "MOST_NAMES", names)
            scanned = folder.scan(self.folder, {}, lambda: False, escaped=True, most=most)
            self.assertEqual(len(scanned.different), there)
        self.assertEqual(len(self.scan()), 20)

    def test_an_empty_or_huge_or_linked_signature_is_none(self) -> None:
        self.put(A)
        for data in (b"", bytes(16385)):
            self.put(A + ".sig", data)
            self.assertIsNone(self.scan()[A].signature)
        (self.folder / (A + ".sig")).unlink()
        (self.folder / (A + ".sig")).symlink_to(self.folder / A)
        self.assertIsNone(self.scan()[A].signature)

    def test_looking_at_names_sees_what_a_scan_sees(self) -> None:
        self.put(A)
        self.put(A + ".sig")
        self.assertEqual(folder.look(self.folder, [A, B]), self.scan())

    def test_a_file_this_process_may_not_read_is_not_seen(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        self.put(A).chmod(0)
        self.put(B).chmod(0o644)
        if os.geteuid() == 0:
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)
        self.assertEqual(set(folder.look(self.folder, [A, B])), {B})

    def test_an_unreadable_folder_is_an_error_that_names_it(self) -> None:
        missing = self.folder / "missing"
        with self.assertRaises(StoreError) as caught:
            folder.scan(missing, {}, lambda: False)
        self.assertEqual(
            str(caught.exception), f"{missing}: cannot be read (No such file or directory)"
        )

    def test_a_file_is_opened_only_as_long_as_it_is_the_same(self) -> None:
        path = self.put(A, b"first")
        stamp = self.scan()[A].stamp
        os.close(folder.open_file(self.folder, A, stamp))
        path.chmod(0o640)
        os.close(folder.open_file(self.folder, A, stamp))
        self.put("other", b"other").rename(path)
        self.assertRaises(StoreError, folder.open_file, self.folder, A, stamp)

    def test_neither_links_nor_fifos_nor_folders_are_opened(self) -> None:
        stamp = folder.Stamp(0, 0, 0, 0)
        (self.folder / "link").symlink_to("/etc/passwd")
        os.mkfifo(self.folder / "fifo")
        (self.folder / "folder").mkdir()
        self.assertRaises(OSError, folder.open_file, self.folder, "link", stamp)
        for name in ("fifo", "folder"):
            self.assertRaises(StoreError, folder.open_file, self.folder, name, stamp)

    def test_the_digest_is_that_of_all_bytes(self) -> None:
        data = os.urandom(2_500_000)
        self.put(A, data)
        stamp = self.scan()[A].stamp
        self.assertEqual(
            folder.digest(self.folder, A, stamp, lambda: False), hashlib.sha256(data).digest()
        )

    def test_a_digest_is_given_up_when_told(self) -> None:
        self.put(A, bytes(10))
        self.assertIsNone(folder.digest(self.folder, A, self.scan()[A].stamp, lambda: True))

    def test_a_file_that_changes_while_it_is_read_has_no_digest(self) -> None:
        path = self.put(A, bytes(10))
        stamp = self.scan()[A].stamp

        def meddle() -> bool:
            path.write_bytes(bytes(11))
            return False

        self.assertRaises(StoreError, folder.digest, self.folder, A, stamp, meddle)

    def test_a_file_that_grows_while_it_is_read_is_not_followed(self) -> None:
        path = self.put(A, bytes(10))
        stamp = self.scan()[A].stamp
        looks = 0

        def grow() -> bool:
            nonlocal looks
            looks += 1
            with path.open("ab") as file:
                file.write(bytes(20))
            return looks > 9

        self.assertRaises(StoreError, folder.digest, self.folder, A, stamp, grow)
        self.assertEqual(looks, 2)

    def test_what_the_kernel_knows_is_opened_at_once_and_only_if_it_is_the_same(self) -> None:
        path = self.put(A)
        (expected,) = (found.stamp for found in self.scan().values())
        descriptor = folder.open_at_once(self.folder, A, expected)
        if descriptor is not None:  # else an older kernel, and all is opened in threads
            self.addCleanup(os.close, descriptor)
            self.assertEqual(os.read(descriptor, 9), b"data")
            self.assertEqual(folder.read_at_once(self.folder, A, expected), b"data")
            path.write_bytes(b"other")
            self.assertRaises(StoreError, folder.open_at_once, self.folder, A, expected)
        path.unlink()
        path.symlink_to("/etc/passwd")
        self.assertIsNone(folder.open_at_once(self.folder, A, expected))
        self.assertIsNone(folder.open_at_once(self.folder, B, expected))
