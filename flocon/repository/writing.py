"""Entries -> the bytes of a database, and back. No I/O.

The same entries always give the same bytes: no time, user or order of this machine is in them.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

from flocon.errors import RepositoryError
from flocon.repository.entries import Listed, read_listed

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes of a database, as pacman takes it (``dload.c``), and unpacked.
LARGEST_DATABASE = 128 << 20
LARGEST_UNPACKED = 1 << 30
#: As fast as it can be for what is read by all and written once.
_LEVEL = 6
_DESC, _FILES = "desc", "files"


def write_database(entries: Iterable[Listed]) -> bytes:
    """Return ``NAME.db``: an entry's folder and its ``desc``, by name."""
    return _write((one, {_DESC: one.desc}) for one in _ordered(entries))


def write_files(entries: Iterable[Listed]) -> bytes:
    """Return ``NAME.files``: the same with the list of files of each package."""
    return _write((one, {_DESC: one.desc, _FILES: one.files}) for one in _ordered(entries))


def read_files(data: bytes) -> list[Listed]:
    """Return the entries of a ``NAME.files`` that was written here; raises RepositoryError."""
    found: dict[str, dict[str, bytes]] = {}
    try:
        with gzip.open(io.BytesIO(data)) as unpacked:
            plain = unpacked.read(LARGEST_UNPACKED)
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    folder, _, name = member.name.rpartition("/")
                    found.setdefault(folder, {})[name] = file.read()
        return [read_listed(one[_DESC], one[_FILES]) for one in found.values()]
    except (OSError, EOFError, KeyError, zlib.error, tarfile.TarError):
        remedy = "have it made anew from its packages"
        raise RepositoryError("the database published last cannot be read", remedy) from None


def _ordered(entries: Iterable[Listed]) -> list[Listed]:
    """Return them by name; raises RepositoryError where two have one: pacman would take either."""
    ordered = sorted(entries, key=lambda one: one.name)
    for one, following in pairwise(ordered):
        if one.name == following.name:
            versions = f"{one.version} and {following.version}"
            raise RepositoryError(f"{one.name} comes twice: {versions}", "leave one of them out")
    return ordered


def _write(entries: Iterable[tuple[Listed, dict[str, bytes]]]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w:", format=tarfile.GNU_FORMAT) as tar:
        for one, files in entries:
            folder = tarfile.TarInfo(f"{one.folder}/")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
            for name, data in files.items():
                file = tarfile.TarInfo(f"{one.folder}/{name}")
                file.size = len(data)
                tar.addfile(file, io.BytesIO(data))
    if plain.tell() > LARGEST_UNPACKED:
        raise RepositoryError("the database would be too large to read", "remove some packages")
    data = gzip.compress(plain.getbuffer(), _LEVEL, mtime=0)
    if len(data) > LARGEST_DATABASE:
        remedy = "remove some packages: pacman takes no more than 128 MiB"
        raise RepositoryError("the database would be too large for pacman", remedy)
    return data
