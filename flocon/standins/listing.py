"""The listing of what this node holds, as pacserve's peers read it: written once for all of them.

It is in memory once, whoever reads it, and sent as its readers take it; who reads an old one slowly
is cut off where there are too many. It may be some seconds old.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet.task import deferLater
from twisted.web import http

from flocon.answering.held import Editions, InMemory, send_edition
from flocon.answering.respond import refuse
from flocon.asking.waiting import Outcome
from flocon.extents import Extent
from flocon.machine.limits import lacks_descriptors
from flocon.standins.questions import listing_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.web.http import Request

    from flocon.standins.needs import Offering

#: Packages that are listed, with their signatures some 7 MB of text.
MOST_LISTED = 20_000
#: Packages of a listing that are written between two turns of the reactor.
SLICE = 500
#: Seconds for which a listing is given out though something has changed.
FRESH = 5.0
JSON = "application/json; charset=UTF-8"
_SECOND = 1_000_000_000


class PackageListing:
    """What ``offering`` has for others, as one text."""

    def __init__(self, reactor: Any, offering: Offering) -> None:
        self._reactor = reactor
        self._offering = offering
        self._text: InMemory | None = None
        #: Of which generation the text is, and when it was written.
        self._of = -1, 0.0
        self._writing: Outcome[None] | None = None
        self._editions = Editions()

    async def send(self, request: Request) -> None:
        """Answer with the listing."""
        try:
            await self._send(request, await self._written())
        except OSError as error:
            if not lacks_descriptors(error) or request.startedWriting:
                raise
            refuse(request, http.SERVICE_UNAVAILABLE)

    async def _send(self, request: Request, text: InMemory) -> None:
        request.setHeader("Content-Type", JSON)
        request.setHeader("Content-Length", str(text.size))
        request.setHeader("Cache-Control", "no-store")
        await send_edition(request, self._editions, text, Extent(0, text.size))

    async def _written(self) -> InMemory:
        while self._writing is not None:
            await self._writing.wait()
        text, (generation, at) = self._text, self._of
        is_old = generation != self._offering.inventory.generation
        if text is None or (is_old and self._reactor.seconds() - at >= FRESH):
            writing = self._writing = Outcome()
            try:
                text = await self._write()
            finally:
                self._writing = None
                writing.succeed(None)
        return text

    async def _write(self) -> InMemory:
        """Write in slices, so that many packages do not hold the reactor."""
        generation = self._offering.inventory.generation
        names = iter(list(islice(self._offering.inventory.names(), MOST_LISTED)))
        pieces: list[str] = []
        while piece := list(islice(names, SLICE)):
            entries = [entry for name in piece for entry in self._entries(name)]
            if entries:
                pieces.append(",\n".join(entries))
            await deferLater(self._reactor, 0)
        edition = InMemory(("{" + ",\n".join(pieces) + "}").encode())
        self.close()
        self._text, self._of = edition, (generation, self._reactor.seconds())
        return edition

    def _entries(self, name: str) -> Iterator[str]:
        held = self._offering.find(name)
        if held is None:
            return
        entry = partial(listing_entry, modified=held.stamp.mtime_ns // _SECOND)
        yield entry(name, held.stamp.size)
        if held.signature is not None:
            yield entry(f"{name}.sig", held.signature.size)

    def close(self) -> None:
        """Give the text's memory back; who is being sent it has it still."""
        if self._text is not None:
            self._text.close()
            self._text = None
