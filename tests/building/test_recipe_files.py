"""A recipe's files, laid out from an archive."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from flocon.building.recipe_files import lay_out, write_versions
from flocon.errors import BuildError
from tests.building.case import tar_of


def _entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"", mode: int = 0o644
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size, member.mode = kind, link, len(data), mode
    return member, data


def _tar(*entries: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    said = io.BytesIO()
    with tarfile.open(fileobj=said, mode="w") as tar:
        for member, data in (_entry("PKGBUILD", data=b"pkgver=1\npkgrel=1\n"), *entries):
            tar.addfile(member, io.BytesIO(data))
    said.seek(0)
    return said


class LayOutTests(SynchronousTestCase):
    """Into a new folder."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=Path.cwd()))

    def test_files_links_and_modes_are_as_in_git(self) -> None:
        lay_out(
            _tar(
                _entry("keys/pgp/A.asc", data=b"key"),
                _entry("run.sh", data=b"#!", mode=0o755),
                _entry("keys/link", tarfile.SYMTYPE, "../run.sh"),
            ),
            self.folder,
        )
        self.assertEqual((self.folder / "keys/pgp/A.asc").read_bytes(), b"key")
        self.assertEqual((self.folder / "run.sh").stat().st_mode & 0o777, 0o755)
        self.assertEqual((self.folder / "keys/link").read_bytes(), b"#!")

    def test_nothing_lies_or_leads_outside(self) -> None:
        for entries in (
            [_entry("../x", data=b"x")],
            [_entry("/x", data=b"x")],
            [_entry("a/../../x", data=b"x")],
            [_entry("a", tarfile.SYMTYPE, "/etc")],
            [_entry("a", tarfile.SYMTYPE, "..")],
            [_entry("a/b", tarfile.SYMTYPE, "../../x")],
            [_entry("a", tarfile.SYMTYPE, "b"), _entry("a/x", data=b"x")],
            [_entry("a", tarfile.LNKTYPE, "PKGBUILD")],
            [_entry("a", tarfile.FIFOTYPE)],
            [_entry("a", tarfile.CHRTYPE)],
            [_entry("PKGBUILD", data=b"twice")],
        ):
            with self.subTest(name=entries[0][0].name):
                self.setUp()
                self.assertRaises(BuildError, lay_out, _tar(*entries), self.folder)

    def test_a_recipe_has_a_pkgbuild(self) -> None:
        self.assertRaises(BuildError, lay_out, io.BytesIO(tar_of({"x": "y"})), self.folder)

    def test_more_than_a_recipe_has_is_refused(self) -> None:
        many = [_entry(str(number)) for number in range(2_001)]
        self.assertRaises(BuildError, lay_out, _tar(*many), self.folder)
        self.setUp()
        large = _entry("large", data=bytes((64 << 20) + 1))
        self.assertRaises(BuildError, lay_out, _tar(large), self.folder)

    @given(some.binary(max_size=2_000))
    def test_whatever_comes_is_refused_in_a_sentence(self, data: bytes) -> None:
        self.assertRaises(BuildError, lay_out, io.BytesIO(data), self.folder)

    def test_versions_are_written_over_the_recipes_own(self) -> None:
        lay_out(_tar(), self.folder)
        write_versions(self.folder, {"pkgrel": "1.1"})
        self.assertEqual((self.folder / "PKGBUILD").read_bytes(), b"pkgver=1\npkgrel=1.1\n")

    def test_a_version_that_stands_nowhere_cannot_be_written(self) -> None:
        lay_out(_tar(), self.folder)
        (self.folder / "PKGBUILD").write_bytes(b"pkgver=1\n")
        self.assertRaises(BuildError, write_versions, self.folder, {"pkgrel": "1.1"})
