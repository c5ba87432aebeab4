"""What somebody else may have put into a folder: nothing waits for it, follows it, or swells."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.beneath import enter, open_regular, open_top, put_aside, read_small, write_small


class BeneathCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "thing"

    def strange_things(self) -> list[Path]:
        """Return a fifo, a folder, a device, a link to a file and one that leads nowhere."""
        names = ("fifo", "folder", "link", "loose")
        fifo, folder, link, loose = (self.folder / name for name in names)
        target = self.folder / "target"
        target.write_bytes(b"target")
        os.mkfifo(fifo)
        folder.mkdir()
        link.symlink_to(target)
        loose.symlink_to(self.folder / "nowhere")
        return [fifo, folder, link, loose, Path("/dev/zero")]


class Reading(BeneathCase):
    def test_a_file_is_read_whole(self) -> None:
        self.path.write_bytes(b"data" * 1000)
        self.assertEqual(read_small(self.path, 4000), b"data" * 1000)
        self.assertEqual(read_small(self.path, 5000), b"data" * 1000)

    def test_a_file_larger_than_allowed_is_an_error_and_is_not_read_on(self) -> None:
        with self.path.open("wb") as file:
            file.truncate(1 << 40)
        error = self.assertRaises(OSError, read_small, self.path, 1000)
        self.assertIn("larger than 1000 bytes", str(error))

    def test_what_is_no_regular_file_is_an_error_at_once(self) -> None:
        for path in self.strange_things():
            self.assertRaises(OSError, read_small, path, 1000)

    def test_a_file_of_a_folder_is_read_by_its_descriptor(self) -> None:
        self.path.write_bytes(b"data")
        folder = open_top(self.folder)
        self.addCleanup(os.close, folder)
        self.folder.rename(self.folder.with_name("moved"))
        self.assertEqual(read_small("thing", 1000, folder), b"data")

    def test_one_that_becomes_another_thing_meanwhile_is_an_error(self) -> None:
        os.mkfifo(self.path)
        regular = mock.Mock(st_mode=0o100644)
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        with mock.patch.object(os, "stat", return_value=regular):
            self.assertRaises(OSError, open_regular, self.path, os.O_RDONLY)
        self.assertEqual(len(os.listdir("/proc/self/fd")), descriptors)  # noqa: PTH208


class Writing(BeneathCase):
    def test_whatever_has_the_name_is_replaced_and_not_written_to(self) -> None:
        fifo, _, link, loose, _ = self.strange_things()
        for path in (fifo, link, loose):
            write_small(path, b"data")
            self.assertTrue(path.is_file() and not path.is_symlink())
            self.assertEqual(path.read_bytes(), b"data")
        self.assertEqual((self.folder / "target").read_bytes(), b"target")
        self.assertFalse((self.folder / "nowhere").exists())

    def test_what_fails_leaves_nothing_behind(self) -> None:
        self.path.write_bytes(b"before")
        with mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left")):
            self.assertRaises(OSError, write_small, self.path, b"after")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["thing"])
        self.assertEqual(self.path.read_bytes(), b"before")


class PuttingAside(BeneathCase):
    def test_any_thing_can_be_put_aside_and_a_link_itself_is(self) -> None:
        for path in self.strange_things()[:-1]:
            aside = put_aside(path)
            self.assertEqual(aside, path.with_name(path.name + ".set-aside"))
            self.assertFalse(path.is_symlink() or path.exists())
        self.assertEqual((self.folder / "target").read_bytes(), b"target")

    def test_what_cannot_be_moved_stays(self) -> None:
        self.assertIsNone(put_aside(self.path))


class Entering(BeneathCase):
    def test_no_link_is_entered(self) -> None:
        outside = self.folder / "outside"
        outside.mkdir()
        inside = self.folder / "inside"
        inside.mkdir()
        (inside / "link").symlink_to(outside)
        folder = open_top(inside)
        self.addCleanup(os.close, folder)
        self.assertRaises(OSError, enter, folder, "link")
        self.assertRaises(OSError, enter, folder, "link", 0o755)
        os.close(enter(folder, "made", 0o700))
        self.assertTrue((inside / "made").is_dir())

    def test_a_link_that_somebody_else_made_is_not_followed_to_the_top(self) -> None:
        link = self.folder / "link"
        link.symlink_to(self.folder)
        os.close(open_top(link))
        made = mock.Mock(st_mode=stat.S_IFLNK, st_uid=os.geteuid() + 1)
        with mock.patch.object(Path, "lstat", return_value=made):
            self.assertRaises(OSError, open_top, link)
