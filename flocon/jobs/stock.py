"""What pacman's databases and this machine's own repository have, to look needs up in.

Read when a recipe is resolved, in a thread, and let go of afterwards: nothing of it stays.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.errors import BuildError, FloconError
from flocon.files import is_repository, parse_file_name
from flocon.jobs.plan import relations
from flocon.jobs.standing import is_library
from flocon.pacman.database_files import read_sent
from flocon.pacman.relations import Relation, describe
from flocon.pacman.syncdb import read_descs
from flocon.wanted.dependencies import Databases, Listed, closure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from flocon.pacman.relations import Description


@dataclass(frozen=True, slots=True)
class OwnPackage:
    """A package that this machine published: its name, and where its file lies."""

    name: str
    version: str
    path: Path


class Stock:
    """``sync`` is where pacman's databases lie, those of ``repositories`` in their order.

    ``published`` is where this machine's signer leaves what it signed, under the name ``own``.
    """

    def __init__(self, sync: Path, repositories: Sequence[str], published: Path, own: str) -> None:
        self._published, self._own_name = published / own, own
        self._described = _read(self._published / "current" / f"{own}.db") if own else []
        self._own = Databases([self._described])
        others = [name for name in repositories if name != own]
        self._names = others
        self._pacman = Databases([_read(sync / f"{name}.db") for name in others])

    def own(self, relation: Relation) -> str:
        """Return the package of this machine's own repository that satisfies, "" for none."""
        return _name(self._own, relation)

    def pacman(self, relation: Relation) -> str:
        """Return the package that pacman would take, "" for none."""
        return _name(self._pacman, relation)

    def libraries(self) -> dict[str, frozenset[str]]:
        """Return the libraries that each package of our own repository provides."""
        return {
            one.name: frozenset(filter(is_library, map(str, one.provides)))
            for one in self._described
        }

    def lacks(self, relation: Relation) -> BuildError:
        """Return what there is to say where nothing satisfies."""
        if self._own_name:
            problem = f"it needs {relation}, which neither this machine's repository nor pacman has"
            return BuildError(problem, "see 'flocon build status'")
        problem = f"it needs {relation}, which pacman does not have; and of this machine's own"
        problem += " repositories none is looked into, as there is not just one"
        return BuildError(problem, "name the one for builds, as repository in [build]")

    def repository_of(self, name: str) -> str:
        """Return the repository of pacman that has a package of this very name, "" for none."""
        found = next(self._pacman.named(name, self._pacman.places), None)
        return self._names[found.place] if found else ""

    def versions(self, names: Iterable[str]) -> list[str]:
        """Return all versions of these packages whose files this machine has published."""
        try:
            paths = (self._published / "packages").iterdir()
            files = [parse_file_name(path.name) for path in paths]
        except OSError:
            return []
        wanted = set(names)
        # A signature alone was left by a disk that was full.
        return [one.version for one in files if one and not one.is_signature and one.name in wanted]

    def own_packages(self, names: Iterable[str]) -> tuple[list[OwnPackage], list[Relation]]:
        """Return these packages with what they need of the own repository, and what of others.

        Raises BuildError where one is not published.
        """
        places = self._own.places
        first: list[Listed] = []
        for name in dict.fromkeys(names):
            found = next(self._own.named(name, places), None)
            if found is None:
                raise BuildError(
                    f"{name} is not published any more",
                    f"'flocon build rebuild {name}', or 'flocon build add {name}'",
                )
            first.append(found)
        needed = closure(self._own, first)
        packages = [
            OwnPackage(one.name, one.version, self._published / "packages" / one.file_name)
            for one in sorted(needed.packages.values(), key=lambda one: one.name)
        ]
        return packages, relations(sorted(needed.unresolved))


def own_repository(published: Path, chosen: str = "") -> str:
    """Return the name of what this machine publishes, "" where that is nothing or not one.

    Where ``chosen`` is among them it is that one.
    """
    try:
        names = [
            path.name
            for path in published.iterdir()
            if is_repository(path.name) and (path / "current").exists()
        ]
    except OSError:
        return ""
    if chosen:
        return chosen if chosen in names else ""
    return names[0] if len(names) == 1 else ""


def _name(databases: Databases, relation: Relation) -> str:
    found = databases.satisfier(relation, databases.places, lambda _: False)
    return found.description.name if found is not None else ""


def _read(path: Path) -> list[Description]:
    """Return what a database describes; nothing where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return read_sent(
                descriptor, lambda file: [*filter(None, map(describe, read_descs(file)))]
            )
        finally:
            os.close(descriptor)
    except (FloconError, OSError):
        return []
