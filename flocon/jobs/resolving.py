"""Finds out what a recipe needs: asks the AUR, fetches its recipes, reads pacman's databases.

What is taken from where is ``plan``'s to decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flocon.errors import BuildError
from flocon.jobs.plan import MOST_NEEDED, Found, Offer, Plan, find_cycle
from flocon.jobs.watched import AUR, Origin
from flocon.pacman.relations import parse_relation
from flocon.recipes.recipe import SRCINFO
from flocon.recipes.srcinfo import parse_srcinfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
    from typing import Protocol

    from flocon.aur.records import Record
    from flocon.jobs.stock import Stock
    from flocon.jobs.watched import Watched
    from flocon.recipes.recipe import Recipe
    from flocon.recipes.srcinfo import Srcinfo

    class AsksAur(Protocol):
        """The AUR's RPC."""

        async def info(
            self, names: Collection[str], *, urgent: bool = False
        ) -> Mapping[str, Record]: ...

        async def search_provides(self, name: str, *, urgent: bool = False) -> Iterable[Record]: ...

    class ReadsRecipes(Protocol):
        """Fetches a recipe at its newest commit."""

        def __call__(
            self, base: str, origin: Origin, *, urgent: bool = False
        ) -> Awaitable[Recipe]: ...


#: Keys of .SRCINFO that say what has to be there for a build; the last only where it is checked.
_NEEDS = ("depends", "makedepends", "checkdepends")


#: Signs of all names, needs and provides of a recipe, those that part them among these: the longest
#: of the AUR have some thousand.
LARGEST_OFFER = 32 << 10
_PARTING = 3
#: Names for which the AUR is searched for who provides them, for what begins a plan.
MOST_SEARCHED = 16
#: Packages that say they provide one name, of which the AUR is asked for the versions.
MOST_PROVIDING = 60


@dataclass(frozen=True, slots=True)
class Fetched:
    """A recipe at its newest commit, with what is known of it."""

    origin: Origin
    recipe: Recipe
    srcinfo: Srcinfo
    offer: Offer


@dataclass(slots=True)
class Resolved:
    """What is to be watched for what was asked: by base, what is needed before what needs it."""

    plan: Plan
    fetched: dict[str, Fetched] = field(default_factory=dict)
    #: What the AUR said of those of its own.
    records: dict[str, Record] = field(default_factory=dict)
    #: How often the AUR was searched.
    searched: int = 0


def offer_of(srcinfo: Srcinfo, architecture: str, *, check: bool) -> Offer:
    """Return what a recipe makes and needs, on machines of an architecture.

    Raises BuildError where that is more than any has.
    """
    provides: dict[str, None] = {}
    needs: dict[str, None] = {}
    for name in srcinfo.names:
        provides[f"{name}={srcinfo.version}"] = None
        provides.update(dict.fromkeys(srcinfo.values("provides", architecture, name)))
        needs.update(dict.fromkeys(srcinfo.values("depends", architecture, name)))
    for key in _NEEDS if check else _NEEDS[:2]:
        needs.update(dict.fromkeys(srcinfo.values(key, architecture)))
    made, needed = _relations(provides), _relations(needs)
    said = sum(len(one) + _PARTING for one in (*srcinfo.names, *made, *needed))
    if said > LARGEST_OFFER:
        problem = f"{srcinfo.base} makes and needs more than any recipe does ({said} letters of it)"
        raise BuildError(problem, "")
    return Offer(srcinfo.base, srcinfo.version, tuple(srcinfo.names), made, needed)


def _relations(said: Iterable[str]) -> tuple[str, ...]:
    """Return what pacman could make something of."""
    return tuple(one for one in said if one.isprintable() and parse_relation(one))


def watched_offer(one: Watched) -> Offer:
    """Return what is known of a recipe that is watched: nothing of what it needs."""
    approval, waiting = one.approval, one.candidate.version if one.candidate else ""
    version = approval.version if approval else one.version
    return Offer(
        one.base, version, one.names, one.provides, is_approved=bool(approval), waiting=waiting
    )


