"""What mirrors say of a file without sending it: HEAD, passed on as it was asked.

A HEAD costs a few hundred bytes where a GET that nobody reads costs the file. The mirrors are asked
one after the other within one patience; nothing is kept, and nothing is said of how they stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.web import http

from flocon.asking.answer import NOT_MODIFIED
from flocon.asking.fetch import Wanted
from flocon.asking.small import ask_head
from flocon.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.web.iweb import IAgent, IResponse

    from flocon.asking.source import Source

#: Seconds for one mirror, and for all of them: pacman and curl give up at ten.
PATIENCE = 2.5
PATIENCE_OF_ALL = 8.0
#: What is passed on, and how long it may be.
FIELDS = ("Content-Length", "Last-Modified", "ETag", "Content-Type", "Accept-Ranges")
LONGEST_VALUE = 256
_GOOD = (http.OK, NOT_MODIFIED)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a HEAD: ``status`` is 200, 304, 404 where every mirror said so, or 503.

    ``source`` is the mirror that answered, None where none did; ``fields`` are its headers.
    """

    status: int
    source: Source | None = None
    fields: tuple[tuple[str, str], ...] = ()


async def ask_heads(
    agent: IAgent, clock: Any, sources: Iterable[Source], modified_since: str | None
) -> Told:
    """Return what the first mirror that has a file says of it."""
    until = clock.seconds() + PATIENCE_OF_ALL
    statuses = []
    for source in sources:
        left = min(PATIENCE, until - clock.seconds())
        if left <= 0:
            statuses.append(http.SERVICE_UNAVAILABLE)
            break
        told = await _ask(agent, clock, source, modified_since, left)
        if told.status in _GOOD:
            return told
        statuses.append(told.status)
    missing = bool(statuses) and all(status == http.NOT_FOUND for status in statuses)
    return Told(http.NOT_FOUND if missing else http.SERVICE_UNAVAILABLE)


async def _ask(
    agent: IAgent, clock: Any, source: Source, modified_since: str | None, seconds: float
) -> Told:
    wanted = Wanted(source.url, source.label, modified_since=modified_since)
    try:
        response = await ask_head(agent, clock, wanted, seconds)
    except SourceError:
        return Told(http.SERVICE_UNAVAILABLE)
    return Told(response.code, source, tuple(_fields(response)))


def _fields(response: IResponse) -> list[tuple[str, str]]:
    fields = []
    for name in FIELDS:
        values = response.headers.getRawHeaders(name.encode("ascii"), [])
        if len(values) == 1 and len(values[0]) <= LONGEST_VALUE and values[0].isascii():
            fields.append((name, values[0].decode("ascii")))
    return fields
