"""How the state of a group of repositories is read: from the first mirror that has a whole one.

How one mirror is read is ``one_mirror``'s, when it is done ``refreshing``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.errors import MirrorError, SourceError
from flocon.log import logger
from flocon.mirrors.groups import lacks_too_much
from flocon.mirrors.one_mirror import Reading
from flocon.mirrors.servers import mirrored, servers_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from flocon.mirrors.generation import DatabaseFiles, Where
    from flocon.mirrors.groups import Group, Known
    from flocon.mirrors.one_mirror import Tools
    from flocon.mirrors.states import Taking

__all__ = ["Upstream", "mirrored", "servers_of"]

#: Mirrors of one group that are asked in one look, and for a list of files that somebody waits for.
MOST_MIRRORS = 6
MOST_FOR_FILES = 2
#: What is told of those that failed.
_MOST_TOLD = 3


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
