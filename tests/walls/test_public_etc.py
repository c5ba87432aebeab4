"""What of /etc a job is shown."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.walls.public_etc import copy_public, system_accounts


class CopyTests(SynchronousTestCase):
    """From a folder that looks like it."""

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
        self.etc, self.to = folder / "etc", folder / "to"
        self.etc.mkdir()
        self._write("passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
        self._write("group", "root:x:0:\nann:x:1000:\n")

    def _write(self, name: str, text: str = "x", mode: int = 0o644) -> Path:
        path = self.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def _copied(self) -> list[str]:
        copy_public(self.etc, self.to)
        return sorted(
            str(one.relative_to(self.to)) for one in self.to.rglob("*") if not one.is_dir()
        )

    def test_what_everybody_may_read_is_there_as_it_is(self) -> None:
        self._write("ssl/certs/ca.crt")
        self._write("profile.d/x.sh", mode=0o755)
        (self.etc / "localtime").symlink_to("/usr/share/zoneinfo/UTC")
        self.assertEqual(
            self._copied(), ["group", "localtime", "passwd", "profile.d/x.sh", "ssl/certs/ca.crt"]
        )
        self.assertEqual((self.to / "profile.d/x.sh").stat().st_mode & 0o777, 0o755)

    def test_what_is_private_is_not(self) -> None:
        for name, mode in (("shadow", 0o640), ("ssl/private/key", 0o600), ("some.key", 0o600)):
            self._write(name, mode=mode)
        for name in (
            "ssh/ssh_config",
            "pacman.d/gnupg/pubring.gpg",
            "flocon.toml",
            "hosts",
            "machine-id",
        ):
            self._write(name)
        self._write("closed/open")
        (self.etc / "closed").chmod(0o700)
        self._write("pacman.d/mirrorlist")
        self.assertEqual(self._copied(), ["group", "pacman.d/mirrorlist", "passwd"])

    def test_persons_are_not_told(self) -> None:
        self._copied()
        self.assertEqual((self.to / "passwd").read_text(), "root:x:0:0::/root:/bin/sh\n")

    def test_accounts_that_are_a_link_are_none(self) -> None:
        (self.etc / "passwd").unlink()
        (self.etc / "passwd").symlink_to("/etc/passwd")
        self.assertEqual(system_accounts(self.etc / "passwd"), "")
