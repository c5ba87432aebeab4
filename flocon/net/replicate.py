"""Reads peers' inventories: the one question a node asks before pacman asks it anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

from flocon.core.inventory import INVENTORY_MAGIC, InventoryReader
from flocon.errors import Broken, InventoryError, Stalled
from flocon.net.fetch import Limits, Wanted, fetch, literal_host

if TYPE_CHECKING:
    from twisted.web.iweb import IAgent

    from flocon.net.fetch import Head

LIMITS = Limits(first_byte=3.0, stall=3.0)
#: Seconds for a whole inventory, however it drips: 3,000 files are 400 kB.
PATIENCE = 20.0
#: Bytes of an inventory: twice what 100,000 files take.
LARGEST = 32 << 20
#: Bytes read in one turn of the reactor, in some 5 ms.
SLICE = 32 << 10
#: Inventories read at once.
AT_ONCE = 4


class _Pieces:
    """A sink that keeps an inventory as it comes, within a bound."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = LARGEST
        self.pieces: list[bytes] = []

    def begin(self, head: Head) -> None:
        pass

    def write(self, position: int, data: bytes) -> None:
        if not self.pieces and not data.startswith(INVENTORY_MAGIC[: len(data)]):
            raise Broken(self._source, "sent no inventory")
        self._left -= len(data)
        if self._left < 0:
            raise Broken(self._source, f"sent an inventory of more than {LARGEST} bytes")
        self.pieces.append(data)


class InventoryClient:
    """Asks peers for their inventories, a few at once."""

    def __init__(self, reactor: Any, agent: IAgent) -> None:
        self._reactor = reactor
        self._agent = agent
        self._turn = defer.DeferredSemaphore(AT_ONCE)

    async def read(self, address: str, port: int, since: int | None) -> InventoryReader:
        """Return what ``address`` holds, or what changed there after ``since``.

        Raises SourceError where it cannot be had or is not one.
        """
        await self._turn.acquire()
        try:
            return await self._read(address, port, since)
        finally:
            self._turn.release()

    async def _read(self, address: str, port: int, since: int | None) -> InventoryReader:
        query = "" if since is None else f"?since={since}"
        url = f"http://{literal_host(address)}:{port}/inventory{query}"
        coming = _Pieces(address)
        asking = defer.ensureDeferred(
            fetch(self._agent, self._reactor, Wanted(url, address), coming, LIMITS)
        )
        asking.addTimeout(PATIENCE, self._reactor)
        try:
            await asking
        except defer.TimeoutError:
            raise Stalled(address, f"no inventory within {PATIENCE:g} s") from None
        try:
            reader = await self._parse(coming.pieces)
        except InventoryError as error:
            raise Broken(address, f"sent no inventory ({error})") from None
        if not reader.ended:
            raise Broken(address, "the inventory ended early")
        return reader

    async def _parse(self, pieces: list[bytes]) -> InventoryReader:
        """Read in slices: several inventories may come in one turn of the reactor."""
        reader = InventoryReader()
        for piece in pieces:
            for start in range(0, len(piece), SLICE):
                reader.feed(piece[start : start + SLICE])
                await task.deferLater(self._reactor, 0)
        return reader
