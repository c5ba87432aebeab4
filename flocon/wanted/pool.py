"""Packages of which each has its own name, in order, asked for what satisfies. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flocon.pacman.relations import Relation
    from flocon.wanted.dependencies import Listed


class Pool:
    """A second package of a name is not taken in."""

    def __init__(self, packages: Iterable[Listed] = ()) -> None:
        self._by_name: dict[str, Listed] = {}
        #: By what is provided: who does, in order.
        self._providers: dict[str, list[str]] = {}
        for listed in packages:
            self.add(listed)

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Listed]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> Listed | None:
        return self._by_name.get(name)

    def add(self, listed: Listed) -> None:
        name = listed.description.name
        if name in self._by_name:
            return
        self._by_name[name] = listed
        for provided in dict.fromkeys(one.name for one in listed.description.provides):
            self._providers.setdefault(provided, []).append(name)

    def discard(self, name: str) -> None:
        listed = self._by_name.pop(name, None)
        provides = () if listed is None else listed.description.provides
        for provided in dict.fromkeys(one.name for one in provides):
            self._providers[provided].remove(name)

    def shorten(self, length: int) -> None:
        """Let go of what was added last, until so many are left."""
        while len(self._by_name) > length:
            self.discard(next(reversed(self._by_name)))

    def satisfying(self, wanted: Relation) -> Iterator[Listed]:
        """Yield the packages that satisfy, in no order."""
        named = self._by_name.get(wanted.name)
        if named is not None and named.description.satisfies(wanted):
            yield named
        for name in self._providers.get(wanted.name, ()):
            listed = self._by_name[name]
            if name != wanted.name and listed.description.satisfies(wanted):
                yield listed

    def first(self, wanted: Relation) -> Listed | None:
        """Return the first package that satisfies."""
        found = list(self.satisfying(wanted))
        if len(found) < 2:  # noqa: PLR2004 - nothing to choose
            return found[0] if found else None
        names = {one.description.name for one in found}
        return next(one for one in self if one.description.name in names)

    def satisfies(self, wanted: Relation, but: str = "") -> bool:
        """Whether a package does, leaving out the one called ``but``."""
        return any(one.description.name != but for one in self.satisfying(wanted))
