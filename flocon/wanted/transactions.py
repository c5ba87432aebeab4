"""What one machine would install, and whether it could: as pacman works it out, nobody being asked.

No I/O. pacman takes the packages that are meant in turn, puts what each needs behind it, depth
first, then looks at who conflicts with whom, and at last whether everybody has what it needs. What
came first decides what is taken later, so the order of all of it is pacman's, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from flocon.files import parse_file_name
from flocon.pacman.relations import Relation
from flocon.pacman.versions import compare_versions
from flocon.wanted.dependencies import Listed
from flocon.wanted.pool import Pool
from flocon.wanted.resolving import Resolving

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from flocon.pacman.relations import Description
    from flocon.wanted.dependencies import Databases

#: The place of what is installed.
INSTALLED = -1


@dataclass(frozen=True, slots=True)
class Machine:
    """What pacman goes by beside the databases.

    ``ignored`` are patterns of packages' names, and ``ignored_groups`` of groups'; without
    ``architectures`` packages for all are taken.
    """

    installed: Pool = field(default_factory=Pool)
    ignored: Sequence[str] = ()
    ignored_groups: Sequence[str] = ()
    architectures: Collection[str] = ()

    def ignores(self, description: Description) -> bool:
        if any(fnmatchcase(description.name, one) for one in self.ignored):
            return True
        groups = description.groups if self.ignored_groups else ()
        return any(fnmatchcase(group, one) for group in groups for one in self.ignored_groups)


def machine_with(
    installed: Iterable[Description],
    ignored: Sequence[str] = (),
    ignored_groups: Sequence[str] = (),
    architectures: Collection[str] = (),
) -> Machine:
    ordered = sorted(installed, key=lambda one: one.name)
    pool = Pool(Listed(INSTALLED, one) for one in ordered)
    return Machine(pool, ignored, ignored_groups, architectures)


@dataclass(frozen=True, slots=True)
class Targets:
    """What is meant, in order; with which of it what installed packages go."""

    packages: Sequence[Listed] = ()
    replaced: Mapping[Listed, Sequence[str]] = field(default_factory=dict)
    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Transaction:
    """What would be installed, and why it cannot; with problems, ``packages`` are not all."""

    packages: Sequence[Listed] = ()
    problems: Sequence[str] = ()


def named(databases: Databases, machine: Machine, words: Iterable[str]) -> Targets:
    """Return what ``pacman -S WORD...`` would begin with."""
    found = Pool()
    problems = []

    def has(listed: Listed) -> bool:
        return listed.description.name in machine.installed

    for word in words:
        meant = databases.meant(word, databases.places, has)
        if not meant:
            problems.append(f"no database of this state has {word}")
        for listed in meant:
            name = listed.description.name
            if found.get(name) not in {None, listed}:
                problems.append(f"{name} is meant of two repositories")
            found.add(listed)
    return Targets(tuple(found), {}, problems)


def upgrades(databases: Databases, machine: Machine, *, back: bool = False) -> Targets:
    """Return what ``pacman -Su`` would begin with, or ``-Suu`` if it goes ``back``, too."""
    upgrading = _Upgrading(databases, machine, back=back)
    for installed in machine.installed:
        if installed.description.name not in upgrading.found:
            for listed in upgrading.coming(installed.description):
                upgrading.found.add(listed)
    return Targets(tuple(upgrading.found), upgrading.replaced)


class _Upgrading:
    def __init__(self, databases: Databases, machine: Machine, *, back: bool) -> None:
        self._databases = databases
        self._machine = machine
        self._back = back
        self.found = Pool()
        self.replaced: dict[Listed, list[str]] = {}

    def coming(self, installed: Description) -> list[Listed]:
        """Return what comes for a package, from the first database that knows it."""
        for place in self._databases.places:
            if new := list(self._replacements(place, installed)):
                return new
            for listed in self._databases.named(installed.name, [place]):
                return [listed] if self._is_wanted(listed.description, installed) else []
        return []

    def _replacements(self, place: int, installed: Description) -> Iterator[Listed]:
        for listed in self._databases.replacing(installed.name, [place]):
            replaces = listed.description.replaces
            named = [one for one in replaces if one.name == installed.name]
            replacing = any(one.fits(installed.version) for one in named)
            if not replacing or self._is_ignored(listed.description, installed):
                continue
            already = self.found.get(listed.description.name)
            if already is None:
                self.replaced[listed] = [installed.name]
                yield listed
            elif already == listed:
                self.replaced.setdefault(listed, []).append(installed.name)

    def _is_wanted(self, listed: Description, installed: Description) -> bool:
        order = compare_versions(listed.version, installed.version)
        comes = order > 0 or (order < 0 and self._back)
        return comes and not self._is_ignored(listed, installed)

    def _is_ignored(self, listed: Description, installed: Description) -> bool:
        return self._machine.ignores(listed) or self._machine.ignores(installed)


def transaction(databases: Databases, machine: Machine, targets: Targets) -> Transaction:
    """Return what pacman would install to have its targets."""
    found = resolved(databases, machine, targets)
    return found if found.problems else settled(found.packages, machine, targets.replaced)


def resolved(databases: Databases, machine: Machine, targets: Targets) -> Transaction:
    """Return the targets and what they need, in order, whoever conflicts with whom.

    It is what ``pacman -Sp`` prints, which sorts it.
    """
    if targets.problems or not targets.packages:
        return Transaction(targets.packages, targets.problems)
    wrong = [one for one in targets.packages if not _fits(one.description, machine)]
    if wrong:
        names = (one.description.file_name for one in wrong)
        return Transaction((), [f"{name} is for another architecture" for name in names])
    resolving = Resolving(databases, machine.installed, machine.ignores, targets)
    for listed in targets.packages:
        resolving.resolve(listed)
    return Transaction(tuple(resolving.taken), resolving.problems)


def _fits(description: Description, machine: Machine) -> bool:
    file = parse_file_name(description.file_name)
    return (
        file is None
        or not machine.architectures
        or file.architecture in {"any", *machine.architectures}
    )


def settled(
    packages: Sequence[Listed], machine: Machine, replaced: Mapping[Listed, Sequence[str]]
) -> Transaction:
    """Return what is left when those that conflict have been looked at, and what is broken then.

    Here ``pacman -S`` asks for more than ``pacman -Sp``, which leaves out conflicts.
    """
    if not packages:
        return Transaction()
    taken = Pool(packages)
    problems = list(_part(taken))
    if problems:
        return Transaction(tuple(taken), problems)
    going = {name for listed in taken for name in replaced.get(listed, ())}
    staying = [one for one in machine.installed if one.description.name not in taken]
    known = Pool(staying)
    backwards = ((one, other) for other, one in _conflicts(known, taken))
    for coming, other in [*_conflicts(taken, known), *backwards]:
        if other.description.name not in going:
            names = f"{coming.description.name} and {other.description.name}"
            problems.append(f"{names}, which is installed, are in conflict")
    if not problems:
        remaining = Pool(one for one in staying if one.description.name not in going)
        problems += _broken(taken, remaining, machine.installed)
    return Transaction(tuple(taken), list(dict.fromkeys(problems)))


def _part(taken: Pool) -> Iterator[str]:
    """Leave out whom another one provides that it conflicts with; yield who conflict otherwise."""
    for one, other in list(_conflicts(taken, taken)):
        first, second = one.description, other.description
        if first.name not in taken or second.name not in taken:
            continue
        if first.satisfies(Relation(second.name)):
            taken.discard(second.name)
        elif second.satisfies(Relation(first.name)):
            taken.discard(first.name)
        else:
            yield f"{first.name} and {second.name} are in conflict"


def _conflicts(some: Pool, others: Pool) -> Iterator[tuple[Listed, Listed]]:
    for one in some:
        for relation in one.description.conflicts:
            hit = {other.description.name for other in others.satisfying(relation)}
            hit.discard(one.description.name)
            # In their order, which decides who goes first.
            for other in others if hit else ():
                if other.description.name in hit:
                    yield one, other


def _broken(taken: Pool, remaining: Pool, installed: Pool) -> Iterator[str]:
    """Yield who would lack something: of what comes, and of what stays and had it."""
    for one in taken:
        for relation in one.description.depends:
            if not taken.satisfies(relation) and not remaining.satisfies(relation):
                yield f"{one.description.name} needs {relation}"
    for one in remaining:
        for relation in one.description.depends:
            lost = (
                not taken.satisfies(relation)
                and not remaining.satisfies(relation)
                and installed.satisfies(relation)
            )
            if lost:
                yield f"{one.description.name} needs {relation}, which would go"
