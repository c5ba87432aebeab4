"""One job from its order to what it left: a root, two steps behind the wall, and nothing after it.

Whatever happens, its folder goes when it is over, and with it all that anybody wrote there.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThread

from flocon.building import commands, endings
from flocon.building.endings import Ending
from flocon.building.gateway import PORT, Gateway
from flocon.building.installing import Within
from flocon.building.layouts import hand_over
from flocon.building.near import destinations
from flocon.building.recipe_files import lay_out, write_versions
from flocon.building.results import Left, take
from flocon.building.said import Said
from flocon.building.watching import Watch
from flocon.errors import BuildError, ToolError
from flocon.log import logger
from flocon.machine.whole import see_through
from flocon.walls.bubblewrap import BUILD, Shown, Wall, behind_recipe_wall, places_of
from flocon.walls.filters import make_filter
from flocon.walls.folders import Room, clear
from flocon.walls.groups import Group
from flocon.walls.kernel import covered
from flocon.walls.running import Plan, Walled

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from flocon.building.layouts import Layout
    from flocon.building.orders import Order
    from flocon.building.place import Place

#: The last words of a step, by which its end is judged.
_LAST_WORDS = 64 << 10
_BEGUN = commands.BEGUN.encode()
_LARGEST_KEY = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended, what it left, and which hosts it asked while it fetched its sources."""

    ending: Ending
    left: Left
    hosts: Sequence[str] = ()
    refused: Sequence[str] = ()


@dataclass(slots=True)
class Told:
    """Where a job says what it does: ``step`` by name, ``log`` by text."""

    step: Callable[[str], None]
    log: Callable[[str], None]
    said: Said = field(default_factory=Said)
    first_words: bytes = b""
    last_words: bytes = b""

    def begin(self) -> None:
        """Forget what was said in another step."""
        self.first_words = self.last_words = b""

    def heard(self, data: bytes) -> None:
        """Take what a program said."""
        if len(self.first_words) < len(_BEGUN):
            self.first_words = (self.first_words + data)[: len(_BEGUN)]
        self.last_words = (self.last_words + data)[-_LAST_WORDS:]
        if text := self.said.add(data):
            self.log(text)

    def end(self) -> None:
        """Tell what was not told yet."""
        rest = self.said.rest()
        # In pieces that fit into a message, however they are escaped.
        for at in range(0, len(rest), _LAST_WORDS):
            self.log(rest[at : at + _LAST_WORDS])


