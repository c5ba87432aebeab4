"""A .SRCINFO changes in what a version changes, and says what the PKGBUILD says."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.described import (
    Described,
    is_same_template,
    other_than_before,
    other_than_written,
    read_described,
)
from flocon.recipes.edits import Text, read_text
from flocon.recipes.expansions import evaluate
from flocon.recipes.sources import parse_source


def described(*lines: str, version: str = "1.0", names: tuple[str, ...] = ("x",)) -> Described:
    said = "".join(f"\t{line}\n" for line in lines)
    packages = "".join(f"\npkgname = {name}\n" for name in names)
    text = f"pkgbase = x\n\tpkgver = {version}\n\tpkgrel = 1\n\tarch = any\n{said}{packages}"
    found = read_described(text.encode())
    assert isinstance(found, Described), found
    return found


def others(before: str, after: str, **said: tuple[str, ...]) -> list[str]:
    old = described(before, **said)  # type: ignore[arg-type]
    new = described(after, version="1.1", **said)
    return list(other_than_before(old, new))


def unwritten(pkgbuild: str, said: Described, *changed: str) -> list[str]:
    text = read_text(pkgbuild.encode())
    assert isinstance(text, Text), text
    return list(other_than_written(said, text, evaluate(text.beginning.assignments), changed))


class Before(SynchronousTestCase):
    def test_what_a_version_changes(self) -> None:
        for before, after in (
            (f"sha256sums = {'1' * 64}", f"sha256sums = {'2' * 64}"),
            ("source = https://e.org/x-1.0.tgz", "source = https://e.org/x-1.1.tgz"),
            ("provides = libx=1.0", "provides = libx=1.1"),
            ("provides = libx=1.0-1", "provides = libx=1.1-1"),
            ("depends = x=1.0-1", "depends = x=1.1-1"),
            ("noextract = x-1.0.zip", "noextract = x-1.1.zip"),
        ):
            self.assertEqual(others(before, after), [], after)

    def test_what_it_does_not(self) -> None:
        for before, after in (
            ("depends = y=1.0", "depends = y=1.1"),
            ("depends = x>=1.0", "depends = x=1.1"),
            ("depends = x=1.0", "depends = x=1.2"),
            ("provides = liby=1.0", "provides = libx=1.1"),
            ("provides = libx=1.0", "provides = libx=9"),
            ("options = !strip", "options = strip"),
            ("sha256sums = SKIP", f"sha256sums = {'2' * 64}"),
            (f"sha256sums = {'1' * 64}", f"sha256sums = {'2' * 32}"),
            ("url = https://e.org/1.0", "url = https://e.org/1.1"),
            ("pkgdesc = one", "pkgdesc = another"),
            ("makedepends = git", "makedepends = npm"),
            ("noextract = x-1.0.zip", "noextract = y-1.1.zip"),
            ("source = x.patch", "source = y.patch"),
            ("install = a", "changelog = a"),
        ):
            self.assertEqual(len(others(before, after)), 1 + (after == "changelog = a"), after)

    def test_more_and_less_are_named_and_many_are_counted(self) -> None:
        old, new = described("depends = a"), described("depends = a", "depends = npm")
        self.assertEqual(list(other_than_before(old, new)), ["depends has npm more"])
        self.assertEqual(list(other_than_before(new, old)), ["depends has npm less"])
        many = described(*(f"depends = {'d' * 400}{at}" for at in range(2_000)))
        (said,) = other_than_before(old, many)
        self.assertLess(len(said), 2_000)

    def test_packages_that_come_go_or_change_their_order(self) -> None:
        one, two = described(names=("x", "y")), described(names=("x",))
        for old, new in ((one, two), (two, one), (one, described(names=("y", "x")))):
            self.assertEqual(len(list(other_than_before(old, new))), 1)

    def test_what_another_reader_could_take_otherwise_is_told(self) -> None:
        odd = read_described(
            b"pkgbase = x\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = any\nx\npkgname = x\n"
        )
        assert isinstance(odd, Described)
        self.assertEqual(len(list(other_than_before(odd, odd))), 1)


class Templates(SynchronousTestCase):
    def test_one_place_and_one_shape(self) -> None:
        for before, after in (
            ("https://e.org/v1/x-1.0.tgz", "https://e.org/v2/x-2.0.tgz"),
            (
                "https://github.com/o/r/archive/v1.tar.gz",
                "https://github.com/o/r/archive/v2.tar.gz",
            ),
            ("git+https://e.org/r#tag=v1", "git+https://e.org/r#tag=v2"),
            ("a-1.zip::https://e.org/1", "a-2.zip::https://e.org/2"),
        ):
            self.assertTrue(is_same_template(parse_source(before), parse_source(after)), after)

    def test_any_other(self) -> None:
        for before, after in (
            ("https://e.org/x-1.tgz", "https://f.org/x-1.tgz"),
            ("https://e.org/x-1.tgz", "http://e.org/x-1.tgz"),
            ("https://e.org/x-1.tgz", "https://e.org:81/x-1.tgz"),
            ("https://e.org/x-1.tgz", "https://u@e.org/x-1.tgz"),
            ("https://e.org/x-1.tgz", "https://e.org/1/x-1.tgz"),
            ("https://e.org/x-1.tgz", "https://e.org/y-1.tgz"),
            ("https://e.org/x-1.tgz", "https://e.org/x-1.exe"),
            ("https://github.com/o1/r/x-1.tgz", "https://github.com/o2/r/x-1.tgz"),
            ("https://github.com/o/r1/x-1.tgz", "https://github.com/o/r2/x-1.tgz"),
            ("git+https://e.org/r#tag=v1", "git+https://e.org/r#commit=v1"),
            ("git+https://e.org/r#tag=v1?signed", "git+https://e.org/r#tag=v1"),
            ("git+https://e.org/r1", "git+https://e.org/r2"),
            ("git+https://e.org/r", "https://e.org/r"),
            ("a-1.patch", "a-2.patch"),
            ("https://[e/1", "https://[e/2"),
        ):
            self.assertFalse(is_same_template(parse_source(before), parse_source(after)), after)


class Written(SynchronousTestCase):
    TEXT = "pkgver=1.0\npkgrel=1\n"

    def test_the_same_is_nothing_to_tell(self) -> None:
        text = self.TEXT + "source=(\"https://e.org/$pkgver\"{,.sig})\nsha256sums=('' SKIP)\n"
        sources = ("source = https://e.org/1.0", "source = https://e.org/1.0.sig")
        self.assertEqual(unwritten(text, described(*sources, "sha256sums = SKIP")), [])

    def test_another_version_source_or_sum(self) -> None:
        for text, said in (
            (self.TEXT, described(version="1.1")),
            (self.TEXT + "source=(a)\n", described("source = b")),
            (self.TEXT + "source=(a)\n", described()),
            (self.TEXT, described("source = a")),
            (self.TEXT + "sha256sums=(a)\n", described("sha256sums = b")),
            (self.TEXT + "source_i686=(a)\n", described("source_i686 = b")),
            (self.TEXT + 'source=("$CARCH")\n', described("source = a")),
            (self.TEXT + "source=(a)\nf() {\n  source+=(b)\n}\n", described("source = a")),
            (self.TEXT + "source=(a)\nid\nsource=(b)\n", described("source = a")),
        ):
            self.assertEqual(len(unwritten(text, said)), 1, text)

    def test_what_is_made_of_a_value_that_changed(self) -> None:
        text = f'_v=2\n_w=n$_v\n{self.TEXT}makedepends=("$_w")\ndepends=(a)\n'
        self.assertEqual(unwritten(text, described("makedepends = n2", "depends = b"), "_v"), [])
        self.assertEqual(
            unwritten(text, described("makedepends = n1", "depends = b"), "_v"),
            ["makedepends in .SRCINFO is not what PKGBUILD says"],
        )
