"""A signer in a folder of its own, with real keys; and packages to hand to it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocon.errors import FloconError
from flocon.repository.published import newest_generation
from flocon.repository.writing import read_files
from flocon.signing.requests import read
from flocon.signing.signer import Signer
from tests.repository.packages import File, archive, info, opened

NOW = 1_800_000_000.5
BASH = "x86_64"


def srcinfo(base: str, *names: str, version: str = "1.0-1", more: Sequence[str] = ()) -> str:
    """Return a .SRCINFO; ``more`` are lines of the base."""
    pkgver, _, pkgrel = version.rpartition("-")
    epoch, _, pkgver = pkgver.rpartition(":")
    lines = [f"pkgbase = {base}", f"\tpkgver = {pkgver}", f"\tpkgrel = {pkgrel}"]
    lines += [f"\tepoch = {epoch}"] if epoch else []
    lines += [f"\tarch = {BASH}", *(f"\t{one}" for one in more)]
    lines += [f"\npkgname = {name}" for name in names or (base,)]
    return "\n".join(lines) + "\n"


def build(base: str, *names: str, version: str = "1.0-1", **more: Any) -> dict[str, Any]:
    """Return what the keeper says of a build."""
    return {
        "base": base,
        "version": version,
        "architecture": BASH,
        "packages": list(names or (base,)),
        "commit": "ab" * 20,
        "srcinfo": srcinfo(base, *names, version=version),
        **more,
    }


def file_name(name: str, version: str = "1.0-1") -> str:
    return f"{name}-{version}-{BASH}.pkg.tar.zst"


def made(name: str, version: str = "1.0-1", *files: File, **values: Any) -> tuple[str, bytes]:
    """Return a package's file name and its bytes."""
    data = archive(*files, said=info(name, version, **values))
    return file_name(name, version), data


class SignerCase(TestCase):
    """Requests go to the signer as they come from a socket; answers as they go there."""

    keep = 3
    with_symbols = False

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        # A socket's path has 107 bytes at most.
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.published = self.folder / "published"
        self.keyring = self.folder / "pacman"
        self.keyring.mkdir(mode=0o700)
        self.now = NOW
        self.signer: Signer | None = None
        self.addCleanup(lambda: self.do(self.stopped()))
        return self.do(self.restarted())

    def do(self, coroutine: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(coroutine)

    async def stopped(self) -> None:
        if self.signer is not None:
            await self.signer.stop()

    async def restarted(self) -> None:
        """Have another signer go on from what is on disk."""
        await self.stopped()
        self.signer = Signer(
            reactor,
            self.folder / "home",
            self.published,
            wall=lambda: self.now,
            host="nas",
            keyring=self.keyring,
            keep=self.keep,
            debug=self.with_symbols,
        )
        await self.signer.start()

    async def told(
        self, do: str, handed: Sequence[tuple[str, bytes]] = (), **words: Any
    ) -> dict[str, Any]:
        assert self.signer is not None
        files = [opened(data) for _, data in handed]
        values: dict[str, Any] = {"do": do, **words}
        if handed:
            values["names"] = [name for name, _ in handed]
        try:
            return await self.signer.do(read(values, len(files)), files)
        finally:
            for one in files:
                os.close(one)

    async def refused(self, do: str, handed: Sequence[tuple[str, bytes]] = (), **words: Any) -> str:
        """Return why it is refused; nothing may have changed then."""
        before = self.state()
        try:
            await self.told(do, handed, **words)
        except FloconError as error:
            self.assertEqual(self.state(), before)
            return str(error)
        raise self.failureException(f"{do} was not refused")

    def state(self) -> Mapping[str, bytes]:
        """Return what pacman and others would find: each file that is published."""
        return {
            str(path.relative_to(self.published)): path.read_bytes()
            for path in sorted(self.published.rglob("*"))
            if path.is_file()
        }

    def listed(self, name: str = "home") -> dict[str, str]:
        """Return what is published now, each package with its version; all of it is verified."""
        return verified(self.published / name)


def verified(folder: Path) -> dict[str, str]:
    """Return packages and versions of what is published in a folder.

    Fails where anything of it is not there, not whole, or not signed by the keys beside it.
    """
    generation = newest_generation(folder)
    assert generation is not None, "nothing is published"
    place = folder / "generations" / str(generation.sequence)
    for name, content in generation.databases.items():
        assert _content(place / name) == (content.size, content.sha256), name
    for name in (f"{folder.name}.db", f"{folder.name}.files"):
        signed = gpgv(folder / "key.gpg", place / f"{name}.sig", place / name)
        assert signed == generation.signed, (signed, generation.signed)
    entries = read_files((place / f"{folder.name}.files").read_bytes())
    for one in entries:
        path = folder / "packages" / one.file_name
        assert _content(path) == (one.content.size, one.content.sha256), one.file_name
        signature = path.with_name(f"{path.name}.sig")
        assert gpgv(folder / "key.gpg", signature, path), one.file_name
        assert signature.read_bytes() == one.signature, one.file_name
    note = json.loads((place / "generation.json").read_text())
    assert sorted(one["file"] for one in note["files"]) == sorted(one.file_name for one in entries)
    return {one.name: one.version for one in entries}


def _content(path: Path) -> tuple[int, bytes]:
    data = path.read_bytes()
    return len(data), hashlib.sha256(data).digest()


def gpgv(key: Path, signature: Path, file: Path) -> int:
    """Return the second of a good signature, 0 for any other."""
    done = subprocess.run(
        ["gpgv", "--status-fd", "1", "--keyring", key, signature, file],
        capture_output=True,
        check=False,
    )
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    seconds = [int(line[4]) for line in lines if line[1:2] == ["VALIDSIG"]]
    return seconds[0] if done.returncode == 0 and len(seconds) == 1 else 0
