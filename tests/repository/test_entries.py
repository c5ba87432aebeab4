"""A package's entry in the databases: each field where pacman looks for it."""

from __future__ import annotations

import base64
import io
import stat

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RepositoryError
from flocon.pacman.syncdb import read_entries
from flocon.repository.entries import fields_of, list_package, read_listed
from flocon.repository.package import Member
from tests.repository.packages import BUILT, SIGNATURE, File, package, tar

_FILE, _FOLDER = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755
#: What a value may be: anything that .PKGINFO lets through.
VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30)


class Describing(SynchronousTestCase):
    def test_a_description_whole(self) -> None:
        one = package(
            "foo",
            "2:1.0-1",
            base="foobar",
            pkgdesc="Does  things",
            group=["g1", "g2"],
            url="https://example.invalid/",
            license=["MIT", "custom"],
            packager="P <p@example>",
            replaces="old",
            conflict="other<2",
            provides="lib.so=1-64",
            depend=["b>=1", "a"],
            optdepend="x: for y",
            makedepend="make",
            checkdepend="check",
            content=b"12345",
        )
        self.assertEqual(
            list_package(one, SIGNATURE).desc.decode().split("\n\n"),
            [
                "%FILENAME%\nfoo-2:1.0-1-x86_64.pkg.tar.zst",
                "%NAME%\nfoo",
                "%BASE%\nfoobar",
                "%VERSION%\n2:1.0-1",
                "%DESC%\nDoes things",
                "%GROUPS%\ng1\ng2",
                "%CSIZE%\n5",
                "%ISIZE%\n4096",
                f"%SHA256SUM%\n{one.content.sha256.hex()}",
                f"%PGPSIG%\n{base64.b64encode(SIGNATURE).decode()}",
                "%URL%\nhttps://example.invalid/",
                "%LICENSE%\nMIT\ncustom",
                "%ARCH%\nx86_64",
                f"%BUILDDATE%\n{BUILT}",
                "%PACKAGER%\nP <p@example>",
                "%REPLACES%\nold",
                "%CONFLICTS%\nother<2",
                "%PROVIDES%\nlib.so=1-64",
                "%DEPENDS%\nb>=1\na",
                "%OPTDEPENDS%\nx: for y",
                "%MAKEDEPENDS%\nmake",
                "%CHECKDEPENDS%\ncheck",
                "",
            ],
        )

    def test_what_has_no_value_is_left_out(self) -> None:
        desc = list_package(package(pkgdesc="", depend=["", "a", " "]), SIGNATURE).desc
        self.assertNotIn(b"%DESC%", desc)
        self.assertIn(b"%DEPENDS%\na\n\n", desc)

    def test_files_are_sorted_byte_by_byte(self) -> None:
        members = [
            Member("usr", _FOLDER),
            Member("usr/ä", _FILE),
            Member("usr/b", _FILE),
            Member("usr/B", _FILE),
            Member("etc", _FOLDER),
        ]
        found = list_package(package(members=members), SIGNATURE).files.decode()
        self.assertEqual(found, "%FILES%\netc/\nusr/\nusr/B\nusr/b\nusr/ä\n")

    def test_signatures_that_pacman_does_not_take(self) -> None:
        for signature in (b"", b"-----BEGIN PGP SIGNATURE-----", b"\x88" * (17 << 10)):
            self.assertRaises(RepositoryError, list_package, package(), signature)

    def test_an_entry_that_was_written_is_read(self) -> None:
        one = list_package(package(depend=["a", "b"]), SIGNATURE)
        found = read_listed(one.desc, one.files)
        self.assertEqual(found, one)
        self.assertEqual(found.signature, SIGNATURE)

    def test_what_is_no_entry_is_refused(self) -> None:
        desc = list_package(package(), SIGNATURE).desc
        for wrong in (
            b"",
            b"\xff",
            desc.replace(b"%CSIZE%", b"%XSIZE%"),
            desc.replace(b"%SHA256SUM%\n", b"%SHA256SUM%\nx"),
            desc.replace(b"%NAME%\nfoo", b"%NAME%\nbar"),
        ):
            self.assertRaises(RepositoryError, read_listed, wrong, b"")

    @given(VALUES, st.lists(VALUES), st.lists(VALUES))
    def test_no_value_makes_a_field(self, text: str, one: list[str], two: list[str]) -> None:
        listed = list_package(package(pkgdesc=text, depend=one, group=two), SIGNATURE)
        fields = fields_of(listed.desc.decode())
        wanted = {"DESC": (text,), "GROUPS": tuple(two), "DEPENDS": tuple(one)}
        for name, values in wanted.items():
            shown = tuple(" ".join(filter(None, value.split(" "))) for value in values)
            self.assertEqual(fields.get(name, ()), tuple(filter(None, shown)))
        self.assertEqual(fields["CSIZE"], (str(listed.content.size),))

    @given(VALUES, st.lists(VALUES))
    def test_a_node_reads_of_it_what_was_meant(self, text: str, depends: list[str]) -> None:
        one = package(pkgdesc=text, depend=depends)
        listed = list_package(one, SIGNATURE)
        (entry,) = read_entries("home", io.BytesIO(tar([File("foo-1.0-1/desc", listed.desc)])))
        self.assertEqual(
            (entry.file_name, entry.name, entry.version, entry.content, entry.signature),
            (one.file_name, one.name, one.version, one.content, SIGNATURE),
        )
