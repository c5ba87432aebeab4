"""What packages need and provide, as databases have it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.relations import Description, Relation, describe, parse_relation
from flocon.pacman.versions import compare_versions

_DESC = b"""%FILENAME%
bash-5.3.9-1-x86_64.pkg.tar.zst

%NAME%
bash

%VERSION%
5.3.9-1

%ARCH%
x86_64

%GROUPS%
base-devel
shells

%PROVIDES%
sh
libbash.so=5-64

%REPLACES%
old-bash

%DEPENDS%
readline>=8.0
glibc
"""


class Relations(SynchronousTestCase):
    def test_a_name_may_have_a_test_of_its_version(self) -> None:
        self.assertEqual(parse_relation("glibc"), Relation("glibc"))
        self.assertEqual(parse_relation("readline>=8.0"), Relation("readline", ">=", "8.0"))
        self.assertEqual(parse_relation("a=1:2-3"), Relation("a", "=", "1:2-3"))
        self.assertEqual(parse_relation("libc++.so<2-64"), Relation("libc++.so", "<", "2-64"))

    def test_what_is_none_is_told_from_it(self) -> None:
        for text in ("", ">=1", "a>=", "a b", "a>=1 2", "a=>1"):
            self.assertIsNone(parse_relation(text), text)

    @given(
        st.sampled_from(["<", "<=", "=", ">=", ">"]),
        st.sampled_from(["1", "1-1", "1-2", "2", "1:0"]),
        st.sampled_from(["1", "1-1", "1-2", "2", "1:0"]),
    )
    def test_a_version_fits_as_it_compares(self, test: str, wanted: str, version: str) -> None:
        order = compare_versions(version, wanted)
        fits = {"<": order < 0, "<=": order <= 0, "=": not order, ">=": order >= 0, ">": order > 0}
        self.assertEqual(Relation("a", test, wanted).fits(version), fits[test])

    @given(st.from_regex(r"[a-z][a-z0-9.+-]{0,9}((<=|>=|<|>|=)[0-9:.]{1,5})?", fullmatch=True))
    def test_it_is_written_as_it_was_read(self, text: str) -> None:
        self.assertEqual(str(parse_relation(text)), text)


class Descriptions(SynchronousTestCase):
    def test_a_desc_is_taken_apart(self) -> None:
        described = describe(_DESC)
        assert described is not None
        self.assertEqual(described.name, "bash")
        self.assertEqual(described.file_name, "bash-5.3.9-1-x86_64.pkg.tar.zst")
        self.assertEqual(list(map(str, described.depends)), ["readline>=8.0", "glibc"])
        self.assertEqual(list(map(str, described.provides)), ["sh", "libbash.so=5-64"])
        self.assertEqual(list(map(str, described.replaces)), ["old-bash"])
        self.assertEqual(described.groups, ["base-devel", "shells"])

    def test_one_that_names_another_package_describes_none(self) -> None:
        self.assertIsNone(describe(_DESC.replace(b"%NAME%\nbash", b"%NAME%\nzsh")))
        self.assertIsNone(describe(b""))
        self.assertIsNone(describe(_DESC.replace(b"5.3.9-1\n", b"\xff\n")))

    def test_a_package_satisfies_by_its_name_or_by_what_it_provides(self) -> None:
        described = describe(_DESC)
        assert described is not None
        for text in ("bash", "bash>=5", "sh", "libbash.so", "libbash.so=5-64"):
            wanted = parse_relation(text)
            assert wanted is not None
            self.assertTrue(described.satisfies(wanted), text)

    def test_what_is_provided_without_a_version_passes_no_test_of_one(self) -> None:
        described = describe(_DESC)
        assert described is not None
        for text in ("bash>6", "sh>=1", "libbash.so=6-64", "zsh"):
            wanted = parse_relation(text)
            assert wanted is not None
            self.assertFalse(described.satisfies(wanted), text)

    @given(st.binary(max_size=300))
    def test_no_desc_makes_it_fail(self, value: bytes) -> None:
        one = Description("a", "1", "a-1-1-any.pkg.tar.zst", value, value, value, value)
        for relation in (*one.depends, *one.provides, *one.replaces):
            self.assertTrue(relation.name)
        self.assertNotIn("", one.groups)
        describe(_DESC + b"\n" + value)
