"""Real OpenPGP keys, made by gpg in a folder of their own, for whatever needs signatures."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path


class Signer:
    """A gpg home with one secret key that never expires, unless told otherwise.

    ``close`` ends gpg's agent and removes the home. The path is short: a socket lies in it.
    """

    def __init__(self, *, at: str = "", expires: str = "never") -> None:
        self.home = Path(tempfile.mkdtemp(prefix="flocon-gpg-"))
        self._clock = ["--faked-system-time", at] if at else []
        self.gpg(
            "--passphrase", "", "--quick-gen-key", "packager@example", "ed25519", "sign", expires
        )

    def gpg(self, *arguments: str) -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--pinentry-mode"]
        command += ["loopback", "--no-tty", *self._clock, *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def sign(self, path: Path, *options: str) -> bytes:
        """Return a detached signature of the file."""
        return self.gpg(*options, "--detach-sign", "--output", "-", str(path))

    def revoke(self) -> None:
        """Publish the revocation that gpg has laid ready."""
        (ready,) = (self.home / "openpgp-revocs.d").iterdir()
        ready.write_text(ready.read_text().replace(":-----BEGIN", "-----BEGIN"))
        self.gpg("--import", str(ready))

    def publish(self, gpg_directory: Path, name: str = "pubring.gpg") -> None:
        """Put the public key into ``gpg_directory`` the way that pacman's keyring has it."""
        gpg_directory.mkdir(parents=True, exist_ok=True)
        if name == "pubring.kbx":
            shutil.copyfile(self.home / name, gpg_directory / name)
        else:
            with (gpg_directory / name).open("ab") as file:
                file.write(self.gpg("--export"))

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False)
        shutil.rmtree(self.home, ignore_errors=True)
