"""What a person is shown before deciding."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.builds.reviews import LONGEST_LINE, MOST_LINES, Line, decided, lines
from flocon.recipes import differences
from tests.builds.told import BEFORE, COMMIT, NOW, PKGBUILD, SRCINFO, look


class ReviewTestCase(SynchronousTestCase):
    def lines(self, **changed: Any) -> list[Line]:
        return lines(look(**changed), NOW)

    def texts(self, **changed: Any) -> list[str]:
        return [one.text for one in self.lines(**changed)]

    def update(self, **changed: Any) -> list[Line]:
        """Return what is shown of a new version."""
        after = PKGBUILD.replace("pkgver=1.0", "pkgver=2.0")
        told = {
            "approved": BEFORE,
            "version": "2.0-1",
            "reasons": [],
            "before": {"PKGBUILD": PKGBUILD, ".SRCINFO": SRCINFO},
            "files": {"PKGBUILD": after, ".SRCINFO": SRCINFO},
        }
        return self.lines(**{**told, **changed})


class First(ReviewTestCase):
    def test_it_is_said_to_be_the_first_time(self) -> None:
        first, commit, reason, *_ = self.lines()
        self.assertEqual(first, Line("paru 1.0-1, for the first time", "title"))
        self.assertEqual(commit.text, f"commit {COMMIT}")
        self.assertEqual(reason, Line("it was never built here", "warning"))

    def test_all_files_are_there_to_the_last_line(self) -> None:
        texts = self.texts(files={"PKGBUILD": PKGBUILD, ".SRCINFO": SRCINFO, "fix.patch": "a\nb\n"})
        for line in [*PKGBUILD.splitlines(), *SRCINFO.splitlines(), "a", "b"]:
            self.assertIn(f"+{line}".expandtabs(), texts)

    def test_who_wrote_its_commits_is_told(self) -> None:
        note = {"commit": COMMIT, "author": "a\x1b[2J", "mail": "a@b", "when": 0, "subject": "new"}
        texts = self.texts(notes=[note] * 25)
        self.assertIn("aaaaaaaaaaaa 1970-01-01 a<U+001B>[2J <a@b>: new", texts)
        self.assertIn("and 5 more", texts)

    def test_a_commit_of_any_time_is_told(self) -> None:
        note = {"commit": COMMIT, "author": "a", "mail": "b", "subject": "c"}
        for when in (-(1 << 62), 1 << 62):
            self.assertTrue(self.texts(notes=[note | {"when": when}]))

    def test_what_is_unusual_is_marked_without_colours_too(self) -> None:
        install = {"PKGBUILD": PKGBUILD, ".SRCINFO": SRCINFO, "a.install": "post_install() { :; }"}
        found = {one.text: one.tone for one in self.lines(files=install) if "a.install" in one.text}
        marked = [text for text, tone in found.items() if text.startswith("! files: a.install")]
        self.assertEqual([found[text] for text in marked], ["warning"])

    def test_a_name_that_borrows_one_of_archs_is_said_to(self) -> None:
        srcinfo = SRCINFO.replace("paru", "paru-patched")
        for after, whose in (([], "another program"), (["paru"], "a package of Arch's")):
            texts = self.texts(files={"PKGBUILD": PKGBUILD, ".SRCINFO": srcinfo}, after=after)
            said = f"! name: paru-patched is called after paru, {whose}, as something better"
            self.assertIn(said, texts)

    def test_what_it_needs_is_told(self) -> None:
        texts = self.texts(needs={"packages": ["git"], "bases": ["lib"]})
        self.assertIn("  needs: git of pacman's repositories", texts)
        self.assertIn("  needs: lib, built before it", texts)

    def test_what_the_aur_says_of_it_is_told(self) -> None:
        record = {"maintainer": "somebody", "votes": 7, "popularity": 0.5, "out_of_date": 0}
        times = {"first_submitted": NOW - 900 * 86_400, "last_modified": NOW - 86_400}
        texts = "\n".join(self.texts(record=record | times))
        self.assertIn("somebody", texts)
        self.assertIn("7 votes", texts)

    def test_one_that_was_approved_is_said_to_be(self) -> None:
        self.assertEqual(self.texts(approved=COMMIT)[0], "paru 1.0-1, as it was approved")


class Update(ReviewTestCase):
    def test_what_changed_is_shown_and_nothing_else(self) -> None:
        found = [one for one in self.update() if one.tone in {"added", "removed"}]
        self.assertEqual(found, [Line("-pkgver=1.0", "removed"), Line("+pkgver=2.0", "added")])

    def test_checks_that_failed_are_told_with_their_sentences(self) -> None:
        checks = [
            {"check": "A", "passed": True, "sentence": ""},
            {"check": "C", "passed": False, "sentence": "line 3 of PKGBUILD was changed"},
        ]
        found = self.update(checks=checks)
        self.assertIn(Line("1 of 2 checks passed", "title"), found)
        self.assertIn(Line("C  line 3 of PKGBUILD was changed", "wrong"), found)

    def test_bytes_that_are_no_text_are_told_apart(self) -> None:
        name = "x.patch"
        found = self.update(before={name: "\udcfe\n"}, files={name: "\udcff\n"})
        gone, new = (one for one in found if one.tone in {"added", "removed"})
        self.assertEqual((gone.text[0], new.text[0]), ("-", "+"))
        self.assertNotEqual(gone.text[1:], new.text[1:])

    def test_a_file_that_became_a_program_is_told(self) -> None:
        modes = {"PKGBUILD": "100755", ".SRCINFO": "100644"}
        found = self.update(modes=modes, files={"PKGBUILD": PKGBUILD, ".SRCINFO": SRCINFO})
        self.assertIn(Line("was a file, is a program", "warning"), found)

    def test_signs_that_turn_text_around_are_spelled_out(self) -> None:
        found = self.update(files={"PKGBUILD": "a\u202eb\n", ".SRCINFO": SRCINFO})
        self.assertIn(Line("+a<U+202E>b", "added"), found)


class Held(ReviewTestCase):
    def test_what_nobody_expected_is_told(self) -> None:
        surprise = {"package": "paru", "what": "is setuid", "detail": "usr/bin/paru"}
        found = self.lines(stage="held", digest="d" * 64, held=[surprise])
        self.assertEqual(found[0].text, "paru 1.0-1 is built, and not signed yet")
        self.assertIn(Line("paru: is setuid: usr/bin/paru", "wrong"), found)


class Bounds(ReviewTestCase):
    def test_a_long_line_is_cut_and_that_is_said(self) -> None:
        texts = self.texts(files={"PKGBUILD": "x" * 9_999})
        cut = next(one for one in texts if one.startswith("+xxx"))
        self.assertLess(len(cut), LONGEST_LINE + 40)
        self.assertRegex(cut, r"\.\.\. and \d+ signs more$")

    def test_too_many_lines_are_said_to_be_too_many_before_all_else(self) -> None:
        for text in ("x\n" * 2 * MOST_LINES, ("y" * 1_999 + "\n") * 2_000):
            found = self.lines(files={"PKGBUILD": text})
            self.assertLessEqual(len(found), MOST_LINES + 2)
            self.assertIn("Not all of it is shown", found[0].text)
            self.assertEqual(found[0], found[-1])

    def test_no_line_is_made_that_is_not_shown(self) -> None:
        made: list[str] = []
        visible = differences.visible

        def counted(text: str) -> str:
            made.append(text)
            return visible(text)

        self.patch(differences, "visible", counted)
        found = self.lines(files={"PKGBUILD": "x\n" * 10 * MOST_LINES})
        self.assertEqual(len(found), MOST_LINES + 2)
        self.assertLess(len(made), MOST_LINES + 100)

    def test_scripts_that_are_not_all_looked_at_are_said_to_be_so(self) -> None:
        script = "x\n" * 4_000 + "curl x\n"
        texts = self.texts(files={f"{number}.sh": script for number in range(9)})
        told = [one for one in texts if one.startswith("! text: ")]
        self.assertIn("! text: 8.sh is not looked at beyond line 0: there is too much", told)
        self.assertIn("! words: 0.sh, line 4001: fetches something: curl x", texts)


class Decided(ReviewTestCase):
    def test_a_commit_is_where_one_waits(self) -> None:
        for stage in ("waits for a person", "waits for time", "building"):
            self.assertEqual(decided(look(stage=stage)), COMMIT)

    def test_what_a_build_brought_is_where_that_is_held(self) -> None:
        self.assertEqual(decided(look(stage="held", digest="d" * 64)), "d" * 64)

    def test_otherwise_nothing_is(self) -> None:
        for stage in ("published", "building", "queued", "failed", "on hold"):
            self.assertEqual(decided(look(stage=stage, proposed="")), "")
