"""Installs in a job's root what it needs: fetched outside by pacman, unpacked behind a wall.

pacman fetches and verifies with this machine's configuration and keyring, and runs nothing. What it
unpacks has scripts that run as root, of packages from recipes too: those run behind a wall of their
own, without a network, with what pacman needs and no more, in a root that is thrown away.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.errors import ToolError
from flocon.machine.process import run
from flocon.walls.bubblewrap import Shown, Wall, behind_installation_wall, places_of
from flocon.walls.filters import ATTRIBUTES, make_filter
from flocon.walls.kernel import covered
from flocon.walls.running import Plan, Walled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flocon.building.layouts import Layout
    from flocon.building.orders import Bounds

#: Where it finds things behind the wall.
_CONFIGURATION, _CACHE, _OWN = "/run/flocon/pacman.conf", "/run/flocon/cache", "/run/flocon/own"
_ASKED_WITHIN = 30.0
_OPEN_FILES = 16_384
#: Where a system that is made lies behind the wall, in a root of this machine's programs.
_SYSTEM = "/mnt"
#: Where pacman writes in a root while it fetches.
_WRITTEN = ("/var/lib/pacman/sync",)
#: What is to be installed takes the place of what it conflicts with, where that may go: a root has
#: it for this job alone. It turns the answer to that one question around (``pacman --ask``).
_REPLACING = ("--ask", "4")
#: The lock of a pacman that is at work on this machine is none for the root above it.
_PACMAN = 'rm -f "$0/var/lib/pacman/db.lck"; exec pacman "$@"'


@dataclass(frozen=True, slots=True)
class Pacman:
    """The machine's own pacman: its configuration's file, and what that says."""

    configuration: Path
    databases: Path
    caches: tuple[Path, ...]
    keyring: Path
    repositories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """What something may take: the kernel's limits of each process, and a control group or ""."""

    limits: Mapping[str, int] = field(default_factory=dict)
    group: str = ""

    @classmethod
    def of(cls, bounds: Bounds, group: str = "") -> Within:
        limits = {
            "RLIMIT_CORE": 0,
            "RLIMIT_DATA": bounds.memory,
            "RLIMIT_FSIZE": bounds.disk,
            "RLIMIT_NOFILE": _OPEN_FILES,
            "RLIMIT_NPROC": bounds.processes,
        }
        return cls(limits, group)


async def ask_pacman(reactor: Any, configuration: Path) -> Pacman:
    """Return what this machine's pacman is set to; raise ToolError."""
    words = ["pacman-conf", "--config", str(configuration)]
    said: dict[str, list[str]] = {}
    for name in ("DBPath", "CacheDir", "GPGDir", "--repo-list"):
        outcome = await run(reactor, [*words, name], seconds=_ASKED_WITHIN)
        if outcome.status:
            raise ToolError("pacman-conf", outcome.errors.decode("utf-8", "replace").strip())
        said[name] = outcome.output.decode("utf-8", "replace").splitlines()
    return Pacman(
        configuration,
        Path(said["DBPath"][0]),
        tuple(map(Path, said["CacheDir"])),
        Path(said["GPGDir"][0]),
        tuple(said["--repo-list"]),
    )


