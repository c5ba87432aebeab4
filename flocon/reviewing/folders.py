"""A recipe in a folder of this machine, packed for the node, which may not look there."""

from __future__ import annotations

import io
import re
import stat
import tarfile
from typing import TYPE_CHECKING

from flocon.errors import RecipeError
from flocon.machine.reading import read_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Bytes and files of a recipe: it is text, with a patch or two.
LARGEST, MOST_FILES = 4 << 20, 200
#: What makepkg and git leave in such a folder.
_LEFT = frozenset({".git", "src", "pkg"})
_MADE = re.compile(r".*\.(pkg|src)\.tar(\.[a-z0-9]+)?(\.sig)?|.*\.log")
#: What has to be there, and how it is made: nobody runs a recipe to find out what it says.
_NEEDED = {
    "PKGBUILD": ", so it is no recipe's folder",
    ".SRCINFO": ": make it there by 'makepkg --printsrcinfo > .SRCINFO'",
}


def packed(folder: Path) -> bytes:
    """Return a tar of the folder's files, the recipe's at its top, links as links.

    Raises RecipeError where it is no recipe, or too large for one.
    """
    for name, remedy in _NEEDED.items():
        if not (folder / name).is_file():
            raise RecipeError(str(folder), 0, f"has no {name}{remedy}")
    body = io.BytesIO()
    count = size = 0
    with tarfile.open(fileobj=body, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(_files(folder)):
            entry, data = _entry(path, path.relative_to(folder).as_posix())
            count, size = count + 1, size + len(data)
            if count > MOST_FILES or size > LARGEST:
                problem = f"has more than {MOST_FILES} files or {LARGEST >> 20} MiB"
                remedy = "take a copy without what makepkg downloaded"
                raise RecipeError(str(folder), 0, f"{problem}: {remedy}")
            tar.addfile(entry, io.BytesIO(data))
    return body.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _LEFT or _MADE.fullmatch(path.name):
            continue
        kind = path.lstat().st_mode
        if stat.S_ISDIR(kind):
            yield from _files(path)
        elif stat.S_ISREG(kind) or stat.S_ISLNK(kind):
            yield path
        else:
            raise RecipeError(str(path), 0, "is no file; a recipe has nothing else")


def _entry(path: Path, name: str) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    try:
        if path.is_symlink():
            entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
            return entry, b""
        data = read_plain(path, LARGEST)
        entry.mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
    except OSError as error:
        raise RecipeError(str(path), 0, f"cannot be read ({error.strerror})") from None
    entry.size = len(data)
    return entry, data
