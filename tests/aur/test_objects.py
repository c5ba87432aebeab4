"""What git prints, taken apart."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.aur import objects
from flocon.aur.objects import Entry, parse_blobs, parse_notes, parse_refs, parse_tree
from flocon.errors import RecipeError
from flocon.recipes.recipe import CommitNote

NAME = "0123456789abcdef0123456789abcdef01234567"


def line(
    path: str = "PKGBUILD", mode: str = "100644", kind: str = "blob", size: str = "5"
) -> bytes:
    return f"{mode} {kind} {NAME} {size:>7}\t{path}\0".encode()


class Trees(SynchronousTestCase):
    def assert_refused(self, printed: bytes, sentence: str) -> None:
        with self.assertRaises(RecipeError) as caught:
            parse_tree(printed)
        self.assertEqual(str(caught.exception), sentence)

    def test_files_folders_and_links_are_read(self) -> None:
        printed = line() + line("keys/pgp/a b.asc", "100755") + line("link", "120000", size="3")
        self.assertEqual(
            parse_tree(printed),
            [
                Entry(0o100644, NAME, 5, "PKGBUILD"),
                Entry(0o100755, NAME, 5, "keys/pgp/a b.asc"),
                Entry(0o120000, NAME, 3, "link"),
            ],
        )

    def test_an_empty_tree_has_nothing(self) -> None:
        self.assertEqual(parse_tree(b""), [])

    def test_a_submodule_is_refused(self) -> None:
        self.assert_refused(
            line("sub", "160000", "commit", "-"),
            "'sub': is a submodule, which no recipe may have",
        )

    def test_another_mode_is_refused(self) -> None:
        self.assert_refused(
            line(mode="100664"),
            "'PKGBUILD': has the mode 100664, which no file of a recipe may have",
        )

    def test_a_path_that_leads_elsewhere_is_refused(self) -> None:
        for path in ("../x", "/x", "a/../x", "a//x", "./x", ".git/config", "a/.GIT/x", "x\ny", ""):
            with self.assertRaises(RecipeError):
                parse_tree(line(path))

    def test_a_path_that_is_no_text_is_refused(self) -> None:
        with self.assertRaises(RecipeError):
            parse_tree(line().replace(b"PKGBUILD", b"\xff"))
        with self.assertRaises(RecipeError):
            parse_tree(line("x" * 1_025))

    def test_a_path_that_stands_twice_is_refused(self) -> None:
        self.assert_refused(line() + line(mode="100755"), "'PKGBUILD': stands there twice")

    def test_a_path_beneath_a_link_or_a_file_is_refused(self) -> None:
        for mode in ("120000", "100644"):
            printed = line("a/b", mode) + line("a/b/c/d")
            self.assert_refused(printed, "'a/b': is a file and a folder")

    def test_too_much_is_refused(self) -> None:
        self.assert_refused(line() * 1_001, "the recipe: has 1001 files, and 1000 are possible")
        self.assert_refused(
            line(size="2097153"), "'PKGBUILD': has 2097153 bytes, and 2097152 are possible"
        )
        self.assert_refused(
            line(size="2000000") + line("other", size="2000000"),
            "the recipe: has 4000000 bytes, and 3145728 are possible",
        )

    @given(st.binary())
    def test_whatever_is_printed_is_read_or_refused(self, printed: bytes) -> None:
        with contextlib.suppress(RecipeError):
            parse_tree(printed + b"\0")


class Blobs(SynchronousTestCase):
    entry = Entry(0o100644, NAME, 5, "PKGBUILD")
    printed = f"{NAME} blob 5\na\nb\nc\n".encode()

    def test_the_bytes_of_each_are_read(self) -> None:
        self.assertEqual(parse_blobs(self.printed * 2, [self.entry] * 2), [b"a\nb\nc", b"a\nb\nc"])

    def test_what_is_not_whole_is_refused(self) -> None:
        for printed in (
            b"",
            self.printed[:-1],
            self.printed.replace(b"blob 5", b"blob 4"),
            self.printed.replace(b"blob", b"tree"),
            f"{NAME} missing\n".encode(),
            b"f" + self.printed[1:],
        ):
            with self.assertRaises(RecipeError):
                parse_blobs(printed, [self.entry])


class Notes(SynchronousTestCase):
    def test_commits_are_read_newest_first(self) -> None:
        one = f"{NAME}\0An Author   \0a@example.org \x00123\0Update  \0\0"
        other = f"{'f' * 40}\0\0\0\0\0\0"
        self.assertEqual(
            parse_notes((one + other).encode()),
            [
                CommitNote(NAME, "An Author", "a@example.org", 123, "Update"),
                CommitNote("f" * 40, "", "", 0, ""),
            ],
        )

    def test_no_commits_are_none(self) -> None:
        self.assertEqual(parse_notes(b""), [])

    @given(st.binary())
    def test_whatever_is_printed_is_read(self, printed: bytes) -> None:
        parse_notes(printed)


class Refs(SynchronousTestCase):
    def test_a_tag_leads_to_the_commit_it_is_about(self) -> None:
        tagged = "f" * 40
        printed = (
            f"{NAME}\tHEAD\n{NAME}\trefs/heads/main\n"
            f"{'a' * 40}\trefs/tags/v1\n{tagged}\trefs/tags/v1^{{}}\n"
        )
        self.assertEqual(
            parse_refs(printed.encode()),
            {"HEAD": NAME, "refs/heads/main": NAME, "refs/tags/v1": tagged},
        )

    def test_other_lines_say_nothing(self) -> None:
        self.assertEqual(parse_refs(b"warning: what\n\xff\n" + NAME.encode() + b"\n"), {})

    def test_a_name_cannot_end_its_line(self) -> None:
        printed = f"{NAME}\trefs/heads/x\u2028{NAME}\n".encode()
        self.assertEqual(list(parse_refs(printed)), [])

    def test_what_is_asked_of_each_commit_has_so_many_parts(self) -> None:
        self.assertEqual(objects.NOTE_FORMAT.count("%x00"), objects._PARTS_OF_NOTE)
