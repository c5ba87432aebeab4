"""What packages of many machines need, looked up in databases one after the other.

No I/O. What one machine would install is ``transactions``: here packages that no machine has side
by side are looked at together, so what one excludes is no question. Of several that provide
something, pacman takes the first where nobody is asked, and so is it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flocon.pacman.relations import parse_relation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from flocon.pacman.relations import Description, Relation


class Listed(NamedTuple):
    """A package in one of the databases, by the number of that."""

    place: int
    description: Description


@dataclass(frozen=True, slots=True)
class Closure:
    """What some packages need, themselves included: by place and name; and what nobody has."""

    packages: Mapping[tuple[int, str], Description]
    unresolved: frozenset[str]

    @property
    def is_whole(self) -> bool:
        return not self.unresolved


class Databases:
    """Databases in pacman's order, to look packages up in; of two of one name the first counts."""

    def __init__(self, databases: Sequence[Iterable[Description]]) -> None:
        self._by_name: list[dict[str, Description]] = []
        self._providers: dict[str, list[Listed]] = {}
        self._replacers: dict[str, list[Listed]] = {}
        self._groups: dict[str, list[Listed]] = {}
        for place, descriptions in enumerate(databases):
            known: dict[str, Description] = {}
            for one in descriptions:
                known.setdefault(one.name, one)
            self._by_name.append(known)
            for name in sorted(known):
                self._index(Listed(place, known[name]))

    def _index(self, listed: Listed) -> None:
        description = listed.description
        for name in dict.fromkeys(one.name for one in description.provides):
            self._providers.setdefault(name, []).append(listed)
        for name in dict.fromkeys(one.name for one in description.replaces):
            self._replacers.setdefault(name, []).append(listed)
        for group in dict.fromkeys(description.groups):
            self._groups.setdefault(group, []).append(listed)

    @property
    def places(self) -> range:
        """The numbers of the databases, in their order."""
        return range(len(self._by_name))

    def named(self, name: str, places: Iterable[int]) -> Iterator[Listed]:
        """Yield the packages of a name, in the order of ``places``."""
        for place in places:
            if (found := self._by_name[place].get(name)) is not None:
                yield Listed(place, found)

    def replacing(self, name: str, places: Sequence[int]) -> Iterator[Listed]:
        """Yield the packages that take another one's place, in the order of ``places``."""
        return _in_order(self._replacers.get(name, ()), places)

    def providing(self, wanted: Relation, places: Sequence[int]) -> Iterator[Listed]:
        """Yield the packages of other names that satisfy, in the order of ``places``."""
        for listed in _in_order(self._providers.get(wanted.name, ()), places):
            if listed.description.name != wanted.name and listed.description.satisfies(wanted):
                yield listed

    def group(self, name: str, places: Sequence[int]) -> Iterator[Listed]:
        """Yield the packages of a group, each once: where several databases have it, the first."""
        seen = set()
        for listed in _in_order(self._groups.get(name, ()), places):
            if listed.description.name not in seen:
                seen.add(listed.description.name)
                yield listed

    def meant(
        self, word: str, places: Sequence[int], has: Callable[[Listed], bool] = lambda _: False
    ) -> list[Listed]:
        """Return what ``pacman -S WORD`` would install: a package, who provides it, or a group."""
        wanted = parse_relation(word)
        if wanted is None:
            return []
        taken = self.satisfier(wanted, places, has)
        return list(self.group(word, places)) if taken is None else [taken]

    def satisfier(
        self, wanted: Relation, places: Sequence[int], has: Callable[[Listed], bool]
    ) -> Listed | None:
        """Return the package that pacman takes: by name, else one that it ``has``, else the first.

        None where nobody satisfies.
        """
        for listed in self.named(wanted.name, places):
            if wanted.fits(listed.description.version):
                return listed
        first = None
        for listed in self.providing(wanted, places):
            if has(listed):
                return listed
            first = first or listed
        return first


def closure(
    databases: Databases,
    beginning: Iterable[Listed],
    places: Sequence[int] | None = None,
    here: Collection[tuple[int, str]] = (),
) -> Closure:
    """Return what these packages need, looked up in the databases at ``places``, in that order.

    What is ``here``, by place and name, is not followed: what it needs is known already.
    """
    places = databases.places if places is None else places
    found: dict[tuple[int, str], Description] = {}
    waiting = list(beginning)
    for listed in waiting:
        found[listed.place, listed.description.name] = listed.description
    unresolved: set[str] = set()
    looked_up: set[Relation] = set()

    def has(listed: Listed) -> bool:
        key = listed.place, listed.description.name
        return key in found or key in here

    while waiting:
        for relation in waiting.pop().description.depends:
            if relation in looked_up:
                continue
            looked_up.add(relation)
            taken = databases.satisfier(relation, places, has)
            if taken is None:
                unresolved.add(str(relation))
            elif not has(taken):
                found[taken.place, taken.description.name] = taken.description
                waiting.append(taken)
    return Closure(found, frozenset(unresolved))


def _in_order(found: Iterable[Listed], places: Sequence[int]) -> Iterator[Listed]:
    """Yield what lies at ``places``, in their order, and there as it stands."""
    found = list(found)
    for place in places if found else ():
        yield from (listed for listed in found if listed.place == place)
