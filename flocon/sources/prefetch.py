"""Fetches what pacman will ask for at the next upgrade, one package after the other, unhurried.

What is needed is found by ``find``; how a package comes is the ``fetch`` that pacman's own request
would make, so owners, holders and mirrors are asked by the same rules. Nobody waits for it, so it
takes no more than a part of the store, and what cannot be kept is not fetched at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet import defer, task

from flocon.errors import FloconError
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.pacman.entries import Entry

#: Seconds after a change of the sync databases: pacman -Syu itself goes on at once.
DELAY = 20.0
#: Seconds between two packages.
PAUSE = 0.5
#: Packages fetched after one look; a whole Arch machine has fewer.
MOST_PACKAGES = 5_000


class Prefetch(Service):
    """Warms the store when ``wake`` was called; ``find`` lists what is not held yet.

    ``most`` is how many bytes may be fetched after one look; what is beyond them is left out.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        find: Callable[[], Awaitable[Sequence[Entry]]],
        fetch: Callable[[Entry], Awaitable[None]],
        chance: Callable[[float, float], float],
        most: int,
    ) -> None:
        self._reactor = reactor
        self._find = find
        self._fetch = fetch
        self._chance = chance
        self._most = most
        self._call: IDelayedCall | None = None
        self._work: Deferred[None] | None = None
        #: Whether nobody asked for what is being fetched.
        self._unasked = False
        self._rests = False
        #: Of the packages being fetched, or fetched last: how many there are, how many were looked
        #: after, and how many of those are there now.
        self.total = self.done = self.fetched = 0
        #: The bytes of all of them, and of those that are there.
        self.total_bytes = self.fetched_bytes = 0
        #: How many more would be wanted than there is room for.
        self.left_out = 0

    @property
    def fetching(self) -> bool:
        return self._work is not None

    def wake(self) -> None:
        """Look, some seconds from now, what could be fetched; machines spread their looks."""
        if not self.running:
            return
        self._rests = False
        if self._call is not None:
            self._call.cancel()
        self._call = self._reactor.callLater(self._chance(DELAY, 2 * DELAY), self._due)

    def rest(self) -> None:
        """Fetch nothing more that nobody asked for, until woken; what is on its way still comes."""
        self._rests = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._work is not None and self._unasked:
            self._work.cancel()

    def _due(self) -> None:
        self._call = None
        beginning = defer.Deferred.fromCoroutine(self._begin(unasked=True))
        beginning.addErrback(lambda failure: self._log.failure("prefetching failed", failure))

    def now(self) -> Deferred[int]:
        """Begin at once; fires with how many packages are being fetched."""
        self._unasked = False
        return defer.Deferred.fromCoroutine(self._begin())

    async def _begin(self, *, unasked: bool = False) -> int:
        entries = self._within_bounds(await self._find())
        if unasked and self._rests:
            return 0
        if not entries and self._work is None:
            self._count(entries)
        if entries and self._work is None and self.running:
            self._unasked = unasked
            self._work = defer.Deferred.fromCoroutine(self._fetch_all(entries))
            self._work.addBoth(self._ended)
        return len(entries)

    def _count(self, entries: Sequence[Entry]) -> None:
        self.total, self.done, self.fetched = len(entries), 0, 0
        self.total_bytes, self.fetched_bytes = sum(entry.size for entry in entries), 0

    def _within_bounds(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the first packages that have room together; an upgrade may have any size."""
        left = self._most
        chosen = []
        for entry in entries[:MOST_PACKAGES]:
            if entry.size <= left:
                left -= entry.size
                chosen.append(entry)
        self.left_out = len(entries) - len(chosen)
        if self.left_out:
            self._log.info(
                "{count} of {all} packages are fetched ahead: more are too many for the store",
                count=len(chosen),
                all=len(entries),
            )
        return chosen

    def _ended(self, result: Any) -> None:
        self._work = None
        if result is not None and not result.check(defer.CancelledError):
            self._log.failure("prefetching failed", result)

    async def _fetch_all(self, entries: Sequence[Entry]) -> None:
        self._count(entries)
        for entry in entries:
            try:
                await self._fetch(entry)
                self.fetched += 1
                self.fetched_bytes += entry.size
            except FloconError as error:
                self._log.debug("{file}: {error}", file=entry.file_name, error=error)
            self.done += 1
            await task.deferLater(self._reactor, PAUSE)
        self._log.info(
            "ready for the next upgrade: {fetched} of {total}",
            fetched=self.fetched,
            total=self.total,
        )

    def stopService(self) -> None:
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._work is not None:
            self._work.cancel()