class Resolving:
    """``read`` fetches a recipe at its newest commit, and ``stock`` reads what is here."""

    def __init__(
        self,
        aur: AsksAur,
        *,
        read: ReadsRecipes,
        stock: Callable[[], Awaitable[Stock]],
        architecture: Callable[[], str],
        check: Callable[[], bool],
    ) -> None:
        self._aur = aur
        self._read = read
        self._stock = stock
        self._architecture = architecture
        self._check = check

    def understood(self, recipe: Recipe, origin: Origin) -> Fetched:
        """Return a recipe with what its .SRCINFO says; raises RecipeError or BuildError."""
        data = recipe.read(SRCINFO)
        if data is None:
            raise BuildError(
                f"{recipe.base} has no .SRCINFO",
                "make one where you trust it: makepkg --printsrcinfo > .SRCINFO",
            )
        srcinfo = parse_srcinfo(data)
        offer = offer_of(srcinfo, self._architecture(), check=self._check())
        return Fetched(origin, recipe, srcinfo, offer)

    async def resolve(
        self,
        beginning: Iterable[Fetched],
        watched: Mapping[str, Watched],
        *,
        most: int = MOST_NEEDED,
        urgent: bool = True,
    ) -> Resolved:
        """Return what ``beginning`` needs, all of the AUR's that nobody watches yet among it.

        Raises BuildError where that is more than ``most``, or recipes need each other. ``urgent``
        is what a person waits for.
        """
        stock = await self._stock()
        plan = Plan(map(watched_offer, watched.values()), stock.own, stock.pacman)
        resolved = Resolved(plan)
        for one in beginning:
            self._take(resolved, one)
        begun = len(plan.planned)
        while True:
            await self._ask(resolved, urgent=urgent)
            new = plan.new_bases()
            if not new:
                break
            if len(plan.planned) - begun + len(new) > most:
                problem = f"more than {most} recipes of the AUR would be needed for it"
                raise BuildError(problem, "add those that you want by hand, before it")
            for base in new:
                origin = Origin(AUR, base)
                one = self.understood(await self._read(base, origin, urgent=urgent), origin)
                if one.offer.base != base:
                    raise BuildError(f"the .SRCINFO of {base} is of {one.offer.base}", "")
                offer = replace(one.offer, is_approved=False)
                self._take(resolved, replace(one, offer=offer))
        _demand_no_cycle(plan)
        return resolved

    def _take(self, resolved: Resolved, one: Fetched) -> None:
        resolved.fetched[one.offer.base] = one
        resolved.plan.add(one.offer)

    async def _ask(self, resolved: Resolved, *, urgent: bool) -> None:
        """Ask the AUR for what nobody here has: for names first, then for who provides them."""
        asked = resolved.plan.questions()
        if not asked:
            return
        names = {one.name for one in asked}
        records = await self._aur.info(sorted(names), urgent=urgent)
        resolved.records.update({record.base: record for record in records.values()})
        found = {
            name: Found({record.base: _provided(record)})
            for name, record in records.items()
            if name in names
        }
        for name in sorted(names):
            known = found.setdefault(name, Found())
            if all(known.fitting(one) for one in asked if one.name == name):
                continue
            # Each is a question of its own, of which the AUR answers so many a day.
            if resolved.searched < MOST_SEARCHED:
                resolved.searched += 1
                found[name] = replace(known, providing=await self._providing(name, urgent=urgent))
        resolved.plan.learn(found)

    async def _providing(self, name: str, *, urgent: bool) -> dict[str, tuple[str, ...]]:
        """Return what else of the AUR says that it provides a name, by base."""
        said = await self._aur.search_provides(name, urgent=urgent)
        # In which versions is not told by the answer to a search.
        chosen = [one.name for one in said if one.name != name][:MOST_PROVIDING]
        records = await self._aur.info(chosen, urgent=urgent) if chosen else {}
        found: dict[str, tuple[str, ...]] = {}
        for one in (records[name] for name in chosen if name in records):
            found[one.base] = (*found.get(one.base, ()), *_provided(one))
        return found


def _provided(record: Record) -> tuple[str, ...]:
    """Return what a package of the AUR provides, its own name among it."""
    return (f"{record.name}={record.version}", *record.provides)


def _demand_no_cycle(plan: Plan) -> None:
    needs = {base: plan.outcome(base).needs.bases for base in plan.planned}
    if cycle := find_cycle(needs):
        circle = ", which needs ".join((*cycle, cycle[0]))
        raise BuildError(
            f"{circle}: none of them can be built first",
            "have one of them built elsewhere, and publish it with 'flocon repo add';"
            " where only their tests need each other, set check = false in [build]",
        )


def in_order(resolved: Resolved) -> list[str]:
    """Return the bases, each behind what it needs."""
    needs = {base: resolved.plan.outcome(base).needs.bases for base in resolved.fetched}
    ordered: dict[str, None] = {}
    while len(ordered) < len(needs):
        ordered.update(
            dict.fromkeys(
                base
                for base, needed in needs.items()
                if base not in ordered and all(n in ordered or n not in needs for n in needed)
            )
        )
    return list(ordered)
