"""What runs in the thread of mDNS: keeps the library as it is wished, and hears what it finds.

One task settles everything, one thing after the other: what is wished, which names this node bears,
when all stands still. Looking up what a name stands for takes seconds, and has a task of its own.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from flocon.machine.clock import seconds_asleep
from flocon.machine.limits import give_back
from flocon.mdns.directory import Directory
from flocon.mdns.library import KINDS, Library
from flocon.mdns.rests import LOOK_EVERY, Rests, reason_of
from flocon.mdns.services import FLOCON, PACSERVE, Wish, lasting, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.machine.links import Link
    from flocon.mdns.services import Found, Names, Own
    from flocon.mdns.sieve import Sieve

#: Services that are known at a time, by type.
MOST = {PACSERVE: 64, FLOCON: 256}
#: Room for names that turn out to be nodes' among pacserves.
MOST_NAMES = {PACSERVE: 64 + 256, FLOCON: 256}
#: Looked up at a time.
MOST_LOOKING = 8
#: Seconds between two questions who is there; and after which it is asked on other links.
ASK_EVERY = 300.0
ASK_ON_LINKS = (0.0, 1.0, 4.0)
#: Seconds of sleep after which all is found, and told, anew.
SLEPT_AFTER = 10.0
#: Seconds between two tellings of what is there.
TELL_EVERY = 1.0
_TYPES = ("_pacserve", "_flocon", "_services")


class Responder:
    """``tell`` is called with a type and all that is there of it, ``failed`` with an error.

    Both are called in this thread. ``ask`` and ``stop`` may only be called there, too. ``asleep``
    tells for how long this machine has slept, which the loop's clock leaves out.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sieve: Sieve,
        *,
        tell: Callable[[str, tuple[Found, ...]], None],
        failed: Callable[[BaseException], None],
        asleep: Callable[[], float] = seconds_asleep,
    ) -> None:
        self._loop = loop
        self._asleep = asleep
        self._slept = asleep()
        self._sieve = sieve
        self._tell = tell
        self._failed = failed
        self._wish = Wish()
        self._is_as_wished = Wish()
        self._library: Library | None = None
        self._rests = Rests()
        self._looked_at = self._told_at = float("-inf")
        self._ask_at: list[float] = []
        self._names: Names | None = None
        self._has_clashed = self._clashes = False
        self._directories = {kind: Directory(most) for kind, most in MOST_NAMES.items()}
        self._looking: asyncio.Task[None] | None = None
        self._stirred = asyncio.Event()
        self._stopped = asyncio.Event()
        # The library warns of each odd datagram, by as much as anybody sends.
        logging.getLogger("zeroconf").setLevel(logging.CRITICAL)

    # What may be read from another thread

    @property
    def why(self) -> str:
        """Why it stands still, or nothing."""
        return self._rests.why

    @property
    def is_failing(self) -> bool:
        """Whether this machine is the reason."""
        return bool(self._rests.why) and self._rests.is_failure

    @property
    def names(self) -> Names | None:
        """The names under which this node is announced now."""
        return self._names

    @property
    def has_clashed(self) -> bool:
        """Whether another machine has the names that this node would bear."""
        return self._has_clashed

    @property
    def left_out(self) -> int:
        return sum(one.left_out for one in self._directories.values())

    # What is asked of it

    def ask(self, wish: Wish) -> None:
        self._wish = wish
        self._stirred.set()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        """Run until stopped, and say goodbye."""
        settling = self._loop.create_task(self._settle_for_ever())
        await self._stopped.wait()
        settling.cancel()
        with suppress(asyncio.CancelledError):
            await settling
        await self._close()

    async def _settle_for_ever(self) -> None:
        while True:
            self._stirred.clear()
            try:
                await self._settle()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again later
                self._failed(error)
                await self._rest(reason_of(error), is_failure=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), self._pause())

    def _pause(self) -> float | None:
        """Return the seconds until something is to be done, if nothing comes between."""
        now = self._loop.time()
        if self._library is None:
            return self._rests.until - now if self._rests.why and self._wish.links else None
        times = [self._looked_at + LOOK_EVERY, *self._ask_at[:1]]
        if self._looking is None:
            times += [one for each in self._directories.values() if (one := each.deadline())]
        if any(each.has_news for each in self._directories.values()):
            times.append(self._told_at + TELL_EVERY)
        return max(0.0, min(times) - now)

    # Settling

    async def _settle(self) -> None:
        now = self._loop.time()
        if self._has_slept():
            # What others told is old, and what they were told is forgotten.
            await self._close()
        if self._library is not None:
            await self._look_for_floods(now)
        if not self._wish.links:
            await self._close()
        elif self._library is None:
            if self._rests.is_over(now):
                await self._open()
        elif not lasting(self._is_as_wished.links, self._wish.links):
            # Nothing is left of what the library knows.
            await self._close()
            await self._open()
        elif self._wish.links != self._is_as_wished.links:
            self._sieve.set_links(self._wish.links)
            if _are_elsewhere(self._is_as_wished.links, self._wish.links):
                self._has_clashed = False
            await self._library.be_on(self._wish.links)
            self._ask_at = [now + one for one in ASK_ON_LINKS]
        if self._library is not None:
            self._library.networks = self._wish.networks
            await self._announce(self._library)
            self._ask_who_is_there(now, self._library)
            self._look_up()
        self._tell_news()

    def _has_slept(self) -> bool:
        """Whether this machine has slept for a while since it was looked last."""
        before, self._slept = self._slept, self._asleep()
        return self._slept - before > SLEPT_AFTER

    async def _look_for_floods(self, now: float) -> None:
        """Count what is remembered, and what came."""
        if now < self._looked_at + LOOK_EVERY or self._library is None:
            return
        self._looked_at = now
        came = sum(count for reason, count in self._sieve.counters.items() if reason != "own")
        if self._rests.look(now, self._library.remembered, came):
            await self._close()
            give_back()

    def _ask_who_is_there(self, now: float, library: Library) -> None:
        """Ask if it is time to."""
        if self._ask_at[0] <= now:
            library.ask()
            later = [one for one in self._ask_at if one > now]
            self._ask_at = later or [now + ASK_EVERY]

    async def _rest(self, why: str, *, is_failure: bool = False) -> None:
        self._rests.begin(self._loop.time(), why, is_failure=is_failure)
        await self._close()

    async def _open(self) -> None:
        wish = self._wish
        # Who had this node's names may be gone, or on another network.
        self._has_clashed = self._clashes = False
        self._sieve.set_links(wish.links)
        self._sieve.set_labels(_TYPES, None)
        self._library = Library(
            wish.links, self._sieve, heard=self._heard, left=self._left, clashed=self._clash
        )
        self._is_as_wished = Wish(wish.links)
        self._looked_at = self._loop.time()
        # At first the library asks by itself.
        self._ask_at = [self._looked_at + ASK_EVERY]
        await self._library.begin()

    async def _close(self) -> None:
        library, self._library = self._library, None
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self._names = None
        self._is_as_wished = Wish()
        for directory in self._directories.values():
            directory.clear()
        if library is not None:
            await library.close()
        self._tell_news(at_once=True)

    # This node

    async def _announce(self, library: Library) -> None:
        """Have announced what is wished, under names that nobody else has."""
        wish = self._wish
        if self._clashes:
            self._clashes = False
            # Once is enough for two machines of one name; who says so again and again only does.
            if not self._has_clashed:
                self._has_clashed = True
                await self._withdraw(library)
        if wish.own is None:
            await self._withdraw(library)
        elif self._names is None:
            await self._take_names(library, wish.own)
        elif self._names != names_of(wish.own, clashed=self._has_clashed):
            await self._withdraw(library)
            await self._take_names(library, wish.own)
        elif wish != self._is_as_wished:
            await library.renew(wish.own, self._names)
        self._is_as_wished = wish

    async def _withdraw(self, library: Library) -> None:
        self._names = None
        await library.withdraw()

    async def _take_names(self, library: Library, own: Own) -> None:
        for clashed in (self._has_clashed, True):
            names = names_of(own, clashed=clashed)
            self._sieve.set_labels(_TYPES, names.host)
            if await library.is_taken(names) and not clashed:
                self._has_clashed = True
            elif await library.announce(own, names):
                self._names = names
                return
            else:
                self._has_clashed = True
        # Somebody answers to whatever this node would be called: it is looked again in a while.
        await self._rest("another machine answers to this node's names")

    def _clash(self) -> None:
        if not self._has_clashed:
            self._clashes = True
            self._stirred.set()

    # Others

    def _heard(self, kind: str, name: str) -> None:
        if self._names is not None and name.lower() == self._names.of(kind).lower():
            return
        self._directories[kind].heard(self._loop.time(), name)
        self._stirred.set()

    def _left(self, kind: str, name: str) -> None:
        self._directories[kind].left(name)
        self._stirred.set()

    def _look_up(self) -> None:
        if self._looking is None and self._due():
            self._looking = self._loop.create_task(self._look_up_due())
            self._looking.add_done_callback(self._looked_up)

    def _due(self) -> list[tuple[str, str]]:
        now = self._loop.time()
        return [(kind, name) for kind in KINDS for name in self._directories[kind].due(now)]

    async def _look_up_due(self) -> None:
        library = self._library
        while library is not None and (due := self._due()[:MOST_LOOKING]):
            found = await asyncio.gather(*(library.look_up(kind, name) for kind, name in due))
            for (kind, name), one in zip(due, found, strict=True):
                self._directories[kind].looked_up(self._loop.time(), name, one)
            self._sieve.forget_hosts()
            self._stirred.set()

    def _looked_up(self, task: asyncio.Task[None]) -> None:
        if self._looking is task:
            self._looking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
        self._stirred.set()

    def _tell_news(self, *, at_once: bool = False) -> None:
        now = self._loop.time()
        if not at_once and now < self._told_at + TELL_EVERY:
            return
        for kind, directory in self._directories.items():
            news = directory.news()
            if news is not None:
                self._told_at = now
                self._tell(kind, _of_use(kind, news))


def _of_use(kind: str, found: Sequence[Found]) -> tuple[Found, ...]:
    """Return those that are what their type says: nodes are found as nodes."""
    others = [one for one in found if kind == FLOCON or not one.is_node]
    return tuple(others[: MOST[kind]])


def _are_elsewhere(before: Sequence[Link], now: Sequence[Link]) -> bool:
    """Whether none of the networks is one of those before."""
    networks = {one.network for link in before for one in link.addresses if not one.is_link_local}
    return networks.isdisjoint(one.network for link in now for one in link.addresses)
