"""How the state of a group of repositories is read: from the first mirror that has a whole one.

How one mirror is read is ``one_mirror``'s, when it is done ``refreshing``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.errors import MirrorError, SourceError
from flocon.log import logger
from flocon.upstream.groups import assemble, groups_of, lacks_too_much
from flocon.upstream.one_mirror import Reading
from flocon.upstream.servers import mirrored, servers_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from flocon.states.generation import DatabaseFiles, Generation, Where
    from flocon.upstream.groups import Group, Known
    from flocon.upstream.one_mirror import Tools

__all__ = ["Upstream", "mirrored", "servers_of"]

#: Mirrors of one group that are asked in one look, and for a list of files that somebody waits for.
MOST_MIRRORS = 6
MOST_FOR_FILES = 2
#: Seconds after which no further mirror of a group is begun.
LONGEST_LOOK = 3_600.0
#: What is told of those that failed.
_MOST_TOLD = 3


class Upstream:
    """Reads groups of repositories, each from the first mirror that has a whole state."""

    _log = logger()

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def read(
        self, group: Group, known: Known | None, files: Collection[Where]
    ) -> Known | None:
        """Return the state of a group, with lists of ``files`` of some; None if it is the known.

        Raises MirrorError where no mirror has one, or a StoreError.
        """
        problems: list[SourceError] = []
        best: Known | None = None
        began = self._tools.reactor.seconds()
        for root, servers in list(group.mirrors.items())[:MOST_MIRRORS]:
            if self._tools.reactor.seconds() - began >= LONGEST_LOOK:
                break
            try:
                found = await Reading(self._tools, root, servers, known).run(files)
            except SourceError as error:
                self._log.info("databases are not read from one server: {error}", error=error)
                problems.append(error)
                continue
            if found is None or found.absent <= (known.absent if known else frozenset()):
                return found
            if best is None or len(found.absent) < len(best.absent):
                best = found
        if best is not None and not lacks_too_much(known, best.absent, self._tools.wall()):
            return best
        remedy = ""
        told = [str(problem) for problem in problems[:_MOST_TOLD]]
        if best is not None:
            lacking = ", ".join(map(str, sorted(best.absent)))
            told.append(f"{best.state.source}: has no more {lacking}")
            remedy = "what is gone for good goes out of pacman.conf, or of [mirror] repositories"
        raise MirrorError(f"no server has all of {group}: {'; '.join(told)}", remedy)

    async def read_apart(self, servers: Mapping[Where, Sequence[str]]) -> Generation:
        """Return what the first server of each has, whatever is known here of any other.

        Raises a SourceError, or a StoreError.
        """
        named = {where: places[:1] for where, places in servers.items()}
        parts = []
        for group in groups_of(named):
            for root, places in group.mirrors.items():
                found = await Reading(self._tools, root, places, None).run(())
                if found is not None:
                    parts.append(found)
        return assemble(parts, int(self._tools.wall()))

    async def files(self, group: Group, where: Where, one: DatabaseFiles) -> DatabaseFiles | None:
        """Return a database's files with the list that belongs to it, None where none has it."""
        for root, servers in list(group.mirrors.items())[:MOST_FOR_FILES]:
            try:
                return await Reading(self._tools, root, servers, None).files(where, one)
            except SourceError as error:
                self._log.info(
                    "the list of files of {where} is not given: {error}", where=where, error=error
                )
        return None
