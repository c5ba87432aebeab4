"""Sync databases on disk: a file -> its entries, whatever it is compressed with.

Everything here blocks and belongs in a thread; nothing raises for what a file may contain.
NoDescriptors is raised where it is not to be known.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flocon.errors import NoDescriptors, StoreError, SyncDatabaseError
from flocon.machine.limits import lacks_descriptors
from flocon.machine.reading import open_plain
from flocon.pacman.compression import (
    STRANGERS,
    begins_compressed,
    by_program,
    errors,
    first_bytes,
    lacks_memory,
    name_of,
    without_compression,
)
from flocon.pacman.entries import PackedEntries
from flocon.pacman.listing import Database
from flocon.pacman.syncdb import can_begin_tar, read_entries
from flocon.pacman.vault import FileVault
from flocon.store import folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from typing import BinaryIO, TypeVar

    from flocon.pacman.entries import Entry

    T = TypeVar("T")

#: pacman takes no larger database (``dload.c``).
LARGEST_FILE = 128 << 20
#: A file that is written in place is read again, so often.
_TRIES = 3
#: A file's beginning of so many bytes tells what it is: a tar's first header, compressed or not.
BEGINNING = 64 << 10
_HEADER = 512
_READ_SIZE = 1 << 20
_DIGEST_LENGTH = 16
#: Reasons for which nobody else is asked to read a file: it is beyond what a database can be.
_BOUNDS = frozenset({"large", "many", "desc"})


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
    except OSError as error:
        if lacks_descriptors(error):
            raise NoDescriptors(str(path)) from None
        return Loaded(stamp, None, error.strerror or str(error))
    except MemoryError:
        return Loaded(stamp, None, "there is too little memory for it; raise 'ulimit -v'")
    except SyncDatabaseError as error:
        return Loaded(stamp, None, str(error))
    return Loaded(stamp, database)


def digest_of(descriptor: int) -> str:
    """Return the digest of an open file, as ``Database.digest`` is."""
    return sha256_of(descriptor)[:_DIGEST_LENGTH]


def sha256_of(descriptor: int) -> str:
    """Return the SHA-256 of an open file, in hex."""
    sha256 = hashlib.sha256()
    position = 0
    while data := os.pread(descriptor, _READ_SIZE, position):
        sha256.update(data)
        position += len(data)
    return sha256.hexdigest()


def load_sent(repository: str, descriptor: int, digest: str) -> Database:
    """Read a database that a mirror sent, as it lies in an open file; raises SyncDatabaseError."""
    size = os.fstat(descriptor).st_size
    if size > LARGEST_FILE:
        raise SyncDatabaseError("large", f"more than {LARGEST_FILE} bytes")
    entries, skipped = _entries(repository, os.pread(descriptor, size, 0))
    return Database(repository, digest, 0.0, entries, skipped + entries.repeated)


def read_sent(descriptor: int, read: Callable[[BinaryIO], T]) -> T:
    """Return what ``read`` makes of a database in an open file, without its compression.

    It may be called twice. Raises SyncDatabaseError.
    """
    size = os.fstat(descriptor).st_size
    if size > LARGEST_FILE:
        raise SyncDatabaseError("large", f"more than {LARGEST_FILE} bytes")
    return _uncompressed(os.pread(descriptor, size, 0), read)


def find_problem(descriptor: int) -> str:
    """Return why an open file can be no sync database, nothing where it can be one.

    For what a peer gave: it is read within bounds of memory and time, and never by a program.
    """
    try:
        if os.fstat(descriptor).st_size > LARGEST_FILE:
            return f"more than {LARGEST_FILE} bytes"
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            for _ in read_entries("", without_compression(file, STRANGERS)):
                pass
    except errors() as error:
        return f"is no database: {error}"
    return ""


def lists_the_same(entries: Mapping[str, Entry], repository: str, descriptor: int) -> bool:
    """Whether a list of files, in an open file, is of the packages that a database has; blocks.

    It is read as it lies, and nothing of it is kept: Arch's largest is half a gigabyte.
    """
    count = 0
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            for entry in read_entries(repository, without_compression(file)):
                known = entries.get(entry.file_name)
                if known is None or (known.content, known.version) != (
                    entry.content,
                    entry.version,
                ):
                    return False
                count += 1
    except errors():
        return False
    return count == len(entries)


def find_early_problem(beginning: bytes, *, whole: bool) -> str | None:
    """Return why a file that begins so can be no sync database, nothing where it can be one.

    None until more of it tells; ``whole`` where there is no more, and BEGINNING bytes always tell.
    """
    if not beginning:
        return "is empty" if whole else None
    if not begins_compressed(beginning):
        return _tars_problem(beginning, whole=whole)
    if name_of(beginning):
        return ""  # for libarchive to judge
    try:
        plain = first_bytes(beginning, _HEADER)
    except errors() as error:
        # What needs more memory than is given here is for libarchive to judge, too.
        return "" if lacks_memory(error) else f"is damaged: {error}"
    if len(plain) < _HEADER:
        return "ends too early" if whole else None if len(beginning) < BEGINNING else ""
    return "" if can_begin_tar(plain) or name_of(plain) else "is no tar"


def _tars_problem(beginning: bytes, *, whole: bool) -> str | None:
    if len(beginning) >= _HEADER:
        return "" if can_begin_tar(beginning[:_HEADER]) else "is no tar"
    if beginning[:1] in b"<{[ \r\n\t":
        return "is a page"
    return "ends too early" if whole else None


def _read(path: Path) -> tuple[bytes, Stamp]:
    """Return all of one file, and its stamp: through one descriptor, so never of two files."""
    with os.fdopen(open_plain(path), "rb") as file:
        for _ in range(_TRIES):
            file.seek(0)
            stamp = _stamp(os.fstat(file.fileno()))
            # For as many as are asked for memory is taken at once.
            data = file.read(min(stamp.size, LARGEST_FILE) + 1)
            if len(data) > LARGEST_FILE:
                raise SyncDatabaseError("large", f"more than {LARGEST_FILE} bytes")
            if _stamp(os.fstat(file.fileno())) == stamp:
                return data, stamp
    raise SyncDatabaseError("changing", "it is being written")


def _parse(repository: str, data: bytes, stamp: Stamp, known: Database | None) -> Database:
    digest = hashlib.sha256(data).hexdigest()[:_DIGEST_LENGTH]
    modified = stamp.modified_ns / 1e9
    if known is not None and known.digest == digest:
        return Database(repository, digest, modified, known.entries, known.skipped)
    entries, skipped = _entries(repository, data)
    return Database(repository, digest, modified, entries, skipped + entries.repeated)


def _entries(repository: str, data: bytes) -> tuple[PackedEntries, int]:
    """Return what a database lists, and how many entries of it cannot be used."""
    return _uncompressed(data, lambda file: _read_entries(repository, file))


def _uncompressed(data: bytes, read: Callable[[BinaryIO], T]) -> T:
    """Return what ``read`` makes of a database; what no module takes apart, a program may."""
    try:
        return read(without_compression(io.BytesIO(data)))
    except SyncDatabaseError as error:
        problem, is_damaged = error, False
    except errors() as error:
        problem = SyncDatabaseError("compression", str(error))
        is_damaged = not lacks_memory(error)
    if is_damaged or problem.reason in _BOUNDS or not data:
        raise problem
    try:
        with by_program(data) as tar:
            return read(tar)
    except (SyncDatabaseError, OSError) as error:
        if lacks_descriptors(error):
            raise
        if kind := name_of(data):
            why = error.detail if isinstance(error, SyncDatabaseError) else str(error)
            told = f"it is made with {kind}, and {why}; have it made with gzip, xz or zstd"
            raise SyncDatabaseError("compression", told) from None
        raise problem from None


def _read_entries(repository: str, file: BinaryIO) -> tuple[PackedEntries, int]:
    skipped: Counter[str] = Counter()
    entries = _pack(repository, read_entries(repository, file, skipped))
    return entries, skipped.total()


def _pack(repository: str, entries: Iterable[Entry]) -> PackedEntries:
    try:
        vault = FileVault()
    except OSError:
        return PackedEntries(repository, entries)
    packed = PackedEntries(repository, entries, vault)
    vault.flush()
    return packed


def open_database(directory: Path, file_name: str) -> folder.Opened:
    """Open a database in pacman's folder for others to read; raises StoreError."""
    try:
        stamp = folder.stamp_of(os.lstat(directory / file_name))
        return folder.Opened(folder.open_file(directory, file_name, stamp), stamp)
    except OSError as error:
        raise StoreError(str(directory / file_name), error.strerror or str(error)) from None
