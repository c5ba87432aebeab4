"""Which files a configuration is, whatever they are."""

from __future__ import annotations

import os

from flocon.pacman import includes
from tests.pacman.pacman_case import OnDisk


class Including(OnDisk):
    def test_files_that_include_each_other_come_to_an_end(self) -> None:
        self.write(f"[core]\nInclude = {self.conf}\nInclude = {self.conf}\n")
        scan = includes.scan(self.conf)
        self.assertEqual(list(scan.stamps), [self.conf])

    def test_neither_a_fifo_nor_a_device_is_waited_for(self) -> None:
        fifo = self.top / "mirrorlist"
        os.mkfifo(fifo)
        self.write(f"[core]\nInclude = {fifo}\nInclude = /dev/zero\n")
        self.assertIn(fifo, includes.scan(self.conf).stamps)
        self.conf.unlink()
        os.mkfifo(self.conf)
        self.assertIn(self.conf, includes.scan(self.conf).stamps)
