"""Small answers: a file of a few bytes, and what a HEAD says.

What comes in large is ``fetch``'s, by which a small file comes too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet import defer

from flocon.asking.answer import OK
from flocon.asking.attempts import NOT_FOUND, lacking
from flocon.asking.fetch import Wanted, ended_by_cancelling, fetch, field, told
from flocon.errors import Broken, Refused, Unreachable

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime
    from twisted.web.iweb import IAgent, IResponse

    from flocon.asking.answer import Head
    from flocon.asking.attempts import Limits
    from flocon.asking.source import Source


class _Small:
    """A sink for a few bytes."""

    def __init__(self, source: str, most: int) -> None:
        self._source = source
        self._most = most
        self.data = b""

    def begin(self, head: Head) -> None:
        if head.size is not None and head.size > self._most:
            raise Broken(self._source, f"has {head.size} bytes where {self._most} are possible")

    def write(self, position: int, data: bytes) -> None:
        if position + len(data) > self._most:
            raise Broken(self._source, f"sent more than {self._most} bytes")
        self.data += data


async def fetch_small(
    agent: IAgent, clock: IReactorTime, wanted: Wanted, limits: Limits, most: int
) -> bytes:
    """Return a file of at most ``most`` bytes; raises a SourceError."""
    return (await fetch_small_with_head(agent, clock, wanted, limits, most))[1]


async def fetch_small_with_head(
    agent: IAgent, clock: IReactorTime, wanted: Wanted, limits: Limits, most: int
) -> tuple[Head, bytes]:
    """Return the same with its head, which may be a 304 where ``wanted`` is conditional."""
    sink = _Small(wanted.source, most)
    head = await fetch(agent, clock, wanted, sink, limits)
    return head, sink.data


async def fetch_signature(
    agent: IAgent,
    clock: IReactorTime,
    source: Source,
    limits: Limits,
    *,
    most: int,
    if_match: str | None = None,
) -> tuple[bytes, Source]:
    """Return the signature beside a source's file, and who gave it; raises a SourceError."""
    wanted = Wanted(source.url + ".sig", source.label, if_match=if_match)
    try:
        head, data = await fetch_small_with_head(agent, clock, wanted, limits, most)
    except Refused as refused:
        raise lacking(source, refused) from None
    if source.parent and not data:
        raise Refused(source.label, NOT_FOUND)
    moved = source.parent and head.elsewhere
    return data, source.elsewhere(head.elsewhere) if moved else source


async def ask_head(agent: IAgent, clock: IReactorTime, wanted: Wanted, seconds: float) -> IResponse:
    """Return the answer to a HEAD, whatever its status; raises Unreachable where there is none."""
    try:
        asked: Deferred[IResponse] = ended_by_cancelling(
            agent.request(b"HEAD", wanted.url.encode("ascii"), wanted.headers())
        )
        asked.addTimeout(seconds, clock)
        return await asked
    except defer.CancelledError:
        raise
    except defer.TimeoutError:
        raise Unreachable(wanted.source, f"no answer within {seconds:g} s") from None
    except Exception as reason:  # noqa: BLE001 - as in fetch
        raise Unreachable(wanted.source, told(reason)) from None


async def last_modified(agent: IAgent, clock: IReactorTime, wanted: Wanted, seconds: float) -> str:
    """Return what a HEAD says of ``Last-Modified``; raises a SourceError."""
    response = await ask_head(agent, clock, wanted, seconds)
    modified = field(wanted, response, "Last-Modified")
    if response.code != OK or modified is None:
        raise Refused(wanted.source, response.code)
    return modified
