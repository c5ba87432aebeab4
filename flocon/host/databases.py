"""Sync databases on disk: a file -> its entries, whatever it is compressed with.

Everything here blocks and belongs in a thread; nothing raises for what a file may contain.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import sys
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from flocon.core.syncdb import Database, PackedEntries, read_entries
from flocon.errors import StoreError, SyncDatabaseError
from flocon.host import folder
from flocon.host.cache import Opened
from flocon.host.vault import FileVault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flocon.core.syncdb import Entry

#: pacman takes no larger database (``dload.c``).
LARGEST_FILE = 128 << 20
#: A file that is written in place is read again, so often.
_TRIES = 3
_READ_SIZE = 1 << 16
_ZSTD = b"\x28\xb5\x2f\xfd"


class Stamp(NamedTuple):
    """What tells a file from the one that was there before."""

    device: int
    inode: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a database's file: as of ``stamp`` (None: there is none).

    ``database`` is None where the file is missing or cannot be used; ``problem`` says why.
    """

    stamp: Stamp | None = None
    database: Database | None = None
    problem: str = ""


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of what lies at ``path`` now, or None where nothing is."""
    try:
        return _stamp(os.stat(path))  # noqa: PTH116 - half the time of Path.stat
    except (OSError, ValueError):
        return None


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def load(repository: str, path: Path, known: Loaded | None = None) -> Loaded:
    """Read the database of ``repository``; entries already ``known`` are not read again."""
    stamp = stamp_of(path)
    if stamp is None:
        return Loaded()
    try:
        data, stamp = _read(path)
        database = _parse(repository, data, stamp, known.database if known else None)
    except (OSError, SyncDatabaseError) as error:
        return Loaded(stamp, None, str(error))
    return Loaded(stamp, database)


def find_problem(descriptor: int) -> str:
    """Return why an open file can be no sync database, nothing where it can be one."""
    data = b""
    try:
        size = os.fstat(descriptor).st_size
        if size > LARGEST_FILE:
            return f"more than {LARGEST_FILE} bytes"
        data = os.pread(descriptor, size, 0)
        with decompress(data) as file:
            for _ in read_entries("", file):
                pass
    except SyncDatabaseError as error:
        return f"is no database: {error}"
    except _errors(data) as error:
        return f"is no database: {error}"
    return ""


def _read(path: Path) -> tuple[bytes, Stamp]:
    """Return all of one file, and its stamp: through one descriptor, so never of two files."""
    with path.open("rb") as file:
        for _ in range(_TRIES):
            file.seek(0)
            stamp = _stamp(os.fstat(file.fileno()))
            data = file.read(LARGEST_FILE + 1)
            if len(data) > LARGEST_FILE:
                raise SyncDatabaseError("large", f"more than {LARGEST_FILE} bytes")
            if _stamp(os.fstat(file.fileno())) == stamp:
                return data, stamp
    raise SyncDatabaseError("changing", "it is being written")


def _parse(repository: str, data: bytes, stamp: Stamp, known: Database | None) -> Database:
    digest = hashlib.sha256(data).hexdigest()[:16]
    modified = stamp.modified_ns / 1e9
    if known is not None and known.digest == digest:
        return Database(repository, digest, modified, known.entries, known.skipped)
    skipped: Counter[str] = Counter()
    try:
        with decompress(data) as file:
            entries = _pack(repository, read_entries(repository, file, skipped))
    except _errors(data) as error:
        raise SyncDatabaseError("compression", str(error)) from None
    return Database(repository, digest, modified, entries, skipped.total() + entries.repeated)


def _pack(repository: str, entries: Iterable[Entry]) -> PackedEntries:
    try:
        vault = FileVault()
    except OSError:
        return PackedEntries(repository, entries)
    packed = PackedEntries(repository, entries, vault)
    vault.flush()
    return packed


def decompress(data: bytes) -> BinaryIO:
    """Return a file that reads ``data`` without its compression, told by its first bytes.

    Reading it may raise one of ``_errors``.
    """
    file = io.BytesIO(data)
    reader: io.BufferedIOBase
    if data.startswith(b"\x1f\x8b"):
        reader = gzip.GzipFile(fileobj=file)
    elif data.startswith(_ZSTD):
        reader = _zstd().ZstdFile(file)
    elif data.startswith(b"\xfd7zXZ\0"):
        reader = lzma.LZMAFile(file)  # noqa: SIM115 - closed by the caller
    elif data.startswith(b"BZh"):
        reader = bz2.BZ2File(file)
    else:
        return file
    # Small reads are for BufferedReader: it takes them from memory without a line of Python.
    return io.BufferedReader(cast("io.RawIOBase", reader), _READ_SIZE)


def _errors(data: bytes) -> tuple[type[Exception], ...]:
    """Return what the modules raise that take the compression off ``data``."""
    errors = (OSError, EOFError, zlib.error, lzma.LZMAError)
    return (*errors, _zstd().ZstdError) if data.startswith(_ZSTD) else errors


def _zstd() -> Any:
    """Import what reads zstd where it is needed: half a megabyte, and Arch's databases are gzip."""
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415
    return zstd


def open_database(directory: Path, file_name: str) -> Opened:
    """Open a database in pacman's folder for others to read; raises StoreError."""
    try:
        stamp = folder.stamp_of(os.lstat(directory / file_name))
        return Opened(folder.open_file(directory, file_name, stamp), stamp)
    except OSError as error:
        raise StoreError(str(directory / file_name), error.strerror or str(error)) from None
