"""What is here to build with, as databases on disk say it."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import BuildError
from flocon.jobs.stock import Stock, own_repository
from flocon.pacman.relations import parse_relation


def write(path: Path, *packages: tuple[str, str, tuple[str, ...], tuple[str, ...]]) -> None:
    """Write a database of packages: name, version, what each needs and provides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, version, depends, provides in packages:
            data = (
                f"%FILENAME%\n{name}-{version}-any.pkg.tar.zst\n\n%NAME%\n{name}\n\n"
                f"%VERSION%\n{version}\n\n%ARCH%\nany\n\n"
                + field("DEPENDS", depends)
                + field("PROVIDES", provides)
            ).encode()
            info = tarfile.TarInfo(f"{name}-{version}/desc")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path.write_bytes(gzip.compress(target.getvalue()))


def field(name: str, values: tuple[str, ...]) -> str:
    return f"%{name}%\n" + "".join(f"{one}\n" for one in values) + "\n" if values else ""


class StockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        write(
            self.folder / "published/home/current/home.db",
            ("library", "2-1", ("glibc>=2", "base"), ("liblibrary.so=2-64",)),
            ("base", "1-1", (), ()),
        )
        write(self.folder / "sync/core.db", ("glibc", "2.40-1", (), ()), ("sh", "1-1", (), ()))
        write(self.folder / "sync/home.db", ("old", "1-1", (), ()))
        names = ["home", "core", "missing"]
        self.stock = Stock(self.folder / "sync", names, self.folder / "published", "home")

    def own(self, text: str) -> str:
        relation = parse_relation(text)
        assert relation is not None
        return self.stock.own(relation)

    def test_own_packages_are_found_by_name_version_and_what_they_provide(self) -> None:
        self.assertEqual(self.own("library>=2"), "library")
        self.assertEqual(self.own("library>=3"), "")
        self.assertEqual(self.own("liblibrary.so=2-64"), "library")

    def test_what_pacman_knows_of_the_own_repository_is_left_out(self) -> None:
        relation = parse_relation("old")
        assert relation is not None
        self.assertEqual(self.stock.pacman(relation), "")
        self.assertEqual(self.stock.repository_of("glibc"), "core")
        self.assertEqual(self.stock.repository_of("old"), "")

    def test_what_own_packages_need_comes_with_them(self) -> None:
        packages, others = self.stock.own_packages(["library"])
        self.assertEqual([one.name for one in packages], ["base", "library"])
        self.assertEqual(packages[1].path.name, "library-2-1-any.pkg.tar.zst")
        self.assertEqual([str(one) for one in others], ["glibc>=2"])

    def test_versions_are_those_of_all_files_that_were_published(self) -> None:
        packages = self.folder / "published" / "home" / "packages"
        packages.mkdir(exist_ok=True)
        for name in ("tool-1:2-1", "tool-1:2-1.1", "tool-data-3-1", "other-4-1"):
            (packages / f"{name}-any.pkg.tar.zst").touch()
            (packages / f"{name}-any.pkg.tar.zst.sig").touch()
        (packages / "tool-9-1-any.pkg.tar.zst.sig").touch()
        found = sorted(self.stock.versions(["tool", "tool-data"]))
        self.assertEqual(found, ["1:2-1", "1:2-1.1", "3-1"])

    def test_what_is_not_published_is_said(self) -> None:
        self.assertRaises(BuildError, self.stock.own_packages, ["gone"])

    def test_where_none_of_several_was_chosen_it_is_not_said_that_it_has_nothing(self) -> None:
        relation = parse_relation("library")
        assert relation is not None
        error = self.stock.lacks(relation)
        self.assertIn("neither this machine's repository nor pacman", str(error))
        none = Stock(self.folder / "sync", [], self.folder / "published", "")
        self.assertIn("none is looked into", str(none.lacks(relation)))
        self.assertIn("repository in [build]", str(none.lacks(relation)))

    def test_the_own_repository_is_the_only_one_that_is_published(self) -> None:
        published = self.folder / "published"
        self.assertEqual(own_repository(published), "home")
        self.assertEqual(own_repository(self.folder / "nowhere"), "")
        (published / "other/current").mkdir(parents=True)
        self.assertEqual(own_repository(published), "")

    def test_of_several_it_is_the_one_that_was_chosen(self) -> None:
        published = self.folder / "published"
        (published / "other/current").mkdir(parents=True)
        self.assertEqual(own_repository(published, "other"), "other")
        self.assertEqual(own_repository(published, "gone"), "")
