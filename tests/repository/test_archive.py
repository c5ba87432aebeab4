"""The tar that comes from bsdtar, member by member; nothing in it takes more than it may."""

from __future__ import annotations

import contextlib
import io
import stat
import tarfile
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import PackageError
from flocon.repository import archive
from flocon.repository.archive import Archive
from flocon.repository.package import Member
from tests.repository.packages import File, folder, hard_link, link, tar

RIGHT = tar(
    [File(".PKGINFO", b"x" * 700), folder("usr"), File("usr/a", b"1"), link("usr/b", "a")],
    tarfile.GNU_FORMAT,
)


def read(data: bytes) -> list[Member]:
    return list(Archive("foo", io.BytesIO(data)).members())


class Reading(SynchronousTestCase):
    def refused(self, data: bytes) -> str:
        """Return why a tar is refused."""
        return str(self.assertRaises(PackageError, read, data).problem)

    def test_members_as_they_are(self) -> None:
        found = read(
            tar(
                [
                    folder("usr", 0o750),
                    File("usr/a", b"abc", mode=0o4755, user=7),
                    link("usr/l", "../a"),
                    hard_link("usr/h", "usr/a"),
                    File("usr/f", kind=tarfile.FIFOTYPE),
                    File("usr/c", kind=tarfile.CHRTYPE),
                ]
            )
        )
        self.assertEqual(
            found,
            [
                Member("usr", stat.S_IFDIR | 0o750),
                Member("usr/a", stat.S_IFREG | 0o4755, 3, 7),
                Member("usr/l", stat.S_IFLNK | 0o777, target="../a"),
                Member("usr/h", stat.S_IFREG | 0o644, target="usr/a"),
                Member("usr/f", stat.S_IFIFO | 0o644),
                Member("usr/c", stat.S_IFCHR | 0o644),
            ],
        )

    def test_long_and_other_names_and_large_numbers(self) -> None:
        path, target = "usr/" + "q" * 150 + "/é" + "r" * 90, "t" * 200
        for layout in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            one, other = read(tar([File(path, b"1", user=3_000_000), link("a", target)], layout))
            self.assertEqual((one.path, one.user), (path, 3_000_000))
            self.assertEqual((other.path, other.target), ("a", target))
            (found,) = read(tar([link(path, target)], layout))
            self.assertEqual((found.path, found.target), (path, target))

    def test_names_of_extended_attributes(self) -> None:
        said = (("SCHILY.xattr.user.b", "1"), ("SCHILY.xattr.security.capability", "\x01"))
        (found,) = read(tar([File("usr/a", b"1", extensions=said)]))
        self.assertEqual(found.attributes, ("security.capability", "user.b"))

    def test_what_is_said_twice_of_one_member_is_refused(self) -> None:
        extended = File("usr/a", extensions=(("comment", "x"), ("comments", "y")))
        twice = tar([extended]).replace(b"14 comments=y", b"14 comment=yy")
        self.assertIn("twice", self.refused(twice))

    def test_users_that_no_system_can_have_are_refused(self) -> None:
        for number in (1 << 32, (1 << 32) + 7, (1 << 32) - 1):
            for key in ("uid", "gid"):
                told = File("usr/a", extensions=((key, str(number)),))
                self.assertIn("whom no system can have", self.refused(tar([told])))
        most = File("usr/a", extensions=(("uid", str((1 << 32) - 2)),))
        self.assertEqual([one.user for one in read(tar([most]))], [(1 << 32) - 2])

    def test_capabilities_beyond_those_of_the_kernel_are_refused(self) -> None:
        told = File("usr/a", extensions=(("SCHILY.xattr.security.capability", "x" * 25),))
        self.assertIn("capabilities", self.refused(tar([told])))

    def test_bytes_that_are_left_out_are_refused(self) -> None:
        said = (("GNU.sparse.name", "usr/holes"), ("GNU.sparse.realsize", "1000000"))
        data = tar([File("GNUSparseFile.0/x", b"1", extensions=said)])
        self.assertIn("holes", self.refused(data))

    def test_the_bytes_of_a_member(self) -> None:
        reading = Archive("foo", io.BytesIO(RIGHT))
        found = {}
        for member in reading.members():
            if member.path in {".PKGINFO", "usr/a"}:
                found[member.path] = reading.read(1_000)
        self.assertEqual(found, {".PKGINFO": b"x" * 700, "usr/a": b"1"})

    def test_more_bytes_than_asked_for_are_refused(self) -> None:
        reading = Archive("foo", io.BytesIO(RIGHT))
        next(reading.members())
        self.assertRaises(PackageError, reading.read, 699)

    def test_an_end_that_comes_too_early(self) -> None:
        end = RIGHT.rstrip(b"\0")
        for length in (1, 511, 512, 600, 1_000, len(end) - 1):
            self.assertIn("ends too early", self.refused(RIGHT[:length]))
        self.assertIn("ends too early", self.refused(b""))

    def test_a_wrong_checksum(self) -> None:
        self.assertIn("cannot be read", self.refused(b"x" + RIGHT[1:]))

    def test_kinds_that_are_not_known(self) -> None:
        self.assertIn("of a kind", self.refused(tar([File("x", kind=b"V")])))

    def test_names_that_are_no_utf8(self) -> None:
        data = tar([File("usr/\udcff")], tarfile.GNU_FORMAT)
        self.assertIn("not UTF-8", self.refused(data))

    def test_too_many_members(self) -> None:
        with mock.patch.object(archive, "MOST_MEMBERS", 3):
            self.assertIn("more than 3 members", self.refused(RIGHT))

    def test_as_many_members_as_may_be(self) -> None:
        with mock.patch.object(archive, "MOST_MEMBERS", 4):
            self.assertEqual(len(read(RIGHT)), 4)

    def test_too_many_bytes_of_names(self) -> None:
        with mock.patch.object(archive, "MOST_NAMES", 20):
            self.assertIn("bytes of names", self.refused(RIGHT))

    def test_too_many_bytes_altogether(self) -> None:
        with mock.patch.object(archive, "LARGEST_UNPACKED", 700):
            self.assertIn("unpacks to more", self.refused(RIGHT))

    def test_a_size_beyond_all_others(self) -> None:
        said = (("size", "9" * 18),)
        self.assertIn("unpacks to more", self.refused(tar([File("x", b"1", extensions=said)])))
        self.assertIn("number", self.refused(tar([File("x", extensions=(("size", "9" * 19),))])))

    def test_a_path_longer_than_the_kernel_takes(self) -> None:
        data = tar([File("x/" * 3_000)], tarfile.GNU_FORMAT)
        self.assertIn("longer than any", self.refused(data))

    def test_more_said_about_one_member_than_is_read(self) -> None:
        data = tar([File("x", extensions=(("SCHILY.xattr.user.x", "y" * (2 << 20)),))])
        self.assertIn("about one member", self.refused(data))

    def test_broken_extensions(self) -> None:
        whole = tar([File("x", extensions=(("comment", "hello"),))])
        self.assertIn(b"17 comment=hello\n", whole)
        for wrong in (b"99 comment=hello\n", b"00 comment=hello\n", b"xx comment=hello\n"):
            self.refused(whole.replace(b"17 comment=hello\n", wrong))

    @given(st.data())
    def test_no_bytes_do_harm(self, data: st.DataObject) -> None:
        mutated = bytearray(RIGHT[:4_096])
        for _ in range(data.draw(st.integers(1, 6))):
            place = data.draw(st.integers(0, len(mutated) - 1))
            mutated[place] = data.draw(st.integers(0, 255))
            # With a right checksum, so that more than that is looked at.
            start = place - place % 512
            block = mutated[start : start + 512]
            block[148:156] = b" " * 8
            mutated[start + 148 : start + 156] = b"%06o\0 " % sum(block)
        with contextlib.suppress(PackageError):
            read(bytes(mutated))
