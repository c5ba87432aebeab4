"""A recipe's files as a tar, and a tar as a recipe."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RecipeError
from flocon.jobs.packing import LARGEST_TAR, MOST_FILES, pack, unpack
from flocon.recipes.recipe import Recipe, TreeFile

_names = st.text("abcXYZ0189._+-", min_size=1, max_size=12).filter(
    lambda one: one not in {".", ".."}
)
_files = st.builds(TreeFile, st.sampled_from([0o100644, 0o100755]), st.binary(max_size=600))
_links = st.builds(
    TreeFile, st.just(0o120000), st.text("abc/._", min_size=1, max_size=20).map(str.encode)
)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as file:
        for info, data in members:
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return target.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info, b""


class PackingTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(
        st.dictionaries(
            _names.map(lambda one: one.removeprefix(".git")).filter(bool),
            _files | _links,
            max_size=6,
        )
    )
    def test_what_is_packed_is_unpacked(self, files: dict[str, TreeFile]) -> None:
        recipe = Recipe("tool", "", {**files, "PKGBUILD": TreeFile(0o100644, b"pkgname=tool\n")})
        found = unpack(pack(recipe, 5.0), "tool")
        self.assertEqual(dict(found.files), dict(recipe.files))

    def test_the_same_files_have_the_same_bytes_and_the_same_commit(self) -> None:
        files = {"PKGBUILD": TreeFile(0o100644, b"x"), "a": TreeFile(0o100644, b"y")}
        one = Recipe("tool", "", files)
        other = Recipe("tool", "", dict(reversed(files.items())))
        self.assertEqual(pack(one), pack(other))
        self.assertEqual(unpack(pack(one)).commit, unpack(pack(other)).commit)
        self.assertRegex(unpack(pack(one)).commit, "^[0-9a-f]{40}$")

    def test_a_mode_or_a_name_makes_another_commit(self) -> None:
        kinds = [
            {"PKGBUILD": TreeFile(0o100644, b"x")},
            {"PKGBUILD": TreeFile(0o100755, b"x")},
            {"PKGBUILD": TreeFile(0o120000, b"x")},
            {"PKGBUILD": TreeFile(0o100644, b"x"), "a": TreeFile(0o100644, b"")},
        ]
        commits = {unpack(pack(Recipe("tool", "", files))).commit for files in kinds}
        self.assertEqual(len(commits), len(kinds))

    def assertRefused(self, data: bytes) -> None:
        self.assertRaises(RecipeError, unpack, data)

    def test_names_that_lead_out_are_refused(self) -> None:
        for name in ("/etc/passwd", "../PKGBUILD", "a/../../b", "a//b", ".git/config", "a\nb"):
            self.assertRefused(tar(member("PKGBUILD"), member(name)))

    def test_what_is_neither_file_nor_link_is_refused(self) -> None:
        for kind in (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.LNKTYPE):
            self.assertRefused(tar(member("PKGBUILD"), member("a", kind)))

    def test_too_much_is_refused(self) -> None:
        self.assertRefused(bytes(LARGEST_TAR + 1))
        self.assertRefused(tar(*(member(f"a{at}") for at in range(MOST_FILES + 1))))

    def test_what_is_no_recipe_is_refused(self) -> None:
        for data in (b"", b"x" * 2_000, tar(member("a")), pack(Recipe("", "", {}))):
            self.assertRefused(data)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=1_500), st.integers(0, 511))
    def test_nothing_else_is_raised(self, data: bytes, at: int) -> None:
        good = bytearray(tar(member("PKGBUILD"), member("a")))
        good[at : at + len(data[:20])] = data[:20]
        for one in (data, bytes(good)):
            try:
                unpack(one)
            except RecipeError:
                continue
