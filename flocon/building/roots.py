"""Which root a job gets: over a clean system that is made here, or over this machine's own.

A clean system is base-devel, installed by this machine's pacman into a folder of its own, of
packages of its repositories alone. Those may be recipes' too: what they run is walled in.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from flocon.building.bounded import Bounded
from flocon.building.installing import Installing, Pacman, Within, ask_pacman
from flocon.building.layouts import (
    Layout,
    clean_layout,
    machine_layout,
    programs_layout,
    system_layout,
)
from flocon.errors import BuildError, ToolError
from flocon.log import logger
from flocon.machine.process import run
from flocon.machine.whole import see_through
from flocon.walls.folders import clear

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Said = Callable[[bytes], None]

#: What a clean system is made of.
_BASE = "base-devel"
#: Seconds after which a clean system is brought up to date before a job.
_STALE = 24 * 3_600.0
_ASKED_WITHIN = 60.0
#: Bytes of downloaded packages that stay for the next job.
_MOST_CACHED = 4 << 30
_FOLDERS = (
    "dev", "proc", "run", "sys", "tmp", "var/lib/pacman", "var/cache/pacman/pkg", "var/log",
)  # fmt: skip


class Roots:
    """Makes roots below ``work``; ``rights`` is whether this process is root.

    ``group`` is its own control group, None for none.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        work: Path,
        configuration: Path,
        *,
        rights: bool,
        group: Path | None = None,
    ) -> None:
        self._reactor = reactor
        self._work = work
        self._configuration = configuration
        self._rights = rights
        self._group = group
        #: Where only root comes.
        self._private = work / "system"
        self.system = self._private / "root"
        self.cache = work / "cache"

    async def kind(self, wanted: str) -> str:
        """Return "clean" or "machine": what is wanted, or of "auto" what can be had."""
        if wanted != "auto":
            return wanted
        if not self._rights:
            return "machine"
        if self.system.is_dir():
            return "clean"
        try:
            words = ["pacman", "--config", str(self._configuration), "-Sp", "--print-format", "%n"]
            outcome = await run(self._reactor, [*words, _BASE], seconds=_ASKED_WITHIN)
        except ToolError:
            return "machine"
        return "machine" if outcome.status else "clean"

    async def lay_out(self, folder: Path, wanted: str, said: Said) -> Layout:
        """Return the layout of a job in its new ``folder``; raise FloconError if there is none."""
        kind = await self.kind(wanted)
        if kind == "clean":
            if not self._rights:
                raise BuildError(
                    "a clean root is made by root alone",
                    'run the builder as root, or set root = "machine"',
                )
            await self.update(said, stale=_STALE)
            return await self._in_thread(clean_layout, folder, self.system)
        databases = Path("/var/lib/pacman")
        try:
            databases = (await ask_pacman(self._reactor, self._configuration)).databases
        except ToolError:
            self._log.info("this machine's pacman is not set up: nothing can be installed")
        return await self._in_thread(_over_machine, folder, databases, self._rights)

    async def _in_thread(self, make: Callable[..., Layout], *arguments: Any) -> Layout:
        try:
            layout: Layout = await see_through(deferToThread(make, *arguments))
        except OSError as error:
            raise ToolError("the root", f"cannot be laid out: {error}") from error
        return layout

    async def installing(self) -> Installing:
        """Return what installs into roots; raise ToolError where this machine has no pacman."""
        self.cache.mkdir(mode=0o755, exist_ok=True)
        pacman = await ask_pacman(self._reactor, self._configuration)
        return Installing(self._reactor, pacman, self.cache)

    async def update(self, said: Said, *, stale: float = 0.0) -> None:
        """Make the clean system, or bring one up to date that is older than ``stale`` seconds.

        One that cannot be brought up to date stays as it is; FloconError is raised for none.
        """
        if self.system.is_dir():
            # One of times to come is of a clock that was wrong.
            if 0 <= time.time() - self.system.stat().st_mtime < stale:
                return
            layout = await self._in_thread(system_layout, self._work / "entered", self.system)
            installing = await self.installing()
            bounded = Bounded(self._reactor, self.system, self._group)
            if await bounded.do(lambda within: installing.upgrade(layout, said, within)):
                said(b"==> flocon: the clean root could not be brought up to date\n")
            else:
                os.utime(self.system)
            return
        self._private.mkdir(mode=0o700, exist_ok=True)
        new = self._private / "new"
        # Where one lay before this place was private.
        for old in (new, self._work / "root", self._work / "root.new"):
            await clear(self._reactor, old)
        for name in _FOLDERS:
            (new / name).mkdir(parents=True)
        (new / "tmp").chmod(0o1777)
        (new / "build").mkdir()
        if status := await self._make(new, said):
            raise BuildError(
                f"no clean root could be made: pacman ended with status {status}",
                'see the log, or set root = "machine"',
            )
        new.rename(self.system)

    async def _make(self, new: Path, said: Said) -> int:
        """Install what a clean system is made of, by this machine's programs: it has none yet."""
        installing = await self.installing()
        folder = self._work / "making"
        await clear(self._reactor, folder)
        try:
            layout = await self._in_thread(programs_layout, folder)
            entered = await self._in_thread(system_layout, self._work / "entered", new)

            def make(within: Within) -> Coroutine[Any, Any, int]:
                return installing.make(layout, entered, _BASE, said, within)

            return await Bounded(self._reactor, new, self._group).do(make)
        finally:
            await see_through(Deferred.fromCoroutine(clear(self._reactor, folder)))

    def prune(self) -> None:
        """Take away the packages downloaded longest ago, beyond what stays."""
        try:
            files = sorted(
                (one for one in self.cache.iterdir() if one.is_file()),
                key=lambda one: one.stat().st_mtime,
                reverse=True,
            )
            kept = 0
            for file in files:
                kept += file.stat().st_size
                if kept > _MOST_CACHED:
                    file.unlink()
        except OSError:
            return


def _over_machine(folder: Path, databases: Path, rights: bool) -> Layout:
    return machine_layout(folder, databases, rights=rights)


__all__ = ["Pacman", "Roots"]
