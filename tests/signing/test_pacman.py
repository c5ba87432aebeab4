"""What the signer publishes, taken by real pacmans that ask for signatures of all of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from twisted.internet.defer import Deferred

from tests.needs import leave_out
from tests.repository.packages import File
from tests.signing.case import SignerCase, made
from tests.wanted.real_pacman import pacmans


class PacmanTests(SignerCase):
    """One machine for each pacman, which trusts the repository as ``flocon repo join`` has it."""

    async def restarted(self) -> None:
        is_first = self.signer is None
        await super().restarted()
        if is_first:
            await self.told("init", name="home")

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        leave_out("" if os.geteuid() == 0 else "pacman installs for root only")
        leave_out("" if shutil.which("pacman") else "pacman is not installed")
        self.pacmans = pacmans()
        return super().setUp()

    def machine(self, pacman: str) -> Path:
        """Return the folder of a machine."""
        folder = self.folder / f"machine-{self.pacmans.index(pacman)}"
        if not folder.exists():
            for name in ("root/var/lib/pacman", "cache", "gnupg"):
                (folder / name).mkdir(parents=True)
            (folder / "gnupg").chmod(0o700)
            # As pacman-key begins: gpg goes on with a keyring of this name.
            (folder / "gnupg" / "pubring.gpg").touch()
            lines = ["[options]", "Architecture = x86_64", f"RootDir = {folder}/root"]
            lines += [f"DBPath = {folder}/root/var/lib/pacman", f"CacheDir = {folder}/cache"]
            lines += [f"GPGDir = {folder}/gnupg", "LogFile = /dev/null"]
            lines += [
                "[home]",
                "SigLevel = Required TrustedOnly",
                f"Server = file://{folder}/mirror",
            ]
            (folder / "pacman.conf").write_text("\n".join([*lines, ""]))
        return folder

    def mirror(self, folder: Path) -> None:
        """Lay out what is published now as pacman asks for it."""
        published, mirror = self.published / "home", folder / "mirror"
        shutil.rmtree(mirror, ignore_errors=True)
        shutil.copytree(published / "current", mirror)
        shutil.copytree(published / "packages", mirror, dirs_exist_ok=True)
        for path in (self.folder, folder, mirror, *mirror.iterdir()):
            path.chmod(0o755)

    def trust(self, folder: Path) -> None:
        """Have the machine know all keys that are handed out, and trust them."""
        gpg = ["gpg", "--homedir", str(folder / "gnupg"), "--batch", "--quiet", "--no-autostart"]
        key = self.published / "home" / "key.gpg"
        subprocess.run([*gpg, "--import", str(key)], check=True, capture_output=True)
        said = subprocess.run(
            [*gpg, "--with-colons", "--list-keys"], check=True, capture_output=True, text=True
        ).stdout
        prints = [line.split(":")[9] for line in said.splitlines() if line.startswith("fpr:")]
        trust = "".join(f"{one}:6:\n" for one in prints)
        subprocess.run([*gpg, "--import-ownertrust"], check=True, input=trust, text=True,
                       capture_output=True)  # fmt: skip

    def run_pacman(self, pacman: str, *words: str) -> tuple[int, str]:
        folder = self.machine(pacman)
        self.mirror(folder)
        environment = {**os.environ, "LC_ALL": "C"}
        if pacman.endswith("/pacman"):
            environment["LD_LIBRARY_PATH"] = f"{os.environ['FLOCON_PACMAN_7']}/lib"
        done = subprocess.run(
            [pacman, "--config", str(folder / "pacman.conf"), "--noconfirm", *words],
            capture_output=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    def installs(self, pacman: str, *words: str) -> str:
        """Run pacman; return what is installed then."""
        status, said = self.run_pacman(pacman, *words)
        self.assertEqual(status, 0, said)
        return self.run_pacman(pacman, "-Q")[1].strip()

    def test_it_is_taken_by_who_trusts_the_key_and_by_nobody_else(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo", "1.0-1", File("usr/bin/foo"))], trusted=True)
            for pacman in self.pacmans:
                status, said = self.run_pacman(pacman, "-Sy", "foo")
                self.assertEqual(status, 1, said)
                self.assertRegex(said, "is unknown|unknown trust|required key missing")
                self.trust(self.machine(pacman))
                self.assertEqual(self.installs(pacman, "-Sy", "foo"), "foo 1.0-1")

        return self.do(run())

    def test_it_goes_on_back_and_over_to_another_key(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo", "1.0-1")], trusted=True)
            await self.told("replace")
            for pacman in self.pacmans:
                self.trust(self.machine(pacman))
                self.assertEqual(self.installs(pacman, "-Sy", "foo"), "foo 1.0-1")
            await self.told("add", [made("foo", "2.0-1")], trusted=True)
            for pacman in self.pacmans:
                self.assertEqual(self.installs(pacman, "-Syyu"), "foo 2.0-1")
            await self.told("rollback", package="foo")
            for pacman in self.pacmans:
                self.assertEqual(self.installs(pacman, "-Syyuu"), "foo 1.0-1")
            await self.told("switch")
            for pacman in self.pacmans:
                # It knows the key that signs now, and hears that the other is revoked.
                shutil.rmtree(self.machine(pacman) / "cache")
                (self.machine(pacman) / "cache").mkdir()
                self.trust(self.machine(pacman))
                self.assertEqual(self.installs(pacman, "-Syy", "foo"), "foo 1.0-1")

        return self.do(run())
