"""A state that comes in from a folder: its databases and packages, each verified on its way.

The folder is another user's, on a disk that this node may not read: the command that imports it
serves it on 127.0.0.1, at a port and behind a word that only this node is told, for as long as it
runs. What comes goes where all else of the LAN's mirror lies: databases into the archive, packages
with their signatures into the store. One that is wrong is named and left out.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flocon.books.units import counted
from flocon.errors import (
    Broken,
    Contradicted,
    FloconError,
    MirrorError,
    Refused,
    StoreError,
    SyncDatabaseError,
    Unreachable,
)
from flocon.files import is_package
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.database_files import load_sent
from flocon.pacman.keyring import Verdict
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.states.generation import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flocon.holdings.keeping import Keeping
    from flocon.holdings.offering import Offering
    from flocon.pacman.entries import Entry
    from flocon.pacman.keyring import Keyring
    from flocon.pacman.listing import Database
    from flocon.snapshots.snapshots import Snapshots
    from flocon.states.archive import Archive
    from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
    from flocon.states.states import States

#: What the command tells of its folder.
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 16 << 20
#: Packages of one folder.
MOST_PACKAGES = 100_000
#: Seconds without a byte: the folder may be on a disk that has to wake up.
PATIENCE = 30.0
#: Wrong files that a sentence names.
MOST_TOLD = 8
_CHUNK = 1 << 20
_OK, _NOT_FOUND = 200, 404


@dataclass(frozen=True, slots=True)
class Offered:
    """What a folder has: a state, and the packages of each database."""

    generation: Generation
    packages: Mapping[Where, tuple[str, ...]]


@dataclass(slots=True)
class Outcome:
    """What became of the packages: how many came, were here before, and are listed by nothing.

    ``wrong`` has why one was left out, by its place in the folder.
    """

    came: int = 0
    here: int = 0
    unlisted: int = 0
    wrong: dict[str, str] = field(default_factory=dict)


class Folder:
    """What the command serves at ``port``; everything here blocks, ``stop`` ends it."""

    def __init__(self, port: int, word: str) -> None:
        self._port = port
        self._word = word
        self._stopped = threading.Event()
        self._socket: socket.socket | None = None

    def stop(self) -> None:
        self._stopped.set()
        if (asked := self._socket) is not None:
            # Whoever listens there by now may drip, or send heads without end.
            with suppress(OSError):
                asked.shutdown(socket.SHUT_RDWR)

    def small(self, path: str, most: int) -> bytes | None:
        """Return a small file, None where there is none; raises a SourceError."""
        data = b"".join(self._chunks(path, most))
        return data or None

    def into(self, path: str, descriptor: int, size: int) -> str:
        """Write a file into an open one; return its SHA-256 in hex. Raises a SourceError."""
        sha256 = hashlib.sha256()
        position = 0
        for chunk in self._chunks(path, size):
            sha256.update(chunk)
            view = memoryview(chunk)
            while view:
                written = os.pwrite(descriptor, view, position)
                position += written
                view = view[written:]
        if position != size:
            raise Contradicted(path, f"has {position} bytes and not {size}")
        return sha256.hexdigest()

    def _chunks(self, path: str, most: int) -> Iterator[bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.connect()
            self._socket = connection.sock
            if self._stopped.is_set():
                raise Broken(path, "is not waited for any more")
            connection.request("GET", f"/{self._word}/{quote(path)}")
            response = connection.getresponse()
            if response.status == _NOT_FOUND:
                return
            if response.status != _OK:
                raise Refused(path, response.status)
            left = most
            while chunk := response.read(min(_CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise Contradicted(path, f"has more than {most} bytes")
                if self._stopped.is_set():
                    raise Broken(path, "is not waited for any more")
                yield chunk
        except OSError as error:
            raise Unreachable(path, error.strerror or str(error)) from None
        except http.client.HTTPException as error:
            raise Broken(path, type(error).__name__) from None
        finally:
            connection.close()


class Importing:
    """Takes states in; ``most`` is how many bytes of packages the store may have."""

    def __init__(
        self,
        reactor: Any,
        *,
        states: States,
        snapshots: Callable[[], Snapshots],
        archive: Archive,
        keeping: Keeping,
        offering: Offering,
        keyring: Callable[[], Keyring],
        most: int,
    ) -> None:
        self._reactor = reactor
        self._states = states
        self._snapshots = snapshots
        self._archive = archive
        self._keeping = keeping
        self._offering = offering
        self._keyring = keyring
        self._most = most

    async def take(self, name: str, folder: Folder) -> str:
        """Take a folder in as the snapshot ``name``; return what is to be said of it.

        Raises MirrorError where something was wrong: what was right is here nevertheless.
        """
        try:
            return await self._take(name, folder)
        finally:
            folder.stop()

    async def _take(self, name: str, folder: Folder) -> str:
        offered = await self._offered(folder)
        known = self._states.snapshots.get(name)
        if known is not None and known[0].identity != offered.generation.identity:
            problem = f"there is another snapshot called {name}"
            raise MirrorError(problem, "give this one another name with --name")
        if known is None:
            with self._archive.gathering():
                await self._databases(folder, offered.generation)
                await self._snapshots().keep(name, offered.generation)
        outcome = Outcome()
        left = self._most
        for where, file_names in offered.packages.items():
            piece = offered.generation.databases[where].database
            database = await in_thread(self._reactor, self._load, where, piece)
            entries = [one for name in file_names if (one := database.entries.get(name))]
            outcome.unlisted += len(file_names) - len(entries)
            left -= sum(entry.size for entry in entries)
            if left < 0:
                problem = "its packages are more than the store may have"
                raise MirrorError(problem, "raise store.max_size in flocon.toml, and restart")
            await self._packages(folder, place(where), entries, outcome)
        said = _said(name, len(offered.generation.databases), outcome)
        if outcome.wrong:
            raise MirrorError(f"{said}; {_wrong(outcome.wrong)}", "")
        return f"{said}; 'flocon snapshot use {name}' gives it to the LAN"

    async def _offered(self, folder: Folder) -> Offered:
        text = await in_thread(self._reactor, folder.small, MANIFEST, LARGEST_MANIFEST)
        try:
            offered = read_manifest(json.loads(text or b""))
        except (ValueError, RecursionError):
            offered = None
        if offered is None:
            raise MirrorError("what the command tells of its folder cannot be read", "")
        return replace(offered, generation=_of_now_at_most(offered.generation, int(time.time())))

    # Databases

    async def _databases(self, folder: Folder, generation: Generation) -> None:
        for where, files in generation.databases.items():
            for suffix, piece in named_pieces(files):
                await self._piece(folder, f"{place(where)}/{where.repository}{suffix}", piece)
            await self._judge_database(where, files)

    async def _piece(self, folder: Folder, path: str, piece: Piece) -> None:
        """Take one content of a state into the archive."""

        def take() -> None:
            with tempfile.TemporaryFile(dir=self._archive.path) as file:
                if folder.into(path, file.fileno(), piece.size) != piece.sha256:
                    raise Contradicted(path, "has changed since it was looked at")
                self._archive.take(file.fileno())

        try:
            await in_thread(self._reactor, take)
        except OSError as error:
            raise StoreError(str(self._archive.path), error.strerror or str(error)) from None

    async def _judge_database(self, where: Where, files: DatabaseFiles) -> None:
        """Raise MirrorError where a database is none, or bears the signature of another one."""
        path = f"{place(where)}/{where.repository}.db"
        try:
            await in_thread(self._reactor, self._load, where, files.database)
        except SyncDatabaseError as error:
            raise MirrorError(f"{path} is no database ({error})", "nothing is imported") from None
        if files.signature is None:
            return
        database = self._archive.open_piece(files.database)
        try:
            signature = await in_thread(self._reactor, self._read, files.signature)
            verdict = await self._keyring().verify(database, signature)
        finally:
            os.close(database)
        if verdict is Verdict.BAD:
            raise MirrorError(f"{path}.sig is the signature of another file", "nothing is imported")

    def _load(self, where: Where, piece: Piece) -> Database:
        descriptor = self._archive.open_piece(piece)
        try:
            return load_sent(where.repository, descriptor, piece.sha256[:16])
        finally:
            os.close(descriptor)

    def _read(self, piece: Piece) -> bytes:
        descriptor = self._archive.open_piece(piece)
        try:
            return os.pread(descriptor, piece.size, 0)
        finally:
            os.close(descriptor)

    # Packages

    async def _packages(
        self, folder: Folder, below: str, entries: list[Entry], outcome: Outcome
    ) -> None:
        """Take the packages of one database, one after the other."""
        for entry in entries:
            if self._offering.holds(entry.file_name, entry.content):
                outcome.here += 1
                continue
            path = f"{below}/{entry.file_name}"
            try:
                await self._package(folder, path, entry)
            except Unreachable:
                raise
            except FloconError as error:
                outcome.wrong[path] = _reason(error, path)
            else:
                outcome.came += 1

    async def _package(self, folder: Folder, path: str, entry: Entry) -> None:
        """Take one package and its signature into the store; raises FloconError."""
        incoming = self._keeping.incoming(entry.size)
        try:
            # The thread has a descriptor of its own: it may go on when this does not.
            sha256 = await in_thread(
                self._reactor, _into, folder, path, os.dup(incoming.fileno()), entry.size
            )
            if sha256 != entry.sha256.hex():
                raise Contradicted(path, "its SHA-256 is not the one that the database lists")
            signature = entry.read_signature() or await in_thread(
                self._reactor, folder.small, f"{path}.sig", LARGEST_SIGNATURE
            )
            if signature is not None:
                verdict = await self._keyring().verify(incoming.fileno(), signature)
                if verdict is Verdict.BAD:
                    raise Contradicted(path, "its signature is of another file")
            kept = await self._keeping.publish(incoming, entry.file_name, entry.content, signature)
        finally:
            incoming.close()
        if not kept:
            why = "has no signature" if signature is None else "finds no room in the store"
            raise StoreError(path, why)


def _of_now_at_most(generation: Generation, now: int) -> Generation:
    """Return a state that is of no time to come: it would be held for longer than allowed."""
    said = generation.last_update
    last = None if said is None else min(said, now)
    return replace(generation, made=min(generation.made, now), last_update=last)


def _into(folder: Folder, path: str, descriptor: int, size: int) -> str:
    try:
        return folder.into(path, descriptor, size)
    except OSError as error:
        raise StoreError(path, error.strerror or str(error)) from None
    finally:
        os.close(descriptor)


def named_pieces(files: DatabaseFiles) -> Iterator[tuple[str, Piece]]:
    """Yield the pieces of a database's, each with what follows the repository's name."""
    for suffix, piece in (
        (".db", files.database),
        (".db.sig", files.signature),
        (".files", files.files),
        (".files.sig", files.files_signature),
    ):
        if piece is not None:
            yield suffix, piece


def place(where: Where) -> str:
    """Return where a repository's files lie in a folder, and below a mirror's root."""
    return f"{where.repository}/os/{where.architecture}"


def read_manifest(value: Any) -> Offered | None:
    """Return what a command tells of its folder, as JSON's values; None where that is nothing."""
    match value:
        case {"generation": generation, "packages": dict(listed)}:
            found = load(generation)
            if found is None:
                return None
            packages = {}
            for where in found.databases:
                names = listed.get(place(where), [])
                if not isinstance(names, list) or len(names) > MOST_PACKAGES:
                    return None
                packages[where] = tuple(filter(_is_package, names))
            return Offered(found, packages)
    return None


def _is_package(value: Any) -> bool:
    return isinstance(value, str) and is_package(value)


def _reason(error: FloconError, path: str) -> str:
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")


def _said(name: str, databases: int, outcome: Outcome) -> str:
    came = f"{counted(databases, 'database')} and {counted(outcome.came, 'package')}"
    words = [f"{came} came in as snapshot {name}"]
    if outcome.here:
        words.append(f"{counted(outcome.here, 'package')} had come before")
    if outcome.unlisted:
        words.append(f"left out what no database lists: {counted(outcome.unlisted, 'package')}")
    return "; ".join(words)


def _wrong(wrong: Mapping[str, str]) -> str:
    told = [f"{path} ({why})" for path, why in list(wrong.items())[:MOST_TOLD]]
    more = f" and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
    return f"{len(wrong)} left out: {', '.join(told)}{more}"
