"""What pacman would upgrade, fetched before it asks: what that is, and how each package comes.

When it is time is ``prefetch``'s; a package comes as if pacman had asked.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThreadPool

from flocon.errors import StoreError
from flocon.files import Asked, parse_file_name
from flocon.pacman.upgrades import pending_upgrades
from flocon.sources.prefetch import Prefetch
from flocon.sources.readiness import Readiness

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.books.ledger import Ledger
    from flocon.holdings.offering import Offering
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.sources.packages import Packages
    from flocon.store.incoming import Arrivals
    from flocon.transfers.transfer import Transfer

__all__ = ["Ahead", "Readiness"]


class Ahead:
    """``most`` is how many bytes may be fetched after one look."""

    def __init__(
        self,
        reactor: Any,
        *,
        pacman: PacmanWatch,
        pacman_conf: Path,
        arrivals: Arrivals,
        offering: Offering,
        packages: Packages,
        ledger: Ledger,
        most: int,
    ) -> None:
        self._reactor = reactor
        self._pacman = pacman
        self._pacman_conf = pacman_conf
        self._arrivals = arrivals
        self._offering = offering
        self._packages = packages
        self._ledger = ledger
        #: What is being fetched now.
        self._coming: Transfer | None = None
        self.prefetch = Prefetch(
            reactor,
            self._upgrades,
            self._fetch,
            random.Random().uniform,  # noqa: S311 - spreads looks, guards nothing
            most,
        )

    @property
    def arrived(self) -> int:
        """Bytes that are here of the package that is being fetched."""
        return self._coming.arrived if self._coming else 0

    def readiness(self) -> Readiness:
        """Return how far what pacman would upgrade is here."""
        fetch = self.prefetch
        return Readiness(
            wanted=fetch.total + fetch.left_out,
            ready=fetch.fetched,
            coming=fetch.total - fetch.done if fetch.fetching else 0,
            wanted_bytes=fetch.total_bytes,
            ready_bytes=fetch.fetched_bytes,
            arrived_bytes=self.arrived,
            left_out=fetch.left_out,
        )

    def wake_or_rest(self, *, allowed: bool) -> None:
        """Have what pacman would upgrade fetched in a while, or not, as it is allowed now."""
        if allowed:
            self.prefetch.wake()
        else:
            self.prefetch.rest()

    async def _upgrades(self) -> list[Entry]:
        """Return what pacman would upgrade and this machine does not hold yet."""
        wanted = await pending_upgrades(self._reactor, self._pacman_conf)
        entries = await deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), self._pacman.listing.versions, set(wanted)
        )
        return [
            entry for entry in entries if not self._offering.holds(entry.file_name, entry.content)
        ]

    async def _fetch(self, entry: Entry) -> None:
        file = parse_file_name(entry.file_name)
        if not self._arrivals.can_keep(entry.size):
            raise StoreError(entry.file_name, "there is no room to keep it")
        if file is not None:
            transfer = self._packages.transfer(Asked(entry.repository, "", file), entry, 0)
            self._coming = transfer
            try:
                await transfer.finished.wait()
            finally:
                self._coming = None
            self._ledger.fetched_ahead(entry.file_name, entry.size)
