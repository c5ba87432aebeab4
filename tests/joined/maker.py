"""Who makes an own repository: a real key, and generations as a signer leaves them on disk."""

from __future__ import annotations

import atexit
import gzip
import hashlib
import io
import tarfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.joined.keys import read_keys
from flocon.joined.told import Generation, Piece, file_names
from tests.pgp import Signer

if TYPE_CHECKING:
    from collections.abc import Mapping

#: When the first generation of a test is signed.
THEN = 1_700_000_000


def signer(number: int = 0) -> Signer:
    """Return a key, the same for all tests: gpg takes its time."""
    return _signer(number)


@cache
def _signer(number: int) -> Signer:
    made = Signer(at=f"{THEN - 1_000 - number}")
    atexit.register(made.close)
    return made


def file_name(name: str, version: str = "1-1") -> str:
    return f"{name}-{version}-any.pkg.tar.zst"


def content(name: str) -> bytes:
    """Return what stands for a package's bytes."""
    return f"package {name}".encode() * 20


def desc(name: str, version: str) -> str:
    """Return what a database says of a package."""
    fields = {
        "FILENAME": file_name(name, version),
        "NAME": name,
        "VERSION": version,
        "CSIZE": len(content(name + version)),
        "SHA256SUM": hashlib.sha256(content(name + version)).hexdigest(),
        "ARCH": "any",
    }
    return "".join(f"%{key}%\n{value}\n\n" for key, value in fields.items())


def database(packages: Mapping[str, str], *, files: bool = False) -> bytes:
    """Return a database that lists packages, names to versions."""
    members: list[tuple[str, str]] = []
    for name, version in packages.items():
        members.append((f"{name}-{version}/desc", desc(name, version)))
        if files:
            members.append((f"{name}-{version}/files", f"%FILES%\nusr/\nusr/{name}\n"))
    return packed(*members)


def packed(*members: tuple[str, str]) -> bytes:
    """Return an archive of texts by their paths."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, text in members:
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(archive.getvalue(), mtime=0)


class Maker:
    """Publishes the repository ``name`` below ``folder``, signed by ``key``."""

    def __init__(self, folder: Path, name: str = "home", key: Signer | None = None) -> None:
        self.name = name
        self.key = key or signer()
        self.folder = folder / name
        self.published = folder
        (self.folder / "generations").mkdir(parents=True)
        (self.folder / "packages").mkdir()
        (self.folder / "key.gpg").write_bytes(self.public)
        self.sequence = 0

    @property
    def public(self) -> bytes:
        return self.key.gpg("--export")

    @property
    def fingerprint(self) -> str:
        return read_keys(self.public)[0].fingerprint

    def files(
        self, packages: Mapping[str, str], signed: int, listed: Mapping[str, str] | None = None
    ) -> dict[str, bytes]:
        """Return the four files of a generation; ``listed`` is what the list of files is of."""
        found: dict[str, bytes] = {}
        for suffix in ("db", "files"):
            is_files = suffix == "files"
            data = database((listed or packages) if is_files else packages, files=is_files)
            path = self.folder / "draft"
            path.write_bytes(data)
            found[f"{self.name}.{suffix}"] = data
            found[f"{self.name}.{suffix}.sig"] = self.sign(path, signed)
            path.unlink()
        return found

    def sign(self, path: Path, signed: int) -> bytes:
        when = time.strftime("%Y%m%dT%H%M%S", time.gmtime(signed))
        return self.key.sign(path, "--faked-system-time", f"{when}!")

    def publish(self, packages: Mapping[str, str], signed: int) -> dict[str, bytes]:
        """Publish a generation as a signer does; return its files."""
        self.sequence += 1
        files = self.files(packages, signed)
        place = self.folder / "generations" / str(self.sequence)
        place.mkdir()
        for name, data in files.items():
            (place / name).write_bytes(data)
        link = self.folder / "new"
        link.symlink_to(f"generations/{self.sequence}")
        link.rename(self.folder / "current")
        return files

    def told(self, files: Mapping[str, bytes], signed: int, sequence: int = 1) -> Generation:
        pieces = {
            name: Piece(hashlib.sha256(files[name]).hexdigest(), len(files[name]))
            for name in file_names(self.name)
        }
        return Generation(self.name, signed, sequence, self.fingerprint, pieces)
