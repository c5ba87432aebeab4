"""Which packages of a state are wanted: what machines have, as newer, and what that needs.

No I/O: databases are given as what they describe, names as ``requests`` keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flocon.wanted.dependencies import Listed, closure

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from flocon.pacman.relations import Description
    from flocon.states.generation import Where
    from flocon.wanted.dependencies import Databases


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a state, by file name; and what of it needs something that nobody has.

    ``unknown`` are names wanted by hand that mean nothing there.
    """

    files: Mapping[Where, tuple[str, ...]] = field(default_factory=dict)
    unresolved: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return sum(map(len, self.files.values()))

    def __iter__(self) -> Iterator[tuple[Where, str]]:
        for where, names in self.files.items():
            yield from ((where, name) for name in names)


@dataclass(frozen=True, slots=True)
class Choice:
    """The wanted packages of one architecture, by the place of their database and their name."""

    packages: Mapping[tuple[int, str], Description]
    unresolved: frozenset[str]
    unknown: frozenset[str]


def choose(
    databases: Databases,
    repositories: Sequence[str],
    names: Mapping[tuple[str, ...], Collection[str]],
    pins: Collection[str],
) -> Choice:
    """Choose for one architecture; ``repositories`` are the names of its databases, in order.

    ``names`` are by the repositories of the machines that have them: none for all, and one where
    somebody asked for a package of that one. Each name stands for what an upgrade brings: of the
    first database that knows it, the package and whoever takes its place. What is wanted for one
    kind of machine does for another.
    """
    found: dict[tuple[int, str], Description] = {}
    unresolved: set[str] = set()
    meant = {word: databases.meant(word, databases.places) for word in pins}
    named = [one for listed in meant.values() for one in listed]
    beginnings: list[tuple[Sequence[int], list[Listed]]] = [(databases.places, named)]
    for scope, wanted in sorted(names.items()):
        places = places_of(scope, repositories)
        beginnings.append((places, list(_upgrades(databases, wanted, places))))
    for _, beginning in beginnings:
        found.update({(one.place, one.description.name): one.description for one in beginning})
    for places, beginning in beginnings:
        result = closure(databases, beginning, places, found)
        found.update(result.packages)
        unresolved |= result.unresolved
    unknown = frozenset(word for word, listed in meant.items() if not listed)
    return Choice(found, frozenset(unresolved), unknown)


def places_of(scope: Sequence[str], repositories: Sequence[str]) -> Sequence[int]:
    """Return the places of the databases in which machines look, in their order.

    Who asked for a package of one repository has others, too, but that one comes first.
    """
    everywhere = range(len(repositories))
    known = [at for at in everywhere if repositories[at] in scope]
    if len(scope) > 1 and known:
        return known
    return [*known, *(at for at in everywhere if at not in known)]


def _upgrades(
    databases: Databases, names: Collection[str], places: Sequence[int]
) -> Iterator[Listed]:
    for name in names:
        for place in places:
            replacing = list(databases.replacing(name, [place]))
            known = list(databases.named(name, [place]))
            yield from replacing
            yield from known
            # What replaces only older ones may be none of a machine's business.
            if known or any(_replaces_all(one, name) for one in replacing):
                break


def _replaces_all(listed: Listed, name: str) -> bool:
    return any(one.name == name and not one.test for one in listed.description.replaces)
