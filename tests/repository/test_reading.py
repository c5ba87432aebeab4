"""A package's file is read whole, by bsdtar; what is none, or none of makepkg's, is refused."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import PackageError, ToolMissing
from flocon.files import Content
from flocon.machine.piped import printed
from flocon.machine.process import Bounds
from flocon.repository import reading
from flocon.repository.package import Member, Package
from flocon.repository.reading import read_identity, read_package
from flocon.repository.surprises import find_surprises
from tests.needs import leave_out
from tests.repository.packages import (
    COMPRESS,
    File,
    archive,
    folder,
    hard_link,
    info,
    link,
    mtree,
    opened,
    tar,
)

FILE = "foo-1.0-1-x86_64.pkg.tar.zst"


def read(data: bytes, file_name: str = FILE) -> Package:
    descriptor = opened(data)
    try:
        return read_package(descriptor, file_name)
    finally:
        os.close(descriptor)


class ReadingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        leave_out("" if shutil.which("bsdtar") else "there is no bsdtar")

    def refused(self, data: bytes, file_name: str = FILE) -> str:
        """Return why a file is refused."""
        return str(self.assertRaises(PackageError, read, data, file_name).problem)


class Identity(ReadingTestCase):
    """Whether a package is what its file is called, without all else of it."""

    def identity(self, data: bytes, file_name: str = FILE) -> str:
        descriptor = opened(data)
        try:
            return read_identity(descriptor, file_name)["pkgver"][0]
        finally:
            os.close(descriptor)

    def test_what_it_says_of_itself_is_read(self) -> None:
        data = archive(folder("usr"), File("usr/x", b"x" * 100_000))
        self.assertEqual(self.identity(data), "1.0-1")

    def test_another_package_under_that_name_is_refused(self) -> None:
        for name in ("foo-2.0-1-x86_64.pkg.tar.zst", "bar-1.0-1-x86_64.pkg.tar.zst"):
            with self.assertRaises(PackageError) as caught:
                self.identity(archive(), name)
            self.assertIn("inside it is foo 1.0-1", str(caught.exception))

    def test_what_is_no_package_is_refused(self) -> None:
        for data in (b"", b"no package", COMPRESS["zst"](tar([folder(".x")]))):
            with self.assertRaises(PackageError):
                self.identity(data)


class Reading(ReadingTestCase):
    def test_a_package_whole(self) -> None:
        data = archive(
            File(".BUILDINFO", b"format = 2\nbuilddir = /build\ninstalled = a-1-1\n"),
            File(".INSTALL", "post_install() { echo é; }\n".encode()),
            File(".MTREE", mtree("./.INSTALL", "./usr type=dir", "./usr/foo", "./usr/l type=link")),
            folder("usr"),
            File("usr/foo", b"abc", mode=0o755),
            link("usr/l", "foo"),
        )
        found = read(data)
        self.assertEqual(found.content, Content(len(data), hashlib.sha256(data).digest()))
        self.assertEqual((found.name, found.version, found.base), ("foo", "1.0-1", "foo"))
        self.assertEqual([member.path for member in found.members], ["usr", "usr/foo", "usr/l"])
        self.assertEqual(found.install, "post_install() { echo é; }\n")
        self.assertEqual(found.build_info["installed"], ("a-1-1",))

    def test_each_compression_that_makepkg_may_be_told(self) -> None:
        for ending in COMPRESS:
            suffix = "" if ending == "tar" else f".{ending}"
            found = read(
                archive(File("usr/x", b"1"), compression=ending),
                f"foo-1.0-1-x86_64.pkg.tar{suffix}",
            )
            self.assertEqual([member.path for member in found.members], ["usr/x"])

    def test_names_in_other_scripts(self) -> None:
        found = read(archive(File("usr/ü ж.txt", b"1"), hard_link("usr/x", "usr/ü ж.txt")))
        self.assertEqual(found.members[0].path, "usr/ü ж.txt")
        self.assertEqual(found.members[1].target, "usr/ü ж.txt")

    def test_capabilities_are_seen_and_whose(self) -> None:
        said = (("SCHILY.xattr.security.capability", "\x01\x00\x00\x02"),)
        rule = File("etc/sudoers.d/x", b"rule")
        found = read(archive(File("usr/x", b"1"), File("usr/y", b"2", extensions=said), rule))
        seen = {member.path: member.attributes for member in found.members}
        self.assertEqual(
            seen, {"usr/x": (), "usr/y": ("security.capability",), "etc/sudoers.d/x": ()}
        )
        self.assertEqual([member.capabilities for member in found.members], [b"", b"\1\0\0\2", b""])
        self.assertTrue(found.members[2].digest)

    def test_whatever_attribute_is_seen(self) -> None:
        for name in ("trusted.overlay.opaque", "security.ima", "user.a"):
            said = ((f"SCHILY.xattr.{name}", "y"),)
            found = read(archive(File("usr/x", b"1"), File("usr/y", b"2", extensions=said)))
            self.assertEqual([one.attributes for one in found.members], [(), (name,)])

    def test_the_words_for_capabilities_in_a_file_are_none(self) -> None:
        data = b"x" * 300_000 + b"40 SCHILY.xattr.security.capability=1" + b"x" * 300_000
        found = read(archive(File("usr/x", data)))
        self.assertEqual(found.members[0].attributes, ())

    def test_files_of_any_size_are_known_by_their_content(self) -> None:
        small, large = File("etc/x", b"a"), File("usr/x", bytes((3 << 20) + 1))
        found = {member.path: member.digest for member in read(archive(small, large)).members}
        for file in (small, large):
            self.assertEqual(found[file.path], hashlib.sha256(file.data).digest())

    def test_a_large_file_of_the_same_size_is_another_one(self) -> None:
        """A rule or hook grows by blanks as its maker likes."""
        before, now = (
            read(archive(File("etc/profile.d/x.sh", sign * (2 << 20)))) for sign in (b"a", b"b")
        )
        (found,) = find_surprises(now, before)
        self.assertEqual(found.what, "changed script that runs when somebody logs in")

    def test_an_install_script_is_kept_byte_for_byte(self) -> None:
        found = read(archive(File(".INSTALL", b"a\r\n\xff")))
        self.assertEqual(found.install.encode("utf-8", "surrogateescape"), b"a\r\n\xff")

    def test_a_file_with_holes(self) -> None:
        folder = Path(self.mktemp())
        (folder / "usr").mkdir(parents=True)
        with (folder / "usr/holes").open("wb") as file:
            file.seek(10 << 20)
            file.write(b"end")
        (folder / ".PKGINFO").write_bytes(info())
        made = subprocess.run(
            ["bsdtar", "-cf", "-", ".PKGINFO", "usr"], cwd=folder, check=True, capture_output=True
        )
        found = read(made.stdout, "foo-1.0-1-x86_64.pkg.tar")
        sizes = {member.path: member.size for member in found.members}
        self.assertEqual(sizes["usr/holes"], (10 << 20) + 3)

    def test_nothing_hides_behind_forged_holes(self) -> None:
        forged = (
            ("GNU.sparse.map", "0,1"),
            ("GNU.sparse.size", "5"),
            ("GNU.sparse.numblocks", "1"),
        )
        found = read(archive(File("usr/a", extensions=forged), link("usr/z", "/etc/shadow")))
        self.assertEqual([member.path for member in found.members], ["usr/a", "usr/z"])

    def test_users_with_odd_names_and_times_of_other_ages(self) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path, when in ((".PKGINFO", 0), ("usr/x -> y", 10**15), ("usr/z", -(10**10))):
                member = tarfile.TarInfo(path)
                member.uname, member.gname, member.mtime = "a 0 0 5", "x  1", when
                content = info() if path == ".PKGINFO" else b"12345"
                member.size, member.mode = len(content), 0o6755
                archive.addfile(member, io.BytesIO(content))
        found = read(data.getvalue(), FILE.removesuffix(".zst"))
        self.assertEqual([member.path for member in found.members], ["usr/x -> y", "usr/z"])

    def test_names_that_cannot_be_printed(self) -> None:
        names = [
            "usr/a\\b",
            "usr/\\x2d",
            "usr/\\101",
            "usr/zero\u200bwidth",
            "usr/\ue000",
            "usr/\u0301",
        ]
        found = read(archive(*(File(name, b"1") for name in names)))
        self.assertEqual([member.path for member in found.members], names)

    def test_nothing_is_written_and_nothing_run(self) -> None:
        before = set(Path.cwd().iterdir())
        read(archive(File(".INSTALL", b"touch here\n"), File("usr/here", b"1")))
        self.assertEqual(set(Path.cwd().iterdir()), before)


class Refusing(ReadingTestCase):
    def test_without_a_description(self) -> None:
        data = COMPRESS["zst"](tar([File(".BUILDINFO", b"a = b\n"), File("usr/x", b"1")]))
        self.assertIn("no .PKGINFO", self.refused(data))

    def test_two_descriptions(self) -> None:
        data = archive(File("usr/x", b"1"), File(".PKGINFO", info("bar")))
        self.assertIn("twice", self.refused(data))

    def test_a_list_that_is_not_of_its_files(self) -> None:
        self.assertIn("by which pacman goes", self.refused(archive(File(".MTREE", mtree("./x")))))

    def test_a_folder_that_pacman_would_leave_out(self) -> None:
        data = tar([File(".PKGINFO", info()), folder("usr"), File("usr/a")], tarfile.GNU_FORMAT)
        bare = bytearray(data)
        at = data.index(b"usr/\0")
        bare[at : at + 4] = b"usr\0"
        bare[at + 148 : at + 156] = b" " * 8
        bare[at + 148 : at + 156] = b"%06o\0 " % sum(bare[at : at + 512])
        said = self.refused(COMPRESS["zst"](bytes(bare)))
        self.assertIn("unpacked in two ways, by 'usr': a folder's name ends in a slash", said)

    def test_what_bsdtar_would_leave_out(self) -> None:
        for path in ("usr/share/libalpm/hooks/x.hook", "../x"):
            for data in (b"", b"1"):
                hidden = File(path, data, kind=tarfile.LNKTYPE)
                self.refused(archive(File("usr/x", b"1"), hidden))
                self.refused(archive(hidden, File("usr/x", b"1")))

    def test_a_hard_link_that_writes_into_what_it_leads_to(self) -> None:
        hidden = File("usr/h", b"other", kind=tarfile.LNKTYPE, target="usr/x")
        self.refused(archive(File("usr/x", b"1"), hidden))
        member = Member("usr/h", stat.S_IFREG | 0o644, target="usr/x")
        line = b"hrw-r--r--  0 0      0           %d Sep 21 14:13 usr/h link to usr/x\n"
        self.assertTrue(reading._tells(line % 0, member))
        self.assertFalse(reading._tells(line % 9, member))

    def test_a_list_of_something_else(self) -> None:
        member = Member("usr/h", stat.S_IFREG | 0o755, 5)
        line = b"-rwxr-xr-x  0 0      0           5 Sep 21  2020 usr/h\n"
        self.assertTrue(reading._tells(line, member))
        for said, other in ((b"usr/h", b"usr/g"), (b"-rwx", b"-rws"), (b"5 Sep", b"6 Sep")):
            self.assertFalse(reading._tells(line.replace(said, other), member))
        for wrong in (b"", b"\n", line[:-1], line * 2, b"-rwxr-xr-x  0 a      0 5 1 2 3 usr/h\n"):
            self.assertFalse(reading._tells(wrong, member))

    def test_what_leads_out(self) -> None:
        for member in (
            File("../x", b"1"),
            File("/etc/passwd", b"1"),
            File("usr/x", kind=tarfile.CHRTYPE),
            hard_link("usr/x", "/etc/shadow"),
        ):
            self.refused(archive(member))
        self.refused(archive(link("usr/x", "/etc"), File("usr/x/passwd", b"1")))

    def test_a_name_that_is_no_packages(self) -> None:
        for name in ("foo", "foo.db", FILE + ".sig", "../" + FILE, "foo-1.0-1-x86_64.pkg.tar.zip"):
            self.assertIn("no package's file name", self.refused(archive(), name))

    def test_another_compression_than_the_name_says(self) -> None:
        self.assertIn("not what .zst says", self.refused(archive(compression="xz")))

    def test_compressions_that_are_not_taken(self) -> None:
        name = "foo-1.0-1-x86_64.pkg.tar.lz4"
        self.assertIn("is not one of", self.refused(archive(), name))

    def test_an_empty_file_and_one_that_is_cut(self) -> None:
        data = archive(File("usr/x", os.urandom(5_000)))
        self.assertIn("0 bytes", self.refused(b""))
        for length in (4, 40, len(data) // 2, len(data) - 20):
            self.refused(data[:length])

    def test_a_damaged_file(self) -> None:
        data = archive(File("usr/x", os.urandom(5_000)), compression="xz")
        self.refused(
            data[:3_000] + bytes([data[3_000] ^ 1]) + data[3_001:],
            FILE.replace("zst", "xz"),
        )

    def test_other_archives_that_libarchive_reads(self) -> None:
        # This kind would have it read files of the machine.
        mtree = f"#mtree\n.PKGINFO type=file contents={Path(__file__)}\n".encode().ljust(600)
        for data in (mtree, b"PK\x03\x04".ljust(600), b"070701".ljust(600, b"0")):
            for ending in ("zst", "xz", "gz", "bz2"):
                name = FILE.replace("zst", ending)
                self.assertIn("does not begin", self.refused(COMPRESS[ending](data), name))
            self.refused(data, FILE.removesuffix(".zst"))

    def test_a_compression_within_the_compression(self) -> None:
        data = COMPRESS["zst"](archive(compression="gz"))
        self.assertIn("does not begin", self.refused(data))

    def test_what_begins_with_something_else(self) -> None:
        data = COMPRESS["zst"](tar([File("usr/x", b"1"), File(".PKGINFO", info())]))
        self.assertIn("does not begin", self.refused(data))

    def test_a_description_that_is_too_large(self) -> None:
        data = archive(said=info() + b"#" * (2 << 20))
        self.assertIn("describing file", self.refused(data))

    def test_a_package_that_takes_too_long(self) -> None:
        descriptor = opened(archive(File("usr/x", bytes(400 << 20))))
        self.addCleanup(os.close, descriptor)
        with (
            mock.patch.object(reading, "_LEAST_SECONDS", 0.01),
            self.assertRaises(PackageError),
        ):
            read_package(descriptor, FILE, 0.01)

    def test_each_time_that_it_is_unpacked_counts(self) -> None:
        given: list[float] = []

        def slowly(*words: Any, seconds: float, **more: Any) -> Any:
            given.append(seconds)
            now[0] += 400.0
            return printed(*words, seconds=seconds, **more)

        now = [0.0]
        with (
            mock.patch.object(reading, "printed", slowly),
            mock.patch.object(time, "monotonic", lambda: now[0]),
        ):
            read(archive(File("usr/x", b"1")))
        self.assertEqual(given, [1_200.0, 800.0, 400.0])

    def test_bsdtar_has_bounds(self) -> None:
        with mock.patch.object(Bounds, "impose", autospec=True) as impose:
            read(archive())
        ((bounds, process), _) = impose.call_args
        self.assertEqual(bounds, reading._BOUNDS)
        self.assertGreater(process, 1)

    def test_a_machine_without_bsdtar(self) -> None:
        self.patch(shutil, "which", lambda _: None)
        self.assertRaises(ToolMissing, read, archive())

    @settings(max_examples=60)
    @given(st.data())
    def test_no_bytes_do_harm(self, data: st.DataObject) -> None:
        mutated = bytearray(archive(File("usr/x", b"1"), link("usr/y", "x"), compression="tar"))
        for _ in range(data.draw(st.integers(1, 5))):
            mutated[data.draw(st.integers(0, 3_000))] = data.draw(st.integers(0, 255))
        try:
            found = read(COMPRESS["gz"](bytes(mutated)), FILE.replace("zst", "gz"))
        except PackageError:
            return
        self.assertEqual((found.name, found.version), ("foo", "1.0-1"))
