"""The signer as a process, and how it is asked: for tests that kill it, and by hand."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Seconds in which it has begun to listen, also on a slow machine, and in which it answers.
PATIENCE = 60.0


class SignerProcess:
    """``python -m flocon.signing`` in a folder: started, asked, killed, started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.path = str(folder / "socket")
        self.published = folder / "published"
        self.keyring = folder / "pacman"
        self.keyring.mkdir(mode=0o700, exist_ok=True)
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        words = ["--listen", self.path, "--home", str(self.folder / "home")]
        words += ["--published", str(self.published), "--keyring", str(self.keyring)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flocon.signing", *words, *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + PATIENCE
        while not self._listens():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, "it does not begin to listen"
            time.sleep(0.01)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(self.path)
            except OSError:
                return False
            return True

    def kill(self) -> None:
        """End it as a power cut would; what it had gpg do may go on for a moment."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """End it as systemd would; return its status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def descriptors(self) -> int:
        """Return how many descriptors it has open."""
        assert self._process is not None
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def close(self) -> None:
        """Have nothing of it left."""
        self.kill()
        for home in (self.folder / "home").glob("keys/*/gnupg"):
            subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)

    def begin(self, request: dict[str, Any], files: Sequence[bytes] = ()) -> socket.socket:
        """Ask for something with files of these contents; return the connection."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(self.path)
        descriptors = [os.memfd_create("package") for _ in files]
        try:
            for descriptor, data in zip(descriptors, files, strict=True):
                os.write(descriptor, data)
            values = {**request, "files": len(files)} if files else request
            line = json.dumps(values).encode() + b"\n"
            for at, descriptor in enumerate(descriptors):
                socket.send_fds(client, [line[at : at + 1]], [descriptor])
            client.sendall(line[len(descriptors) :])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return client

    def ask(self, request: dict[str, Any], files: Sequence[bytes] = ()) -> dict[str, Any]:
        """Ask, and return what it answers in the end; {} where it ended before."""
        try:
            with self.begin(request, files) as client, client.makefile("rb") as answers:
                for line in answers:
                    said: dict[str, Any] = json.loads(line)
                    if "error" in said or said.get("done"):
                        return said
        except OSError:
            pass
        return {}
