"""The state of a day, from an archive of states that the operator names."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from flocon.errors import MirrorError, Refused
from flocon.files import Kind
from flocon.pacman.configuration import fill_in
from flocon.states.generation import Generation, Where

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from flocon.files import Asked
    from flocon.pacman.entries import Entry
    from flocon.states.generation import DatabaseFiles
    from flocon.states.states import States

#: What a mirror answers that does not have a repository.
_ABSENT = frozenset({403, 404, 410})
#: Days whose folders of an archive may have the packages of a state: of its own, and of the next
#: one for what came after that day's copy was made.
_FOLDERS = 2


def archive_server(archive: str, day: date, where: Where) -> str:
    """Return where an archive has a repository as it was on a day, complete but for the file."""
    named = archive.replace("$date", day.strftime("%Y/%m/%d"))
    return fill_in(named, where.repository, where.architecture)


async def read_day(
    archive: str,
    day: date,
    mirrored: Sequence[Where],
    newest: Generation | None,
    read: Callable[[Mapping[Where, Sequence[str]]], Awaitable[Generation]],
) -> tuple[Generation, list[Where]]:
    """Return the state of a day, and which of its databases are of today instead.

    Those are what the archive has not, as the newest state has them. Raises MirrorError where it
    has nothing of that day, and what ``read`` does.
    """
    databases: dict[Where, DatabaseFiles] = {}
    absent, source = [], ""
    for where in mirrored:
        try:
            generation = await read({where: (archive_server(archive, day, where),)})
        except Refused as error:
            if error.status not in _ABSENT:
                raise
            absent.append(where)
        else:
            databases.update(generation.databases)
            source = source or generation.source
    if not databases:
        raise MirrorError(
            f"the archive has no state of {day}", "name another day, or see [mirror].archive"
        )
    known = newest.databases if newest is not None else {}
    substitutes = [where for where in absent if where in known]
    databases.update((where, known[where]) for where in substitutes)
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return Generation(int(time.time()), source, databases, midnight), substitutes


def day_of(generation: Generation) -> date:
    """Return the day of which a state is, by the clock that archives go by."""
    return datetime.fromtimestamp(generation.age_from, UTC).date()


def servers_of_the_past(
    states: States, archive: str, asked: Asked, entry: Entry | None
) -> tuple[str, ...]:
    """Return where packages are that only past states in use list; () for all else.

    Each is complete but for the file.
    """
    if asked.file.kind is not Kind.PACKAGE:
        return ()
    repository = asked.repository or (entry.repository if entry is not None else "")
    if any(_listing(states, newest, asked, repository) for newest in states.read[-1:]):
        return ()  # mirrors have it
    return tuple(
        dict.fromkeys(
            archive_server(archive, day + timedelta(days=later), where)
            for generation in states.in_use()
            for where in _listing(states, generation, asked, repository)
            for day in _days(states, generation)
            for later in range(_FOLDERS)
        )
    )


def _days(states: States, generation: Generation) -> list[date]:
    """Return the days of which a state is: it may have been read, and be kept as an earlier one."""
    kept = (one for one, _ in states.snapshots.values() if one.identity == generation.identity)
    return sorted({day_of(one) for one in (generation, *kept)})


def _listing(states: States, generation: Generation, asked: Asked, repository: str) -> list[Where]:
    """Return where a state lists a package; only one that is in use does."""
    found = []
    for where in generation.databases:
        if where.repository == repository and asked.architecture in {"", where.architecture}:
            database = states.catalogue.database(generation, where)
            if database is not None and asked.file.subject in database.entries:
                found.append(where)
    return found
