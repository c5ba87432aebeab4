""".PKGINFO is read as makepkg writes it, and refused where two readers could differ."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import PackageError
from flocon.repository.pkginfo import parse_info, parse_package_info
from tests.repository.packages import info

FILE = "foo-1.0-1-x86_64.pkg.tar.zst"
_WORDS = st.text(st.characters(min_codepoint=33, exclude_categories=["C", "Z"]), min_size=1)


class Reading(SynchronousTestCase):
    def refused(self, data: bytes, file_name: str = FILE) -> str:
        """Return what is wrong with a .PKGINFO."""
        return str(self.assertRaises(PackageError, parse_package_info, file_name, data).problem)

    def test_values_stand_in_their_order(self) -> None:
        found = parse_package_info(FILE, info(depend=["b>=1", "a"], provides="libx.so=1-64"))
        self.assertEqual(found["depend"], ("b>=1", "a"))
        self.assertEqual(found["provides"], ("libx.so=1-64",))
        self.assertEqual(found["pkgname"], ("foo",))

    def test_a_value_may_have_equals_signs_and_hashes(self) -> None:
        found = parse_info(FILE, b"pkgdesc = a = b # c\n# a remark = no\n\nbackup = etc/x=y\n")
        self.assertEqual(found, {"pkgdesc": ("a = b # c",), "backup": ("etc/x=y",)})

    def test_blanks_around_what_describes_are_no_part(self) -> None:
        self.assertEqual(parse_info(FILE, b"pkgdesc =  a  b \t\nurl = \n")["pkgdesc"], ("a  b",))

    def test_a_name_is_what_pacman_takes_for_it(self) -> None:
        for line in ("depend =  a", "depend = a ", "group = a\tb", "conflict = ", "backup = a  b"):
            self.assertIn("blanks too many", self.refused(info() + f"{line}\n".encode()))
        for key, said in (("pkgname", "foo "), ("pkgver", " 1.0-1")):
            self.assertIn("blanks too many", self.refused(info(**{key: said})))

    def test_a_line_that_pacman_leaves_out_is_refused(self) -> None:
        for line in (" depend = a", "depend=a", "depend\t=\ta", "depend  = a", " # a = b", " "):
            self.assertIn("KEY = VALUE", self.refused(info() + f"{line}\n".encode()))

    def test_a_line_that_pacman_has_no_room_for_is_refused(self) -> None:
        self.assertIn("KEY = VALUE", self.refused(info(pkgdesc="x" * 600_000)))

    def test_what_is_no_line_of_it_is_refused(self) -> None:
        for data in (
            b"pkgname\n",
            b"= x\n",
            b"pkg name = x\n",
            b"a = b\rpkgname = x\n",
            b"\xff = x",
        ):
            self.assertRaises(PackageError, parse_info, FILE, data)

    def test_control_characters_are_refused(self) -> None:
        for sign in ("\x1b[31m", "\0", "\x85", "\u2028", "\x0b", "\u202e", "\u2067"):
            self.assertIn("KEY = VALUE", self.refused(info(pkgdesc=f"x{sign}y")))

    def test_what_is_said_twice_is_refused(self) -> None:
        self.assertIn("2 times", self.refused(info(pkgname=["foo", "foo"])))
        self.assertIn("2 times", self.refused(info(pkgver=["1.0-1", "2.0-1"])))

    def test_what_a_database_needs_must_be_there(self) -> None:
        for key in ("pkgname", "pkgver", "arch", "size", "builddate"):
            self.assertIn(f"says no {key}", self.refused(info(**{key: ""})))

    def test_numbers_are_numbers(self) -> None:
        for text in ("-1", "1.5", "\u0661", "9" * 30, "0x10"):
            self.assertIn("no number", self.refused(info(size=text)))
            self.assertIn("no number", self.refused(info(builddate=text)))

    def test_the_file_is_named_for_what_is_inside(self) -> None:
        for other in (
            "bar-1.0-1-x86_64.pkg.tar.zst",
            "foo-1.1-1-x86_64.pkg.tar.zst",
            "foo-1.0-1-any.pkg.tar.zst",
        ):
            self.assertIn("inside it is foo 1.0-1 for x86_64", self.refused(info(), other))

    def test_no_sign_of_a_name_stands_for_another(self) -> None:
        said = info(version="1:1.0-1")
        self.assertTrue(parse_package_info("foo-1:1.0-1-x86_64.pkg.tar.zst", said))
        self.refused(said, "foo-1.1.0-1-x86_64.pkg.tar.zst")

    def test_impossible_names_are_refused(self) -> None:
        for name in ("../foo", "-foo", ".foo", "f/oo", "foo bar", "foo\u00e9"):
            self.refused(info(name=name))
        self.assertIn("impossible name", self.refused(info(pkgbase="../x")))

    def test_the_base_is_the_name_where_it_is_not_said(self) -> None:
        self.assertNotIn("pkgbase", parse_package_info(FILE, info(pkgbase="")))

    @given(st.lists(st.tuples(st.sampled_from(["depend", "provides", "group"]), _WORDS)))
    def test_what_was_written_is_read(self, pairs: list[tuple[str, str]]) -> None:
        data = "".join(f"{key} = {value}\n" for key, value in pairs).encode()
        found = parse_info(FILE, data)
        for key in ("depend", "provides", "group"):
            wanted = tuple(value for other, value in pairs if other == key)
            self.assertEqual(found.get(key, ()), wanted)

    @given(st.binary())
    def test_no_bytes_do_harm(self, data: bytes) -> None:
        with contextlib.suppress(PackageError):
            for key, values in parse_info(FILE, data).items():
                self.assertNotIn("\n", key + "".join(values))
