"""What another tool lists on a machine whose node tells the same file: one file, told once.

The node tells a SHA-256 of it, so what it says stays. Only for a person who asks what is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.files import DIGEST_SIZE
from flocon.neighbours import searching

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from flocon.advice.search import Listing
    from flocon.neighbours.searching import Table

#: Files of peers that are looked at in one go.
SLICE = 4_000


class Beside:
    """Knows which files nodes tell; ``nodes_at`` gives the ids of those at an address."""

    def __init__(self, table: Table, nodes_at: Callable[[str], Collection[str]]) -> None:
        self._table = table
        self._nodes_at = nodes_at
        self._doubts = searching.doubts(table)
        self._masks: dict[str, int] = {}

    async def drop(self, reactor: Any, listings: dict[str, list[Listing]]) -> None:
        """Take out of what is listed, by file, what a node on the same machine tells as well."""
        hosts = {place.address for ones in listings.values() for place, _ in ones}
        if not any(map(self._nodes_of, hosts)):
            return
        for keys in searching.keys(self._table, SLICE):
            self._drop(listings, keys)
            await task.deferLater(reactor, 0)

    def _drop(self, listings: dict[str, list[Listing]], keys: Iterable[bytes]) -> None:
        for key in keys:
            name = key[:-DIGEST_SIZE].decode("ascii")
            ones = listings.get(name, ())
            left = [one for one in ones if not self._is_told(key, one)]
            if left:
                listings[name] = left
            else:
                listings.pop(name, None)

    def _is_told(self, key: bytes, listing: Listing) -> bool:
        """Whether a node where it is listed has the file, of that size where one is told."""
        place, size = listing
        if size not in {None, self._table.sizes[key]}:
            return False
        holders = self._table.masks.get(key, 0) & self._table.live() & ~self._doubts.get(key, 0)
        return bool(holders & self._nodes_of(place.address))

    def _nodes_of(self, address: str) -> int:
        """Return the mask of the nodes at an address."""
        mask = self._masks.get(address)
        if mask is None:
            nodes = self._nodes_at(address)
            bits = (1 << bit for bit, node in self._table.by_bit.items() if node in nodes)
            mask = self._masks[address] = sum(bits)
        return mask
