"""What this machine's sync databases list, and where an entry is found: by file name or package.

Databases are values here: ``databases`` has them read, and makes a listing of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flocon.pacman.entries import Entry, PackedEntries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Target:
    """A package that pacman would install.

    ``file_name`` is "" where pacman does not tell it, and ``repository`` too. ``here`` if pacman
    needs no download for it: it lies in a CacheDir, or on a mirror that is a folder.
    """

    repository: str
    name: str
    version: str
    file_name: str = ""
    here: bool = False


#: Names whose entries are kept at hand, some 300 bytes each.
MOST_LATELY = 512


@dataclass(frozen=True, slots=True)
class Database:
    """One sync database as it was read.

    ``digest`` is the first 16 hex digits of the SHA-256 of the file as it lies on disk,
    ``modified`` its time of modification in seconds, ``entries`` are by file name, ``skipped``
    counts the entries that could not be used. ``from_peer`` tells that a peer gave it: nothing is
    to be fetched ahead because of what it lists, and nobody is to have it from here. Two are equal
    whose files are: by their digests.
    """

    repository: str
    digest: str
    modified: float
    entries: Mapping[str, Entry] = field(repr=False, compare=False)
    skipped: int = 0
    from_peer: bool = False

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True, slots=True)
class Listing:
    """What this machine's sync databases list, in the order of pacman.conf.

    ``further`` are databases that mirrors sent through this node lately and that do not lie where
    pacman has its own: for a pacman with a DBPath of its own. What they list is found, too, behind
    the others; peers are not told of them, and nothing is fetched ahead because of them.
    ``mirrored`` are those of the states that this node gives to clients without one: for other
    machines, so what they list is found by ``mirrored_entries`` alone.
    """

    databases: tuple[Database, ...] = ()
    further: tuple[Database, ...] = ()
    mirrored: tuple[Database, ...] = ()
    _by_repository: Mapping[str, Database] = field(init=False, repr=False, compare=False)
    #: What was found lately: one download asks for each of its files some ten times.
    _lately: dict[tuple[str, str], tuple[Entry, ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        by_repository = {database.repository: database for database in self.databases}
        object.__setattr__(self, "_by_repository", by_repository)

    def __len__(self) -> int:
        """Return the number of entries of all databases together."""
        return sum(map(len, self.databases))

    def database(self, repository: str) -> Database | None:
        return self._by_repository.get(repository)

    def find(self, file_name: str, repository: str = "") -> tuple[Entry, ...]:
        """Return the entries of this name: in ``repository`` only, or in every one if it is "".

        One look-up for each database. Two entries may stand for the same content or not.
        """
        lately = self._lately
        found = lately.get((file_name, repository))
        if found is None:
            if len(lately) >= MOST_LATELY:
                lately.clear()
            found = lately[file_name, repository] = self._find(file_name, repository)
        return found

    def _find(self, file_name: str, repository: str) -> tuple[Entry, ...]:
        databases: Iterable[Database] = self.databases
        if repository:
            only = self._by_repository.get(repository)
            databases = () if only is None else (only,)
        if self.further:
            more = (one for one in self.further if repository in {"", one.repository})
            databases = (*databases, *more)
        found = (database.entries.get(file_name) for database in databases)
        return tuple(entry for entry in found if entry is not None)

    def mirrored_entries(self, file_name: str) -> tuple[Entry, ...]:
        """Return the entries of this name that states for other machines have."""
        found = (database.entries.get(file_name) for database in self.mirrored)
        return tuple(entry for entry in found if entry is not None)

    def named(self, name: str, *, further: bool = False) -> list[Entry]:
        """Return the entries of a package, first those of the repository that comes first.

        With ``further`` those of such databases follow.
        """
        return [
            entry
            for database in (*self.databases, *(self.further if further else ()))
            for entry in _beginning(database.entries, f"{name}-")
            if entry.name == name
        ]

    def target(self, target: Target) -> Entry | None:
        """Return the entry of what pacman would install, None where it is to be left alone.

        So it is with what a peer's database lists: it would be fetched because of that.
        """
        for database in self.databases:
            if database.from_peer or target.repository not in {"", database.repository}:
                continue
            found = database.entries.get(target.file_name) if target.file_name else None
            entries = [found] if found else _beginning(database.entries, f"{target.name}-")
            for entry in entries:
                if (entry.name, entry.version) == (target.name, target.version):
                    return entry
        return None

    def digests(self) -> tuple[tuple[str, str], ...]:
        """Return repository and digest of each database."""
        return tuple((database.repository, database.digest) for database in self.databases)


def _beginning(entries: Mapping[str, Entry], prefix: str) -> Iterable[Entry]:
    if isinstance(entries, PackedEntries):
        return entries.beginning(prefix)
    return (entry for name, entry in sorted(entries.items()) if name.startswith(prefix))