class Job:
    """Runs one order in a folder of its own."""

    _log = logger()

    def __init__(
        self, reactor: Any, place: Place, order: Order, files: Sequence[IO[bytes]], told: Told
    ) -> None:
        self._reactor = reactor
        self._place = place
        self._order = order
        self._files = files
        self._told = told
        # One of the same name may still be on its way out.
        self._folder = place.jobs / f"{order.job}-{secrets.token_hex(4)}"
        self._group = Group(place.group, order.job)
        self._until = 0.0
        self._ending: Ending | None = None
        self._walled: Walled | None = None
        #: What is done before there is something behind the recipe's wall.
        self._work: Deferred[Any] | None = None
        self._hosts: dict[str, int] = {}
        self._refused: dict[str, int] = {}

    async def run(self) -> Outcome:
        """Return what came of it; cancelled, it ends when all of it is gone."""
        self._until = self._reactor.seconds() + self._order.bounds.time
        left = Left((), "", {})
        try:
            if Room.of(self._place.jobs).is_little:
                return self._outcome(Ending(endings.REFUSED, "the builder's disk is full"), left)
            ending = await self._all_steps()
            if ending.result == endings.BUILT:
                self._told.step("collect")
                taking = deferToThread(take, self._folder / "build", self._order.bounds.disk)
                left = await see_through(taking, Left.close)
                if not left.packages:
                    ending = endings.without_packages(ending.exit)
            return self._outcome(ending, left)
        except (BuildError, ToolError) as error:
            return self._outcome(Ending(endings.REFUSED, str(error)), left)
        finally:
            self._told.end()
            await self._clear()

    def _outcome(self, ending: Ending, left: Left) -> Outcome:
        return Outcome(ending, left, sorted(self._hosts), sorted(self._refused))

    async def _all_steps(self) -> Ending:
        self._told.step("root")
        bounds = self._order.bounds
        self._group.make(bounds.memory, bounds.processes)
        roots = self._place.roots
        layout = await self._within_time(
            roots.lay_out(self._folder, self._order.root, self._told.heard)
        )
        if layout is None:
            return self._too_late()
        grouped = bool(self._group.path)
        watch = Watch(self._reactor, self._folder, bounds, self._passed, grouped=grouped)
        # From now on: what is installed has scripts of recipes, too.
        watch.start()
        try:
            return await self._steps_in(layout)
        finally:
            await watch.stop()

    async def _steps_in(self, layout: Layout) -> Ending:
        own = await see_through(deferToThread(self._hand_in, layout))
        if (self._order.packages or own) and (ending := await self._install(layout, own)):
            return ending
        place = self._place
        layout.write_accounts(place.user, place.number, place.group_number)
        if place.rights:
            handing = deferToThread(hand_over, layout.build, place.number, place.group_number)
            await see_through(handing)
        self._told.step("fetch")
        ending = await self._step("fetch", layout, commands.fetch_command(), online=True)
        if ending.result != endings.BUILT:
            return ending
        self._told.step("build")
        command = commands.build_command(self._order)
        return await self._step("build", layout, command, online=self._order.online)

    def _hand_in(self, layout: Layout) -> list[Path]:
        """Write down what was handed over; return the packages of our own to install."""
        order = self._order
        recipe = layout.build / "recipe"
        lay_out(self._files[order.recipe], recipe)
        write_versions(recipe, order.versions)
        keys, own = layout.given / "keys", layout.given / "own"
        keys.mkdir()
        own.mkdir()
        for number, at in enumerate(order.keys):
            (keys / f"{number}.gpg").write_bytes(self._files[at].read(_LARGEST_KEY))
        room = order.bounds.disk
        for one in order.dependencies:
            room -= os.fstat(self._files[one.at].fileno()).st_size
            if room < 0:
                raise BuildError("the packages to install first are larger than a job may be", "")
            with (own / one.file).open("xb") as file:
                shutil.copyfileobj(self._files[one.at], file, 1 << 20)
        return [own / one.file for one in order.dependencies]

    async def _install(self, layout: Layout, own: list[Path]) -> Ending | None:
        if not self._place.rights:
            raise BuildError(
                "nothing can be installed for a job by a builder that is not root",
                "install what the recipe needs, or run the builder as root",
            )
        installing = await self._place.roots.installing()
        packages = self._order.packages
        within = Within.of(self._order.bounds, self._group.path)
        work = installing.install(layout, packages, own, self._told.heard, within)
        status = await self._within_time(work)
        self._place.roots.prune()
        if status is None:
            return self._ending or self._too_late()
        if status and self._group.was_short:
            return self._short_of_memory(status)
        if status:
            reason = "what it needs could not be installed; the log has pacman's own words"
            return Ending(endings.DEPENDENCIES, reason, status)
        return None

    async def _within_time(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what comes of ``work``, None where the job may take no more before."""
        left = max(0.01, self._until - self._reactor.seconds())
        self._work = Deferred.fromCoroutine(work)
        try:
            return await self._work.addTimeout(
                left, self._reactor, onTimeoutCancel=lambda _result, _timeout: None
            )
        except CancelledError:
            if self._ending is None:
                raise
            return None
        finally:
            self._work = None

    def _too_late(self) -> Ending:
        return Ending(endings.TIMED_OUT, f"it took longer than {self._order.bounds.time:.0f} s")

    async def _step(self, step: str, layout: Layout, command: list[str], *, online: bool) -> Ending:
        """Run one of the two steps behind the wall."""
        gateway = self._gateway() if online else None
        plan = self._plan(layout, command, PORT if online else 0)
        self._told.begin()
        self._walled = Walled(
            self._reactor,
            plan,
            self._told.heard,
            gateway.listen if gateway else lambda listening: listening.close(),
        )
        late = self._reactor.callLater(
            max(0.01, self._until - self._reactor.seconds()), self._passed, self._too_late()
        )
        try:
            status = await self._walled.run()
        finally:
            if late.active():
                late.cancel()
            if gateway is not None:
                self._hosts.update(gateway.hosts)
                self._refused.update(gateway.refused)
                await gateway.stop()
        return self._judge(step, status)

    def _judge(self, step: str, status: int) -> Ending:
        if self._ending is not None:
            return replace(self._ending, exit=status)
        if self._group.was_short:
            return self._short_of_memory(status)
        if status == 0:
            return Ending(endings.BUILT)
        tail = self._told.last_words.decode("utf-8", "replace")
        walled = self._told.first_words == _BEGUN
        installed = bool(self._order.packages or self._order.dependencies)
        return endings.step_failed(step, status, tail, walled=walled, installed=installed)

    def _short_of_memory(self, status: int) -> Ending:
        allowed = f"{self._order.bounds.memory >> 20} MiB"
        reason = f"it needed more than {allowed} of memory"
        return Ending(endings.TOO_MUCH_MEMORY, reason, status)

    def _passed(self, ending: Ending) -> None:
        """End it, for it has too much of something."""
        if self._ending is None:
            self._ending = ending
        if self._walled is not None:
            self._walled.end()
        if self._work is not None:
            self._work.cancel()

    def _gateway(self) -> Gateway:
        def told(sentence: str) -> None:
            self._told.heard(sentence.encode())

        allowed = destinations(self._order.networks)
        # Sources are kept, unpacked, and read again: as much as the job may have on disk.
        return Gateway(self._reactor, allowed, 2 * self._order.bounds.disk, told)

    def _plan(self, layout: Layout, command: list[str], port: int) -> Plan:
        place = self._place
        calls = make_filter(platform.machine())
        environment = commands.environment(
            self._order,
            place.user,
            proxy=port,
            rights=place.rights,
            processors=len(os.sched_getaffinity(0)),
        )
        settings = layout.given / "makepkg.conf"
        settings.write_text(commands.settings(environment), "utf-8")
        wall = Wall(
            root=str(layout.root),
            user=place.number,
            group=place.group_number,
            rights=place.rights,
            shown=(
                Shown(str(layout.build), BUILD, writable=True),
                Shown(str(layout.temporary), "/tmp", writable=True),  # noqa: S108 - the job's own
                Shown(str(layout.temporary), "/var/tmp", writable=True),  # noqa: S108
                Shown(str(layout.given / "keys"), commands.KEYS),
                Shown(str(settings), commands.SETTINGS),
                Shown(str(layout.given / "passwd"), "/etc/passwd"),
                Shown(str(layout.given / "group"), "/etc/group"),
            ),
            kernel=covered(),
            environment=environment,
            folder=f"{BUILD}/recipe",
            filtered=bool(calls),
        )
        return Plan(
            behind_recipe_wall(wall, command),
            layout.mounts,
            rights=place.rights,
            port=port,
            group=self._group.path,
            limits=Within.of(self._order.bounds).limits,
            filter=calls,
            root=wall.root,
            places=places_of(wall),
        )

    async def _clear(self) -> None:
        self._group.remove()
        clearing = Deferred.fromCoroutine(clear(self._reactor, self._folder))
        try:
            with suppress(CancelledError):
                await see_through(clearing)
        except ToolError as error:
            # What was built is, all the same.
            self._log.warn("{folder} stays: {error}", folder=self._folder, error=error)
