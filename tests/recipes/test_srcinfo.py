"""What a .SRCINFO says."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RecipeError
from flocon.recipes import srcinfo
from flocon.recipes.srcinfo import Srcinfo, parse_srcinfo

PLAIN = """\
pkgbase = foo
\tpkgdesc = A foo
\tpkgver = 1.2
\tpkgrel = 3
\tarch = x86_64
\tarch = aarch64
\tdepends = bar>=1
\tdepends_x86_64 = quux
\tmakedepends = git
\tsource = foo::git+https://example.org/foo.git#branch=main?signed
\tsource_x86_64 = https://example.org/a=b.tar.gz
\tsha256sums = SKIP
\tinstall =

pkgname = foo

pkgname = foo-doc
\tarch = any
\tdepends =
\tdepends_x86_64 = special
\tprovides = doc
"""


def parse(text: str) -> Srcinfo:
    return parse_srcinfo(text.encode())


class Sound(SynchronousTestCase):
    def setUp(self) -> None:
        self.srcinfo = parse(PLAIN)

    def test_what_makepkg_writes_is_not_odd(self) -> None:
        self.assertEqual(self.srcinfo.oddities, ())

    def test_base_and_packages_have_their_names(self) -> None:
        self.assertEqual(self.srcinfo.base, "foo")
        self.assertEqual(self.srcinfo.names, ("foo", "foo-doc"))

    def test_the_version_is_as_pacman_writes_it(self) -> None:
        self.assertEqual(self.srcinfo.version, "1.2-3")
        self.assertEqual((self.srcinfo.pkgver, self.srcinfo.pkgrel), ("1.2", "3"))

    def test_an_epoch_goes_before_it_unless_it_is_none(self) -> None:
        for epoch, version in (("2", "2:1.2-3"), ("0", "1.2-3"), ("", "1.2-3")):
            text = PLAIN.replace("\tpkgrel", f"\tepoch = {epoch}\n\tpkgrel")
            self.assertEqual(parse(text).version, version)

    def test_a_machine_gets_the_plain_list_and_its_own(self) -> None:
        values = self.srcinfo.values
        self.assertEqual(values("depends"), ("bar>=1",))
        self.assertEqual(values("depends", "x86_64"), ("bar>=1", "quux"))
        self.assertEqual(values("depends", "aarch64"), ("bar>=1",))

    def test_a_packages_own_list_replaces_the_bases_and_an_empty_one_clears_it(self) -> None:
        values = self.srcinfo.values
        self.assertEqual(values("depends", "x86_64", "foo"), ("bar>=1", "quux"))
        self.assertEqual(values("depends", "x86_64", "foo-doc"), ("special",))
        self.assertEqual(values("depends", "aarch64", "foo-doc"), ())
        self.assertEqual(values("arch", package="foo-doc"), ("any",))
        self.assertEqual(values("provides", package="foo"), ())

    def test_what_is_the_bases_alone_is_that_for_each_package(self) -> None:
        self.assertEqual(self.srcinfo.values("makedepends", package="foo-doc"), ("git",))
        text = PLAIN + "\tmakedepends = curl\n"
        self.assertEqual(parse(text).values("makedepends", package="foo-doc"), ("git",))
        self.assertEqual(len(parse(text).oddities), 1)

    def test_values_have_their_signs(self) -> None:
        self.assertEqual(
            self.srcinfo.values("source", "x86_64"),
            (
                "foo::git+https://example.org/foo.git#branch=main?signed",
                "https://example.org/a=b.tar.gz",
            ),
        )

    def test_keys_are_told_in_their_order(self) -> None:
        self.assertEqual(
            self.srcinfo.keys("foo-doc"), ("arch", "depends", "depends_x86_64", "provides")
        )

    def test_comments_and_empty_lines_say_nothing(self) -> None:
        text = "# made by hand\n\n  # more\n" + PLAIN
        self.assertEqual(parse(text), self.srcinfo)

    def test_an_empty_value_may_have_lost_its_blank(self) -> None:
        self.assertEqual(parse(PLAIN.replace("install =\n", "install = \n")), self.srcinfo)


class Odd(SynchronousTestCase):
    def assert_odd(self, text: str, sentence: str) -> Srcinfo:
        read = parse(text)
        self.assertIn(sentence, [one for _, one in read.oddities])
        return read

    def test_other_signs_around_the_mark(self) -> None:
        read = self.assert_odd(
            PLAIN.replace("pkgrel = 3", "pkgrel\t=3"),
            "'=' stands otherwise than makepkg writes it",
        )
        self.assertEqual(read.pkgrel, "3")

    def test_blanks_at_the_end(self) -> None:
        read = self.assert_odd(
            PLAIN.replace("pkgrel = 3", "pkgrel = 3 "), "there are blanks at its end"
        )
        self.assertEqual(read.pkgrel, "3")

    def test_lines_of_another_system(self) -> None:
        read = self.assert_odd(PLAIN.replace("\n", "\r\n"), "there are blanks at its end")
        self.assertEqual(read.version, "1.2-3")

    def test_a_line_of_something_else(self) -> None:
        read = self.assert_odd(PLAIN + "something\n", "this is no line of KEY = VALUE")
        self.assertEqual(read.oddities[0][0], len(PLAIN.splitlines()) + 1)

    def test_a_key_that_is_none(self) -> None:
        self.assert_odd(PLAIN + "\tfoo = bar\n", "'foo' is no key that makepkg writes")
        self.assert_odd(
            PLAIN + "\tdepends_any = bar\n", "'depends_any' is no key that makepkg writes"
        )
        self.assert_odd(PLAIN + "\turl_x86_64 = b\n", "'url_x86_64' is no key that makepkg writes")

    def test_a_second_value_where_there_is_one(self) -> None:
        self.assert_odd(
            PLAIN.replace("\tpkgdesc", "\tpkgdesc = Another\n\tpkgdesc"), "a second pkgdesc"
        )

    def test_signs_that_cannot_be_seen(self) -> None:
        for sign in "\x00\x1b\u202e\u200b\xa0\x0b\x85\u2028":
            self.assert_odd(
                PLAIN.replace("A foo", f"A {sign}foo"),
                "the value of 'pkgdesc' has signs that cannot be seen",
            )

    def test_a_line_ends_where_makepkg_ends_it_and_nowhere_else(self) -> None:
        for sign in "\x0b\x0c\x1c\x85\u2028\r":
            text = PLAIN.replace("A foo", f"A{sign}\tepoch = 7")
            self.assertEqual(parse(text).epoch, 0)

    def test_no_utf_8(self) -> None:
        read = parse_srcinfo(PLAIN.encode().replace(b"A foo", b"A \xff"))
        self.assertIn((0, "it is no text in UTF-8"), read.oddities)

    def test_no_architecture(self) -> None:
        self.assert_odd("pkgbase = a\npkgver = 1\npkgrel = 1\npkgname = a\n",
                        "it names no architecture")  # fmt: skip

    def test_so_many_are_told(self) -> None:
        read = parse(PLAIN + "x\n" * 1_000)
        self.assertEqual(len(read.oddities), srcinfo.MOST_ODDITIES)


class Refused(SynchronousTestCase):
    def assert_none(self, text: str, sentence: str) -> None:
        with self.assertRaises(RecipeError) as caught:
            parse(text)
        self.assertEqual(str(caught.exception), f".SRCINFO{sentence}")

    def test_nothing(self) -> None:
        self.assert_none("", ": has no pkgbase")

    def test_no_package(self) -> None:
        self.assert_none("pkgbase = a\npkgver = 1\npkgrel = 1\n", ": has no pkgname")

    def test_something_before_the_base(self) -> None:
        self.assert_none("pkgver = 1\n" + PLAIN, ", line 1: 'pkgver' before pkgbase")
        self.assert_none("pkgname = a\n" + PLAIN, ", line 1: a pkgname before pkgbase")

    def test_a_base_or_a_package_twice(self) -> None:
        self.assert_none("pkgbase = foo\n" + PLAIN, ", line 2: a second pkgbase")
        lines = len(PLAIN.splitlines())
        self.assert_none(PLAIN + "pkgname = foo\n", f", line {lines + 1}: a second section for foo")

    def test_a_name_that_is_none(self) -> None:
        for name in ("../foo", ".foo", "-foo", "a b", "", "föö"):
            self.assert_none(
                PLAIN.replace("pkgbase = foo", f"pkgbase = {name}"),
                f", line 1: {name!a} is no name of a package",
            )

    def test_a_version_that_is_none_or_two(self) -> None:
        for key, right, wrong in (
            ("pkgver", "1.2", "1-2"),
            ("pkgver", "1.2", "1:2"),
            ("pkgver", "1.2", "1/2"),
            ("pkgver", "1.2", "1 2"),
            ("pkgver", "1.2", ""),
            ("pkgrel", "3", "three"),
            ("pkgrel", "3", "1.2.3"),
        ):
            text = PLAIN.replace(f"{key} = {right}", f"{key} = {wrong}")
            self.assert_none(text, f": {key} is {wrong!r}, which is none")
        self.assert_none(
            PLAIN.replace("\tpkgver", "\tpkgver = 9\n\tpkgver"), ", line 4: a second pkgver"
        )
        self.assert_none(
            PLAIN.replace("\tpkgrel", "\tepoch = -1\n\tpkgrel"), ": epoch is '-1', which is none"
        )

    def test_more_than_one_can_have(self) -> None:
        self.assert_none(PLAIN + "\n" * 20_001, ": has more than 20000 lines")
        with self.assertRaises(RecipeError):
            parse_srcinfo(b"#" * (srcinfo.LARGEST + 1))
        many = "".join(f"pkgname = p{number}\n" for number in range(501))
        with self.assertRaises(RecipeError):
            parse(PLAIN + many)


_LINES = st.lists(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "\t", "  "]),
        st.sampled_from(
            ["pkgbase", "pkgname", "pkgver", "pkgrel", "depends", "depends_i686", "#", "", "x"]
        ),
        st.sampled_from([" = ", "=", " =", "= ", ""]),
        st.text(max_size=10) | st.sampled_from(["foo", "1", "bar"]),
    )
)


class Whatever(SynchronousTestCase):
    @given(st.binary() | _LINES.map(lambda lines: "\n".join(lines).encode("utf-8", "replace")))
    @example(PLAIN.encode())
    def test_whatever_comes_is_read_or_refused(self, data: bytes) -> None:
        try:
            read = parse_srcinfo(data)
        except RecipeError:
            return
        for package in ("", *read.names):
            for key in read.keys(package):
                self.assertTrue(all(read.values(key, "x86_64", package)))
        self.assertTrue(read.version)
