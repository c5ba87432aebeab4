"""Which folders are on this machine's own disks, and on which mount, by what the kernel says."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine import mounts
from flocon.machine.mounts import mount_of

#: As in proc_pid_mountinfo(5), with and without optional fields.
KINDS = ("ext4", "nfs4", "fuse.sshfs", "btrfs", "cifs", "tmpfs")


class Far(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def mounted(self, number: int, path: Path | None = None) -> bool:
        """Return what is found of a folder on the mount of this number."""
        lines = [
            f"{one} 1 0:{one} / /some\\040place rw{' shared:1' * (one % 2)} - {kind} x rw\n"
            for one, kind in enumerate(KINDS)
        ]
        table, told = self.folder / "mountinfo", self.folder / "fdinfo"
        table.write_text("".join(lines))
        told.mkdir(exist_ok=True)
        descriptor = os.open(self.folder, os.O_PATH)
        os.close(descriptor)
        (told / str(descriptor)).write_text(f"pos:\t0\nflags:\t012000000\nmnt_id:\t{number}\n")
        with (
            mock.patch.object(mounts, "_MOUNTS", table),
            mock.patch.object(mounts, "_DESCRIPTOR", told),
        ):
            return mounts.is_far(path or self.folder)

    def test_what_is_on_no_disk_of_this_machine_is_far(self) -> None:
        far = {kind for number, kind in enumerate(KINDS) if self.mounted(number)}
        self.assertEqual(far, {"nfs4", "fuse.sshfs", "cifs"})

    def test_what_is_not_there_is_where_it_would_be(self) -> None:
        self.assertTrue(self.mounted(1, self.folder / "not" / "there"))
        self.assertFalse(self.mounted(0, self.folder / "not" / "there"))

    def test_what_cannot_be_found_out_is_near(self) -> None:
        self.assertFalse(self.mounted(99))
        with mock.patch.object(mounts, "_MOUNTS", self.folder / "none"):
            self.assertFalse(mounts.is_far(self.folder))

    def test_the_kernel_itself_tells(self) -> None:
        self.assertTrue(mounts.is_far(Path("/proc/self")))
        self.assertFalse(mounts.is_far(Path("/")))


def table(*mounts: tuple[int, int, str]) -> str:
    return "".join(
        f"{number} {parent} 0:{number} / {point} rw - nfs4 x rw\n"
        for number, parent, point in mounts
    )


class MountOf(SynchronousTestCase):
    ROOT = (21, 1, "/")

    def on(self, path: str, *mounts: tuple[int, int, str]) -> str:
        return mount_of(Path(path), table(self.ROOT, *mounts))

    def test_a_path_is_on_the_innermost_mount_that_leads_there(self) -> None:
        mounts = ((22, 21, "/srv"), (23, 22, "/srv/pkg"), (24, 21, "/srv2"))
        found = [self.on(path, *mounts) for path in ("/", "/srv/x", "/srv/pkg", "/srv/pkg/x/y")]
        self.assertEqual(found, ["21", "22", "23", "23"])

    def test_what_is_mounted_over_another_is_what_can_be_seen(self) -> None:
        self.assertEqual(self.on("/srv/x", (22, 21, "/srv"), (23, 22, "/srv")), "23")

    def test_so_is_what_hides_a_mount_further_down(self) -> None:
        self.assertEqual(self.on("/srv/pkg", (23, 21, "/srv/pkg"), (22, 21, "/srv")), "22")

    def test_a_root_over_a_root_is_the_root(self) -> None:
        self.assertEqual(self.on("/srv", (22, 21, "/"), (23, 22, "/srv")), "23")

    def test_names_are_escaped(self) -> None:
        self.assertEqual(self.on("/a b\\c", (22, 21, "/a\\040b\\134c")), "22")

    def test_nothing_is_said_where_the_table_is_none(self) -> None:
        found = [mount_of(Path("/srv"), text) for text in ("", "x y\n", "1 1 0:1\n")]
        self.assertEqual(found, [""] * 3)

    def test_a_table_that_turns_in_a_circle_has_an_end(self) -> None:
        mount_of(Path("/srv"), table((21, 1, "/"), (22, 21, "/srv"), (22, 22, "/srv")))

    def test_the_kernel_itself_tells(self) -> None:
        self.assertNotEqual(mount_of(Path("/"), mounts.read_mounts()), "")
        told = mount_of(Path("/proc/self"), mounts.read_mounts())
        self.assertNotEqual(told, mount_of(Path("/"), mounts.read_mounts()))


class Mounts(SynchronousTestCase):
    """What is noted of where folders lie."""

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.place.mkdir()
        self.file = self.place / "mountinfo"
        self.patch(mounts, "_MOUNTS", self.file)
        self.mounts = mounts.Mounts()

    def mount(self, *points: tuple[int, int, str]) -> None:
        self.file.write_text(table((21, 1, "/"), *points))

    def note(self, folder: Path) -> None:
        self.assertEqual(self.mounts.note_and(folder, lambda value: value, 5), 5)

    def test_another_that_is_mounted_in_its_place_is_told(self) -> None:
        self.mount((22, 21, "/far"))
        folder = Path("/far/pkg")
        self.assertFalse(self.mounts.knows(folder))
        self.note(folder)
        self.assertTrue(self.mounts.knows(folder))
        self.assertFalse(self.mounts.is_another(folder))
        for after in ([], [(22, 21, "/far"), (23, 22, "/far")], [(23, 21, "/far")]):
            self.mount(*after)
            self.assertTrue(self.mounts.is_another(folder))
        self.mounts.forget(folder)
        self.note(folder)
        self.assertFalse(self.mounts.is_another(folder))

    def test_so_is_one_that_a_link_leads_to(self) -> None:
        link = self.place / "link"
        link.symlink_to("/far/pkg")
        self.mount((22, 21, "/far"))
        self.note(link)
        self.mount((23, 21, "/far"))
        self.assertTrue(self.mounts.is_another(link))

    def test_nothing_is_told_where_nothing_can_be_known(self) -> None:
        self.note(Path("/far"))
        self.file.write_text("")
        self.assertFalse(self.mounts.is_another(Path("/far")))
        self.assertFalse(self.mounts.is_another(Path("/other")))
