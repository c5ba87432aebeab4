"""What a machine, or a list of packages, needs of a state: pacman says it, with that's databases.

Where there is no pacman, or where it is about many machines at once, it is what the packages depend
on, looked up as pacman does.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.carrying.states import fetch_databases, held_names
from flocon.errors import ToolError, ToolMissing
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.pacman.upgrades import configured, would_install
from flocon.terminal.asking import NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flocon.carrying.states import State
    from flocon.pacman.entries import Entry
    from flocon.pacman.listing import Database, Target
    from flocon.pacman.relations import Description
    from flocon.states.generation import Where
    from flocon.terminal.asking import Node

#: Lines of pacman's that are told of what it cannot resolve.
MOST_LINES = 20
#: Names on one command line of pacman's.
MOST_NAMES = 4_000
_SAYINGS = ("error: ", ":: ")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be looked at: ``packages`` by name, and what this ``machine`` has installed.

    ``back`` if packages that are newer there go back to the state's; ``pacman_conf`` is the
    machine's. With neither packages nor machine it is what all machines of the LAN hold. Packages
    that are ``apart`` need not be installed side by side: it does not matter who conflicts.
    """

    packages: tuple[str, ...] = ()
    machine: bool = False
    back: bool = False
    architecture: str = ""
    pacman_conf: Path = Path("/etc/pacman.conf")
    apart: bool = False


@dataclass(slots=True)
class Needed:
    """The packages that are needed, each with where it is listed; why there may be more."""

    packages: dict[Entry, Where] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


async def find_needed(reactor: Any, node: Node, state: State, wanted: Wanted) -> Needed:
    """Return what is needed; raises NodeError where that cannot be found out."""
    needed = Needed()
    if wanted.machine or wanted.packages:
        looking = _Looking(reactor, node, state, needed)
        await (looking.of_machine if wanted.machine else looking.of_packages)(wanted)
        return needed
    several = [wanted.architecture] if wanted.architecture else state.architectures
    for architecture in several:
        await _Looking(reactor, node, state, needed).of_all(architecture)
    return needed


