"""The node's inventory as peers read it: what changed since, or the whole, each written once.

What changed since any generation is the end of one text: of all changes that are known. A large
answer is in memory once, whoever reads it, and sent as its readers take it; those of old ones are
cut off where there are too many. What is held, and what of it may be told, is decided elsewhere.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web import http

from flocon.answering.held import Editions, InMemory, send_edition
from flocon.answering.respond import refuse
from flocon.answering.turns import Turns
from flocon.asking.waiting import Outcome
from flocon.extents import Extent
from flocon.machine.limits import lacks_descriptors
from flocon.neighbours.inventory_text import format_inventory
from flocon.serving.site import host_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.web.http import Request

    from flocon.faces.needs import Shelf

#: Lines of an inventory written between two turns of the reactor.
SLICE = 2_000
#: Changes told by themselves, in some 4 ms; whoever missed more reads all.
MOST_CHANGES = 4_096
#: Changes that are few: at most 22 KB of text, which waits in a connection's own memory.
FEW_CHANGES = 64


@dataclass(frozen=True, slots=True)
class Written:
    """A text of the inventory of one epoch and generation.

    ``starts`` has where the line of each change begins, the oldest first; the last is the end of
    them all. Empty where the text is the whole.
    """

    epoch: str
    generation: int
    text: InMemory
    starts: Sequence[int] = ()

    def part(self, changes: int) -> Extent:
        """Return where the lines of so many changes are, and the last line of all."""
        start = self.starts[-1 - changes] if self.starts else 0
        return Extent(start, self.text.size)


class InventoryAnswers:
    """Keeps the last whole inventory that was written, and the last changes."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._whole: Written | None = None
        self._changes: Written | None = None
        self._editions = Editions()
        self._writing: Outcome[None] | None = None
        self._turns = Turns(shelf.reactor)
        #: Answers of few changes, by how many; all of this epoch and generation.
        self._few: dict[int, bytes] = {}
        self._few_of = ("", 0)

    async def send(self, request: Request, since: int | None) -> None:
        """Send what changed ``since`` a generation; the whole where that cannot be told."""
        inventory = self._shelf.offering.inventory
        missed = None if since is None else inventory.missed(since)
        request.setHeader("Content-Type", "text/plain; charset=us-ascii")
        try:
            if missed is None or missed > MOST_CHANGES:
                await self._send(request, await self._written(request), 0)
            elif missed > FEW_CHANGES:
                await self._send(request, self._log(), missed)
            else:
                self._send_few(request, missed)
        except OSError as error:
            if not lacks_descriptors(error) or request.startedWriting:
                raise
            refuse(request, http.SERVICE_UNAVAILABLE)

    def _current(self, written: Written | None) -> bool:
        now = self._shelf.own.epoch, self._shelf.offering.inventory.generation
        return written is not None and (written.epoch, written.generation) == now

    # What changed

    def _send_few(self, request: Request, missed: int) -> None:
        inventory, epoch = self._shelf.offering.inventory, self._shelf.own.epoch
        if self._few_of != (epoch, inventory.generation):
            self._few_of = epoch, inventory.generation
            self._few.clear()
        body = self._few.get(missed)
        if body is None:
            changes = inventory.latest(missed)
            lines = format_inventory(epoch, inventory.generation, changes, whole=False)
            body = self._few[missed] = b"".join(lines)
        request.setHeader("Content-Length", str(len(body)))
        request.write(b"" if request.method == b"HEAD" else body)
        request.finish()

    def _log(self) -> Written:
        """Return the changes that are told by themselves, all of them in one text."""
        written = self._changes
        if written is None or not self._current(written):
            inventory, epoch = self._shelf.offering.inventory, self._shelf.own.epoch
            changes = inventory.latest(MOST_CHANGES)
            lines = list(format_inventory(epoch, inventory.generation, changes, whole=False))
            # The head is each answer's own, as is where its changes begin.
            starts = array("L", [0])
            for line in lines[1:-1]:
                starts.append(starts[-1] + len(line))
            text = InMemory(b"".join(lines[1:]))
            self._close(self._changes)
            written = self._changes = Written(epoch, inventory.generation, text, starts)
        return written

    # Sending

    async def _send(self, request: Request, written: Written, changes: int) -> None:
        """Send what may be many megabytes, as its reader takes it."""
        head = b""
        if written.starts:
            lines = format_inventory(written.epoch, written.generation, (), whole=False)
            head = next(lines)
        part, text = written.part(changes), written.text
        request.setHeader("Content-Length", str(len(head) + len(part)))
        if request.method == b"HEAD":
            request.finish()
            return
        await send_edition(request, self._editions, text, part, head)

    # The whole

    async def _written(self, request: Request) -> Written:
        """Return the whole inventory: written once for each generation, whoever asks."""
        while self._writing is not None:
            await self._writing.wait()
            # All who waited go on now; that may be a thousand.
            await self._turn(request)
        written = self._whole
        if written is None or not self._current(written):
            writing = self._writing = Outcome()
            try:
                generation, text = await self._write_whole()
                edition = InMemory(text)
                self._close(self._whole)
                written = self._whole = Written(self._shelf.own.epoch, generation, edition)
            finally:
                self._writing = None
                writing.succeed(None)
        return written

    def _turn(self, request: Request) -> Deferred[None]:
        """Wait for the asker's turn."""
        asker = host_of(request.client)
        turn: Deferred[None] = Deferred(lambda _: self._turns.drop(asker, request))
        self._turns.wait(asker, request, partial(turn.callback, None))
        return turn

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
        """Give the written texts' memory back; who is being sent one has it still."""
        self._close(self._whole)
        self._close(self._changes)
        self._whole = self._changes = None

    def _close(self, written: Written | None) -> None:
        if written is not None:
            written.text.close()
