"""Files are replaced as they were, all or none, and only where that is possible."""

from __future__ import annotations

import os
from unittest import mock, skipUnless

from flocon.errors import ConfigurationError
from flocon.leading import replacing
from tests.leading.pacman_shapes import CORE, SHAPES, stock
from tests.leading.setup_case import NEEDS_ROOT, Case, change
from tests.leading.test_setup import NOBODY


class Replacing(Case):
    def test_mode_and_owner_stay(self) -> None:
        path = self.write(stock(CORE))
        mirrorlist = self.etc / "pacman.d/mirrorlist"
        mirrorlist.chmod(0o640)
        if os.geteuid() == 0:
            os.chown(mirrorlist, 12, 34)
        before = mirrorlist.stat()
        change(path)
        after = mirrorlist.stat()
        self.assertNotEqual(before.st_ino, after.st_ino)
        self.assertEqual(
            (before.st_mode, before.st_uid, before.st_gid),
            (after.st_mode, after.st_uid, after.st_gid),
        )

    def test_a_link_stays_a_link(self) -> None:
        path = SHAPES["a symlinked mirrorlist and pacman.conf"].write(self.etc)
        change(path)
        self.assertTrue(path.is_symlink())
        self.assertTrue((self.etc / "pacman.d/mirrorlist").is_symlink())

    def test_a_failure_halfway_puts_all_back(self) -> None:
        path = self.write(SHAPES["endeavouros"].files)
        write = replacing._write
        for failing in range(5):
            count = iter(range(100))

            def flaky(name: str, text: bytes, *, like: str) -> None:
                if next(count) == failing:  # noqa: B023 - used within this turn
                    raise ConfigurationError(name, "cannot be written", "try again")
                write(name, text, like=like)

            with mock.patch.object(replacing, "_write", flaky):
                self.assertIn("cannot be written", self.refusal(lambda: change(path)))

    @skipUnless(os.geteuid() == 0, NEEDS_ROOT)
    def test_a_file_or_folder_that_is_read_only_is_refused(self) -> None:
        self.base.chmod(0o755)
        path = self.write(stock(CORE))
        self.etc.chmod(0o755)
        folder = self.etc / "pacman.d"
        for mode_of_file, mode_of_folder in ((0o644, 0o777), (0o666, 0o755)):
            (folder / "mirrorlist").chmod(mode_of_file)
            folder.chmod(mode_of_folder)
            os.seteuid(NOBODY)
            try:
                said = self.refusal(lambda: change(path))
            finally:
                os.seteuid(0)
            self.assertIn("mirrorlist: cannot be written (no permission for", said)
            self.assertIn("run this as root", said)

    def test_a_file_with_another_hard_link_is_refused(self) -> None:
        path = self.write(stock(CORE))
        os.link(self.etc / "pacman.d/mirrorlist", self.base / "other")
        self.assertIn("has another hard link", self.refusal(lambda: change(path)))

    def test_a_strangers_backup_is_not_overwritten(self) -> None:
        path = self.write(stock(CORE))
        (self.etc / "pacman.d/mirrorlist.flocon-backup").write_bytes(b"precious")
        self.assertIn("move it away", self.refusal(lambda: change(path)))
