"""What a state's databases say packages need, read from the archive. Everything here blocks.

Nothing of them stays: one architecture after the other, and of each only which files are wanted.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from flocon.errors import FloconError, SyncDatabaseError
from flocon.log import logger
from flocon.machine.limits import give_back
from flocon.pacman.database_files import read_sent
from flocon.pacman.relations import describe
from flocon.pacman.syncdb import read_descs
from flocon.states.generation import Where
from flocon.wanted.dependencies import MOST_LOOKED_THROUGH, Databases
from flocon.wanted.wanted import Wanted, choose

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import BinaryIO

    from flocon.pacman.relations import Description
    from flocon.states.archive import Archive
    from flocon.states.generation import Generation
    from flocon.wanted.requests import Scope

#: Bytes that the descriptions of one architecture take, with what each takes at least: Arch's take
#: a fifth of it. A database of some MB can have a gigabyte of them.
MOST_DESCRIBED = 96 << 20
_EACH = 600

_log = logger(__name__)


def read_wanted(
    archive: Archive,
    generation: Generation,
    order: Sequence[Where],
    names: Mapping[Scope, Collection[str]],
    pins: Collection[str],
) -> Wanted:
    """Return what is wanted of a generation; ``order`` is that of its databases for pacman."""
    files: dict[Where, tuple[str, ...]] = {}
    unresolved: set[str] = set()
    unknown: list[frozenset[str]] = []
    for architecture, repositories in repositories_of(generation, order).items():
        wheres = [Where(architecture, repository) for repository in repositories]
        of_these = {
            scope.repositories: wanted
            for scope, wanted in names.items()
            if scope.architecture == architecture
        }
        left = MOST_DESCRIBED
        described = []
        for where in wheres:
            described.append(descriptions(archive, generation, where, left))
            left -= _size(described[-1])
        databases = Databases(described, MOST_LOOKED_THROUGH)
        choice = choose(databases, repositories, of_these, pins)
        for place, where in enumerate(wheres):
            listed = (one.file_name for (at, _), one in choice.packages.items() if at == place)
            files[where] = tuple(sorted(listed))
        unresolved |= choice.unresolved
        unknown.append(choice.unknown)
        del described, databases, choice
    give_back()
    everywhere = frozenset.intersection(*unknown) if unknown else frozenset(pins)
    return Wanted(files, frozenset(unresolved), everywhere)


def repositories_of(generation: Generation, order: Sequence[Where]) -> dict[str, list[str]]:
    """Return the repositories of a generation by architecture, in pacman's order."""
    found: dict[str, list[str]] = {}
    for where in [*dict.fromkeys([*order, *sorted(generation.databases)])]:
        if where in generation.databases:
            found.setdefault(where.architecture, []).append(where.repository)
    return found


def descriptions(
    archive: Archive, generation: Generation, where: Where, most: int = MOST_DESCRIBED
) -> list[Description]:
    """Return what a database describes; nothing where it cannot be read, or takes more bytes."""
    try:
        descriptor = archive.open_piece(generation.databases[where].database)
        try:
            return read_sent(descriptor, partial(_describe, most))
        finally:
            os.close(descriptor)
    except (FloconError, OSError) as error:
        _log.warn("what is wanted of {where} is not known: {error}", where=where, error=error)
        return []


def _describe(most: int, file: BinaryIO) -> list[Description]:
    described, left = [], most
    for one in filter(None, map(describe, read_descs(file))):
        left -= one.size + _EACH
        if left < 0:
            raise SyncDatabaseError("large", "its packages describe too much")
        described.append(one)
    return described


def _size(described: Sequence[Description]) -> int:
    return sum(one.size + _EACH for one in described)
