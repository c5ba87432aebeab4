"""When the mirrors are read, and what comes of it: a newer state, or the same.

What a mirror is asked is ``one_mirror``'s, when it is time ``schedule``'s. What becomes of a newer
state is told to nobody here: ``came`` is called.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock

from flocon.errors import FloconError, MirrorError
from flocon.log import logger
from flocon.machine.reactor_threads import in_thread
from flocon.machine.remember import Notebook, recall
from flocon.states.generation import MOST_DATABASES
from flocon.upstream import schedule
from flocon.upstream.filelists import FileLists
from flocon.upstream.groups import (
    assemble,
    count_news,
    dump_known,
    find_known,
    groups_of,
    load_known,
    with_files_of,
)
from flocon.upstream.servers import meant, mirrored, nothing_mirrored
from flocon.upstream.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twisted.internet.interfaces import IDelayedCall

    from flocon.pacman.configuration import PacmanConfiguration
    from flocon.settings.settings import Mirror as MirrorSettings
    from flocon.states.generation import Generation, Where
    from flocon.states.states import States
    from flocon.upstream.groups import Group, Known
    from flocon.upstream.one_mirror import Tools

#: What is known of the mirrors, beside the archive's state.
NOTES_FILE = "upstream.json"
#: Seconds after which it is looked at the clock again, which may have been set.
LOOK_AT_CLOCK = 900.0
#: What of two problems is told.
_MOST_TOLD = 2


class Refreshing:
    """Reads the mirrors when it is time; ``came`` is awaited after each time that all was read.

    Nothing is read unasked before ``allow`` says that it may: a link can cost by the byte.
    """

    _log = logger()

    def __init__(
        self,
        tools: Tools,
        *,
        settings: Callable[[], MirrorSettings],
        configuration: Callable[[], PacmanConfiguration],
        states: States,
        came: Callable[[], Awaitable[None]],
    ) -> None:
        self._tools = tools
        self._reactor = tools.reactor
        self._settings = settings
        self._configuration = configuration
        self._states = states
        self._came = came
        self.upstream = Upstream(tools)
        self.files = FileLists(
            self._reactor,
            states,
            self.upstream,
            group=self._group,
            remember=self._remember,
            wall=tools.wall,
        )
        self.files.unused = lambda: settings().unused
        self.files.allowed = lambda: self._allowed
        self._notes = Notebook(self._reactor, tools.archive.path / NOTES_FILE)
        self._known: list[Known] = []
        self._one_at_a_time = DeferredLock()
        self._chance = random.Random().random  # noqa: S311 - spreads looks, guards nothing
        self._spread = 0.0
        self._last: schedule.Last | None = None
        self._allowed = self._started = False
        #: Until when nothing is read unasked after a start.
        self._not_before = 0.0
        self._timer: IDelayedCall | None = None
        self._work: Deferred[None] | None = None
        #: Why the last look failed, or what of it did; "" where nothing did.
        self.problem = ""

    async def start(self) -> None:
        """Go on from where the states, which are open, were left."""
        value = await in_thread(self._reactor, recall, self._tools.archive.path / NOTES_FILE)
        if isinstance(value, dict):
            groups = value.get("groups")
            known = map(load_known, groups if isinstance(groups, list) else ())
            self._known = [one for one in known if one is not None][:MOST_DATABASES]
            self.files.load(value.get("files"))
        now, wall = self._reactor.seconds(), self._tools.wall()
        self._last = schedule.remembered(self._states.state.refreshed, now, wall)
        self._spread = self._chance()
        self._started = True
        if self._last is not None:
            # There is a state: all that start after a power cut need not ask at once.
            self._not_before = now + schedule.SPREAD_OF_START * self._spread
        self.plan()

    def stop(self) -> None:
        self._started = False
        self.files.stop()
        self._cancel()
        if self._work is not None:
            self._work.cancel()

    def allow(self, allowed: bool) -> None:
        """Say whether anything may be read unasked."""
        self._allowed = allowed
        self.plan()

    @property
    def next_in(self) -> float | None:
        """Return in how many seconds it is to be looked, None for not by itself."""
        if not self._started or not self._allowed:
            return None
        now, wall = self._reactor.seconds(), self._tools.wall()
        refresh = self._settings().refresh
        if refresh == () and self._newest is None and self._mirrored():
            # Without a first state there is nothing that could be given.
            refresh = schedule.LONGEST_RETRY
        seconds = schedule.wait(refresh, self._last, now, wall, chance=self._spread)
        return None if seconds is None else max(seconds, self._not_before - now)

    @property
    def absent(self) -> list[Where]:
        """Return what is to be mirrored and no mirror had when they were read, or none is known."""
        if not self._known:
            return []
        gone = {where for one in self._known for where in one.absent}
        servers = self._mirrored()
        wheres = meant(self._settings(), self._configuration())
        return [where for where in wheres if where in gone or where not in servers]

    def describe(self) -> dict[str, Any]:
        """Return when it is looked next, in seconds since 1970, and what no mirror has."""
        seconds = self.next_in
        return {
            "next_refresh": None if seconds is None else self._tools.wall() + seconds,
            "absent": [str(where) for where in self.absent],
        }

    def plan(self) -> None:
        """Look when it is time, by the settings as they are now."""
        self._cancel()
        seconds = self.next_in
        if seconds is not None and self._work is None:
            self._timer = self._reactor.callLater(min(seconds, LOOK_AT_CLOCK), self._look)

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _look(self) -> None:
        self._timer = None
        self._work = Deferred.fromCoroutine(self._unasked())
        self._work.addBoth(self._looked)

    async def _unasked(self) -> None:
        try:
            await self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._read_if_due()))
        except FloconError as error:
            self._log.warn("the newest databases cannot be read: {error}", error=error)

    async def _read_if_due(self) -> None:
        # The clock may have been set, or somebody has just had it read.
        if self.next_in == 0.0:
            await self._read()

    def _looked(self, result: Any) -> None:
        self._work = None
        if result is not None and not result.check(CancelledError):
            self._log.failure("reading the newest databases failed", result)
        self.plan()

    async def read(self) -> str:
        """Read all mirrors now; return what came of it, or raise a FloconError."""
        return await self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._read()))

    async def _read(self) -> str:
        failures = self._last.failures + 1 if self._last is not None else 1
        try:
            told = await self._read_groups()
            failures = 0
        except FloconError as error:
            self.problem = str(error)
            raise
        finally:
            self._last = schedule.Last(self._reactor.seconds(), self._tools.wall(), failures)
            self._spread = self._chance()
            self.plan()
        await self._came()
        return told

    async def _read_groups(self) -> str:
        groups = self._groups()
        before = self._newest
        await self._check_notes(before)
        problems: list[MirrorError] = []
        async with self._states.taking():
            files = self.files.wanted(self._tools.wall())
            parts: list[Known] = []
            for group in groups:
                known = find_known(group, self._known)
                wanted = [where for where in group.wheres if where in files]
                try:
                    found = await self.upstream.read(group, known, wanted)
                except MirrorError as error:
                    problems.append(error)
                    found = known
                else:
                    if found is None and known is not None:
                        found = known.confirmed(self._tools.wall())
                if found is not None and found.state.databases:
                    parts.append(found)
            if len(problems) == len(groups):
                raise problems[0]
            generation = with_files_of(self._generation(parts, before), self._newest)
            if generation == before:
                await self._states.refreshed()
            else:
                await self._states.add(generation)
        self._known = parts
        self._remember()
        self.problem = "; ".join(str(problem) for problem in problems[:_MOST_TOLD])
        return _tell(before, generation, self.problem)

    def _mirrored(self) -> dict[Where, tuple[str, ...]]:
        return mirrored(self._settings(), self._configuration())

    def _groups(self) -> list[Group]:
        found = self._mirrored()
        if not found:
            raise nothing_mirrored(self._settings(), self._configuration())
        if len(found) > MOST_DATABASES:
            problem = f"{len(found)} databases are to be mirrored, and at most {MOST_DATABASES} can"
            raise MirrorError(problem, "name fewer repositories or architectures in [mirror]")
        return groups_of(found)

    def _group(self, where: Any) -> Group | None:
        return next((one for one in groups_of(self._mirrored()) if where in one.wheres), None)

    def _generation(self, parts: list[Known], before: Generation | None) -> Generation:
        """Return what was read; of what is as it was before, with when that was read first."""
        made = int(self._tools.wall())
        generation = assemble(parts, made)
        if before is None:
            return generation
        if before.identity == generation.identity:
            return assemble(parts, before.made)
        # Also where the clock was set back: the newest is the one that was read last.
        return assemble(parts, max(made, before.made + 1))

    @property
    def _newest(self) -> Generation | None:
        return self._states.read[-1] if self._states.read else None

    async def _check_notes(self, before: Generation | None) -> None:
        """Forget what is known of contents that are not here any more; take note of new ones."""
        sound = await in_thread(self._reactor, self._sound, self._known)
        self._known = [replace(one, state=with_files_of(one.state, before)) for one in sound]

    def _sound(self, notes: list[Known]) -> list[Known]:
        has = self._tools.archive.has
        return [one for one in notes if all(map(has, one.state.pieces()))]

    def _remember(self) -> None:
        groups = [dump_known(one) for one in self._known]
        self._notes.write({"groups": groups, "files": self.files.dump()})


def _tell(before: Generation | None, after: Generation, problem: str) -> str:
    told = f"{after.source} has nothing new"
    if before is None or before.identity != after.identity:
        news = count_news(before, after)
        told = f"a newer state was read from {after.source}: {news} of {len(after.databases)}"
        told += " databases are new"
    if after.last_update is not None:
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(after.last_update))
        told += f" (it changed last at {moment})"
    return f"{told}; {problem}" if problem else told
