"""What an operator names is read through links, and nothing is waited for."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.reading import open_plain, read_plain

#: Bytes that a test lets be read.
MOST = 1_000


class Reading(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_a_file_is_read_also_through_a_link(self) -> None:
        self.path.write_bytes(b"text")
        link = Path(self.mktemp())
        link.symlink_to(self.path.absolute())
        self.assertEqual((read_plain(self.path, MOST), read_plain(link, MOST)), (b"text", b"text"))

    def test_nothing_is_an_empty_file(self) -> None:
        self.assertEqual(read_plain("/dev/null", MOST), b"")

    def test_no_fifo_is_waited_for_and_no_device_read(self) -> None:
        os.mkfifo(self.path)
        for path in (self.path, "/dev/zero", "/dev/tty"):
            with self.assertRaises(OSError):
                open_plain(path)

    def test_a_folder_is_none(self) -> None:
        with self.assertRaises(IsADirectoryError):
            read_plain("/", MOST)

    def test_what_is_too_large_is_not_read(self) -> None:
        with self.path.open("wb") as file:
            file.truncate(1 << 40)
        with self.assertRaises(OSError) as caught:
            read_plain(self.path, MOST)
        self.assertIn("larger than 1000 bytes", str(caught.exception))
