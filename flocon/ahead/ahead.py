"""What pacman would fetch, fetched before it asks: what that is, and how each package comes.

When it is time is ``prefetch``'s, what of it is due ``wishes``'s; a package comes by the way on
which it would for pacman, and yields to whatever somebody waits for.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from flocon.ahead.coming import Coming
from flocon.ahead.prefetch import Prefetch
from flocon.ahead.wishes import Once, Readiness, Wishes
from flocon.errors import Broken, TaskError
from flocon.files import Asked, parse_file_name
from flocon.machine.remember import Notebook, recall
from flocon.machine.threads import Delay
from flocon.pacman.upgrades import pending_upgrades, state_of, with_what_it_needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.ahead.coming import Means
    from flocon.books.ledger import Ledger
    from flocon.pacman.entries import Entry
    from flocon.pacman.listing import Target
    from flocon.pacman.watch import PacmanWatch

__all__ = ["AHEAD_FILE", "Ahead", "Readiness"]

#: What was fetched ahead once, in the store's folder.
AHEAD_FILE = "ahead.json"
#: Seconds for which that is collected before it is written.
WRITE_AFTER = 5.0
#: Seconds for which databases that have just changed are waited for.
READING = 30.0


class Ahead(Coming):
    """``most`` is how many bytes may be fetched after one look, ``file`` what is remembered."""

    def __init__(
        self,
        reactor: Any,
        means: Means,
        *,
        pacman: PacmanWatch,
        pacman_conf: Path,
        ledger: Ledger,
        most: int,
        file: Path,
    ) -> None:
        super().__init__(means)
        self._reactor = reactor
        self._pacman = pacman
        self._pacman_conf = pacman_conf
        self._ledger = ledger
        #: How pacman's files were when it was asked last.
        self._state: Sequence[object] = ()
        self._once = Once(recall(file))
        self._notes = Notebook(reactor, file)
        self._writing = Delay(reactor, self._remember)
        self.prefetch = Prefetch(
            reactor,
            self,
            Wishes(most, self._once),
            random.Random().uniform,  # noqa: S311 - spreads looks, guards nothing
        )
        pacman.touched = self.prefetch.wake
        means.neighbourhood.news = self.prefetch.news
        means.packages.asked_for = self._asked
        #: What is being fetched by its name, and whether pacman has joined it.
        self._joined: dict[str, bool] = {}

    def readiness(self) -> Readiness:
        """Return how much of the next upgrade is here."""
        return self.prefetch.readiness()

    async def fetch_all(self) -> int:
        """Fetch the next upgrade now, as a person asks; return how many packages that are.

        Raises TaskError where no sync database tells of any.
        """
        count = await self.prefetch.now()
        if not count and not self._pacman.listing.databases:
            raise TaskError(
                "there is no sync database, so pacman knows of no upgrade", "run 'pacman -Sy' first"
            )
        return count

    @property
    def arrived(self) -> int:
        """Bytes that are here of what is being fetched."""
        return sum(self.arrived_of(entry) or 0 for entry in self.prefetch.bringing)

    def stop(self) -> Deferred[None]:
        """Remember what was fetched."""
        self._writing.stop()
        return self._notes.write(self._once.dump())

    def _remember(self) -> None:
        self._notes.write(self._once.dump())

    # What is wanted

    async def find(self) -> list[tuple[Entry, bool]] | None:
        """Return what pacman would install, None where that is as it was last."""
        await self._means.neighbourhood.acquainted()
        await self._pacman.configured()
        state = state_of(self._pacman.configuration)
        if state == self._state:
            return None
        targets = await pending_upgrades(self._reactor, self._pacman_conf)
        # Read while pacman was at it, mostly.
        await self._pacman.settled(READING)
        self._state = state
        found = list(self._listed(targets))
        self._means.arrivals.accounts.want_ahead({entry.file_name for entry, _ in found})
        return found

    async def needs(self, entry: Entry) -> list[Entry]:
        """Return a package, and what it needs that is not installed and not downloaded."""
        targets = await with_what_it_needs(
            self._reactor, self._pacman_conf, entry.repository, entry.name
        )
        return [one for one, here in self._listed(targets) if not here]

    def _listed(self, targets: Iterable[Target]) -> Iterable[tuple[Entry, bool]]:
        for target in targets:
            entry = self._pacman.listing.target(target)
            if entry is not None and parse_file_name(entry.file_name) is not None:
                yield entry, target.here

    def _asked(self, entry: Entry) -> None:
        """Learn that pacman asks for a package now."""
        if entry.file_name in self._joined:
            self._joined[entry.file_name] = True
        self.prefetch.asked(entry)

    # How it comes

    async def fetch(self, entry: Entry, *, mirrors: bool, asked: bool) -> None:
        """Have a package brought here, as nobody waits for it; raises FloconError."""
        file = parse_file_name(entry.file_name)
        if file is None:
            raise Broken(entry.file_name, "is no package's name")
        wanted = Asked(entry.repository, "", file)
        self._joined[entry.file_name] = False
        try:
            await self.bring(wanted, entry, mirrors=mirrors, asked=asked)
        finally:
            joined = self._joined.pop(entry.file_name, False)
        if not joined:
            self._ledger.fetched_ahead(entry.file_name, entry.size)
        self._writing.begin(WRITE_AFTER)
