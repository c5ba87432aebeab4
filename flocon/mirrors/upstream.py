"""Whose servers mirrored repositories have, and how the state of a group of them is read.

How one mirror is read is ``reading``'s, when it is done ``refreshing``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.errors import MirrorError, SourceError
from flocon.log import logger
from flocon.mirrors.generation import Where
from flocon.mirrors.groups import lacks_too_much
from flocon.mirrors.reading import Reading
from flocon.pacman.configuration import fill_in, servers_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from flocon.mirrors.generation import DatabaseFiles
    from flocon.mirrors.groups import Group, Known
    from flocon.mirrors.reading import Tools
    from flocon.mirrors.states import Taking
    from flocon.pacman.configuration import PacmanConfiguration
    from flocon.settings.settings import Mirror as MirrorSettings

#: Mirrors of one group that are asked in one look, and for a list of files that somebody waits for.
MOST_MIRRORS = 6
MOST_FOR_FILES = 2
#: What is told of those that failed.
_MOST_TOLD = 3


def mirrored(
    settings: MirrorSettings, configuration: PacmanConfiguration
) -> dict[Where, tuple[str, ...]]:
    """Return which databases are mirrored, each with its servers, complete but for the file."""
    own = configuration.architectures[:1] or ("x86_64",)
    architectures = settings.architectures or own
    names = settings.repositories or tuple(one.name for one in configuration.repositories)
    found = {
        Where(architecture, name): servers_of(settings, configuration, Where(architecture, name))
        for architecture in architectures
        for name in names
    }
    return {where: servers for where, servers in found.items() if servers}


def servers_of(
    settings: MirrorSettings, configuration: PacmanConfiguration, where: Where
) -> tuple[str, ...]:
    """Return the servers of a mirrored repository, complete but for the file."""
    named = settings.upstream.get(where.architecture)
    if named is not None:
        return tuple(fill_in(one, where.repository, where.architecture) for one in named)
    known = configuration.repository(where.repository)
    if known is not None and where.architecture not in configuration.architectures:
        return ()
    return servers_for(configuration, where.repository, where.architecture)


def nothing_mirrored(settings: MirrorSettings, configuration: PacmanConfiguration) -> MirrorError:
    """Return what to set where nothing is mirrored."""
    if not settings.repositories and not configuration.repositories:
        return MirrorError(
            "there is nothing to mirror: this machine's pacman has no repositories",
            'write repositories = ["core", "extra"] in [mirror] of flocon.toml, and mirrors ='
            ' ["https://HOST/$repo/os/$arch"] outside of it',
        )
    names = settings.repositories or [one.name for one in configuration.repositories]
    return MirrorError(
        f"there is nothing to mirror: no server is known for {', '.join(names)}",
        'write mirrors = ["https://HOST/$repo/os/$arch"] in flocon.toml, or for other machines'
        " upstream in [mirror]",
    )


class Upstream:
    """Reads groups of repositories, each from the first mirror that has a whole state."""

    _log = logger()

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def read(
        self, group: Group, known: Known | None, files: Collection[Where], taking: Taking
    ) -> Known | None:
        """Return the state of a group, with lists of ``files`` of some; None if it is the known.

        Raises MirrorError where no mirror has one, or a StoreError.
        """
        problems: list[SourceError] = []
        best: Known | None = None
        for root, servers in list(group.mirrors.items())[:MOST_MIRRORS]:
            try:
                found = await Reading(self._tools, root, servers, known, taking).run(files)
            except SourceError as error:
                self._log.info("databases are not read from a mirror: {error}", error=error)
                problems.append(error)
                continue
            if found is None or found.absent <= (known.absent if known else frozenset()):
                return found
            if best is None or len(found.absent) < len(best.absent):
                best = found
        if best is not None and not lacks_too_much(known, best.absent, self._tools.wall()):
            return best
        told = [str(problem) for problem in problems[:_MOST_TOLD]]
        if best is not None:
            lacking = ", ".join(map(str, sorted(best.absent)))
            told.append(f"{best.state.source}: has no more {lacking}")
        raise MirrorError(f"no mirror has all of {group}: {'; '.join(told)}", "")

    async def files(
        self, group: Group, where: Where, one: DatabaseFiles, taking: Taking
    ) -> DatabaseFiles | None:
        """Return a database's files with the list that belongs to it, None where none has it."""
        for root, servers in list(group.mirrors.items())[:MOST_FOR_FILES]:
            try:
                return await Reading(self._tools, root, servers, None, taking).files(where, one)
            except SourceError as error:
                self._log.info(
                    "the list of files of {where} is not given: {error}", where=where, error=error
                )
        return None
