"""When it is time to fetch ahead what pacman will ask for; nobody waits for it.

What pacman would fetch is found out once its databases have settled. What peers hold of it comes at
once; the rest, where that is wanted, some time later, as machines spread their requests. What is
wanted, and what of it is due, is ``wishes``'s; ``bringing`` has it fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import Service
from twisted.internet import defer, task

from flocon.ahead.bringing import Bringing
from flocon.ahead.wishes import Readiness
from flocon.errors import FloconError, ToolMissing
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.ahead.bringing import Brings
    from flocon.ahead.wishes import Around, Wish, Wishes
    from flocon.holdings.inventory import Change
    from flocon.pacman.entries import Entry

#: Seconds from the last change of pacman's databases to asking pacman what it would fetch, and
#: those from the first one on, however many follow.
SETTLE = 0.5
LONGEST_SETTLE = 3.0
#: Seconds after that before mirrors are asked, and twice as many at most: machines spread theirs.
DELAY = 20.0
#: Seconds from news of what peers hold to looking whether something of it is wanted.
NEWS_PAUSE = 1.0
#: Seconds after which it is counted again how much is here, where anybody asks.
COUNT_AGAIN = 1.0
#: Seconds from pacman's first request for what is no upgrade to asking what else it needs, and
#: between two such questions.
BESIDE_PAUSE = 0.5
BESIDE_AGAIN = 5.0
#: Seconds for which that is wanted; by then pacman has asked for it itself, or never will.
BESIDE_FOR = 120.0


if TYPE_CHECKING:

    class Surroundings(Around, Brings, Protocol):
        """What is asked and done elsewhere."""

        async def find(self) -> Sequence[tuple[Entry, bool]] | None:
            """Return what pacman would install, and of each whether it needs no download.

            None where that is as it was last. Raises FloconError.
            """

        async def needs(self, entry: Entry) -> Sequence[Entry]:
            """Return a package and what it needs that is not installed; raises FloconError."""

        def is_busy(self) -> bool:
            """Whether pacman waits for something now."""


class _Pass:
    """What goes through all wishes in slices, the first at once; one pass at a time."""

    def __init__(self, failed: Callable[[Any], None]) -> None:
        self._failed = failed
        self._running: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    def __bool__(self) -> bool:
        """Whether it is at it."""
        return self._running is not None

    def begin(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Do this instead of what it is at."""
        self._cancel()
        running = defer.Deferred.fromCoroutine(work)
        running.addErrback(self._failed)
        self._running = running
        running.addCallback(lambda _: self._ended(running))

    async def ended(self) -> None:
        """Return once nothing is gone through any more."""
        if self:
            self._waiting.append(defer.Deferred())
            await self._waiting[-1]

    def stop(self) -> None:
        self._cancel()
        self._tell()

    def _cancel(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def _ended(self, running: Deferred[None]) -> None:
        if running is self._running:
            self._running = None
            self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


class Prefetch(Service):
    """Has fetched what is due, while it may: see ``allow``."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        around: Surroundings,
        wishes: Wishes,
        chance: Callable[[float, float], float],
        *,
        delay: float | None = None,
        purpose: str = "the next upgrade",
    ) -> None:
        """``delay`` instead of DELAY, 0 for none; ``purpose`` says in the log what it is for."""
        self._reactor = reactor
        self._around = around
        self._wishes = wishes
        self._chance = chance
        self._delay = delay
        self._purpose = purpose
        self._mode = "off"
        #: Whether the time has come to ask mirrors for what nobody holds.
        self._mirrors = False
        self._calls: dict[Callable[[], None], IDelayedCall] = {}
        self._woken = float("-inf")
        self._looking: Deferred[None] | None = None
        self._look_again = False
        self._beside: Entry | None = None
        self._asked_beside = float("-inf")
        self._said = ""
        self._planning = _Pass(self._failed)
        self._counting = _Pass(self._failed)
        self._readiness = Readiness()
        self._counted = float("-inf")
        self.bringing = Bringing(reactor, around, wishes, self._ended, purpose)

    def readiness(self) -> Readiness:
        """Return how much of the next upgrade is here, by the last count."""
        if not self._counting and self._reactor.seconds() >= self._counted + COUNT_AGAIN:
            self._counting.begin(self._count())
        return self._readiness

    @property
    def left_out(self) -> int:
        """How many more would be wanted than there is room for."""
        return self._wishes.left_out

    # When

    def allow(self, mode: str) -> None:
        """Fetch ahead what peers hold ("lan"), "all", or nothing that nobody asked for ("off")."""
        before, self._mode = self._mode, mode
        if mode != "all":
            self._mirrors = False
            self._cancel(self._turn_to_mirrors)
        if mode == "off":
            self._rest()
        elif self.running:
            if mode == "all" and before != "all":
                self._turn_to_mirrors_later()
            if self._due not in self._calls and self._looking is None:
                self.wake()
            self._plan()

    def wake(self) -> None:
        """Learn that pacman's databases, or what is installed, may have changed."""
        if not self.running or self._mode == "off":
            return
        now = self._reactor.seconds()
        if self._due not in self._calls:
            self._woken = now
        left = self._woken + LONGEST_SETTLE - now
        self._call(self._due, max(0.0, min(SETTLE, left)))

    def news(self, changes: Iterable[Change] | None = None) -> None:
        """Learn that peers may hold something that they did not: these, or (None) anything."""
        if not self.running or self._mode == "off" or self._is_soon(NEWS_PAUSE):
            return
        if changes is None or any(self._wishes.names(one) for one in changes):
            self._call(self._plan_again, NEWS_PAUSE)

    def _is_soon(self, seconds: float) -> bool:
        """Whether it is looked again by then what is due; what failed may be so much later."""
        call = self._calls.get(self._plan_again)
        return call is not None and call.getTime() <= self._reactor.seconds() + seconds

    def asked(self, entry: Entry) -> None:
        """Learn that pacman asks for a package; it costs nothing where that was known."""
        if self._mode == "off" or entry in self._wishes or self._ask_beside in self._calls:
            return
        if self.running and self._reactor.seconds() >= self._asked_beside + BESIDE_AGAIN:
            self._beside = entry
            self._call(self._ask_beside, BESIDE_PAUSE)

    def now(self) -> Deferred[int]:
        """Fetch all of it at once, since a person asks; fires with how many packages that are."""
        return defer.Deferred.fromCoroutine(self._now())

    def _rest(self) -> None:
        """Fetch nothing more that nobody asked for."""
        for call in list(self._calls):
            self._cancel(call)
        self.bringing.rest()
        if self._planning:
            self._plan()

    def _call(self, function: Callable[[], None], seconds: float) -> None:
        self._cancel(function)

        def call() -> None:
            del self._calls[function]
            function()

        self._calls[function] = self._reactor.callLater(seconds, call)

    def _cancel(self, function: Callable[[], None]) -> None:
        call = self._calls.pop(function, None)
        if call is not None:
            call.cancel()

    # What

    def _due(self) -> None:
        if self._looking is not None:
            self._look_again = True
            return
        self._looking = defer.Deferred.fromCoroutine(self._look())
        self._looking.addErrback(self._failed)
        self._looking.addBoth(lambda _: self._looked())

    async def _look(self) -> None:
        await self._find()
        self._plan()

    def _looked(self) -> None:
        self._looking = None
        if self._look_again:
            self._look_again = False
            self.wake()

    async def _find(self) -> None:
        found = await self._around.find()
        self._said = ""
        if found is not None:
            self._wishes.want(found)
            self._mirrors = False
            if self._mode == "all":
                self._turn_to_mirrors_later()

    def _turn_to_mirrors_later(self) -> None:
        delay = DELAY if self._delay is None else self._delay
        if delay:
            self._call(self._turn_to_mirrors, self._chance(delay, 2 * delay))
        else:
            self._mirrors = True

    def _turn_to_mirrors(self) -> None:
        self._mirrors = True
        self._plan()

    def _failed(self, failure: Any) -> None:
        if failure.check(defer.CancelledError):
            return
        if failure.check(ToolMissing):
            self._log.debug("nothing is fetched ahead: {reason}", reason=failure.value)
        elif not failure.check(FloconError):
            self._log.failure("finding out what to fetch ahead failed", failure)
        elif (said := str(failure.value)) != self._said:
            self._said = said
            self._log.info("nothing is fetched ahead: {reason}", reason=said)

    def _ask_beside(self) -> None:
        entry, self._beside = self._beside, None
        if entry is None or not self._around.is_busy():
            return
        self._asked_beside = self._reactor.seconds()
        defer.Deferred.fromCoroutine(self._find_beside(entry)).addErrback(self._failed)

    async def _find_beside(self, entry: Entry) -> None:
        self._wishes.want_beside(await self._around.needs(entry))
        if self.running:
            self._call(self._forget_beside, BESIDE_FOR)
        self._plan()

    def _forget_beside(self) -> None:
        self._wishes.want_beside(())

    async def _now(self) -> int:
        await self._find()
        asked = self._wishes.ask(self._around)
        if not self.bringing:
            self.bringing.count_anew()
        self._plan()
        await self._planning.ended()
        return sum(not wish.crowded for wish in asked)

    def _plan(self) -> None:
        """Fetch what is due now; later comes what failed."""
        if not self.running:
            return
        self._cancel(self._plan_again)
        self._planning.begin(self._look_through())

    def _plan_again(self) -> None:
        """Plan once more; what is being looked through is so to its end before."""
        if self._planning:
            self._call(self._plan_again, NEWS_PAUSE)
        else:
            self._plan()

    async def _look_through(self) -> None:
        now, unasked = self._reactor.seconds(), self._mode != "off"
        look = self._wishes.look(now, self._around, unasked=unasked, mirrors=self._mirrors)
        due = await self._slice_by_slice(look)
        self.bringing.take(due)
        self._counted = float("-inf")
        self._come_back()

    async def _slice_by_slice(
        self, look: Iterator[tuple[Wish, bool] | None]
    ) -> list[tuple[Wish, bool]]:
        due, paused = [], False
        for one in look:
            if one is not None:
                due.append(one)
            else:
                paused = True
                await task.deferLater(self._reactor, 0)
        if not paused:
            return due
        # Meanwhile some of them may have come, or failed.
        now, is_still_due = self._reactor.seconds(), self._wishes.is_still_due
        return [one for one in due if is_still_due(one[0], now, self._around)]

    async def _count(self) -> None:
        """Count how much is here."""
        for one in self._wishes.count(self._around, self.bringing.keys):
            if one is None:
                await task.deferLater(self._reactor, 0)
            else:
                self._readiness, self._counted = one, self._reactor.seconds()

    def _ended(self, postponed: bool) -> None:
        self._counted = float("-inf")
        if postponed and self.running and not self._is_soon(NEWS_PAUSE):
            # Whatever the mode: a person may have asked for it.
            self._call(self._plan_again, NEWS_PAUSE)
        self._come_back()

    def _come_back(self) -> None:
        """See to it that what failed is tried again."""
        now = self._reactor.seconds()
        later = self._wishes.next_try(now)
        may = self.running and self._mode != "off"
        if later is not None and may and not self._is_soon(later - now):
            self._call(self._plan_again, later - now)

    def stopService(self) -> None:
        super().stopService()
        for call in list(self._calls):
            self._cancel(call)
        if self._looking is not None:
            self._looking.cancel()
        self._planning.stop()
        self._counting.stop()
        self.bringing.rest(asked=True)
