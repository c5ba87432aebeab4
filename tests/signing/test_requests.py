"""What the signer can be told, and what it cannot read."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RepositoryError
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.signing.requests import (
    LARGEST_TEXT,
    TAKEN,
    Add,
    Build,
    Init,
    Publish,
    Remove,
    ReplaceKey,
    RollBack,
    ShowKey,
    ShowList,
    SwitchKey,
    read,
)

FOO, BAR = "foo-1-1-any.pkg.tar.zst", "bar-1-1-any.pkg.tar.zst"
BUILD = {
    "base": "foo",
    "version": "1:1.0-1",
    "architecture": "x86_64",
    "packages": ["foo", "foo-doc"],
    "commit": "ab" * 20,
    "srcinfo": "pkgbase = foo\n",
    "install": {"foo": "post_install() { :; }\n"},
    "printed": "pkgbase = foo\n\n",
}
DIGEST = "0f" * 32
#: JSON's values.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=8,
)


class ReadTests(SynchronousTestCase):
    def test_a_repository_is_named_or_the_only_one_is_meant(self) -> None:
        for do, kind in (
            ("key", ShowKey),
            ("list", ShowList),
            ("replace", ReplaceKey),
            ("switch", SwitchKey),
        ):
            self.assertEqual(read({"do": do, "repository": "home"}, 0), kind("home"))
            self.assertEqual(read({"do": do, "name": "home"}, 0), kind("home"))
            self.assertEqual(read({"do": do}, 0), kind(""))

    def test_one_is_made_by_its_name(self) -> None:
        self.assertEqual(read({"do": "init", "name": "home"}, 0), Init("home"))

    def test_packages_come_with_signatures_or_a_word(self) -> None:
        given = {"do": "add", "names": [FOO, BAR], "signatures": ["iA==", None], "trusted": True}
        wanted = Add("", (FOO, BAR), (b"\x88", b""), on_word=True)
        self.assertEqual(read(given, 2), wanted)

    def test_without_a_word_there_is_none(self) -> None:
        self.assertEqual(
            read({"do": "add", "names": [FOO]}, 1), Add("", (FOO,), (b"",), on_word=False)
        )

    def test_packages_are_taken_out_by_name_each_once(self) -> None:
        given = {"do": "remove", "packages": ["foo", "bar", "foo"]}
        self.assertEqual(read(given, 0), Remove("", ("foo", "bar")))

    def test_a_version_to_go_back_to_may_be_named(self) -> None:
        for version, wanted in (("1:2.0-1.1", "1:2.0-1.1"), (None, "")):
            given = {"do": "rollback", "package": "foo", "version": version}
            self.assertEqual(read(given, 0), RollBack("", "foo", wanted))

    def test_a_build_says_what_was_approved(self) -> None:
        wanted = Build(
            base="foo",
            version="1:1.0-1",
            architecture="x86_64",
            packages=("foo", "foo-doc"),
            commit="ab" * 20,
            srcinfo="pkgbase = foo\n",
            install={"foo": "post_install() { :; }\n"},
            printed="pkgbase = foo\n\n",
        )
        given = {"do": "publish", "names": [FOO], "build": BUILD, "accept": DIGEST}
        self.assertEqual(read(given, 1), Publish("", (FOO,), wanted, DIGEST))


class RefusedTests(SynchronousTestCase):
    def refused(self, values: dict[str, Any], files: int = 0) -> str:
        return str(self.assertRaises(RepositoryError, read, values, files))

    def test_names_that_are_no_repositorys(self) -> None:
        names: list[Any] = ["", "a/b", "../x", ".hidden", "-x", "a b", "ä", 7, None, [], "x" * 49]
        for name in names:
            self.refused({"do": "init", "name": name})

    def test_names_that_are_pacmans_or_archs_own(self) -> None:
        for name in TAKEN:
            self.assertIn("own", self.refused({"do": "init", "name": name}))

    def test_requests_that_nobody_knows(self) -> None:
        for do in ("sign", "", None, 1, ["key"], {"key": 1}):
            self.assertIn("no such request", self.refused({"do": do}))

    def test_files_that_are_no_packages(self) -> None:
        for name in ("foo.txt", f"../{FOO}", f"{FOO}.sig", "/etc/shadow", "", 1, None):
            self.refused({"do": "add", "names": [name]}, 1)

    def test_a_file_that_is_named_twice(self) -> None:
        self.assertIn("twice", self.refused({"do": "add", "names": [FOO, FOO]}, 2))

    def test_files_that_are_not_as_many_as_names(self) -> None:
        for count in (0, 2):
            self.assertIn("as many", self.refused({"do": "add", "names": [FOO]}, count))
        self.assertIn("as many", self.refused({"do": "key"}, 1))

    def test_signatures_that_are_none(self) -> None:
        large = base64.b64encode(b"x" * (LARGEST_SIGNATURE + 1)).decode()
        for signatures in (["%%"], [""], [1], [large], [], ["iA==", None], "iA=="):
            self.refused({"do": "add", "names": [FOO], "signatures": signatures}, 1)

    def test_a_word_that_is_neither_yes_nor_no(self) -> None:
        words: list[Any] = ["yes", 1, None, []]
        for word in words:
            self.refused({"do": "add", "names": [FOO], "trusted": word}, 1)

    def test_builds_of_which_something_is_amiss(self) -> None:
        changes: list[dict[str, Any]] = [
            {"base": "a/b"},
            {"version": "1.0"},
            {"version": "../1-1"},
            {"version": None},
            {"architecture": "x86/64"},
            {"packages": []},
            {"packages": ["foo"] * 2_000},
            {"packages": "foo"},
            {"commit": "HEAD"},
            {"srcinfo": 7},
            {"srcinfo": "x" * (LARGEST_TEXT + 1)},
            {"install": ["foo"]},
            {"install": {"../foo": ""}},
            {"install": {"foo": 1}},
        ]
        for change in changes:
            given = {"do": "publish", "names": [FOO], "build": {**BUILD, **change}}
            self.refused(given, 1)

    def test_an_acceptance_that_is_no_digest(self) -> None:
        for accept in (True, "yes", DIGEST.upper(), DIGEST + "0"):
            given = {"do": "publish", "names": [FOO], "build": BUILD, "accept": accept}
            self.refused(given, 1)

    @given(
        st.dictionaries(
            st.sampled_from(
                [
                    *("repository", "name", "names", "signatures", "trusted", "packages"),
                    *("package", "version", "build", "accept"),
                ]
            ),
            VALUES,
        ),
        st.sampled_from(["init", "key", "list", "add", "remove", "rollback", "publish"]),
        st.integers(0, 3),
    )
    def test_whatever_is_said_is_read_or_refused(
        self, values: dict[str, Any], do: str, files: int
    ) -> None:
        try:
            read({**values, "do": do}, files)
        except RepositoryError as error:
            self.assertTrue(str(error))
