"""Which root a job gets: over a clean system that is made here, or over this machine's own.

A clean system is base-devel, installed by this machine's pacman into a folder of its own. Only
packages of its repositories are ever installed there, never one of a recipe's.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThread

from flocon.building.installing import Installing, Pacman, ask_pacman
from flocon.building.layouts import Layout, clean_layout, machine_layout, system_layout
from flocon.errors import BuildError, ToolError
from flocon.log import logger
from flocon.machine.process import run
from flocon.machine.whole import see_through
from flocon.walls.running import Walled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    """Makes roots below ``work``; ``rights`` is whether this process is root."""

    _log = logger()

    def __init__(self, reactor: Any, work: Path, configuration: Path, *, rights: bool) -> None:
        self._reactor = reactor
        self._work = work
        self._configuration = configuration
        self._rights = rights
        self.system = work / "root"
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
            layout = await self._in_thread(system_layout, self._work)
            if await (await self.installing()).upgrade(layout, said):
                said(b"==> flocon: the clean root could not be brought up to date\n")
            else:
                os.utime(self.system)
            return
        new = self._work / "root.new"
        shutil.rmtree(new, ignore_errors=True)
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

    async def _make(self, root: Path, said: Said) -> int:
        """Install what a clean system is made of: there is nothing yet that could build a wall."""
        installing = await self.installing()
        mounts: list[Mapping[str, str]] = [
            {"kind": "proc", "source": "proc", "at": f"{root}/proc", "options": ""},
            {"kind": "bind", "source": "/dev", "at": f"{root}/dev", "options": ""},
        ]
        plan = installing.outside(root, mounts, ["-Sy", _BASE])
        return await Walled(self._reactor, plan, said).run()

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
