"""What is read of the configuration and what lies beside it, and what is refused."""

from __future__ import annotations

import os
from unittest import mock

from flocon.errors import ConfigurationError
from flocon.leading import look, setup
from flocon.machine import reading
from tests.leading.pacman_shapes import CORE, SHAPES, stock
from tests.leading.setup_case import Case, change, contents


class Looking(Case):
    def test_a_backup_is_hidden_where_an_include_would_read_it(self) -> None:
        path = SHAPES["backups that an Include would read"].write(self.etc)
        change(path)
        self.assertIn("pacman.d/.mirrorlist.flocon-backup", contents(self.etc))
        self.assertNotIn("pacman.d/mirrorlist.flocon-backup", contents(self.etc))

    def test_neither_a_fifo_nor_a_device_is_read(self) -> None:
        path = self.write(stock(CORE))
        mirrorlist = self.etc / "pacman.d/mirrorlist"
        for put in (os.mkfifo, lambda one: one.symlink_to("/dev/zero")):
            mirrorlist.unlink()
            put(mirrorlist)
            self.assertIn("is not a regular file", self.refusal(lambda: change(path)))

    def test_a_record_of_a_stranger_is_refused(self) -> None:
        path = self.write(stock(CORE))
        for text in ("{", "[]", '{"version": 2, "files": []}', "[" * 5000):
            (self.etc / "pacman.conf.flocon-setup").write_text(text)
            self.assertIn("is not a record", self.refusal(lambda: change(path)))


class Unreadable(Case):
    def test_what_cannot_be_read_is_not_taken_for_gone(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        read = reading.read_plain

        def refuse(one: str, most: int) -> bytes:
            if one.endswith("mirrorlist"):
                raise PermissionError(13, "Permission denied")
            return read(one, most)

        before = contents(self.etc)
        with mock.patch.object(look, "read_plain", refuse):
            self.assertRaises(ConfigurationError, setup.undo, path, dry_run=False)
        self.assertEqual(before, contents(self.etc))
