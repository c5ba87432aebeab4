"""What no package of makepkg's has is refused, whoever signed it."""

from __future__ import annotations

import stat

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import PackageError
from flocon.repository.checking import MemberCheck
from flocon.repository.package import Member

_FILE, _FOLDER, _LINK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777


def file(path: str, target: str = "") -> Member:
    return Member(path, _FILE, target=target)


def folder(path: str) -> Member:
    return Member(path, _FOLDER)


def link(path: str, target: str = "/etc/passwd") -> Member:
    return Member(path, _LINK, target=target)


def check(*members: Member) -> None:
    looking = MemberCheck("foo-1-1-any.pkg.tar.zst")
    for member in members:
        looking.look(member)
    looking.finish()


class Checking(SynchronousTestCase):
    def refused(self, *members: Member) -> str:
        """Return why these are refused."""
        return str(self.assertRaises(PackageError, check, *members).problem)

    def test_a_usual_package_passes(self) -> None:
        check(
            file(".PKGINFO"),
            file(".MTREE"),
            folder("usr"),
            folder("usr/bin"),
            file("usr/bin/foo"),
            file("usr/bin/bar", "usr/bin/foo"),
            link("usr/bin/baz", "foo"),
            link("etc/systemd/system/x.service", "/dev/null"),
            file("usr/share/ü/a b"),
            file("usr/share/foo/.hidden"),
        )

    def test_paths_that_lead_out(self) -> None:
        for path in ("/etc/passwd", "../x", "usr/../../x", "usr/./x", "usr//x", "./usr/x", "", "."):
            self.assertIn("leads out of it", self.refused(file(path)))

    def test_names_that_no_file_system_takes(self) -> None:
        check(file("usr/" + "é" * 127))
        self.assertIn("longer", self.refused(file("usr/" + "é" * 128)))

    def test_the_same_path_twice(self) -> None:
        self.assertIn("twice", self.refused(file(".PKGINFO"), file(".PKGINFO")))
        self.assertIn("twice", self.refused(folder("usr"), folder("usr")))

    def test_devices_pipes_and_sockets(self) -> None:
        for kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
            self.assertIn("a device", self.refused(Member("dev/x", kind | 0o666)))

    def test_a_path_behind_a_link_of_its_own(self) -> None:
        self.assertIn("through a link", self.refused(link("usr/x", "/etc"), file("usr/x/passwd")))

    def test_also_where_the_link_comes_last(self) -> None:
        self.assertIn("through a link", self.refused(file("usr/x/passwd"), link("usr/x", "/etc")))

    def test_a_path_behind_a_file(self) -> None:
        self.assertIn("link or file", self.refused(file("usr/x"), file("usr/x/y")))

    def test_hard_links_lead_to_files_of_it(self) -> None:
        for target in ("/etc/shadow", "etc/shadow", "../x", "usr/l", "usr", ".PKGINFO"):
            members = (file(".PKGINFO"), folder("usr"), link("usr/l"), file("usr/h", target))
            self.assertIn("hard link", self.refused(*members))

    def test_links_lead_somewhere(self) -> None:
        self.assertIn("nowhere", self.refused(link("usr/x", "")))

    def test_what_describes_it_is_plain_and_known(self) -> None:
        self.assertIn("a link", self.refused(link(".PKGINFO", "usr/x")))
        self.assertIn("a link", self.refused(folder(".INSTALL")))
        self.assertIn("begins with a dot", self.refused(file(".bashrc")))
        self.assertIn("begins with a dot", self.refused(file(".PKGINFO/x")))

    def test_files_at_the_root_of_the_system(self) -> None:
        self.assertIn("root of the system", self.refused(file("vmlinuz")))

    def test_control_characters_in_names(self) -> None:
        for sign in ("\n", "\x1b", "\x7f", "\u2028", "\x9b", "\u202e", "\u2066"):
            self.assertIn("control", self.refused(file(f"usr/a{sign}b")))
            self.assertIn("control", self.refused(link("usr/a", f"x{sign}")))

    def test_a_long_name_is_cut_in_the_sentence(self) -> None:
        self.assertLess(len(self.refused(file("../" + "x" * 4000))), 300)

    @given(st.lists(st.sampled_from(["usr", "..", ".", "", "x", "\0", ".PKGINFO"]), max_size=5))
    def test_what_passes_stays_below_its_root(self, parts: list[str]) -> None:
        path = "/".join(parts)
        try:
            check(file(path))
        except PackageError:
            return
        self.assertTrue(path)
        self.assertNotIn("..", parts)
        self.assertFalse(path.startswith("/"))
