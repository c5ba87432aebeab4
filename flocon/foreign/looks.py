"""Looks at places: whether they are what they are said to be, and what a pacserve has.

Beside everything else and in no hurry: nobody waits for one. A look comes of a place that is heard
for the first time, and of a question while some are due; a node at rest looks at nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

from flocon.datagrams.buckets import Bucket
from flocon.errors import SourceError
from flocon.foreign.answers import MOST_FILES, read_listing
from flocon.foreign.heard import is_prefix
from flocon.foreign.place import Tool
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from flocon.foreign.asking import Asking
    from flocon.foreign.place import Place
    from flocon.foreign.places import Places, Record

#: Looks at a time, and per second, at once: forged datagrams can name many places.
AT_ONCE = 4
RATE, BURST = 4.0, 24
#: Names that pacserves give themselves, of which each hears its own alone.
MOST_PREFIXES = 4


class Looks:
    """Looks at places.

    ``news`` is called with who may hold what nobody did: it has proved itself, or told what it has.
    """

    _log = logger()

    def __init__(
        self, reactor: Any, places: Places, asking: Asking, news: Callable[[Place], None]
    ) -> None:
        self._reactor = reactor
        self._places = places
        self._asking = asking
        self._news = news
        self._bucket = Bucket(RATE, BURST)
        self._running: set[Deferred[None]] = set()
        self._stopped = False
        #: What pacserves that have answered call themselves, the newest last.
        self.prefixes: dict[str, None] = {}
        #: Called with each pacserve that has proved itself, whenever it is looked at.
        self.met: Callable[[Place], None] = lambda _: None

    def look(self) -> None:
        """Look at who is due, as far as that may be now."""
        now = self._reactor.seconds()
        for record in self._places.due(now):
            if self._stopped or len(self._running) >= AT_ONCE or not self._bucket.take(now):
                return
            record.looking, record.looked_at = True, now
            looking = defer.Deferred.fromCoroutine(self._look_at(record))
            self._running.add(looking)
            looking.addBoth(self._ended, record, looking)

    def _ended(self, result: Any, record: Record, looking: Deferred[None]) -> None:
        self._running.discard(looking)
        record.looking = False
        if result is not None and not result.check(defer.CancelledError):
            self._log.failure("looking at {place} failed", result, place=str(record.place))
            self._places.failed(record.place, self._reactor.seconds(), "could not be looked at")
        if not self._stopped:
            self.look()

    async def _look_at(self, record: Record) -> None:
        place = record.place
        was_proved = record.proved
        try:
            if place.tool is Tool.PACSERVE:
                await self._list(place)
            else:
                await self._asking.prove(place, record.identity)
        except SourceError as failure:
            self._places.failed(place, self._reactor.seconds(), failure.detail)
            self._log.debug("{place}: {failure}", place=str(place), failure=failure)
            return
        self._places.proved(place, self._reactor.seconds())
        if not was_proved:
            self._log.debug(
                "{place}, port {port}, is asked for packages from now on",
                place=str(place),
                port=place.port,
            )
        if place.tool is Tool.PACSERVE or not was_proved:
            self._news(place)
        if place.tool is Tool.PACSERVE or (place.tool is Tool.PACLAN and not was_proved):
            self.met(place)

    async def _list(self, place: Place) -> None:
        """Read what a pacserve has; one that gives no listing is asked for each file."""
        answer, prefix = await self._asking.listing(place)
        files: dict[str, int] | None = {}
        try:
            for some in read_listing(answer):
                assert files is not None  # noqa: S101 - set above
                files.update(some)
                await task.deferLater(self._reactor, 0)
        except ValueError:
            files = None
        whole = files is None or len(files) < MOST_FILES
        self._places.listed(place, files, self._reactor.seconds(), whole=whole)
        if is_prefix(prefix):
            self.prefixes.pop(prefix, None)
            self.prefixes[prefix] = None
            if len(self.prefixes) > MOST_PREFIXES:
                del self.prefixes[next(iter(self.prefixes))]

    def stop(self) -> None:
        self._stopped = True
        for looking in list(self._running):
            looking.cancel()
