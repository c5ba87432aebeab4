"""Reads peers' inventories: the one question a node asks before pacman asks it anything.

Whose turn it is, and who loses it, is ``turns``' to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

from flocon.asking.agents import literal_host
from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted, fetch
from flocon.errors import Broken, InventoryError, SourceError, Stalled
from flocon.neighbours.condensed import Condensed
from flocon.neighbours.inventory_text import INVENTORY_MAGIC, InventoryReader
from flocon.neighbours.turns import Turn, Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall
    from twisted.web.iweb import IAgent

    from flocon.asking.answer import Head

#: A step of 8 KiB is what the slowest Wi-Fi brings in that time.
LIMITS = Limits(first_byte=3.0, stall=3.0, step=8 << 10)
#: The same of another network's node: a step is what a tenth of a slow way brings.
FAR_LIMITS = Limits(first_byte=5.0, stall=5.0, step=8 << 10)
#: Seconds for a whole inventory, however it drips: 3,000 files are 400 kB.
PATIENCE = 20.0
#: The same of another network's node: all machines here read over the same way.
FAR_PATIENCE = 60.0
#: Bytes of an inventory, of which 100,000 files take some 12 million; and of what it takes here,
#: condensed, until all of it has come.
LARGEST, MOST_CONDENSED = 32 << 20, 7 << 20


class _Arriving:
    """A sink that keeps an inventory as it comes, within a bound.

    ``grew`` is told how many bytes of memory it takes more, or less, with each piece.
    """

    def __init__(self, source: str, grew: Callable[[int], None]) -> None:
        self._source = source
        self._grew = grew
        self._begin = b""
        self._received = 0
        self.text = Condensed()

    def begin(self, head: Head) -> None:
        if head.size is not None and head.size > LARGEST:
            raise self._too_large()

    def write(self, position: int, data: bytes) -> None:
        self._received += len(data)
        if len(self._begin) < len(INVENTORY_MAGIC):
            self._begin += data[: len(INVENTORY_MAGIC) - len(self._begin)]
            if not INVENTORY_MAGIC.startswith(self._begin):
                raise Broken(self._source, "sent no inventory")
        before = self.text.size
        self.text.add(data)
        if self._received > LARGEST or self.text.size > MOST_CONDENSED:
            raise self._too_large()
        self._grew(self.text.size - before)

    def _too_large(self) -> Broken:
        return Broken(self._source, f"sent an inventory of more than {LARGEST} bytes")


class _Reading:
    """A turn and what is done in it; ``end`` takes it away."""

    def __init__(self, address: str, *, far: bool) -> None:
        self.turn = Turn(address, far)
        self.begun: Deferred[None] = defer.Deferred()
        self.asking: Deferred[Any] | None = None
        self.lost = ""

    def end(self, why: str) -> None:
        self.lost = why
        if self.asking is not None:
            self.asking.cancel()


class InventoryClient:
    """Asks peers for their inventories, a few at once; ``is_far`` tells of an address."""

    def __init__(
        self, reactor: Any, agent: IAgent, is_far: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._reactor = reactor
        self._agent = agent
        self._is_far = is_far
        self._turns = Turns()
        self._readings: dict[Turn, _Reading] = {}
        self._timer: IDelayedCall | None = None
        # What is made of an inventory's bytes takes more memory than they do.
        self._parsing = defer.DeferredLock()

    async def read(self, address: str, port: int, since: int | None) -> InventoryReader:
        """Return what ``address`` holds, or what changed there after ``since``.

        Raises SourceError where it cannot be had or is not one.
        """
        reading = _Reading(address, far=self._is_far(address))
        self._readings[reading.turn] = reading
        self._turns.wait(reading.turn)
        failed = False
        try:
            self._give_turns()
            await reading.begun
            return await self._read(reading, address, port, since)
        except SourceError:
            failed = True
            raise
        finally:
            del self._readings[reading.turn]
            self._turns.ended(reading.turn, self._reactor.seconds(), failed=failed)
            self._give_turns()

    def _give_turns(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        begun, ended = self._turns.give(self._reactor.seconds())
        due = self._turns.due(self._reactor.seconds())
        if due is not None:
            self._timer = self._reactor.callLater(due, self._give_more_turns)
        for turn in begun:
            self._readings[turn].begun.callback(None)
        for turn in ended:
            self._readings[turn].end("is slower than others, and more of them wait")

    def _give_more_turns(self) -> None:
        self._timer = None
        self._give_turns()

    async def _read(
        self, reading: _Reading, address: str, port: int, since: int | None
    ) -> InventoryReader:
        query = "" if since is None else f"?since={since}"
        url = f"http://{literal_host(address)}:{port}/inventory{query}"

        def grew(count: int) -> None:
            largest = self._turns.grew(reading.turn, count)
            if largest is not None and largest is not reading.turn:
                self._readings[largest].end("is the largest of more than there is room for")
            elif largest is not None:
                raise Broken(address, "is the largest of more than there is room for")

        coming = _Arriving(address, grew)
        limits = FAR_LIMITS if reading.turn.far else LIMITS
        asking = defer.ensureDeferred(
            fetch(self._agent, self._reactor, Wanted(url, address), coming, limits)
        )
        reading.asking = asking
        patience = FAR_PATIENCE if reading.turn.far else PATIENCE
        asking.addTimeout(patience, self._reactor)
        try:
            await asking
        except defer.TimeoutError:
            raise Stalled(address, f"no inventory within {patience:g} s") from None
        except defer.CancelledError:
            if reading.lost:
                raise Stalled(address, reading.lost) from None
            raise
        reading.turn.safe = True
        try:
            reader = await self._parse(coming.text)
        except InventoryError as error:
            raise Broken(address, f"sent no inventory ({error})") from None
        if not reader.ended:
            raise Broken(address, "the inventory ended early")
        return reader

    async def _parse(self, text: Condensed) -> InventoryReader:
        """Read one at a time and in slices: several may come in one turn of the reactor."""
        reader = InventoryReader()
        await self._parsing.acquire()
        try:
            for piece in text.take():
                reader.feed(piece)
                await task.deferLater(self._reactor, 0)
        finally:
            self._parsing.release()
        return reader
