"""Reads peers' inventories: the one question a node asks before pacman asks it anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.core.inventory import InventoryReader
from flocon.errors import Broken, InventoryError, Stalled
from flocon.net.fetch import Limits, Wanted, fetch, literal_host

if TYPE_CHECKING:
    from twisted.web.iweb import IAgent

    from flocon.net.fetch import Head

LIMITS = Limits(first_byte=3.0, stall=3.0)
#: Seconds for a whole inventory, however it drips: 3,000 files are 400 kB.
PATIENCE = 20.0
#: Inventories read at once.
AT_ONCE = 4


class _Feed:
    """A sink that reads an inventory as it comes."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.reader = InventoryReader()

    def begin(self, head: Head) -> None:
        pass

    def write(self, position: int, data: bytes) -> None:
        try:
            self.reader.feed(data)
        except InventoryError as error:
            raise Broken(self._source, f"sent no inventory ({error})") from None


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
        feed = _Feed(address)
        asking = defer.ensureDeferred(
            fetch(self._agent, self._reactor, Wanted(url, address), feed, LIMITS)
        )
        asking.addTimeout(PATIENCE, self._reactor)
        try:
            await asking
        except defer.TimeoutError:
            raise Stalled(address, f"no inventory within {PATIENCE:g} s") from None
        if not feed.reader.ended:
            raise Broken(address, "the inventory ended early")
        return feed.reader
