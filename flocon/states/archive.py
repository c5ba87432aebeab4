"""Where generations lie: databases by content, and who refers to them. Everything here blocks.

::

    STORE/mirror/content/SHA256         one database, .files or signature, as the mirror sent it
    STORE/mirror/generations/ID.json    what belongs together, see ``generation``
    STORE/mirror/snapshots/NAME.json    a generation that stays until it is dropped
    STORE/mirror/state.json             which one is published, since when, and what comes next

Each file is written under another name, synced and renamed, contents before what refers to them: at
any moment, also after a kill, what is referred to is there and whole. What nothing refers to goes
with ``sweep``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from flocon.errors import StoreError
from flocon.log import logger
from flocon.machine.beneath import enter, names_in, open_regular, open_top, read_small, write_all
from flocon.states.generation import LARGEST_DATABASE, Piece, dump, is_identity, is_sha256, load

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from flocon.states.generation import Generation

#: The folder below the store's.
FOLDER = "mirror"
CONTENT, GENERATIONS, SNAPSHOTS = "content", "generations", "snapshots"
STATE = "state.json"
#: Bytes of one of the small files.
LARGEST_NOTE = 4 << 20
_READ_SIZE = 1 << 20
_JSON = ".json"
#: Why what has a note's name is none: it is a link, a folder or a fifo, or too large.
_NO_NOTES = frozenset({errno.ELOOP, errno.EINVAL, errno.EFBIG})
#: What a kill leaves of a file while it is written.
_HALF_WRITTEN = re.compile(r".+\.[0-9a-f]{8}\.new")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(slots=True)
class _New:
    """A file that is being written, and the name that it is to have."""

    descriptor: int
    name: str


class Archive:
    """The folder ``path`` (``STORE/mirror``), made when it is opened.

    Raises StoreError where something cannot be read or written.
    """

    _log = logger()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folders: dict[str, int] = {}
        #: Whether a note could not be read: nobody knows what it refers to.
        self._unread = False
        #: How many gather contents that nothing refers to yet.
        self._gathering = 0
        self._sweeping = Lock()

    def open(self) -> None:
        """Make the folders, and discard what was being written when a node was killed."""
        try:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._folders[""] = open_top(self.path)
            for name in (CONTENT, GENERATIONS, SNAPSHOTS):
                self._folders[name] = enter(self._folders[""], name, 0o755)
            for folder in self._folders.values():
                for name in names_in(folder):
                    if _HALF_WRITTEN.fullmatch(name):
                        os.unlink(name, dir_fd=folder)
        except OSError as error:
            self.close()
            raise _failed(self.path, error) from None

    def close(self) -> None:
        while self._folders:
            os.close(self._folders.popitem()[1])

    # Contents

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Have contents stay that nothing refers to, until what refers to them is kept."""
        self._gathering += 1
        try:
            yield
        finally:
            self._gathering -= 1

    def take(self, descriptor: int) -> Piece:
        """Keep what an open file has, from its beginning; return what it is.

        Raises StoreError, also of what is larger than a database can be.
        """
        size = os.fstat(descriptor).st_size
        if not 0 < size <= LARGEST_DATABASE:
            raise StoreError(str(self.path), f"a file of {size} bytes is no database")
        sha256, position = hashlib.sha256(), 0
        with self._new(CONTENT, "piece", self.path) as new:
            while data := os.pread(descriptor, _READ_SIZE, position):
                sha256.update(data)
                position += len(data)
                write_all(new.descriptor, data)
            piece = Piece(sha256.hexdigest(), position)
            new.name = piece.sha256
        return piece

    def open_piece(self, piece: Piece) -> int:
        """Return a descriptor of a content; raises StoreError where it is not there, whole."""
        try:
            descriptor = open_regular(piece.sha256, os.O_RDONLY, self._folder(CONTENT))
        except OSError as error:
            raise _failed(self.path / CONTENT / piece.sha256, error) from None
        if os.fstat(descriptor).st_size != piece.size:
            os.close(descriptor)
            raise StoreError(str(self.path / CONTENT / piece.sha256), "has another size")
        return descriptor

    def has(self, piece: Piece) -> bool:
        """Whether a content is there, with its size."""
        with suppress(StoreError):
            os.close(self.open_piece(piece))
            return True
        return False

    def remove_damaged(self, pieces: Iterable[Piece]) -> int:
        """Remove contents that are not what they are called; return how many that were."""
        damaged = [piece for piece in pieces if self.has(piece) and not self._is_right(piece)]
        for piece in damaged:
            path = self.path / CONTENT / piece.sha256
            self._log.error("{path} is damaged; it is read from a mirror again", path=path)
            with suppress(OSError):
                os.unlink(piece.sha256, dir_fd=self._folder(CONTENT))
        return len(damaged)

    def _is_right(self, piece: Piece) -> bool:
        sha256 = hashlib.sha256()
        try:
            with os.fdopen(self.open_piece(piece), "rb", buffering=0) as file:
                while data := file.read(_READ_SIZE):
                    sha256.update(data)
        except OSError as error:
            raise _failed(self.path / CONTENT / piece.sha256, error) from None
        return sha256.hexdigest() == piece.sha256

    # What refers to them

    def keep(self, generation: Generation) -> None:
        """Keep a generation; all its contents must have been taken."""
        self._write(GENERATIONS, generation.identity + _JSON, _encoded(dump(generation)))

    def generations(self) -> list[Generation]:
        """Return the generations that are whole, the oldest first."""
        found = [
            generation
            for name, value in self._notes(GENERATIONS)
            if (generation := load(value)) is not None
            and generation.identity == name
            and all(map(self.has, generation.pieces()))
        ]
        return sorted(found, key=lambda one: (one.made, one.identity))

    def notes(self, folder: str) -> list[tuple[str, Any]]:
        """Return name and value of each note in a folder (``SNAPSHOTS``), those that are JSON."""
        return self._notes(folder)

    def write_note(self, folder: str, name: str, value: Any) -> None:
        """Keep JSON's values under a name that is a file's, in a folder."""
        self._write(folder, name + _JSON, _encoded(value))

    def drop_note(self, folder: str, name: str) -> None:
        """Let go of a note; one that is not there is no error."""
        try:
            with suppress(FileNotFoundError):
                os.unlink(name + _JSON, dir_fd=self._folder(folder))
            os.fsync(self._folder(folder))
        except OSError as error:
            raise _failed(self.path / folder / name, error) from None

    def read_bytes(self, folder: str, name: str, most: int) -> bytes | None:
        """Return what ``write_bytes`` kept, None where there is nothing of at most that size."""
        with suppress(OSError):
            return read_small(name, most, self._folder(folder))
        return None

    def write_bytes(self, folder: str, name: str, data: bytes) -> None:
        """Keep a file that can be made anew from what is here."""
        self._write(folder, name, data)

    def drop_bytes(self, folder: str, name: str) -> None:
        """Let go of such a file; one that is not there is no error."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self._folder(folder))

    def read_state(self) -> Any:
        """Return what ``write_state`` kept last, None where there is nothing readable."""
        return self._read("", STATE)

    def write_state(self, value: Any) -> None:
        self._write("", STATE, _encoded(value))

    def sweep(self, identities: Collection[str], pieces: Collection[str]) -> int:
        """Remove all generations but these, and all contents but these; return how many files.

        None, where there is a note that could not be read: what it refers to must stay.

        Notes in ``SNAPSHOTS`` stay: whoever made them drops them. While contents are gathered none
        of them goes; what is too much then goes with the next call.
        """
        with self._sweeping:
            try:
                return 0 if self._unread else self._sweep(identities, pieces)
            except OSError as error:
                raise _failed(self.path, error) from None

    def _sweep(self, identities: Collection[str], pieces: Collection[str]) -> int:
        removed = 0
        for folder, ours, kept in (
            (GENERATIONS, lambda name: is_identity(name.removesuffix(_JSON)), identities),
            (CONTENT, is_sha256, pieces),
        ):
            descriptor = self._folder(folder)
            for name in names_in(descriptor):
                if folder == CONTENT and self._gathering:
                    break
                if ours(name) and name.removesuffix(_JSON) not in kept:
                    with suppress(OSError):
                        os.unlink(name, dir_fd=descriptor)
                        removed += 1
        return removed

    def _folder(self, name: str) -> int:
        try:
            return self._folders[name]
        except KeyError:
            raise StoreError(str(self.path), "it is not open") from None

    def _notes(self, folder: str) -> list[tuple[str, Any]]:
        try:
            names = sorted(names_in(self._folder(folder)))
        except OSError as error:
            raise _failed(self.path / folder, error) from None
        values = ((name, self._read(folder, name)) for name in names if name.endswith(_JSON))
        return [(name.removesuffix(_JSON), value) for name, value in values if value is not None]

    def _read(self, folder: str, name: str) -> Any:
        try:
            return json.loads(read_small(name, LARGEST_NOTE, self._folder(folder)))
        except FileNotFoundError:
            return None
        except OSError as error:
            # What is no file, or no small one, is nobody's note: it keeps nothing from going.
            self._unread = self._unread or error.errno not in _NO_NOTES
            reason = error.strerror or error
            self._log.error("{path}: {reason}", path=self.path / folder / name, reason=reason)
            return None
        except (ValueError, RecursionError):
            return None

    def _write(self, folder: str, name: str, data: bytes) -> None:
        with self._new(folder, name, self.path / folder / name) as new:
            write_all(new.descriptor, data)

    @contextmanager
    def _new(self, folder: str, name: str, place: Path) -> Iterator[_New]:
        """Yield a new file, which is synced and has its name in the end, or is not there at all.

        What fails is said of ``place``: a StoreError.
        """
        into = self._folder(folder)
        temporary = f"{name}.{secrets.token_hex(4)}.new"
        try:
            new = _New(os.open(temporary, _CREATE, 0o644, dir_fd=into), name)
            try:
                yield new
                os.fsync(new.descriptor)
            finally:
                os.close(new.descriptor)
            with self._sweeping:
                os.rename(temporary, new.name, src_dir_fd=into, dst_dir_fd=into)
            os.fsync(into)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=into)
            raise _failed(place, error) from None


def _encoded(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _failed(path: Path, error: OSError) -> StoreError:
    return StoreError(str(path), error.strerror or str(error))
