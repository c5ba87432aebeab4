"""What is looked at of a database and its signature while they come, see ``transfers.subjects``.

A database is listed nowhere, so it can only be looked at: whether it begins as one does, whoever
it is from, before pacman gets its first byte; and all of a peer's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flocon.asking.answer import NOT_MODIFIED
from flocon.asking.dates import seconds_of
from flocon.asking.source import Origin, Source
from flocon.pacman.database_files import find_early_problem
from flocon.pacman.keyring import begins_plausibly, plausible
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.sources.ranking import Dated, order_for_database, without_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flocon.asking.answer import Head
    from flocon.databases.lan_state import StateFile


class DatabaseChecks:
    """Looks at one database; ``dated`` is what peers said, ``since`` the date that pacman has.

    ``examine`` looks at the whole of a peer's, and ``arrived`` learns of one that is right.
    """

    def __init__(
        self,
        dated: list[Dated],
        since: float | None,
        *,
        examine: Callable[[Source, int], Awaitable[str]],
        arrived: Callable[[Source, int], None],
    ) -> None:
        self._dated = dated
        self._since = since
        self._examine = examine
        self._arrived = arrived

    def order(self, mirrors: list[Source], waited: float) -> list[Source]:
        order = order_for_database(mirrors, self._dated, self._since, time.time())
        return without_delay(order, waited)

    def head(self, source: Source, head: Head) -> str:
        """Hold a peer to what it said when it was asked how new its database is."""
        if source.origin is Origin.MIRROR:
            return ""
        said = next((one.modified for one in self._dated if one.source == source), None)
        if head.status == NOT_MODIFIED:
            newer = said is None or self._since is None or said > self._since
            return "says that its newer database is no newer" if newer else ""
        agrees = said is not None and seconds_of(head.modified) == said
        return "" if agrees else "gives its database another date than it said"

    def beginning(self, data: bytes, *, whole: bool) -> str | None:
        return _early_problem(data, whole=whole)

    async def peers(self, source: Source, descriptor: int) -> str:
        return await self._examine(source, descriptor)

    def done(self, source: Source, descriptor: int) -> None:
        self._arrived(source, descriptor)


class FollowedChecks:
    """Looks at a database of the state that is followed, which says what ``file`` it is."""

    def __init__(self, file: StateFile, examine: Callable[[Source, int], Awaitable[str]]) -> None:
        self._file = file
        self._examine = examine

    def head(self, source: Source, head: Head) -> str:
        agrees = head.size in {None, self._file.size}
        return "" if agrees else "has a database of another size than its state says"

    def beginning(self, data: bytes, *, whole: bool) -> str | None:
        return _early_problem(data, whole=whole)

    async def peers(self, source: Source, descriptor: int) -> str:
        return await self._examine(source, descriptor)

    def done(self, source: Source, descriptor: int) -> None:
        pass


class SignatureChecks:
    """What is looked at of a database's signature, which a mirror sends."""

    def head(self, source: Source, head: Head) -> str:
        return ""

    def beginning(self, data: bytes, *, whole: bool) -> str | None:
        good = plausible(data) if whole else begins_plausibly(data)
        if not good:
            return "has no signature under that name"
        return "" if whole or len(data) >= LARGEST_SIGNATURE else None

    async def peers(self, source: Source, descriptor: int) -> str:
        return ""

    def done(self, source: Source, descriptor: int) -> None:
        pass


def _early_problem(data: bytes, *, whole: bool) -> str | None:
    problem = find_early_problem(data, whole=whole)
    return f"has no database under that name: it {problem}" if problem else problem
