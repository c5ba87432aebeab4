"""What a state's databases say packages need, read from the archive. Everything here blocks.

Nothing of them stays: one architecture after the other, and of each only which files are wanted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flocon.errors import FloconError
from flocon.log import logger
from flocon.machine.memory import give_back
from flocon.pacman.database_files import read_sent
from flocon.pacman.relations import describe
from flocon.pacman.syncdb import read_descs
from flocon.states.generation import Where
from flocon.wanted.dependencies import Databases
from flocon.wanted.wanted import Wanted, choose

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import BinaryIO

    from flocon.pacman.relations import Description
    from flocon.states.archive import Archive
    from flocon.states.generation import Generation
    from flocon.wanted.requests import Scope

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
        databases = Databases([descriptions(archive, generation, where) for where in wheres])
        choice = choose(databases, repositories, of_these, pins)
        for place, where in enumerate(wheres):
            listed = (one.file_name for (at, _), one in choice.packages.items() if at == place)
            files[where] = tuple(sorted(listed))
        unresolved |= choice.unresolved
        unknown.append(choice.unknown)
        del databases, choice
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


def descriptions(archive: Archive, generation: Generation, where: Where) -> list[Description]:
    """Return what a database describes; nothing where it cannot be read."""
    try:
        descriptor = archive.open_piece(generation.databases[where].database)
        try:
            return read_sent(descriptor, _describe)
        finally:
            os.close(descriptor)
    except (FloconError, OSError) as error:
        _log.warn("what is wanted of {where} is not known: {error}", where=where, error=error)
        return []


def _describe(file: BinaryIO) -> list[Description]:
    return [one for one in map(describe, read_descs(file)) if one is not None]