class Installing:
    """Installs into the root of one job, or of all that come later."""

    def __init__(self, reactor: Any, pacman: Pacman, cache: Path) -> None:
        self._reactor = reactor
        self._pacman = pacman
        self._cache = cache

    def _fetching(
        self, root: Path, mounts: Sequence[Mapping[str, str]], words: list[str], within: Within
    ) -> Plan:
        """Return a run of pacman for ``root`` with this machine's network and keyring.

        It fetches, and writes in the databases there, where scripts may have been before.
        """
        pacman = self._pacman
        caches = [self._cache, *pacman.caches]
        options = ["--config", str(pacman.configuration), "--root", str(root)]
        options += ["--dbpath", f"{root}/var/lib/pacman", "--gpgdir", str(pacman.keyring)]
        options += [word for one in caches for word in ("--cachedir", str(one))]
        options += ["--logfile", "/dev/null", "--noconfirm", "--noprogressbar"]
        command = ["sh", "-c", _PACMAN, str(root), *options, *words]
        return Plan(
            command,
            mounts,
            outside=True,
            root=str(root),
            plain=_WRITTEN,
            group=within.group,
            limits=within.limits,
        )

    async def make(
        self,
        programs: Layout,
        system: Layout,
        name: str,
        said: Callable[[bytes], None],
        within: Within,
    ) -> int:
        """Install a package with all it needs in a new ``system``; return pacman's status.

        This machine's ``programs`` install: in the new one there are none.
        """
        plan = self._fetching(system.root, system.mounts, ["-Syw", name], within)
        if status := await Walled(self._reactor, plan, said).run():
            return status
        plan = self._walled(programs, ["-S", name], within, Path(system.mounts[0]["source"]))
        return await Walled(self._reactor, plan, said).run()

    async def upgrade(self, layout: Layout, said: Callable[[bytes], None], within: Within) -> int:
        """Bring a root of packages alone up to date; return pacman's status.

        What takes a package's place may be a recipe's, of whichever repository this machine has:
        scripts and hooks run behind the wall here as well.
        """
        plan = self._fetching(layout.root, layout.mounts, ["-Syuw"], within)
        if status := await Walled(self._reactor, plan, said).run():
            return status
        return await Walled(self._reactor, self._walled(layout, ["-Su"], within), said).run()

    async def install(
        self,
        layout: Layout,
        packages: Sequence[str],
        own: Sequence[Path],
        said: Callable[[bytes], None],
        within: Within,
    ) -> int:
        """Install packages of repositories, then files of our own; return pacman's status."""
        if packages:
            words = ["-Sw", "--needed", "--", *packages]
            plan = self._fetching(layout.root, layout.mounts, words, within)
            if status := await Walled(self._reactor, plan, said).run():
                return status
        steps = []
        if packages:
            steps.append(["-S", *_REPLACING, "--needed", "--asdeps", "--", *packages])
        if own:
            files = [f"{_OWN}/{one.name}" for one in own]
            steps.append(["-U", *_REPLACING, "--needed", "--asdeps", "--", *files])
        for words in steps:
            plan = self._walled(layout, words, within)
            if status := await Walled(self._reactor, plan, said).run():
                return status
        return 0

    def _walled(
        self, layout: Layout, words: list[str], within: Within, new: Path | None = None
    ) -> Plan:
        caches = [one for one in (self._cache, *self._pacman.caches) if one.is_dir()]
        shown = [Shown(str(one), f"{_CACHE}/{number}") for number, one in enumerate(caches)]
        configuration = layout.given / "pacman.conf"
        lines = ["[options]", "Architecture = auto", "SigLevel = Never"]
        lines += [f"CacheDir = {one.at}/" for one in shown]
        # pacman wants a server to be named, and asks none for what lies in a cache.
        for name in self._pacman.repositories:
            lines += [f"[{name}]", f"Server = file://{_CACHE}/0"]
        configuration.write_text("\n".join([*lines, ""]), "utf-8")
        own = layout.given / "own"
        own.mkdir(exist_ok=True)
        shown += [Shown(str(configuration), _CONFIGURATION), Shown(str(own), _OWN)]
        system = _SYSTEM if new else ""
        if new:
            shown.append(Shown(str(new), system, writable=True))
        # pacman runs each script with its root as the script's own, and files have rights.
        calls = make_filter(platform.machine(), allowed=["chroot", *ATTRIBUTES])
        wall = Wall(
            root=str(layout.root),
            user=0,
            group=0,
            rights=True,
            shown=shown,
            kernel=covered(),
            filtered=bool(calls),
            system=system,
            environment={"HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"},
        )
        options = ["--config", _CONFIGURATION, "--noconfirm", "--noprogressbar"]
        options += ["--root", system or "/", "--dbpath", f"{system}/var/lib/pacman"]
        command = ["sh", "-c", _PACMAN, system, *options, *words]
        return Plan(
            behind_installation_wall(wall, command),
            layout.mounts,
            group=within.group,
            limits=within.limits,
            filter=calls,
            root=wall.root,
            places=places_of(wall),
        )
