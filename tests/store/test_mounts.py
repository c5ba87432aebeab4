"""Which folders are on this machine's own disks, by what the kernel says."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.store import waiting

#: As in proc_pid_mountinfo(5), with and without optional fields.
KINDS = ("ext4", "nfs4", "fuse.sshfs", "btrfs", "cifs", "tmpfs")


class Mounts(SynchronousTestCase):
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
            mock.patch.object(waiting, "_MOUNTS", table),
            mock.patch.object(waiting, "_DESCRIPTOR", told),
        ):
            return waiting.is_far(path or self.folder)

    def test_what_is_on_no_disk_of_this_machine_is_far(self) -> None:
        far = {kind for number, kind in enumerate(KINDS) if self.mounted(number)}
        self.assertEqual(far, {"nfs4", "fuse.sshfs", "cifs"})

    def test_what_is_not_there_is_where_it_would_be(self) -> None:
        self.assertTrue(self.mounted(1, self.folder / "not" / "there"))
        self.assertFalse(self.mounted(0, self.folder / "not" / "there"))

    def test_what_cannot_be_found_out_is_near(self) -> None:
        self.assertFalse(self.mounted(99))
        with mock.patch.object(waiting, "_MOUNTS", self.folder / "none"):
            self.assertFalse(waiting.is_far(self.folder))

    def test_the_kernel_itself_tells(self) -> None:
        self.assertTrue(waiting.is_far(Path("/proc/self")))
        self.assertFalse(waiting.is_far(Path("/")))
