"""What is known of files survives what is found of them, as long as they are the same."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.holdings.known import MOST_NAMES, KnownFile, KnownFolder, KnownFolders
from flocon.store.folder import Found, Stamp
from flocon.store.index import Remembered

A = "a-1-1-any.pkg.tar.zst"
CACHE, OTHER, STORE = Path("/cache"), Path("/other"), Path("/store/packages")
STAMP, LATER = Stamp(1, 4, 5_000_000_000, 6), Stamp(1, 4, 7_000_000_000, 8)
SHA256 = bytes(32)


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = KnownFolder(CACHE, "cache")

    def test_a_file_is_known_by_what_is_remembered_of_its_stamp(self) -> None:
        self.folder.note(A, Found(STAMP, STAMP), Remembered(STAMP, SHA256, confirmed=True))
        file = self.folder.files[A]
        self.assertEqual((file.size, file.modified, file.signed), (4, 5.0, True))
        self.assertEqual((file.sha256, file.confirmed), (SHA256, True))

    def test_what_is_remembered_of_another_file_says_nothing(self) -> None:
        self.folder.note(A, Found(STAMP), Remembered(LATER, SHA256, confirmed=True))
        file = self.folder.files[A]
        self.assertEqual((file.sha256, file.confirmed, file.signed), (None, False, False))

    def test_a_signature_that_comes_later_costs_no_hash(self) -> None:
        self.folder.note(A, Found(STAMP), Remembered(STAMP, SHA256))
        self.folder.note(A, Found(STAMP, LATER), None)
        file = self.folder.files[A]
        self.assertEqual((file.sha256, file.signed), (SHA256, True))

    def test_a_fault_stays_with_the_file_and_goes_with_it(self) -> None:
        self.folder.note(A, Found(STAMP), None)
        self.folder.files[A].faulty = True
        self.folder.note(A, Found(STAMP, LATER), None)
        self.assertTrue(self.folder.files[A].faulty)
        self.folder.note(A, Found(LATER), None)
        self.assertFalse(self.folder.files[A].faulty)

    def test_what_is_gone_is_known_no_more(self) -> None:
        self.folder.note(A, Found(STAMP), None)
        self.folder.note(A, None, None)
        self.assertEqual(self.folder.files, {})


class FoldersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folders = KnownFolders(STORE)
        self.woken = 0
        self.folders.wake = self.wake

    def wake(self) -> None:
        self.woken += 1

    def paths(self) -> list[Path]:
        return [folder.path for folder in self.folders]

    def test_the_store_comes_last_and_once(self) -> None:
        self.folders.replace_caches([CACHE, STORE, CACHE, OTHER])
        self.assertEqual(self.paths(), [CACHE, OTHER, STORE])

    def test_a_folder_that_stays_keeps_what_is_known_of_it(self) -> None:
        self.folders.replace_caches([CACHE, OTHER])
        cache, other = self.folders.at(CACHE), self.folders.at(OTHER)
        assert cache is not None
        assert other is not None
        self.assertEqual(self.folders.replace_caches([OTHER]), [cache])
        self.assertEqual((cache.gone, self.folders.at(CACHE)), (True, None))
        self.assertIs(self.folders.at(OTHER), other)

    def test_a_name_is_looked_at_again_and_many_by_a_scan(self) -> None:
        folder = self.folders.store
        folder.rescan = False
        self.folders.look_again(folder, A)
        self.assertEqual((folder.names, folder.rescan, self.woken), ({A}, False, 1))
        for number in range(MOST_NAMES):
            self.folders.look_again(folder, f"{number}")
        self.assertTrue(folder.rescan)

    def test_what_was_read_is_compared_with_what_is_there(self) -> None:
        self.folders.replace_caches([CACHE, OTHER])
        for folder in self.folders:
            folder.read = folder.path != OTHER
        self.folders.compare()
        compared = [folder.path for folder in self.folders if folder.comparing]
        self.assertEqual((compared, self.woken), ([CACHE, STORE], 1))

    def test_the_store_may_have_what_was_not_looked_at_or_hashed(self) -> None:
        store = self.folders.store
        self.assertTrue(self.folders.is_unjudged("a"))
        store.read = True
        self.assertFalse(self.folders.is_unjudged("a"))
        store.files["a"] = file = KnownFile(Found(STAMP, None))
        self.assertTrue(self.folders.is_unjudged("a"))
        file.sha256 = bytes(32)
        self.assertFalse(self.folders.is_unjudged("a"))
        file.sha256, file.faulty = None, True
        self.assertFalse(self.folders.is_unjudged("a"))
