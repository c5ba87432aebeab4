"""Where values may stand in a PKGBUILD, and where the old version may become the new one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.edits import LARGEST, Text, is_version_name, read_text, with_version
from tests.recipes.samples import OLD, TEXT, filled


def slots(text: str) -> list[tuple[str, str, str]]:
    found = read_text(text.encode())
    assert isinstance(found, Text), found
    return [(one.kind, one.name, one.value) for one in found.slots]


class Slots(SynchronousTestCase):
    def test_they_are_versions_sums_and_commits_of_the_beginning(self) -> None:
        self.assertEqual(
            slots(filled(TEXT, OLD)),
            [
                ("value", "_commit", OLD["COMMIT"]),
                ("value", "pkgver", "1.2.3"),
                ("value", "_build", "41"),
                ("value", "pkgrel", "1"),
                ("sum", "sha256sums", "1" * 64),
                ("sum", "sha256sums", "2" * 64),
                ("sum", "sha256sums", "5" * 64),
            ],
        )

    def test_a_commit_in_a_source_is_one_where_it_is_whole_and_at_the_end(self) -> None:
        commit = "c" * 40
        self.assertEqual(
            slots(f"source=('git+https://e.org/w#commit={commit}' \"$x#commit={commit}?signed\")"),
            [("commit", "source", commit)] * 2,
        )
        for said in (f"#commit={commit}0", f"#commit={commit}/x", f"#tag={commit}", "#commit=abc"):
            self.assertEqual(slots(f"source=('git+https://e.org/w{said}')"), [], said)
        self.assertEqual(slots(f"other=('#commit={commit}')"), [])

    def test_what_is_set_twice_or_elsewhere_is_none(self) -> None:
        for text in (
            "pkgver=1\npkgver=2",
            "pkgver=1\nf() { pkgver=2; }",
            "pkgver=1\nf() { local pkgver=2; }",
            "pkgver=1\n((pkgver++))",
            "pkgver=1\npkgver[0]=2",
            "pkgver=1\npkgver+=2",
            "pkgver+=1",
            "f() {\npkgver=1\n}",
            "if x; then\npkgver=1\nfi",
            "pkgver=$x",
            "pkgver=1$x",
            "pkgver='1'2",
            "pkgver=\\1",
            "pkgver=(1)",
            "cat <<EOF\npkgver=1\nEOF",
            "x='\npkgver=1\n'",
        ):
            self.assertEqual(slots(text), [], text)

    def test_names_are_called_after_versions_by_whole_words(self) -> None:
        for name in (
            "pkgver",
            "pkgrel",
            "_ver",
            "_pkgver",
            "_commit",
            "_ver_major",
            "_tag2",
            "_Rev",
        ):
            self.assertTrue(is_version_name(name), name)
        for name in (
            "_server",
            "_driver",
            "_prevent",
            "_patches",
            "epoch",
            "ver",
            "_url",
            "_",
            "PKGVER",
        ):
            self.assertFalse(is_version_name(name), name)

    def test_signs_that_do_not_show_are_told_with_their_line(self) -> None:
        for sign in ("\r", "\0", "\u202e", "\u200b", "\x1b", "\ufeff", "\u2028"):
            said = read_text(f"pkgver=1\n# x{sign}\n".encode())
            self.assertEqual(
                said, f"PKGBUILD has a sign that does not show in line 2 (U+{ord(sign):04X})"
            )
        self.assertIn("too many", str(read_text(b"#" * (LARGEST + 1))))
        self.assertEqual(read_text(b"\xff"), "PKGBUILD is not UTF-8")


class Versions(SynchronousTestCase):
    def test_the_version_is_put_where_it_stands_for_itself(self) -> None:
        for line in (
            "x-@.tar.gz",
            '"v@"',
            "/@/",
            "x @ y",
            "'@'",
            "since @.",
            "@,",
            "a=@",
            "x-@_amd64",
        ):
            before, after = line.replace("@", "1.2.3"), line.replace("@", "1.3.0")
            self.assertEqual(with_version(before, "1.2.3", "1.3.0"), after)

    def test_it_is_not_where_it_is_part_of_something(self) -> None:
        for line in (
            "1.2.3.4", "01.2.3", "1.2.30", "$1.2.3", "\\1.2.3", "x1.2.3", "$a_1.2.3", "${1.2.3}",
            "1.2.3)", ">1.2.3", "<1.2.3", "&1.2.3", "#1.2.3", "(1.2.3", "1.2.3=", "1.2.3(",
            "1.2.3{", "1.2.3x", "!1.2.3",
        ):  # fmt: skip
            self.assertEqual(with_version(line, "1.2.3", "1.3.0"), line)

    def test_numbers_that_could_be_anything_are_put_nowhere(self) -> None:
        for before, after in (
            ("1", "2"), ("755", "4755"), ("10.0.0.1", "10.0.0.2"), ("1.2", "666"),
            ("1.2", "8.8.8.8"),
        ):  # fmt: skip
            self.assertEqual(with_version(f"x {before}", before, after), f"x {before}")
