"""Other tools' folders: each tool's layout is found, read and verified, and nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from flocon.holdings import adopting, known
from flocon.holdings.adopting import AGAIN, survey
from tests.holdings.machine import OLD, SIGNATURE, A, B, HoldingsCase, content_of

#: Where each tool keeps a package of [extra], below its own folder.
LAYOUTS = {
    "pacoloco": "pkgs/archlinux",
    "flexo": "extra/os/x86_64",
    "cpcache": "pkg/extra/os/x86_64",
    "pkgstash": "extra/os/x86_64",
}


class Survey(SynchronousTestCase):
    """Which folders there are."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).resolve()
        self.root.mkdir()

    def lay(self, *places: str) -> None:
        for place in places:
            path = self.root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"data")

    def test_every_layout_is_found(self) -> None:
        for layout in LAYOUTS.values():
            self.lay(f"{layout}/{A}")
        folders = {str(one.relative_to(self.root)) for one in survey(self.root).folders}
        self.assertEqual(folders, set(LAYOUTS.values()))

    def test_folders_without_packages_and_hidden_ones_are_none(self) -> None:
        self.lay("tmp-db/core.db", f".hidden/{A}", f"extra/.{A}", "extra/extra.db")
        self.assertEqual(survey(self.root).folders, ())

    def test_no_link_leads_out_of_it(self) -> None:
        self.lay(f"pkgs/arch/{A}")
        outside = Path(self.mktemp()).resolve()
        outside.mkdir()
        (outside / B).write_bytes(b"data")
        (self.root / "pkgs" / "other").symlink_to(outside)
        self.assertEqual(survey(self.root).folders, (self.root / "pkgs" / "arch",))
        link = Path(self.mktemp()).resolve()
        link.symlink_to(outside)
        self.assertEqual(survey(link).folders, ())

    def test_one_that_is_missing_is_said_to_be(self) -> None:
        told = survey(self.root / "away").problem
        # The folder itself stands before it.
        self.assertEqual(told, "cannot be read (No such file or directory)")

    def test_names_as_they_stand_in_addresses_are_packages_too(self) -> None:
        self.lay(f"extra/os/x86_64/{quote(A)}")
        self.assertEqual(len(survey(self.root).folders), 1)

    def test_so_many_folders_so_deep_and_so_many_files_and_no_more(self) -> None:
        self.lay(f"1/2/3/4/5/6/7/8/{A}")
        self.assertEqual(survey(self.root).folders, ())
        self.lay(*(f"many/{number}/{A}" for number in range(6)))
        self.patch(adopting, "MOST_FOLDERS", 5)
        found = survey(self.root)
        self.assertEqual(len(found.folders), 5)
        self.assertIn("more than 5 folders", found.problem)
        self.patch(adopting, "MOST_LOOKED_AT", 3)
        self.assertIn("more than 3 files", survey(self.root).problem)

    def test_a_folder_with_too_many_is_adopted_all_the_same(self) -> None:
        self.lay(f"pkgs/{A}", *(f"pkgs/{number}-1-1-any.pkg.tar.zst" for number in range(50)))
        self.patch(adopting, "MOST_LOOKED_AT", 20)
        found = survey(self.root)
        self.assertIn("more than 20 files", found.problem)
        self.assertEqual(found.folders, (self.root / "pkgs",))

    def test_of_a_folder_without_end_no_more_is_read(self) -> None:
        self.lay(*(f"many/{number}" for number in range(50)))
        self.patch(adopting, "MOST_LOOKED_AT", 10)
        read: list[str] = []
        scandir = os.scandir

        def count(entries: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
            for entry in entries:
                read.append(entry.name)
                yield entry

        @contextmanager
        def counted(path: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
            with scandir(path) as entries:
                yield count(entries)

        with mock.patch.object(os, "scandir", counted):
            self.assertIn("more than 10 files", survey(self.root).problem)
        self.assertLess(len(read), 12)

    def test_what_this_node_may_not_read_is_said(self) -> None:
        self.lay(f"pkgs/arch/{A}")
        with mock.patch.object(adopting, "_is_readable", lambda _: False):
            self.assertIn(f"may not read, as {self.root}/pkgs/arch/{A}", survey(self.root).problem)


class Adopted(HoldingsCase):
    """What lies there is held once it was verified."""

    DATA = b"the data of a package"

    def setUp(self) -> None:
        super().setUp()
        self.root = (self.machine.top / "pacoloco").resolve()
        self.folder = self.root / "pkgs" / "archlinux"
        self.folder.mkdir(parents=True)
        self.machine.adopt = [self.root]
        self.machine.make()

    def put(self, name: str, data: bytes = DATA, signature: bytes | None = SIGNATURE) -> None:
        for file_name, part in ((name + ".sig", signature), (name, data)):
            if part is not None:
                (self.folder / file_name).write_bytes(part)
                os.utime(self.folder / file_name, (OLD, OLD))

    def list(self, name: str, data: bytes = DATA) -> None:
        self.machine.listing[name] = [content_of(data)]

    def test_a_listed_package_is_held_and_read_from_there(self) -> None:
        self.put(A)
        self.list(A)
        self.start()
        held = self.machine.cache.find(A)
        assert held is not None
        self.assertEqual(
            (held.origin, held.verified, held.directory), ("adopted", True, self.folder)
        )
        self.assertEqual(self.machine.read(A), self.DATA)
        self.assertEqual({path.name for path in self.folder.iterdir()}, {A, A + ".sig"})

    def test_a_name_as_it_stands_in_addresses_is_the_packages(self) -> None:
        self.put(A.replace("+", "%2B"))
        self.list(A)
        self.start()
        self.assertEqual(self.machine.read(A), self.DATA)
        self.assertEqual(self.machine.read(A, signature=True), SIGNATURE)

    def test_of_both_spellings_the_plain_one_counts(self) -> None:
        self.put(A.replace("+", "%2B"), b"")
        self.put(A)
        self.list(A)
        self.start()
        self.assertIsNotNone(self.machine.cache.find(A))

    def test_a_file_that_still_grows_is_held_once_it_is_whole(self) -> None:
        self.put(A, self.DATA[:7])
        self.list(A)
        self.start()
        self.assertIsNone(self.machine.cache.find(A))
        self.put(A)
        self.machine.report(self.folder, A)
        self.assertIsNotNone(self.machine.cache.find(A))

    def test_nothing_empty_hidden_unlisted_or_wrong_is_held(self) -> None:
        self.put(A, b"")
        self.put("." + B)
        self.put(B, self.DATA[::-1])
        self.list(A)
        self.list(B)
        self.put("x-1-1-any.pkg.tar.zst")
        self.start()
        self.assertEqual(self.machine.held(), {})
        self.assertEqual(self.warnings.paths(), [])

    def test_without_a_signature_that_of_the_database_counts(self) -> None:
        self.put(A, signature=None)
        self.put(B, signature=None)
        self.list(A)
        self.list(B)
        self.machine.signatures[content_of(self.DATA)] = b"of the database"
        self.start()
        self.assertEqual(self.machine.read(A, signature=True), b"of the database")

    def test_with_none_anywhere_it_is_not_held(self) -> None:
        self.put(A, signature=None)
        self.list(A)
        self.start()
        self.assertIsNone(self.machine.cache.find(A))

    def test_whoever_lays_down_more_than_anybody_needs_has_so_many_looked_at(self) -> None:
        self.patch(known, "MOST_ADOPTED", 3)
        second = self.folder.parent / "other"
        second.mkdir()
        for number in range(9):
            self.put(f"x{number}-1-1-any.pkg.tar.zst")
            (second / f"y{number}-1-1-any.pkg.tar.zst").write_bytes(b"data")
        self.start()
        self.assertEqual(self.looked_at(), 3)
        (told,) = self.machine.holdings.tell()
        self.assertIn("has more packages than are looked at", told["reason"])
        # One by one is no other way.
        self.put("z-1-1-any.pkg.tar.zst")
        self.machine.report(self.folder, "z-1-1-any.pkg.tar.zst")
        self.assertEqual(self.looked_at(), 3)

    def test_a_link_that_is_put_in_a_folders_place_leads_nowhere(self) -> None:
        self.put(A)
        self.list(A)
        self.list(B)
        self.start()
        outside = self.machine.top.resolve() / "outside"
        for swapped in (self.folder, self.folder.parent):
            away = swapped.rename(swapped.with_name("away"))
            (outside / self.folder.name).mkdir(parents=True, exist_ok=True)
            for place in (outside, outside / self.folder.name):
                (place / B).write_bytes(self.DATA)
                (place / f"{B}.sig").write_bytes(SIGNATURE)
            swapped.symlink_to(outside)
            for name in (B, ""):
                # Before it is looked again which folders there are.
                self.machine.report(self.folder, name)
                self.assertIsNone(self.machine.cache.find(B), name)
            swapped.unlink()
            away.rename(swapped)
        self.machine.report(self.folder, "")
        self.assertIsNotNone(self.machine.cache.find(A))

    def test_a_link_that_leads_to_all_of_it_is_the_operators(self) -> None:
        link = self.root.parent / "link"
        link.symlink_to(self.root)
        self.put(A)
        self.list(A)
        self.machine.adopt = [link / "pkgs"]
        self.machine.make()
        self.start()
        self.assertIsNotNone(self.machine.cache.find(A))

    def looked_at(self) -> int:
        (told,) = self.machine.holdings.describe_adopted()
        return int(told["files"])

    def test_new_folders_are_found_in_time_and_those_that_went_are_left(self) -> None:
        self.start()
        self.put(A)
        self.list(A)
        self.machine.reactor.advance(AGAIN)
        self.machine.settle()
        self.assertIsNotNone(self.machine.cache.find(A))
        for path in self.folder.iterdir():
            path.unlink()
        self.machine.reactor.advance(AGAIN)
        self.machine.settle()
        self.assertIsNone(self.machine.cache.find(A))

    def test_folders_are_adopted_and_left_while_the_node_runs(self) -> None:
        self.machine.adopt = []
        self.machine.make()
        self.put(A)
        self.list(A)
        self.start()
        self.assertIsNone(self.machine.cache.find(A))
        self.machine.holdings.adopt([self.root])
        self.machine.settle()
        self.assertEqual(self.machine.read(A), self.DATA)
        self.machine.holdings.adopt([])
        self.machine.settle()
        self.assertIsNone(self.machine.cache.find(A))
        self.assertEqual(self.machine.holdings.describe_adopted(), [])
        self.assertEqual({path.name for path in self.folder.iterdir()}, {A, A + ".sig"})

    def test_signatures_are_fetched_of_one_that_is_adopted_late(self) -> None:
        self.machine.adopt = []
        self.machine.make()
        fetched: list[str] = []

        async def fetch(name: str, *_: object) -> bytes:
            fetched.append(name)
            return SIGNATURE

        self.machine.holdings.fetch_signatures(fetch, lambda: True)
        self.put(A, signature=None)
        self.list(A)
        self.start()
        self.machine.holdings.adopt([self.root])
        self.machine.settle()
        self.assertEqual(fetched, [A])
        self.assertEqual(self.machine.read(A, signature=True), SIGNATURE)

    def test_the_stores_own_copy_stays(self) -> None:
        self.put(A)
        self.list(A)
        self.start()
        self.assertTrue(self.machine.publish(A, self.DATA))
        self.machine.settle()
        held = self.machine.cache.find(A)
        self.assertIsNotNone(held)

    def test_it_is_told_how_much_there_is_and_what_is_wrong(self) -> None:
        self.put(A)
        self.put(B)
        self.list(A)
        self.start()
        (told,) = self.machine.holdings.describe_adopted()
        self.assertEqual((told["path"], told["folders"], told["files"]), (str(self.root), 1, 2))
        self.assertEqual((told["verified"], told["bytes"]), (1, len(self.DATA)))
        self.assertEqual(list(self.machine.holdings.tell()), [])

    def test_the_doctor_says_what_gives_leave_to_read_it(self) -> None:
        self.put(A)
        with mock.patch.object(adopting, "_is_readable", lambda _: False):
            self.start()
        (told,) = self.machine.holdings.tell()
        self.assertIn("may not read", told["reason"])
        self.assertEqual(told["remedy"], f"setfacl -R -m u:flocon:rX -m d:u:flocon:rX {self.root}")

    def test_one_that_is_not_there_or_is_hidden_is_told_as_what_it_is(self) -> None:
        for path, remedy in (
            ("/nowhere/pacoloco", "adopt, [store] of /etc/flocon.toml"),
            ("/home/nobody/pacoloco", "ProtectHome=read-only"),
        ):
            with self.subTest(path=path):
                self.machine.adopt = [Path(path)]
                self.machine.make()
                self.machine.start()
                (told,) = self.machine.holdings.tell()
                self.assertIn(remedy, told["remedy"])
                self.machine.stop()
        self.machine.adopt = []
        self.machine.make()
        self.machine.start()
