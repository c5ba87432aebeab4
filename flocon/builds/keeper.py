"""The keeper, put together: what is watched is looked at, judged, queued, built and handed on.

A node makes one, and imports this, only where something is to be built.
"""

from __future__ import annotations

import random
import secrets
import time
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred

from flocon.builds.adding import Adding
from flocon.builds.deciding import Deciding
from flocon.builds.describing import describe_watched, waiting
from flocon.builds.fetching import Fetching
from flocon.builds.here import Here
from flocon.builds.histories import Histories
from flocon.builds.judging import Judging
from flocon.builds.leaps import Leaps, follow
from flocon.builds.looking import Looking
from flocon.builds.memory import Memory
from flocon.builds.polling import Polling
from flocon.builds.shift import Shift
from flocon.builds.steering import Steering
from flocon.builds.turns import Turns
from flocon.errors import BuildError, FloconError
from flocon.jobs import passing
from flocon.jobs.archive import Archive
from flocon.jobs.book import Book
from flocon.jobs.handing import Signer
from flocon.jobs.resolving import Resolving
from flocon.jobs.watched import Phase
from flocon.jobs.working import Working
from flocon.log import logger
from flocon.machine.clock import steady
from flocon.machine.reactor_threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from twisted.python.failure import Failure

    from flocon.builds.histories import Git
    from flocon.jobs.resolving import AsksAur, Fetched
    from flocon.jobs.watched import Watched
    from flocon.pacman.watch import PacmanWatch
    from flocon.settings.settings import Build, Repo

#: Seconds from the start of the node to the first look, and the part of the time between two by
#: which the next one comes later, at most: not all machines ask in the same second.
FIRST_POLL, JITTER = 60.0, 0.1
#: The shortest time between two looks at what is ripe, and until who was away is asked again.
SHORTEST_PAUSE, LATER = 1.0, 900.0


