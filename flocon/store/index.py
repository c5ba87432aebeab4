"""What is remembered across restarts: the hashes of files, and when each was last used.

One sqlite file in the store. It holds nothing that cannot be found out again: a file that is
corrupt is replaced, where none can be written, as on a full disk, it is kept in memory until one
can, and either is said once.
Every method blocks and belongs in a thread; any thread, for one lock guards them all.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.logger import Logger

from flocon.files import DIGEST_SIZE
from flocon.machine.beneath import put_aside
from flocon.store.folder import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_T = TypeVar("_T")
#: Bytes; a row takes some 200, and what sqlite writes beside grows until a node ends.
LARGEST = 1 << 30
#: Seconds after which a file is tried again that could not be written.
AGAIN = 60.0
_VERSION = 1
_SCHEMA = f"""
BEGIN;
CREATE TABLE files (
    directory TEXT NOT NULL, name TEXT NOT NULL,
    inode INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    sha256 BLOB NOT NULL, confirmed INTEGER NOT NULL,
    PRIMARY KEY (directory, name)
) WITHOUT ROWID;
CREATE TABLE uses (name TEXT PRIMARY KEY, turn INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_KEEP_FILE = "REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_KEEP_TURN = "REPLACE INTO uses VALUES (?, ?)"
#: An inode's number has 64 bits without a sign, sqlite's integers have one.
_WRAP = 1 << 64
_HALF = 1 << 63


@dataclass(frozen=True, slots=True)
class Remembered:
    """The hash of a file of this stamp; ``confirmed`` if a sync database once said the same."""

    stamp: Stamp
    sha256: bytes
    confirmed: bool = False


class Recalled(Mapping[str, Remembered]):
    """What is remembered of one directory, by file name.

    Kept as the plain rows it came as: as objects, those of a large cache would make the garbage
    collector stop the node for longer than anything else does.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]] = ()) -> None:
        self._rows = {
            name: row
            for name, *rest in rows
            if isinstance(name, str) and _is_sound(row := tuple(rest))
        }

    def __getitem__(self, name: str) -> Remembered:
        inode, size, mtime, ctime, sha256, confirmed = self._rows[name]
        return Remembered(Stamp(inode % _WRAP, size, mtime, ctime), sha256, bool(confirmed))

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Index:
    """The remembered hashes and turns, in the file ``path`` (None: in memory only)."""

    _log = Logger()

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        #: The file that could not be written, and when it is tried again.
        self._lost: Path | None = None
        self._again = 0.0
        self._lock = Lock()
        self._database: sqlite3.Connection | None = None

    def files(self, directory: Path) -> Recalled:
        """Return what is remembered of ``directory``."""
        return self._do(
            lambda database: Recalled(
                database.execute(
                    "SELECT name, inode, size, mtime_ns, ctime_ns, sha256, confirmed FROM files"
                    " WHERE directory = ?",
                    (_told(directory),),
                )
            )
        )

    def turns(self) -> dict[str, int]:
        """Return for each name in the store the turn of its last use: a higher one is later."""
        rows = self._do(lambda database: list(database.execute("SELECT name, turn FROM uses")))
        # sqlite keeps to no type; and to the largest turn of all nothing could be added.
        return {
            name: turn
            for name, turn in rows
            if isinstance(name, str) and isinstance(turn, int) and 0 <= turn < _HALF // 2
        }

    def save(
        self,
        files: Mapping[tuple[Path, str], Remembered | None],
        turns: Mapping[str, int | None] | None = None,
    ) -> None:
        """Remember each of ``files`` and ``turns``, and forget those that are None."""
        turns = turns or {}

        def write(database: sqlite3.Connection) -> None:
            with database:
                database.executemany(
                    "DELETE FROM files WHERE directory = ? AND name = ?",
                    [(_told(at), name) for (at, name), known in files.items() if known is None],
                )
                database.executemany(
                    _KEEP_FILE,
                    [_row(at, name, known) for (at, name), known in files.items() if known],
                )
                database.executemany(
                    "DELETE FROM uses WHERE name = ?",
                    [(name,) for name, turn in turns.items() if turn is None],
                )
                database.executemany(
                    _KEEP_TURN,
                    [(name, turn) for name, turn in turns.items() if turn is not None],
                )

        if files or turns:
            self._do(write)

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._lock:
            self._come_back()
            try:
                return work(self._opened())
            except sqlite3.Error as error:
                self._recover(error)
            try:
                return work(self._opened())
            except sqlite3.Error as error:
                self._give_up(error)
            return work(self._opened())

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            if self._path is not None:
                self._put_aside_what_is_no_database(self._path)
            self._database = _open(self._path)
        return self._database

    def _put_aside_what_is_no_database(self, path: Path) -> None:
        """Move what sqlite would wait for, follow, or read without end; raises sqlite3.Error."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            file = path.with_name(path.name + suffix)
            problem = _problem_of(file)
            if not problem:
                continue
            aside = put_aside(file)
            if aside is None:
                raise sqlite3.OperationalError(problem)
            self._log.warn(
                "{path} {problem}; it lies in {aside} now, and files are hashed again",
                path=file,
                problem=problem,
                aside=aside,
            )

    def _recover(self, error: sqlite3.Error) -> None:
        """Begin anew after a corrupt file, else go on in memory."""
        corrupt = isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        )
        if self._path is None or not (corrupt or _is_of_another_shape(error)):
            self._give_up(error)
            return
        self._drop_connection()
        try:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        except OSError as problem:
            self._give_up(problem)
            return
        self._log.warn(
            "{path} was not usable ({error}) and is begun anew; files are hashed again",
            path=self._path,
            error=error,
        )

    def _give_up(self, error: Exception) -> None:
        self._drop_connection()
        if self._path is not None:
            self._log.warn(
                "{path} cannot be used ({error}); unless it can before a restart, files are"
                " hashed again then",
                path=self._path,
                error=error,
            )
            self._path, self._lost = None, self._path
            self._again = self._clock() + AGAIN

    def _come_back(self) -> None:
        """Use the file again that could not be written, with all that was remembered meanwhile."""
        if self._lost is None or self._clock() < self._again:
            return
        self._again = self._clock() + AGAIN
        memory = self._opened()
        try:
            self._put_aside_what_is_no_database(self._lost)
            database = _open(self._lost)
        except sqlite3.Error:
            return
        try:
            with database:
                database.executemany(_KEEP_FILE, memory.execute("SELECT * FROM files"))
                database.executemany(_KEEP_TURN, memory.execute("SELECT * FROM uses"))
        except sqlite3.Error:
            database.close()
            return
        memory.close()
        self._database, self._path, self._lost = database, self._lost, None
        self._log.info("{path} can be used again", path=self._path)

    def _drop_connection(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _is_sound(row: tuple[Any, ...]) -> bool:
    *numbers, sha256, confirmed = row
    whole = all(isinstance(number, int) for number in (*numbers, confirmed))
    return whole and isinstance(sha256, bytes) and len(sha256) == DIGEST_SIZE


def _problem_of(file: Path) -> str:
    """Return why a file cannot be a database of ours; "" if it can, or is not there."""
    try:
        info = file.lstat()
    except OSError:
        return ""
    if not stat.S_ISREG(info.st_mode):
        return "is not a regular file"
    return "is too large" if info.st_size > LARGEST else ""


def _is_of_another_shape(error: sqlite3.Error) -> bool:
    return any(part in str(error) for part in ("no such", "column", "values", "already exists"))


def _open(path: Path | None) -> sqlite3.Connection:
    # A lock of its own guards the connection; autocommit off is sqlite3's default.
    name = ":memory:" if path is None else str(path)
    database = sqlite3.connect(name, timeout=2.0, check_same_thread=False)
    try:
        # A power cut may cost the newest rows, never the file.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA cache_size = -512")
        with closing(database.execute("PRAGMA user_version")) as cursor:
            (version,) = cursor.fetchone()
        if version == 0:
            database.executescript(_SCHEMA)
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"version {version} instead of {_VERSION}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _told(directory: Path) -> str:
    """Return a folder's name as sqlite can keep it; its bytes need not be text."""
    return os.fsencode(directory).decode("utf-8", "backslashreplace")


def _row(directory: Path, name: str, known: Remembered) -> tuple[object, ...]:
    inode, size, mtime, ctime = known.stamp
    signed = inode - _WRAP if inode >= _HALF else inode
    return (_told(directory), name, signed, size, mtime, ctime, known.sha256, known.confirmed)
