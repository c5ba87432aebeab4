"""Which datagrams are read at all: from a machine on a link, and not too many.

Everything here is by the sender's address, which a stranger can make up; so strangers together
have a bound as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.datagrams.buckets import Bucket, BucketTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flocon.machine.links import Link

#: Datagrams per second and at once: of one address, of all unknown ones, of all known ones.
SOURCE_RATE, SOURCE_BURST, MOST_SOURCES = 50.0, 200.0, 2_048
STRANGERS_RATE, STRANGERS_BURST = 500.0, 2_000.0
PEERS_RATE, PEERS_BURST = 2_000.0, 4_000.0
#: Addresses whose link is remembered, so that it is looked up once.
MOST_REACHED = 4_096


class Earshot:
    """Counts what comes of each address, and knows which are on a link."""

    def __init__(self) -> None:
        self._links: tuple[Link, ...] = ()
        self._reached: dict[str, bool] = {}
        self._sources = BucketTable(SOURCE_RATE, SOURCE_BURST, MOST_SOURCES)
        self._of_strangers = Bucket(STRANGERS_RATE, STRANGERS_BURST)
        self._of_peers = Bucket(PEERS_RATE, PEERS_BURST)

    def set_links(self, links: Sequence[Link]) -> None:
        self._links = tuple(links)
        self._reached.clear()

    def reaches(self, address: str) -> bool:
        """Whether ``address`` is on a link."""
        known = self._reached.get(address)
        if known is None:
            if len(self._reached) >= MOST_REACHED:
                self._reached.clear()
            known = self._reached[address] = any(link.reaches(address) for link in self._links)
        return known

    def admits(self, now: float, address: str, *, is_peers: bool) -> bool:
        """Whether one more is read: strangers together cannot drown those who are known."""
        if not self._sources.take(now, address):
            return False
        together = self._of_peers if is_peers else self._of_strangers
        return together.take(now)
