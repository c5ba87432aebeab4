"""Files without a name: where they go, and what they take."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.mounts import free_bytes, is_in_memory, open_nameless, temporary_folders


class TemporaryFolders(SynchronousTestCase):
    def test_the_disk_comes_first_and_none_twice(self) -> None:
        with mock.patch.dict(os.environ, {"TMPDIR": "/tmp"}):
            self.assertEqual(temporary_folders(), ["/var/tmp", "/tmp"])
        with mock.patch.dict(os.environ, {"TMPDIR": "/mine"}):
            self.assertEqual(temporary_folders(), ["/var/tmp", "/mine", "/tmp"])

    def test_a_folder_that_depends_on_where_one_stands_is_none(self) -> None:
        with mock.patch.dict(os.environ, {"TMPDIR": "here"}):
            self.assertEqual(temporary_folders(), ["/var/tmp", "/tmp"])


class Nameless(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def test_it_can_be_written_and_read_and_has_no_name(self) -> None:
        descriptor = open_nameless(str(self.folder))
        self.addCleanup(os.close, descriptor)
        os.pwrite(descriptor, b"data", 0)
        self.assertEqual(os.pread(descriptor, 9, 0), b"data")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_file_system_that_knows_of_no_such_files_gives_one_too(self) -> None:
        real = os.open

        def older(path: str, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return real(path, flags, mode)

        with mock.patch.object(os, "open", older):
            descriptor = open_nameless(str(self.folder))
        self.addCleanup(os.close, descriptor)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_folder_that_is_not_there_is_an_error(self) -> None:
        self.assertRaises(OSError, open_nameless, str(self.folder / "none"))
        self.assertRaises(OSError, free_bytes, str(self.folder / "none"))

    def test_a_folder_in_memory_is_told_from_one_on_disk(self) -> None:
        self.assertTrue(is_in_memory("/dev/shm"))
        self.assertFalse(is_in_memory("/proc/self"))