class Keeper(Service):
    """``build`` and ``repo`` give the settings in force; ``now`` gives Unix time.

    ``steady`` gives seconds of a clock that nobody sets.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        build: Callable[[], Build],
        repo: Callable[[], Repo],
        pacman: PacmanWatch,
        aur: AsksAur,
        git: Git,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady,
    ) -> None:
        self._reactor = reactor
        self._build = build
        self.here = here = Here(
            reactor, pacman, lambda: repo().published, lambda: build().repository
        )
        self._now = now
        self._leaps = Leaps(now, steady)
        self._archive = archive = Archive(build().state)
        self.book = book = Book(reactor, archive, now)
        self.memory = Memory(reactor, build().state)
        self._histories = histories = Histories(reactor, git, archive)
        resolving = Resolving(
            aur,
            read=histories.newest,
            stock=here.stock,
            architecture=here.architecture,
            check=lambda: build().check,
        )
        judging = Judging(reactor, git, settings=build, taken_over=self.memory.taken_over, now=now)
        self.fetching = Fetching(book, histories, resolving, judging, now)
        self.polling = Polling(
            book,
            aur,
            histories,
            self.fetching,
            settings=build,
            has=here.arch_has,
            observe=lambda records: self.memory.observe(records.values(), now()),
            now=now,
        )
        signer = Signer(reactor, archive, repo, lambda: build().repository)
        self.working = Working(
            reactor,
            settings=build,
            archive=archive,
            ledger=book,
            signer=signer,
            fetched=self._fetched,
            stock=here.stock,
            libraries=here.libraries,
            architecture=here.architecture,
            now=now,
            name=lambda: secrets.token_hex(8),
        )
        self._shift = Shift(reactor, book, self.working)
        self.deciding = Deciding(
            reactor,
            book=book,
            archive=archive,
            fetching=self.fetching,
            shift=self._shift,
            now=now,
        )
        self.deciding.forget = self._forget
        self.adding = Adding(aur, histories, self.fetching)
        since = self.memory.maintained_since
        self.looking = Looking(
            reactor, archive, histories, self.fetching, arch_has=here.arch_has, since=since
        )
        self.steering = Steering(self)
        #: Called when it is known what is watched, and after each change from then on.
        self.begun: Callable[[], None] = lambda: None
        self.changed: list[Callable[[], None]] = []
        self._problem = "builds have not begun yet"
        #: One look at a time, and nothing is added meanwhile; each makes room for a person.
        self._turns = Turns()
        self._next_poll = 0.0
        self._poll_due: Any = None
        self._ripe_due: Any = None
        self._tasks: set[Deferred[Any]] = set()

    # As a service

    def startService(self) -> None:
        super().startService()
        self._run(self._begin())

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._end())

    async def _begin(self) -> None:
        """Take up what was going on when the node ended."""
        try:
            await self.book.open()
            await self.memory.open()
            kept = await in_thread(self._reactor, self._archive.kept_jobs)
            for one in tuple(self.book.watched.values()):
                found = passing.found_at_start(one, self._now(), kept)
                if found != one:
                    await self.book.put(found, "taken up again")
            names = {one.job.name for one in self.book.watched.values() if one.job}
            await in_thread(self._reactor, self._archive.clear_jobs, names)
        except (FloconError, OSError) as error:
            self._problem = str(error)
            self._log.error("nothing is built here: {error}", error=error)
            return
        self._problem = ""
        self.book.changed = self._changed
        self.begun()
        self._shift.start()
        self.settings_changed()
        self._changed()

    async def _end(self) -> None:
        _cancel(self._poll_due, self._ripe_due)
        for task in tuple(self._tasks):
            task.cancel()
        self.book.changed = lambda: None
        await self._shift.stop()
        if self._problem:
            return
        try:
            for one in tuple(self.book.watched.values()):
                back = passing.put_back(one)
                if back != one:
                    await self.book.put(back, "")
            await self.book.ended()
        except FloconError as error:
            self._log.error("what is built is not written down: {error}", error=error)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = Deferred.fromCoroutine(work)
        if task.called:
            task.addErrback(self._failed)
            return
        self._tasks.add(task)
        task.addErrback(self._failed)
        task.addBoth(lambda _: self._tasks.discard(task))

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._log.failure("builds met what nobody has thought of", failure)

    # When

    def settings_changed(self) -> None:
        """Look again when the next look is due."""
        _cancel(self._poll_due)
        self._poll_due, self._next_poll = None, 0.0
        interval = self._build().poll
        if not interval or not self._shift.free or not self.running or self._problem:
            return
        jitter = random.uniform(0, JITTER)  # noqa: S311 - spreads questions, guards nothing
        due = self.memory.polled + interval * (1 + jitter)
        wait = max(FIRST_POLL, min(due - self._now(), interval * (1 + JITTER)))
        self._next_poll = self._now() + wait
        self._poll_due = self._reactor.callLater(wait, lambda: self._run(self._poll()))

    async def _poll(self) -> None:
        await self._look(())
        self.settings_changed()
        # The clock may have been set meanwhile.
        self._arrange()

    def allow(self, *, free: bool) -> None:
        """Look, fetch and build by itself only while the link costs nothing."""
        if free == self._shift.free:
            return
        self._shift.free = free
        self.settings_changed()
        if not self._problem:
            self._shift.wake()
            self._arrange()

    async def _look(self, bases: Iterable[str], *, urgent: bool = False) -> None:
        bases = tuple(bases)
        await self._turns.take(lambda: self._look_in_turn(bases, urgent=urgent), urgent=urgent)

    async def _look_in_turn(self, bases: tuple[str, ...], *, urgent: bool) -> None:
        await follow(self._leaps, self.book, self.memory)
        await self.polling.poll(bases, urgent=urgent)
        # What was published meanwhile may be others' word, or there was no time for it.
        await self.working.renew()
        if not bases:
            self.memory.looked(self._now())

    def _changed(self) -> None:
        """Go on with whatever there is to do, now that something is another way."""
        self._shift.wake()
        self._arrange()
        for tell in self.changed:
            tell()

    def _arrange(self) -> None:
        """Look again when the first of what waits for time is ripe."""
        _cancel(self._ripe_due)
        self._ripe_due = None
        now = self._now()
        times = [time for one in self.book.watched.values() if (time := _ripe(one, now))]
        if times and self.running and self._shift.free:
            wait = max(SHORTEST_PAUSE, min(times) - now)
            self._ripe_due = self._reactor.callLater(wait, lambda: self._run(self._ripen()))

    async def _ripen(self) -> None:
        """Try again what had failed, and look whether what waited is still what is newest."""
        await follow(self._leaps, self.book, self.memory)
        now = self._now()
        ripe = [one for one in self.book.watched.values() if 0 < _ripe(one, now) <= now]
        for one in ripe:
            again = passing.due(one, now)
            if again != one:
                await self.book.put(again, "again")
        bases = [one.base for one in ripe if one.candidate is not None]
        if bases:
            await self._look(bases)
            if self.polling.problem and self.running and self._shift.free:
                # Who is away is asked with the next look at all, or a little later.
                _cancel(self._ripe_due)
                later = self._reactor.callLater(LATER, lambda: self._run(self._ripen()))
                self._ripe_due = later

    # What others ask of it

    async def steer(self, words: Sequence[str], who: str, body: bytes = b"") -> str:
        """Do what a person says; raises FloconError with what to tell."""
        if self._problem:
            raise BuildError(self._problem, "")
        return await self.steering.steer([*words], who, body)

    async def add(self, words: list[str], body: bytes, *, dry: bool) -> list[tuple[Watched, str]]:
        """Watch what these words mean; see ``Adding``."""
        # Broken off and begun anew it adds what it had not.
        return await self._turns.take(lambda: self.adding.add(words, body, dry=dry), urgent=True)

    async def check(self, bases: list[str]) -> str:
        """Look now, at all or at these; return what to tell."""
        await self._look(bases, urgent=True)
        self.settings_changed()
        if self.polling.problem:
            raise BuildError(self.polling.problem, "nothing was changed because of it")
        count = len(bases) or len(self.book.watched)
        waits = waiting(describe_watched(self.book.watched, self.here.offered()))
        looked = "1 recipe was" if count == 1 else f"{count} recipes were"
        return f"{looked} looked at; {waits or 'nothing'} waits for you"

    async def look(self, base: str) -> dict[str, Any]:
        return await self.looking.look(self.book.demand(base))

    def describe(self) -> dict[str, Any]:
        """Return JSON's values for ``/builds.json``."""
        rows = describe_watched(self.book.watched, self.here.offered())
        current = self.book.get(self._shift.current)
        job = current.job if current else None
        return {
            "used": True,
            "problem": self.problem,
            "polled": self.memory.polled,
            "next_poll": self._next_poll,
            "metered": not self._shift.free,
            "repository": self.here.own,
            "running": job
            and {
                "base": self._shift.current,
                "job": job.name,
                "step": self.working.step or job.phase.value,
                "since": job.since,
            },
            "waiting": waiting(rows),
            "watched": rows,
        }

    @property
    def problem(self) -> str:
        """Why builds do not go on as they should, "" where they do."""
        return self._problem or self.book.problem or self.working.away or self.polling.problem

    # What its parts ask

    def _forget(self, base: str) -> None:
        self.memory.forget(base)
        self._run(self._histories.git.forget(base))

    async def _fetched(self, one: Watched) -> Fetched:
        """Return the recipe that was approved."""
        if one.approval is None:
            raise BuildError(f"nothing of {one.base} was ever approved", "")
        recipe = await self._histories.read(one, one.approval.commit)
        return self.fetching.resolving.understood(recipe, one.origin)


def _ripe(one: Watched, now: float) -> float:
    """Return when something is to be done about it, 0.0 for never.

    At once where it began to wait in times to come: the clock was set back.
    """
    times = []
    if one.candidate is not None and not one.on_hold and not one.taken_up:
        times.append((one.candidate.matures, one.candidate.seen))
    if one.job is not None and one.job.phase is Phase.FAILED:
        times.append((one.job.again, one.job.since))
    return min((when if since <= now else now for when, since in times if when), default=0.0)


def _cancel(*due: Any) -> None:
    for later in due:
        if later is not None and later.active():
            later.cancel()
