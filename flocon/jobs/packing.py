"""A recipe's files as one tar, and back. Nothing is unpacked into a folder here.

What a tar may have that came from a person's folder is bounded in number, size and names.
"""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
from typing import TYPE_CHECKING

from flocon.errors import RecipeError
from flocon.recipes.recipe import FILE, LINK, PROGRAM, Recipe, TreeFile

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes of a tar, files of a recipe, and characters of a path.
LARGEST_TAR, MOST_FILES, LONGEST_PATH = 4 << 20, 512, 200


def pack(recipe: Recipe, when: float = 0.0) -> bytes:
    """Return a tar of a recipe's files: the same bytes for the same files and time."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(recipe.files):
            file = recipe.files[path]
            info = tarfile.TarInfo(path)
            info.mtime = int(when)
            info.mode = file.mode & 0o777 or 0o777
            if stat.S_ISLNK(file.mode):
                info.type = tarfile.SYMTYPE
                info.linkname = file.data.decode("utf-8", "surrogateescape")
                tar.addfile(info)
            else:
                info.size = len(file.data)
                tar.addfile(info, io.BytesIO(file.data))
    return target.getvalue()


def unpack(data: bytes, base: str = "", commit: str = "") -> Recipe:
    """Return what a tar has; raises RecipeError where that is no recipe.

    Without a ``commit`` it is given one: 40 hex digits that stand for these very files.
    """
    if len(data) > LARGEST_TAR:
        raise RecipeError("the folder", 0, f"it has more than {LARGEST_TAR} bytes")
    files: dict[str, TreeFile] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for info in tar:
                if info.isdir():
                    continue
                if len(files) >= MOST_FILES:
                    raise RecipeError("the folder", 0, f"it has more than {MOST_FILES} files")
                path = _path(info.name)
                files[path] = _file(tar, info, path)
    except (tarfile.TarError, OSError, ValueError, EOFError):
        raise RecipeError("the folder", 0, "it did not come as a tar") from None
    if "PKGBUILD" not in files:
        raise RecipeError("the folder", 0, "there is no PKGBUILD in it")
    return Recipe(base, commit or _digest(files), files)


def _path(name: str) -> str:
    path = name.removeprefix("./")
    parts = path.split("/")
    if len(path) > LONGEST_PATH or not all(parts) or not {".", ".."}.isdisjoint(parts):
        raise RecipeError(name[:LONGEST_PATH], 0, "is no name for a recipe's file")
    if parts[0] == ".git" or not path.isprintable():
        raise RecipeError(path[:LONGEST_PATH], 0, "is no file of a recipe")
    return path


def _file(tar: tarfile.TarFile, info: tarfile.TarInfo, path: str) -> TreeFile:
    if info.issym():
        return TreeFile(LINK, info.linkname.encode("utf-8", "surrogateescape"))
    source = tar.extractfile(info) if info.isreg() else None
    if source is None:
        raise RecipeError(path, 0, "is neither a file nor a link")
    return TreeFile(PROGRAM if info.mode & 0o100 else FILE, source.read())


def _digest(files: Mapping[str, TreeFile]) -> str:
    """Return what stands for these files: 40 digits, as a commit has."""
    digest = hashlib.sha256()
    for path in sorted(files):
        file = files[path]
        digest.update(f"{path}\0{file.mode:o}\0{len(file.data)}\0".encode())
        digest.update(file.data)
    return digest.hexdigest()[:40]
