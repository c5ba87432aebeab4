"""Lays a recipe's files out in a folder, from an archive that is believed to be anything."""

from __future__ import annotations

import os
import re
import tarfile
from typing import IO, TYPE_CHECKING

from flocon.errors import BuildError
from flocon.recipes.recipe import PKGBUILD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What a recipe may have: the AUR takes files of 250 KiB, other places larger ones.
MOST_FILES = 2_000
MOST_BYTES = 64 << 20
_LONGEST_PATH = 1_024


def lay_out(archive: IO[bytes], folder: Path) -> None:
    """Write an archive's files into ``folder``, which is new and nobody else's; raise BuildError.

    Only files, links and the folders they lie in; nothing lies, or leads, outside of the folder.
    """
    room = MOST_BYTES
    try:
        with tarfile.open(fileobj=_Bounded(archive), mode="r|") as tar:  # type: ignore[call-overload]
            for count, member in enumerate(tar):
                if count >= MOST_FILES:
                    raise _wrong("more files than a recipe has")
                path = _inside(folder, member.name)
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                elif member.issym():
                    _link(folder, path, member.linkname)
                elif member.isreg():
                    room -= member.size
                    if room < 0:
                        raise _wrong("more bytes than a recipe has")
                    data = tar.extractfile(member)
                    _write(path, data.read() if data else b"", executable=member.mode & 0o100 > 0)
                else:
                    raise _wrong(f"{member.name!r}, which is neither file nor link")
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise _wrong(f"no archive that can be read ({error})") from None
    if not (folder / PKGBUILD).is_file() or (folder / PKGBUILD).is_symlink():
        raise _wrong("no PKGBUILD")


def write_versions(folder: Path, versions: Mapping[str, str]) -> None:
    """Write other values over the PKGBUILD's own ``pkgver=`` and ``pkgrel=``; raise BuildError."""
    path = folder / PKGBUILD
    text = path.read_bytes()
    for name, value in versions.items():
        line = re.compile(rb"^" + name.encode() + rb"=[^\n]*$", re.MULTILINE)
        # As makepkg writes its own: wherever such a line is.
        if not line.search(text):
            raise BuildError(
                f"the PKGBUILD has no line of its own for {name}", "it cannot be built as another"
            )
        text = line.sub(f"{name}={value}".encode(), text)
    path.write_bytes(text)


class _Bounded:
    """A file of which no more is read than a recipe may have."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = MOST_BYTES + MOST_FILES * 2_048

    def read(self, size: int) -> bytes:
        if size > self._left:
            raise _wrong("more bytes than a recipe has")
        data = self._file.read(size)
        self._left -= len(data)
        return data


def _wrong(what: str) -> BuildError:
    return BuildError(f"the recipe has {what}", "")


def _inside(folder: Path, name: str) -> Path:
    """Return where ``name`` lies, when no link is on the way there."""
    parts = [one for one in name.split("/") if one not in {"", "."}]
    if name.startswith("/") or ".." in parts or len(name) > _LONGEST_PATH or "\0" in name:
        raise _wrong(f"{name!r}, which lies outside of it")
    path = folder
    for part in parts:
        if path.is_symlink():
            raise _wrong(f"{name!r}, which lies behind a link")
        path = path / part
    return path


def _link(folder: Path, path: Path, target: str) -> None:
    depth = len(path.relative_to(folder).parts) - 1
    for part in target.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            break
    if depth < 0 or target.startswith("/") or not target or len(target) > _LONGEST_PATH:
        raise _wrong(f"a link that leads outside of it, to {target!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _write(path: Path, data: bytes, *, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o755 if executable else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
