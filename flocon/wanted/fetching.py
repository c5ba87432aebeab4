"""What is wanted of the LAN's states is fetched, before anybody asks for it.

What that is says ``wanted``, of what machines have (``machines``) and clients asked for
(``requests``); when it is due and what follows from a failure ``ahead``, as for pacman's own
upgrade. Nothing comes on a metered link.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.ahead.coming import Coming
from flocon.ahead.prefetch import Prefetch
from flocon.ahead.wishes import Once, Wishes, key_of
from flocon.errors import Broken
from flocon.files import Asked, beside, parse_file_name
from flocon.machine.reactor_threads import in_thread
from flocon.machine.threads import Delay
from flocon.wanted.descriptions import read_wanted
from flocon.wanted.machines import Machines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flocon.ahead.coming import Means
    from flocon.ahead.wishes import Key
    from flocon.files import Content
    from flocon.holdings.inventory import Change
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.states.archive import Archive
    from flocon.states.generation import Generation, Where
    from flocon.states.states import States
    from flocon.wanted.requests import Requests, Scope
    from flocon.wanted.wanted import Wanted

#: Seconds from news of what peers have to looking what of it is wanted, and between two looks where
#: nothing seems to have changed: what was given up is tried again, and what got lost is missed.
NEWS_PAUSE = 30.0
LOOK_AGAIN = 3_600.0
#: Seconds after which what came once may come again.
FORGIVE = 86_400.0
#: Packages looked up between two turns of the reactor.
SLICE = 200
#: Names of which a description tells.
MOST_TOLD = 100
#: Seconds from an arrival to looking whether that was all.
ARRIVED_PAUSE = 0.1


class Fetching(Coming):
    """Brings what is wanted of the states of one mirror; ``arrived`` is called when some is here.

    ``mirrored`` gives what is mirrored, in pacman's order, ``pins`` what is wanted by name, and
    ``most`` is how many bytes may come after one look.
    """

    def __init__(
        self,
        reactor: Any,
        means: Means,
        *,
        states: States,
        archive: Archive,
        pacman: PacmanWatch,
        requests: Requests,
        mirrored: Callable[[], Sequence[Where]],
        pins: Callable[[], Sequence[str]],
        most: int,
        arrived: Callable[[], None],
    ) -> None:
        super().__init__(means)
        self._reactor = reactor
        self._states = states
        self._archive = archive
        self._pacman = pacman
        self._requests = requests
        self._mirrored = mirrored
        self._pins = pins
        self._machines = Machines(
            reactor,
            requests,
            pacman=pacman,
            offering=means.offering,
            neighbourhood=means.neighbourhood,
        )
        self._wishes = Wishes(most, Once())
        self._forgiven = reactor.seconds()
        #: By generation: what was asked for it, and what is wanted of it for that.
        self._wanted: dict[str, tuple[int, Wanted]] = {}
        #: By generation: what of that was not here when it was looked through.
        self._lacking: dict[str, list[Entry]] = {}
        #: Whose the lacking are.
        self._wheres: dict[Key, Where] = {}
        self.prefetch = Prefetch(
            reactor,
            self,
            self._wishes,
            random.Random().uniform,  # noqa: S311 - spreads looks, guards nothing
            delay=0.0,
            purpose="the LAN's state",
        )
        self._arrived = Delay(reactor, arrived)
        self._news = Delay(reactor, self.prefetch.wake)
        self._again = task.LoopingCall(self._look_again)
        self._again.clock = reactor

    def start(self, *, free: bool) -> None:
        """Begin; ``free`` if the link costs nothing."""
        before = self._means.neighbourhood.news

        def told(changes: Iterable[Change] | None) -> None:
            before(changes)
            self.prefetch.news(changes)
            self._news.begin(NEWS_PAUSE)

        self._means.neighbourhood.news = told
        self.prefetch.startService()
        self.allow(free=free)
        self._again.start(LOOK_AGAIN, now=False)

    def allow(self, *, free: bool) -> None:
        """Fetch, or rest while each byte costs."""
        self.prefetch.allow("all" if free else "off")

    def stop(self) -> None:
        if self._again.running:
            self._again.stop()
        for delay in (self._news, self._arrived):
            delay.stop()
        self.prefetch.stopService()

    def wake(self) -> None:
        """Learn that there is another state, or that something else is wanted."""
        self.prefetch.wake()

    def held(self) -> None:
        """Learn that something came to be held, or is no more."""
        if any(self._lacking.values()):
            self._arrived.begin(ARRIVED_PAUSE)

    def _look_again(self) -> None:
        self._wishes.forgive()
        if self._reactor.seconds() >= self._forgiven + FORGIVE:
            self._forgiven, self._wishes.once = self._reactor.seconds(), Once()
        self.prefetch.wake()

    # What is wanted

    async def find(self) -> list[tuple[Entry, bool]]:
        """Return what is wanted of the states and is not here."""
        await self._means.neighbourhood.acquainted()
        await self._pacman.configured()
        await self._machines.note(_by_architecture(self._mirrored()))
        names, generations = self._requests.wanted(time.time()), self._states.in_use()
        for generation in generations:
            await self._want(generation, names)
        self._forget({one.identity for one in generations})
        protected = {name for _, wanted in self._wanted.values() for _, name in wanted}
        self._means.arrivals.accounts.want_ahead(protected, by="mirror")
        lacking: dict[Key, Entry] = {}
        for generation in self._present():
            if generation.identity not in self._wanted:
                # It has come meanwhile, and is looked for next.
                continue
            for entry in await self._find_lacking(generation):
                lacking[key_of(entry)] = entry
        self._arrived.begin(ARRIVED_PAUSE)
        return [(entry, False) for entry in lacking.values()]

    async def _want(self, generation: Generation, names: Mapping[Scope, Sequence[str]]) -> None:
        """Find out what is wanted of a generation, where that is not known or not so any more."""
        pins, order = self._pins(), self._mirrored()
        asked = hash((frozenset((scope, *of) for scope, of in names.items()), (*pins,), (*order,)))
        known = self._wanted.get(generation.identity)
        is_past = generation.identity not in {one.identity for one in self._present()}
        if known is None or (known[0] != asked and not is_past):
            wanted = await in_thread(
                self._reactor, read_wanted, self._archive, generation, order, names, pins
            )
            self._wanted[generation.identity] = asked, wanted

    async def choose(self, generation: Generation, pins: Sequence[str]) -> Wanted:
        """Return what would be wanted of a generation for these pins alone."""
        return await in_thread(
            self._reactor, read_wanted, self._archive, generation, self._mirrored(), {}, pins
        )

    def _present(self) -> list[Generation]:
        """Return what is given out, and what is to be next."""
        published, waiting = self._states.published, self._states.waiting
        return [one for one in (published[0] if published else None, waiting) if one is not None]

    def _forget(self, in_use: set[str]) -> None:
        for known in (self._wanted, self._lacking):
            for identity in [one for one in known if one not in in_use]:
                del known[identity]

    async def _find_lacking(self, generation: Generation) -> list[Entry]:
        """Look through what is wanted of a generation."""
        contents: dict[str, Content] = {}
        lacking = []
        _, wanted = self._wanted[generation.identity]
        for at, (where, name) in enumerate(wanted):
            if at and at % SLICE == 0:
                await task.deferLater(self._reactor, 0)
            database = self._states.catalogue.database(generation, where)
            entry = database.entries.get(name) if database is not None else None
            if entry is None:
                continue
            is_second = contents.setdefault(name, entry.content) != entry.content
            # The store has no place for another one of a very long name.
            has_place = not is_second or beside(name, entry.sha256) is not None
            if has_place and not self.holds(entry):
                self._wheres[key_of(entry)] = where
                lacking.append(entry)
        self._lacking[generation.identity] = lacking
        return lacking

    def is_complete(self, identity: str) -> bool:
        """Whether all that is wanted of a generation is here, as far as there is room for it."""
        lacking = self._lacking.get(identity)
        if lacking is None:
            return False
        while lacking and (self.holds(lacking[-1]) or self._wishes.is_left_out(lacking[-1])):
            lacking.pop()
        return not lacking

    def describe(self) -> dict[str, Any]:
        """Return what is wanted of the states, and how far it has come."""
        return {
            "fetching": len(list(self.prefetch.bringing)),
            "left_out": self.prefetch.left_out,
            "states": {
                identity: self._describe(wanted, self._lacking.get(identity))
                for identity, (_, wanted) in self._wanted.items()
            },
        }

    def _describe(self, wanted: Wanted, looked: Sequence[Entry] | None) -> dict[str, Any]:
        lacking = [entry for entry in looked or () if not self.holds(entry)]
        return {
            "wanted": len(wanted),
            "lacks": None if looked is None else len(lacking),
            "lacking": [entry.file_name for entry in lacking[:MOST_TOLD]],
            "lacking_bytes": sum(entry.size for entry in lacking),
            "unresolved": sorted(wanted.unresolved)[:MOST_TOLD],
            "unknown": sorted(wanted.unknown)[:MOST_TOLD],
        }

    async def needs(self, entry: Entry) -> list[Entry]:
        """Return nothing: what a package needs is wanted with it."""
        return []

    # How it comes

    async def fetch(self, entry: Entry, *, mirrors: bool, asked: bool) -> None:
        """Have a package brought here, as nobody waits for it; raises FloconError."""
        file, where = parse_file_name(entry.file_name), self._wheres.get(key_of(entry))
        if file is None or where is None:
            raise Broken(entry.file_name, "is no package of a state")
        wanted = Asked(where.repository, where.architecture, file)
        await self.bring(wanted, entry, mirrors=mirrors, asked=asked)
        self._arrived.begin(ARRIVED_PAUSE)


def _by_architecture(mirrored: Iterable[Where]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for where in mirrored:
        found.setdefault(where.architecture, []).append(where.repository)
    return found
