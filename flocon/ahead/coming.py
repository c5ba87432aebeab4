"""What is known of a package that is wanted before anybody asks, and how it comes.

For whom it is wanted is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError

from flocon.errors import FloconError, StoreError

if TYPE_CHECKING:
    from flocon.files import Asked
    from flocon.holdings.offering import Offering
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.pacman.entries import Entry
    from flocon.sources.packages import Packages
    from flocon.store.incoming import Arrivals
    from flocon.transfers.transfers import Transfers


@dataclass(frozen=True, slots=True)
class Means:
    """What lies here, what others hold, and what brings it."""

    arrivals: Arrivals
    offering: Offering
    packages: Packages
    transfers: Transfers
    neighbourhood: Neighbourhood


class Coming:
    """Brings packages for which nobody waits."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def holds(self, entry: Entry) -> bool:
        return self._means.offering.holds(entry.file_name, entry.content)

    def is_at_peers(self, entry: Entry) -> bool:
        held = self._means.neighbourhood.is_held(entry.file_name, entry.content)
        return held or self._means.packages.is_elsewhere(entry)

    def has_owners(self, repository: str) -> bool:
        return bool(self._means.neighbourhood.able(repository))

    def has_room(self, entry: Entry, *, asked: bool) -> bool:
        if asked:
            return self._means.arrivals.can_keep(entry.size)
        return self._means.arrivals.has_room_ahead(entry.size)

    def arrived_of(self, entry: Entry) -> int | None:
        transfer = self._means.transfers.find(entry.file_name, entry.content)
        return None if transfer is None else transfer.arrived

    def is_busy(self) -> bool:
        return any(transfer.followed_here for transfer in self._means.transfers)

    async def bring(self, wanted: Asked, entry: Entry, *, mirrors: bool, asked: bool) -> None:
        """Have a package brought here, as nobody waits for it; raises FloconError."""
        # There may be less room than when it was wanted.
        if not self.has_room(entry, asked=asked):
            raise StoreError(entry.file_name, "there is no room to keep it")
        is_new = self._means.transfers.find(entry.file_name, entry.content) is None
        transfer = self._means.packages.ahead(wanted, entry, mirrors=mirrors, spares=not asked)
        try:
            await transfer.finished.wait()
        except CancelledError:
            transfer.terms.wanted_here = False
            if is_new and not transfer.followed:
                transfer.cancel()
            raise
        except FloconError:
            if is_new:
                raise
            # Whoever it was begun for has left it.
            raise CancelledError from None
