"""Reads what states list, from the databases that are kept. Blocks, keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.machine.limits import give_back
from flocon.snapshots.differences import Difference, by_name, difference
from flocon.states.catalogue import read_database
from flocon.states.names import Names

if TYPE_CHECKING:
    from flocon.states.archive import Archive
    from flocon.states.generation import Generation


def names_of(archive: Archive, generation: Generation) -> Names:
    """Return which packages a state lists; raises StoreError or SyncDatabaseError."""
    names = Names()
    for where, files in generation.databases.items():
        entries = read_database(archive, where, files.database).entries.values()
        names = names.joined(Names.of((one.file_name, one.sha256) for one in entries))
    give_back()
    return names


def compare(archive: Archive, before: Generation, after: Generation) -> list[Difference]:
    """Return what becomes of each repository that both have; raises as ``names_of`` does."""
    found = []
    for where in sorted(before.databases.keys() & after.databases.keys()):
        old, new = before.databases[where].database, after.databases[where].database
        if old != new:
            lists = (
                by_name(read_database(archive, where, piece).entries.values())
                for piece in (old, new)
            )
            found.append(difference(where, *lists))
    give_back()
    return found
