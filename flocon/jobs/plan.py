"""What has to be built for a recipe, and what comes from elsewhere: by name, provides and version.

No I/O. What a recipe needs is looked for among what is built here, then in this machine's own
repository, then in pacman's databases, and only then asked of the AUR: ``questions`` are the names
that it has to be asked, and ``learn`` takes what it said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flocon.jobs.watched import Needs
from flocon.pacman.relations import Relation, parse_relation, passes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

#: Recipes that may be needed for one, and things of which it is told that nobody has them.
MOST_NEEDED = 200
MOST_LACKING = 10


#: Where something is that is needed.
_BUILT, _OWN, _PACMAN = "built", "own", "pacman"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a recipe makes and needs: ``provides`` are ``NAME=VERSION`` or ``NAME``, names included.

    ``needs`` are relations as they stand in .SRCINFO, those for building and checking among them.
    """

    base: str
    version: str
    names: tuple[str, ...]
    provides: tuple[str, ...]
    needs: tuple[str, ...] = ()
    #: Whether a person has said that it may be built, and a version that nobody has approved yet.
    is_approved: bool = True
    waiting: str = ""

    def satisfies(self, relation: Relation) -> bool:
        return satisfies(self.provides, relation)


@dataclass(frozen=True, slots=True)
class Found:
    """What of the AUR has the name of something, and what else says that it provides it.

    By base, what is provided by that: ``NAME=VERSION`` or ``NAME``.
    """

    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    providing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def fitting(self, relation: Relation) -> tuple[str, ...]:
        """Return the base of that name, or those that provide it, in versions that fit."""
        named, providing = (
            tuple(base for base, provided in bases.items() if satisfies(provided, relation))
            for bases in (self.named, self.providing)
        )
        return named or providing


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one recipe of a plan needs; ``lacks`` says in sentences what cannot be had."""

    needs: Needs
    lacks: tuple[str, ...]
    #: Bases that the AUR has and that are to be added.
    new: tuple[str, ...]


class Plan:
    """``own`` and ``pacman`` tell the package that satisfies a relation there, "" for none."""

    def __init__(
        self,
        watched: Iterable[Offer],
        own: Callable[[Relation], str],
        pacman: Callable[[Relation], str],
    ) -> None:
        self._offers = {one.base: one for one in watched}
        self._own = own
        self._pacman = pacman
        self._found: dict[str, Found] = {}
        #: What was planned, in the order in which it was found.
        self.planned: dict[str, Offer] = {}

    def add(self, offer: Offer) -> None:
        """Plan a recipe; what was known of it before is out of date."""
        self._offers[offer.base] = offer
        self.planned[offer.base] = offer

    def knows(self, base: str) -> bool:
        return base in self._offers

    def questions(self) -> set[Relation]:
        """Return what nobody here has, and of whose name the AUR was not asked yet."""
        return {
            relation
            for offer in self.planned.values()
            for relation in relations(offer.needs)
            if relation.name not in self._found and not self._here(offer, relation)
        }

    def learn(self, found: Mapping[str, Found]) -> None:
        self._found.update(found)

    def new_bases(self) -> list[str]:
        """Return the AUR's recipes that are needed, and not planned yet."""
        bases = (base for one in self.planned.values() for base in self.outcome(one.base).new)
        return [base for base in dict.fromkeys(bases) if not self.knows(base)]

    def outcome(self, base: str) -> Outcome:
        """Return what a planned recipe needs, as far as it is known by now."""
        offer = self.planned[base]
        bases: dict[str, None] = {}
        own: dict[str, None] = {}
        packages: dict[str, None] = {}
        lacks: list[str] = []
        new: dict[str, None] = {}
        for relation in relations(offer.needs):
            if offer.satisfies(relation):
                continue
            where, found = self._find(relation)
            if where is None:
                self._from_aur(offer, relation, bases, new, lacks)
            else:
                {_BUILT: bases, _OWN: own, _PACMAN: packages}[where][found] = None
        if (more := len(lacks) - MOST_LACKING) > 0:
            lacks[MOST_LACKING:] = [f"{offer.base} needs {more} more that cannot be had"]
        return Outcome(Needs(tuple(bases), tuple(own), tuple(packages)), tuple(lacks), tuple(new))

    def _find(self, relation: Relation) -> tuple[str | None, str]:
        """Return where something is, and the base or the package; None where nobody here has it."""
        named, providing = self._built_here(relation)
        own, pacman = self._own(relation), self._pacman(relation)
        found = (
            (_BUILT, named),
            (_OWN, own if is_ours(relation, own, pacman) else ""),
            (_PACMAN, pacman),
            (_BUILT, providing),
        )
        return next(((where, what) for where, what in found if what), (None, ""))

    def _from_aur(
        self,
        offer: Offer,
        relation: Relation,
        bases: dict[str, None],
        new: dict[str, None],
        lacks: list[str],
    ) -> None:
        found = self._found.get(relation.name, Found())
        candidates = found.fitting(relation)
        if not candidates:
            lacks.append(f"{offer.base} needs {relation}, {self._nobody(found)}")
        elif len(candidates) > 1:
            some = ", ".join(candidates[:8])
            lacks.append(
                f"{offer.base} needs {relation}, which several of the AUR provide ({some}):"
                " add the one that you want first"
            )
        elif (known := self._offers.get(candidates[0])) is not None:
            # It was looked at, and does not satisfy.
            lacks.append(f"{offer.base} needs {relation}, and {_standing(known)}")
        else:
            new[candidates[0]] = None
            bases[candidates[0]] = None

    def _nobody(self, found: Found) -> str:
        """Return why what has the name, or says that it provides it, does not do."""
        known = next((self._offers[one] for one in found.named if one in self._offers), None)
        if known is not None:
            return f"and {_standing(known)}"
        if others := [*found.named, *found.providing]:
            return f"in a version that neither pacman nor the AUR has ({', '.join(others[:8])})"
        return "which neither pacman nor the AUR has"

    def _here(self, offer: Offer, relation: Relation) -> bool:
        return offer.satisfies(relation) or self._find(relation)[0] is not None

    def _built_here(self, relation: Relation) -> tuple[str, str]:
        """Return the bases of which a package satisfies: by its name, and by that or otherwise.

        A name counts as one if a person let it be built; until then it is a stranger's word.
        """
        providing = [one for one in self._offers.values() if one.satisfies(relation)]
        named = [one for one in providing if relation.name in one.names]
        approved = next((one.base for one in named if one.is_approved), "")
        return approved, next((one.base for one in (*named, *providing)), "")


