"""What the states in use list: their databases, read once for each content.

Whoever asks for a package that a state in use lists gets it; what none lists is not found here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from flocon.errors import FloconError, SyncDatabaseError
from flocon.log import logger
from flocon.machine.limits import give_back
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.database_files import load_sent
from flocon.states.names import Names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from flocon.pacman.entries import Entry
    from flocon.pacman.listing import Database
    from flocon.states.archive import Archive
    from flocon.states.generation import Generation, Piece, Where
    from flocon.states.names import Names

#: Packages that all databases in use list together, at some 250 bytes each: a LAN's two
#: architectures have 30,000, and so many for each state that is kept in use.
MOST_LISTED = 400_000


class Catalogue:
    """Has the databases of some generations, of which the first is asked first."""

    _log = logger()

    def __init__(self, reactor: Any, archive: Archive) -> None:
        self._reactor = reactor
        self._archive = archive
        self._generations: tuple[Generation, ...] = ()
        #: By where, and the content's SHA-256.
        self._loaded: dict[tuple[Where, str], Database] = {}
        #: What each of them lists, and all of those that are used; None until all were read.
        self._names: dict[tuple[Where, str], Names] = {}
        self._listed: Names | None = None
        #: Those that the first generation has otherwise, by file name and SHA-256.
        self._superseded: frozenset[tuple[str, bytes]] = frozenset()

    async def use(self, generations: Sequence[Generation]) -> None:
        """List what these do, and nothing else; one that cannot be read lists nothing."""
        wanted = {
            (where, one.database.sha256): one.database
            for generation in generations
            for where, one in generation.databases.items()
        }
        before, generations_before = set(self._loaded), self._generations
        for (where, sha256), piece in wanted.items():
            if (where, sha256) not in self._loaded:
                await self._load(where, piece, wanted.keys())
        self._loaded = {key: one for key, one in self._loaded.items() if key in wanted}
        self._generations = tuple(generations)
        self._names = {key: one for key, one in self._names.items() if key in wanted}
        if len(self._loaded) < len(wanted):
            self._listed = None
        elif self._listed is None or before != set(self._loaded):
            self._listed = await in_thread(self._reactor, _joined, list(self._names.values()))
        if [one.identity for one in generations_before] != [one.identity for one in generations]:
            tables = [dict(self._of(one)) for one in self._generations]
            self._superseded = await in_thread(self._reactor, _find_superseded, tables)
        await in_thread(self._reactor, give_back)

    async def _load(
        self, where: Where, piece: Piece, wanted: Collection[tuple[Where, str]]
    ) -> None:
        try:
            database, names = await in_thread(self._reactor, _read, self._archive, where, piece)
            listed = sum(len(one.entries) for key, one in self._loaded.items() if key in wanted)
            if listed + len(database.entries) > MOST_LISTED:
                raise SyncDatabaseError("size", f"more than {MOST_LISTED} packages are listed")
        except (FloconError, OSError) as error:
            self._log.warn(
                "the database of {where} cannot be used: {error}", where=where, error=error
            )
        else:
            self._loaded[where, piece.sha256] = database
            self._names[where, piece.sha256] = names

    @property
    def databases(self) -> tuple[Database, ...]:
        """All that are in use, those of the first generation first."""
        return tuple(dict.fromkeys(one for each in self._generations for _, one in self._of(each)))

    def database(self, generation: Generation, where: Where) -> Database | None:
        """Return one that is in use."""
        files = generation.databases.get(where)
        return None if files is None else self._loaded.get((where, files.database.sha256))

    def entry(self, where: Where, file_name: str) -> Entry | None:
        """Return what a state in use says of a package, the first that lists it."""
        for generation in self._generations:
            database = self.database(generation, where)
            if database is not None and (entry := database.entries.get(file_name)) is not None:
                return entry
        return None

    def lists(self, file_name: str, sha256: bytes) -> bool | None:
        """Whether a state in use lists a package; None unless all of them could be read.

        What the first has under that name makes way for nothing, and the others' for that. For any
        thread; quick, unlike ``entry``.
        """
        listed = self._listed
        if listed is None:
            return None
        return listed.has(file_name, sha256) and (file_name, sha256) not in self._superseded

    def _of(self, generation: Generation) -> Iterator[tuple[Where, Database]]:
        for where in generation.databases:
            database = self.database(generation, where)
            if database is not None:
                yield where, database


def read_database(archive: Archive, where: Where, piece: Piece) -> Database:
    """Return one database of a state; blocks, and raises StoreError or SyncDatabaseError."""
    descriptor = archive.open_piece(piece)
    try:
        return load_sent(where.repository, descriptor, piece.sha256[:16])
    finally:
        os.close(descriptor)


def _read(archive: Archive, where: Where, piece: Piece) -> tuple[Database, Names]:
    """Return a database and what it lists; for a thread."""
    from flocon.states.names import Names  # noqa: PLC0415 - only a mirror needs it

    database = read_database(archive, where, piece)
    entries = database.entries.values()
    return database, Names.of((one.file_name, one.sha256) for one in entries)


def _find_superseded(
    tables: Sequence[Mapping[Where, Database]],
) -> frozenset[tuple[str, bytes]]:
    """Return what later ones list under names that are another package's in the first.

    That was built anew without a new version, and has its place now. For a thread.
    """
    first: Mapping[Where, Database] = tables[0] if tables else {}
    found = {
        (name, entry.sha256)
        for table in tables[1:]
        for where, database in table.items()
        if (ours := first.get(where)) is not None and ours is not database
        for name, entry in database.entries.items()
        if (now := ours.entries.get(name)) is not None and now.sha256 != entry.sha256
    }
    # The same file may be of several architectures.
    current = {
        (name, entry.sha256)
        for name, _ in found
        for database in first.values()
        if (entry := database.entries.get(name)) is not None
    }
    return frozenset(found - current)


def _joined(all_names: Sequence[Names]) -> Names:
    from flocon.states.names import Names  # noqa: PLC0415 - as above

    joined = Names()
    for names in all_names:
        joined = joined.joined(names)
    return joined
