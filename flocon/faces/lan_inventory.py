"""The node's inventory as peers read it: what changed since, or the whole, each written once.

Whoever asks for the same is given the same bytes; a large one is written in slices and sent as its
reader takes it. What is held, and what of it may be told, is decided elsewhere.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from twisted.internet.task import deferLater

from flocon.answering.held import Editions, InMemory, send_extent
from flocon.asking.extents import Extent
from flocon.asking.waiting import Outcome
from flocon.neighbours.inventory_text import format_inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.web.http import Request

    from flocon.faces.needs import Shelf
    from flocon.holdings.inventory import Change

#: Lines of an inventory written between two turns of the reactor.
SLICE = 2_000
#: Changes told by themselves, in some 4 ms, written once for all who missed the same; whoever
#: missed more reads all.
MOST_CHANGES = 4_096


class InventoryAnswers:
    """Keeps the last whole inventory that was written, and the last answer of what changed."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        # The last whole inventory that was written, with its generation; and its being written.
        self._written: tuple[tuple[str, int], InMemory] | None = None
        self._editions = Editions()
        self._writing: Outcome[None] | None = None
        #: The last answer of what changed, and to which epoch, generation and ``since``.
        self._told: tuple[tuple[str, int, int | None], bytes] = (("", 0, None), b"")

    async def send(self, request: Request, since: int | None) -> None:
        """Send what changed ``since`` a generation; the whole where that cannot be told."""
        changes = None if since is None else self._shelf.offering.inventory.since(since)
        request.setHeader("Content-Type", "text/plain; charset=us-ascii")
        if changes is None or len(changes) > MOST_CHANGES:
            await self._send_whole(request)
            return
        body = self._lines(since, changes)
        request.setHeader("Content-Length", str(len(body)))
        request.write(b"" if request.method == b"HEAD" else body)
        request.finish()

    def _lines(self, since: int | None, changes: Iterable[Change]) -> bytes:
        """Return what changed since, from the last answer where that was the same question."""
        generation = self._shelf.offering.inventory.generation
        asked = self._shelf.own.epoch, generation, since
        if self._told[0] != asked:
            lines = format_inventory(self._shelf.own.epoch, generation, changes, whole=False)
            self._told = asked, b"".join(lines)
        return self._told[1]

    async def _send_whole(self, request: Request) -> None:
        """Send the whole inventory, which may be many megabytes, as its reader takes it."""
        written = await self._whole()
        request.setHeader("Content-Length", str(written.size))
        if request.method == b"HEAD":
            request.finish()
            return
        # A descriptor of its own: the next generation replaces the file.
        descriptor = os.dup(written.fileno())
        cuts: list[Callable[[], None]] = []

        def attach(_poke: Callable[[], None], cut: Callable[[], None]) -> None:
            cuts.append(cut)
            self._editions.begin(written, cut)

        try:
            await send_extent(
                request,
                Extent(0, written.size),
                fileno=lambda: descriptor,
                limit=lambda _: written.size,
                sent=lambda _: None,
                attach=attach,
            )
        finally:
            os.close(descriptor)
            for cut in cuts:
                self._editions.end(written, cut)

    async def _whole(self) -> InMemory:
        """Return the whole inventory: written once for each generation, whoever asks."""
        while self._writing is not None:
            await self._writing.wait()
        generation = self._shelf.offering.inventory.generation
        if self._written is None or self._written[0] != (self._shelf.own.epoch, generation):
            writing = self._writing = Outcome()
            try:
                generation, text = await self._write_whole()
                self.close()
                self._written = (self._shelf.own.epoch, generation), InMemory(text)
            finally:
                self._writing = None
                writing.succeed(None)
        return self._written[1]

    async def _write_whole(self) -> tuple[int, bytes]:
        """Write in slices, so that a large inventory does not hold the reactor."""
        inventory = self._shelf.offering.inventory
        generation = inventory.generation
        lines = format_inventory(self._shelf.own.epoch, generation, inventory.whole(), whole=True)
        pieces = []
        while piece := b"".join(islice(lines, SLICE)):
            pieces.append(piece)
            if len(pieces) > 1:
                await deferLater(self._shelf.reactor, 0)
        return generation, b"".join(pieces)

    def close(self) -> None:
        """Give the written inventory's memory back; who is being sent it has it still."""
        if self._written is not None:
            self._written[1].close()
            self._written = None
