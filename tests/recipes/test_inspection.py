"""A person is shown what a careful one looks at."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.inspection import About, Point, inspect, to_read
from flocon.recipes.recipe import TreeFile
from tests.recipes.samples import DAY, NOW, old, recipe

USUAL = About("ann", 120, 3.5, NOW - 900 * DAY, NOW - 10 * DAY, 0.0, NOW - 400 * DAY)


def made(
    *lines: str, text: str = "pkgver=1\n", name: str = "x", **files: str | TreeFile
) -> list[str]:
    """Return the concerns of a recipe with these lines in its .SRCINFO."""
    said = "".join(f"\t{line}\n" for line in lines)
    srcinfo = f"pkgbase = x\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = any\n{said}\npkgname = {name}\n"
    found = inspect(recipe(text, srcinfo, files), USUAL, now=NOW, known={"firefox"})
    return concerns_of(found)


def concerns_of(points: list[Point]) -> list[str]:
    return [one.sentence for one in points if one.concern]


class Inspections(SynchronousTestCase):
    def assert_told(self, words: str, concerns: list[str]) -> None:
        self.assertTrue(any(words in one for one in concerns), f"{words}: {concerns}")

    def test_a_usual_recipe_has_its_install_script_to_read_and_little_else(self) -> None:
        found = inspect(old(), USUAL, now=NOW)
        self.assertEqual(to_read(old()), ("PKGBUILD", "widget.install", "widget.service"))
        told = concerns_of(found)
        self.assertEqual(len(told), 2, told)
        self.assert_told("widget.install (52 bytes) runs as root", told)
        self.assert_told("widget.install, line 2: starts or stops services", told)
        said = [one.sentence for one in found]
        for words in (
            "widget 1.2.3-1",
            "maintained by ann, seen here for 400 days",
            "in the AUR for 900 days, changed 10 days ago",
            "120 votes, popularity 3.50",
            "1 source in the recipe itself",
            "2 sources from github.com",
            "2 sources from widget.example.org",
        ):
            self.assertIn(words, said)

    def test_people(self) -> None:
        for about, words in (
            (About("", 120, 1.0, 0.0, 0.0), "nobody maintains it"),
            (About("eve", 120, 1.0, 0.0, 0.0, 0.0, NOW - DAY), "seen here for 1 day"),
            (About("eve", 120, 1.0, NOW - DAY, NOW - DAY), "in the AUR for 1 day"),
            (About("eve", 0, 0.0, 0.0, 0.0), "0 votes"),
        ):
            self.assert_told(words, concerns_of(inspect(old(), about, now=NOW)))

    def test_whose_place_it_takes(self) -> None:
        for key in ("replaces", "replaces_x86_64"):
            told = made(f"{key} = glibc")
            self.assert_told("takes the place of glibc wherever that is installed", told)

    def test_names_that_tempt(self) -> None:
        for name in ("firefox-fix-bin", "firefox-patched", "firefox-patch-bin"):
            self.assert_told("called after firefox, a package of Arch's", made(name=name))
        self.assertEqual(made(name="firefox-bin"), [])

    def test_where_sources_come_from(self) -> None:
        home = "url = https://good.org"
        for source, words in (
            ("https://evil.net/x", "from evil.net, not good.org"),
            ("http://good.org/x", "anybody may change"),
            ("git+http://good.org/x", "anybody may change"),
            ("git://good.org/x", "anybody may change"),
            ("https://pastebin.com/raw/x", "anybody leaves files"),
            ("https://bit.ly/x", "leads to another address"),
            ("https://203.0.113.7/x", "address of a network"),
            ("https://good.org@evil.net/x", "evil.net is the host"),
        ):
            told = made(home, f"source = {source}", f"sha256sums = {'1' * 64}")
            self.assert_told(words, told)
        fine = made(home, "source = https://dl.good.org/x", f"sha256sums = {'1' * 64}")
        self.assertEqual(fine, [])

    def test_sums_that_check_nothing(self) -> None:
        home = ("url = https://e.org", "source = https://e.org/x")
        self.assert_told("x is checked by no sum", made(*home, "sha256sums = SKIP"))
        self.assert_told("x is checked by no sum", made(*home))
        self.assertEqual(made(*home, f"md5sums = {'1' * 32}"), [])
        self.assertEqual(
            made("url = https://e.org", "source = git+https://e.org/x", "md5sums = SKIP"), []
        )
        other = ("source_i686 = https://e.org/y", "sha256sums_i686 = SKIP")
        self.assert_told("y is checked by no sum", made("url = https://e.org", *other))

    def test_needs_that_fetch_programs(self) -> None:
        for need in ("depends = npm", "makedepends = bun>=1", "checkdepends = python-pip"):
            self.assert_told("which fetches programs from elsewhere", made(need))

    def test_files_that_are_no_plain_text(self) -> None:
        for file, words in (
            (TreeFile(0o120000, b"/etc/passwd"), "f is a link to /etc/passwd"),
            (TreeFile(0o100644, b"\x7fELF\0"), "f (5 bytes) is no text"),
            (TreeFile(0o100666, b"x"), "is a program"),
        ):
            self.assert_told(words, made(f=file))

    def test_code_that_runs_when_it_is_only_read(self) -> None:
        self.assert_told("from line 2 on", made(text="pkgver=1\ntouch x\nbuild() { :; }\n"))
        self.assertEqual(made(text="pkgver=1\n# said\nbuild() {\n  make\n}\n"), [])

    def test_text_that_hides(self) -> None:
        for line, words in (
            ("x=1" + " " * 100 + "; id", "goes on after many blanks"),
            ("x=" + "a" * 400, "signs long"),
            ("x=1 # \u202e", "signs that do not show"),
            ("cp a\ufe0f \u3164", "signs that do not show"),
            ("s\u043eurce=x", "letters that look like others"),
        ):
            self.assert_told(words, made(text=f"pkgver=1\n{line}\n"))

    def test_what_is_to_be_read(self) -> None:
        program = TreeFile(0o100755, b"x")
        found = recipe(
            "",
            "",
            {"a.patch": "x", "b": program, "c.txt": "#!/bin/sh", "d.hook": "x", "e.png": "\0"},
        )
        self.assertEqual(to_read(found), ("PKGBUILD", "b", "c.txt", "d.hook"))

    def test_a_recipe_that_cannot_be_read_is_told_and_looked_at(self) -> None:
        found = inspect(recipe("curl x\n", b"\0"), None, now=NOW)
        self.assert_told(".SRCINFO", concerns_of(found))
        self.assert_told("fetches something", concerns_of(found))
