"""What one state lists otherwise than another: decides only, reads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flocon.pacman.versions import compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flocon.pacman.entries import Entry
    from flocon.states.generation import Where


class Listed(NamedTuple):
    """What a database says of a package."""

    version: str
    sha256: bytes


class Change(NamedTuple):
    """A package of which both states have one, and not the same: its name, and both versions."""

    name: str
    before: str
    after: str

    @property
    def direction(self) -> int:
        """Return 1 where it becomes newer, -1 where older, 0 where the version stays."""
        return -compare_versions(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Difference:
    """What becomes of one repository: names with versions, each sorted by name."""

    where: Where
    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    changed: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of how many packages another state has an older, a newer, or another file of one version."""

    older: int = 0
    newer: int = 0
    rebuilt: int = 0
    added: int = 0
    removed: int = 0


def by_name(entries: Iterable[Entry]) -> dict[str, Listed]:
    """Return what a database says of each package; of two with one name, of the first."""
    found: dict[str, Listed] = {}
    for entry in entries:
        found.setdefault(entry.name, Listed(entry.version, entry.sha256))
    return found


def difference(
    where: Where, before: Mapping[str, Listed], after: Mapping[str, Listed]
) -> Difference:
    both = sorted(before.keys() & after.keys())
    return Difference(
        where,
        tuple((name, after[name].version) for name in sorted(after.keys() - before.keys())),
        tuple((name, before[name].version) for name in sorted(before.keys() - after.keys())),
        tuple(
            Change(name, before[name].version, after[name].version)
            for name in both
            if before[name] != after[name]
        ),
    )


def counts(differences: Iterable[Difference]) -> Counts:
    directions = {-1: 0, 0: 0, 1: 0}
    added = removed = 0
    for one in differences:
        added += len(one.added)
        removed += len(one.removed)
        for change in one.changed:
            directions[change.direction] += 1
    return Counts(directions[-1], directions[1], directions[0], added, removed)


def rows(differences: Iterable[Difference]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield architecture, repository, name and both versions of each package that is another.

    A version is "" where the package is in one state only.
    """
    for one in differences:
        where = one.where
        found = [
            *((name, "", version) for name, version in one.added),
            *((name, version, "") for name, version in one.removed),
            *one.changed,
        ]
        for name, before, after in sorted(found):
            yield where.architecture, where.repository, name, before, after
