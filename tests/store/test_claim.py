"""Whose a folder is, and that nothing is changed in one that is not ours."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import StoreError
from flocon.store.claim import MARK, claim, foreign
from flocon.store.folder import Stamp
from flocon.store.index import Index, Remembered
from tests.store.stores import Store

PACKAGE = "a-1-1-any.pkg.tar.zst"


class ClaimCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.top = Path(self.mktemp()).absolute()
        self.path = self.top / "store"
        self.path.mkdir(parents=True)

    def lay(self, *names: str) -> None:
        for name in names:
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"somebody's")

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.top)) for path in self.top.rglob("*"))

    def store(self) -> Store:
        store = Store(self.path, 10)
        self.addCleanup(store.close)
        return store

    def claim(self) -> None:
        folder = os.open(self.path, os.O_RDONLY)
        try:
            claim(folder, self.path)
        finally:
            os.close(folder)


class ForeignTests(ClaimCase):
    def assert_refused(self, *named: str) -> None:
        before = self.files()
        sentence = str(foreign(self.path))
        error = self.assertRaises(StoreError, self.store().open)
        self.assertEqual(str(error), sentence)
        for word in (str(self.path), "--store", *named):
            self.assertIn(word, sentence)
        self.assertEqual(self.files(), before)

    def test_a_folder_with_somebodys_files_is_refused_and_stays_as_it_is(self) -> None:
        self.lay("notes.txt", "incoming/upload.part", f"packages/{PACKAGE}", "packages/b.sig")
        self.assert_refused("'notes.txt'", "'packages'", "'incoming'")

    def test_a_repository_of_packages_alone_is_refused(self) -> None:
        self.lay(f"packages/{PACKAGE}", f"packages/{PACKAGE}.sig")
        self.assert_refused("'packages'")

    def test_what_is_being_uploaded_is_refused(self) -> None:
        self.lay("incoming/tmpabcd1234")
        self.assert_refused("'incoming'")

    def test_a_folder_that_leads_elsewhere_is_refused(self) -> None:
        self.lay("../elsewhere/0123456789abcdef.in")
        (self.path / "incoming").symlink_to(self.top / "elsewhere")
        self.assert_refused("'incoming'")

    def test_a_database_of_somebody_elses_says_nothing(self) -> None:
        with sqlite3.connect(self.path / "state.sqlite") as database:
            database.execute("CREATE TABLE uses (id INTEGER)")
        database.close()
        self.lay("node", f"packages/{PACKAGE}")
        self.assert_refused("'packages'")

    def test_a_mark_that_is_a_link_is_none(self) -> None:
        self.lay("notes.txt", "../mark")
        (self.top / "mark").write_bytes(b"flocon store 1\n")
        (self.path / MARK).symlink_to(self.top / "mark")
        self.assert_refused("'notes.txt'")

    def test_many_files_are_not_all_named(self) -> None:
        self.lay(*(f"file{number}" for number in range(50)))
        self.assertIn("'file0', 'file1', 'file10', ...", str(foreign(self.path)))


class OwnTests(ClaimCase):
    def test_an_empty_folder_is_made_ours(self) -> None:
        (self.path / "lost+found").mkdir()
        self.assertIsNone(foreign(self.path))
        self.claim()
        self.lay("notes.txt")
        self.assertIsNone(foreign(self.path))

    def test_a_folder_that_is_not_there_is_nobodys(self) -> None:
        self.assertIsNone(foreign(self.path / "none"))

    def test_looking_changes_nothing(self) -> None:
        foreign(self.path)
        self.assertEqual(self.files(), ["store"])

    def test_our_own_small_files_do_not_make_a_folder_foreign(self) -> None:
        self.lay("quarantine.json", "savings.json", "neighbours.json", "lock")
        self.assertIsNone(foreign(self.path))

    def test_a_store_of_an_earlier_version_is_taken_over_with_what_is_in_it(self) -> None:
        self.lay("lock", f"packages/{PACKAGE}", f"packages/{PACKAGE}.sig", "packages/x.sig")
        (self.path / "node").write_text("0123456789abcdef" * 2 + "\n")
        before = self.files()
        store = self.store()
        store.open()
        self.assertEqual(store.problem, "")
        self.assertEqual(set(self.files()) - set(before), {f"store/{MARK}", "store/incoming"})

    def test_one_that_lost_its_token_is_known_by_the_hashes_it_remembers(self) -> None:
        self.lay("lock", f"packages/{PACKAGE}")
        index = Index(self.path / "state.sqlite")
        known = Remembered(Stamp(1, 2, 3, 4), bytes(32))
        index.save({(self.path / "packages", PACKAGE): known})
        index.close()
        self.assertIsNone(foreign(self.path))

    def test_a_store_may_be_where_an_administrators_link_leads(self) -> None:
        link = self.top / "link"
        link.symlink_to(self.path)
        store = Store(link, 10)
        self.addCleanup(store.close)
        store.open()
        self.assertEqual(store.problem, "")


class HardenedTests(ClaimCase):
    """In a store of ours somebody has put what should not be there."""

    def setUp(self) -> None:
        super().setUp()
        self.claim()

    def test_a_link_in_place_of_a_folder_is_refused(self) -> None:
        self.lay("../elsewhere/0123456789abcdef.in", "../elsewhere/x-1-1-any.pkg.tar.zst.sig")
        for name in ("packages", "incoming"):
            (self.path / name).symlink_to(self.top / "elsewhere")
            error = self.assertRaises(StoreError, self.store().open)
            self.assertIn(str(self.path / name), str(error))
            (self.path / name).unlink()
        self.assertEqual(len(list((self.top / "elsewhere").iterdir())), 2)

    def test_only_names_of_ours_are_removed_from_what_comes_in(self) -> None:
        self.lay("incoming/0123456789abcdef.sig", "incoming/thesis.tex", "incoming/tmp")
        self.lay("../outside")
        (self.path / "incoming" / "0123456789abcdef.in").symlink_to(self.top / "outside")
        self.store().open()
        left = {path.name for path in (self.path / "incoming").iterdir()}
        self.assertEqual(left, {"thesis.tex", "tmp"})
        self.assertTrue((self.top / "outside").exists())

    def test_a_lock_that_is_a_fifo_or_a_link_is_a_problem_and_is_not_waited_for(self) -> None:
        lock = self.path / "lock"
        os.mkfifo(lock)
        store = self.store()
        store.open()
        self.assertIn("not a regular file", store.problem)
        lock.unlink()
        lock.symlink_to(self.top / "made")
        store.open()
        self.assertIn("is a link", store.problem)
        self.assertFalse((self.top / "made").exists())

    def test_nothing_is_placed_in_a_folder_that_another_hides(self) -> None:
        store = self.store()
        store.open()
        received = store.harden(store.incoming(4), None)
        (self.path / "packages").rename(self.path / "away")
        (self.path / "packages").mkdir()
        self.assertRaises(OSError, store.place, received, PACKAGE)
        self.assertEqual(list((self.path / "packages").iterdir()), [])