class _Looking:
    """Looks what is needed, for one kind of machines, and adds it to ``needed``."""

    def __init__(self, reactor: Any, node: Node, state: State, needed: Needed) -> None:
        self._reactor = reactor
        self._node = node
        self._state = state
        self._needed = needed
        self._databases: dict[Where, Database] = {}

    async def of_machine(self, wanted: Wanted) -> None:
        """Find out what this machine's pacman would install."""
        try:
            configuration = await configured(self._reactor, wanted.pacman_conf, [self._node.port])
        except ToolMissing:
            problem = "this machine has no pacman"
            raise NodeError(f"{problem}; leave --machine out, and name the packages") from None
        except ToolError as error:
            raise NodeError(str(error)) from None
        own = [one for one in configuration.architectures if one in self._state.architectures]
        architecture = self._architecture(own[0] if own else wanted.architecture)
        operation = "-S" if wanted.packages else "-Suu" if wanted.back else "-Su"
        with tempfile.TemporaryDirectory(prefix="flocon-") as name:
            folder = Path(name)
            await self._fetch(architecture, folder)
            lacking = list(self._lacking(configuration, folder))
            self._needed.problems += lacking
            if not lacking:
                (folder / "local").symlink_to(configuration.database_path / "local")
                arguments = (operation, *wanted.packages)
                targets = await self._ask(wanted.pacman_conf, folder, arguments)
                self._add(targets, configuration, folder, arguments)

    async def of_packages(self, wanted: Wanted) -> None:
        """Find out what packages need where nothing is installed."""
        architecture = self._architecture(wanted.architecture)
        with tempfile.TemporaryDirectory(prefix="flocon-") as name:
            folder = Path(name)
            await self._fetch(architecture, folder)
            # Newer pacmans want all folders that their configuration names to be there.
            for empty in ("local", "cache", "hooks"):
                (folder / empty).mkdir()
            pacman_conf = folder / "pacman.conf"
            pacman_conf.write_text(bare_configuration(architecture, self._repositories, folder))
            configuration = PacmanConfiguration(
                tuple(map(Repository, self._repositories)), architectures=(architecture,)
            )
            arguments = ("-S", *wanted.packages)
            try:
                targets = await self._ask(pacman_conf, folder, arguments)
            except ToolMissing:
                self._resolve(wanted, architecture, folder)
            else:
                whole = None if wanted.apart else configuration
                self._add(targets, whole, folder, arguments)

    async def of_all(self, architecture: str) -> None:
        """Find out what machines of the LAN need to have all that they hold in this state."""
        with tempfile.TemporaryDirectory(prefix="flocon-") as name:
            folder = Path(name)
            await self._fetch(self._architecture(architecture), folder)
            held = await held_names(self._node, architecture)
            several = (one.entries.values() for one in self._databases.values())
            listed = {entry.name for entries in several for entry in entries}
            self._follow([one for one in held if one in listed], folder)

    def _architecture(self, wanted: str) -> str:
        """Return for which machines the state is looked at; raises NodeError."""
        known = self._state.architectures
        own = os.uname().machine
        if wanted in known:
            return wanted
        if not wanted and (len(known) == 1 or own in known):
            return own if own in known else known[0]
        problem = f"it has nothing for {wanted}" if wanted else "it is for several architectures"
        raise NodeError(f"{problem}; say with --architecture which: {', '.join(known)}")

    async def _fetch(self, architecture: str, folder: Path) -> None:
        (folder / "sync").mkdir()
        databases = self._state.of(architecture)
        self._databases = await fetch_databases(self._node, databases, folder / "sync")

    def _lacking(self, configuration: PacmanConfiguration, folder: Path) -> Iterator[str]:
        """Have databases that no mirror gives beside the state's; yield what is lacking.

        They are those of folders of this machine, and of own repositories, which nodes give.
        """
        present = {where.repository for where in self._databases}
        for repository in configuration.repositories:
            if repository.name in present:
                continue
            own = configuration.sync_directory / f"{repository.name}.db"
            if not repository.servers and own.is_file():
                for name in (own.name, f"{own.name}.sig"):
                    if own.with_name(name).is_file():
                        (folder / "sync" / name).symlink_to(own.with_name(name))
            else:
                yield f"[{repository.name}] of pacman.conf is not in this state"

    @property
    def _repositories(self) -> list[str]:
        return [where.repository for where in self._databases]

    # What pacman says

    async def _ask(
        self, pacman_conf: Path, folder: Path, arguments: Sequence[str]
    ) -> Sequence[Target]:
        """Return what pacman would install; add why it cannot; raises ToolMissing."""
        if len(arguments) > MOST_NAMES:
            raise NodeError(f"more than {MOST_NAMES} packages are not looked at in one go")
        try:
            return await would_install(self._reactor, pacman_conf, folder, *arguments)
        except ToolMissing:
            raise
        except ToolError as error:
            self._needed.problems += _sayings(error.reason)
            return []

    def _add(
        self,
        targets: Sequence[Target],
        configuration: PacmanConfiguration | None,
        folder: Path,
        arguments: Sequence[str],
    ) -> None:
        """Add what pacman told, without a ``configuration`` whoever conflicts with whom."""
        from flocon.carrying.settling import settle  # noqa: PLC0415 - seldom needed

        if configuration is not None:
            targets, problems = settle(folder, configuration, arguments, targets)
            self._needed.problems += problems
        by_name = {where.repository: where for where in self._databases}
        for target in targets:
            where = by_name.get(target.repository)
            entry = self._databases[where].entries.get(target.file_name) if where else None
            if entry is not None and where is not None:
                self._needed.packages[entry] = where
            elif not target.here:
                problem = f"{target.file_name} is in no database of this state"
                self._needed.problems.append(problem)

    # What packages depend on

    def _follow(self, names: Iterable[str], folder: Path) -> None:
        """Add packages and what they depend on, as far as databases tell."""
        from flocon.carrying.described import read_databases  # noqa: PLC0415 - seldom needed
        from flocon.wanted.dependencies import closure  # noqa: PLC0415

        problems = self._needed.problems
        known = read_databases(folder / "sync", self._repositories)
        beginning = []
        for name in names:
            meant = known.meant(name, known.places)
            beginning += meant
            if not meant:
                problems.append(f"no database of this state has {name}")
        found = closure(known, beginning)
        problems += [f"nothing in it satisfies {one}" for one in sorted(found.unresolved)]
        for (place, _), description in found.packages.items():
            self._need(place, description)

    def _resolve(self, wanted: Wanted, architecture: str, folder: Path) -> None:
        """Add what packages need on a machine on which nothing is."""
        from flocon.carrying.described import read_databases  # noqa: PLC0415 - seldom needed
        from flocon.wanted import transactions  # noqa: PLC0415

        known = read_databases(folder / "sync", self._repositories)
        machine = transactions.machine_with([], architectures=[architecture])
        targets = transactions.named(known, machine, wanted.packages)
        work_out = transactions.resolved if wanted.apart else transactions.transaction
        found = work_out(known, machine, targets)
        self._needed.problems += found.problems
        for place, description in found.packages if not found.problems else ():
            self._need(place, description)

    def _need(self, place: int, description: Description) -> None:
        where = list(self._databases)[place]
        entry = self._databases[where].entries.get(description.file_name)
        if entry is None:
            problem = f"{description.file_name} is listed without size or SHA-256"
            self._needed.problems.append(problem)
        else:
            self._needed.packages[entry] = where


def bare_configuration(architecture: str, repositories: Iterable[str], folder: Path) -> str:
    """Return the pacman.conf of a machine on which nothing is."""
    lines = ["[options]", f"Architecture = {architecture}", "SigLevel = Never"]
    lines += [f"CacheDir = {folder}/cache/", "LogFile = /dev/null", f"HookDir = {folder}/hooks/"]
    for repository in repositories:
        lines += [f"[{repository}]", "Server = http://localhost/$repo/os/$arch"]
    return "\n".join(lines) + "\n"


def _sayings(text: str) -> list[str]:
    """Return what pacman says of what is wrong, without its signs."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(_SAYINGS)] or lines
    return [line.removeprefix(":: ").removeprefix("error: ") for line in said[:MOST_LINES]]
