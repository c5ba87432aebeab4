"""The list by which pacman goes has exactly what the package has, or the package is refused."""

from __future__ import annotations

import gzip
import stat

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import PackageError
from flocon.repository.mtree import demand_listed
from flocon.repository.package import Member
from tests.repository.packages import mtree

FILE = "foo-1.0-1-x86_64.pkg.tar.zst"
MEMBERS = (
    Member(".PKGINFO", stat.S_IFREG | 0o644),
    Member(".MTREE", stat.S_IFREG | 0o644),
    Member("usr", stat.S_IFDIR | 0o755),
    Member("usr/a b", stat.S_IFREG | 0o644),
    Member("usr/é", stat.S_IFLNK | 0o777, target="a b"),
)
LINES = (
    "./.PKGINFO time=1.0 size=5 md5digest=ab sha256digest=cd",
    "/set mode=755",
    "./usr time=1.0 type=dir",
    "./usr/a\\040b mode=644 size=2",
    "./usr/\\303\\251 mode=777 type=link link=a\\040b",
)
INSTALL = Member(".INSTALL", stat.S_IFREG | 0o644)


class Listed(SynchronousTestCase):
    def refused(self, data: bytes, members: tuple[Member, ...] = MEMBERS) -> str:
        """Return why a list is refused."""
        return str(self.assertRaises(PackageError, demand_listed, FILE, data, members).problem)

    def test_as_makepkg_writes_it(self) -> None:
        demand_listed(FILE, mtree(*LINES), MEMBERS)
        demand_listed(FILE, gzip.decompress(mtree(*LINES)), MEMBERS)

    def test_what_describes_the_package_may_be_left_out_of_it(self) -> None:
        demand_listed(FILE, mtree(*LINES[1:]), MEMBERS)

    def test_a_file_that_is_not_in_it(self) -> None:
        self.assertIn("has not what the package has: 'usr/é'", self.refused(mtree(*LINES[:-1])))

    def test_a_file_that_is_in_it_alone(self) -> None:
        for more in ("./etc/passwd", "./.x", LINES[3]):
            self.assertIn("has what the package has not", self.refused(mtree(*LINES, more)))

    def test_an_install_script_that_only_one_of_them_has(self) -> None:
        named = mtree("./.INSTALL", *LINES)
        demand_listed(FILE, named, (*MEMBERS, INSTALL))
        self.assertIn("'.INSTALL'", self.refused(named))
        self.assertIn("'.INSTALL'", self.refused(mtree(*LINES), (*MEMBERS, INSTALL)))

    def test_another_kind_of_file(self) -> None:
        for kind in ("file", "link"):
            other = f"./usr type={kind}"
            self.assertIn("'usr'", self.refused(mtree(LINES[0], other, *LINES[3:])))

    def test_what_libarchive_may_read_otherwise(self) -> None:
        for line in (
            "",
            "# ./usr/x",
            "usr type=dir",
            "../usr type=dir",
            "/unset type",
            "./usr/x type=char",
            "./usr/x optional",
            "./usr/x content=/etc/passwd",
            "./usr/x  type=file",
            "./usr/x \\",
            "./usr/x\\s",
            "./usr/x\\777",
            "./usr/é",
            "./usr/\\377",
            "./usr/x\r",
        ):
            self.assertIn("not as makepkg", self.refused(mtree(*LINES, line)), line)

    def test_a_list_of_another_kind(self) -> None:
        right = mtree(*LINES)
        text = gzip.decompress(right)
        for data in (
            b"",
            b"anything",
            text[:-1],
            text.removeprefix(b"#mtree\n"),
            b"\n" + text,
            right[:-9],
            right + b"x",
            right + gzip.compress(b"./usr/x\n"),
            gzip.compress(right),
            gzip.compress(text.replace(b"type=file ", b"")),
        ):
            self.assertIn("not as makepkg", self.refused(data))

    def test_few_bytes_that_become_very_many(self) -> None:
        self.assertIn("not as makepkg", self.refused(gzip.compress(bytes(64 << 20), 1)))
        endless = gzip.compress(b"#mtree\n" + b"./usr " + b"mode=755 " * (1 << 20), 1)
        self.assertIn("not as makepkg", self.refused(endless))

    @given(st.binary(max_size=200), st.booleans())
    def test_any_bytes_are_refused(self, data: bytes, is_compressed: bool) -> None:
        text = b"#mtree\n" + data
        self.refused(gzip.compress(text) if is_compressed else text)