def is_ours(relation: Relation, own: str, pacman: str) -> bool:
    """Whether the package ``own`` is taken, and not ``pacman``; "" stands for none.

    What has the name comes before what says that it provides it: else any recipe could say so of
    itself, and be taken in the place of a package of Arch.
    """
    return bool(own) and (own == relation.name or pacman != relation.name)


def relations(needs: Sequence[str]) -> list[Relation]:
    """Return what can be read of relations, each once."""
    return list(dict.fromkeys(filter(None, map(parse_relation, needs))))


def satisfies(provides: Iterable[str], relation: Relation) -> bool:
    """Whether one of ``NAME=VERSION`` does; what has no version passes no test of one."""
    found = filter(None, map(parse_relation, provides))
    return any(one.name == relation.name and passes(one, relation) for one in found)


def _standing(known: Offer) -> str:
    """Return how a recipe stands that is known and does not do."""
    if known.waiting:
        return f"{known.waiting} of {known.base} waits to be approved"
    return f"{known.base} is {known.version}"


def find_cycle(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return bases of which each needs the next, and the last one the first; () for none."""
    done: set[str] = set()
    for start in needs:
        path: list[str] = []
        stack = [(start, iter(needs.get(start, ())))] if start not in done else []
        if stack:
            path.append(start)
        while stack:
            _, following = stack[-1]
            base = next(following, None)
            if base is None:
                stack.pop()
                done.add(path.pop())
            elif base in path:
                return tuple(path[path.index(base) :])
            elif base not in done and base in needs:
                path.append(base)
                stack.append((base, iter(needs[base])))
    return ()
