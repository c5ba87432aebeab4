"""Takes up a recipe's newest commit: read, resolved, judged, and then it waits or is approved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.builds.polling import told_of
from flocon.errors import BuildError, FloconError
from flocon.jobs import passing
from flocon.jobs.plan import Outcome
from flocon.jobs.resolving import in_order
from flocon.jobs.watched import Needs, Stage, Watched
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flocon.aur.records import Record
    from flocon.builds.histories import Histories
    from flocon.builds.judging import Judging
    from flocon.jobs.book import Book
    from flocon.jobs.resolving import Fetched, Resolved, Resolving
    from flocon.recipes.bumps import Verdict
    from flocon.recipes.recipe import Recipe

#: Who has approved what nobody had to look at.
RULE = "rule"
MOST_WATCHED = 1_000
#: Of those that nobody has asked for, and that only strangers' commits need: what one of them says
#: has each looked at every hour.
MOST_ADDED = 20


class Fetching:
    """``now`` gives Unix time."""

    _log = logger()

    def __init__(
        self,
        book: Book,
        histories: Histories,
        resolving: Resolving,
        judging: Judging,
        now: Callable[[], float],
    ) -> None:
        self._book = book
        self._histories = histories
        self.resolving = resolving
        self._judging = judging
        self._now = now
        #: The nine checks of what waits, by base, as they were judged last.
        self.verdicts: dict[str, Verdict] = {}
        #: What the AUR said of each when it was last looked at.
        self.records: dict[str, Record] = {}

    async def names(self, one: Watched) -> tuple[str, ...]:
        """Return the packages that a recipe makes at its newest commit."""
        recipe = await self._histories.newest(one.base, one.origin)
        return self.resolving.understood(recipe, one.origin).offer.names

    async def look(self, base: str, record: Record | None, *, urgent: bool = False) -> None:
        """Fetch what is newest of a watched recipe, and have it wait, or be built."""
        one = self._book.demand(base)
        recipe = await self._histories.newest(base, one.origin, urgent=urgent)
        await self.take(one, recipe, record, urgent=urgent)

    async def take(
        self, one: Watched, recipe: Recipe, record: Record | None, *, urgent: bool = False
    ) -> None:
        """Take up a recipe that is watched, as it is now."""
        if record is not None:
            self.records[one.base] = record.bare()
        fetched = self.resolving.understood(recipe, one.origin)
        if fetched.offer.base != one.base:
            raise BuildError(f"its .SRCINFO is of {fetched.offer.base}", "")
        if not self._is_new(one, recipe.commit):
            await self._told(one.base, record)
            return
        resolved = await self.resolving.resolve(
            [fetched], self._others(one.base), most=self._room(), urgent=urgent
        )
        approved = None
        if one.approval is not None:
            approved = await self._approved(one, one.approval.commit)
        outcome = resolved.plan.outcome(one.base)
        candidate, verdict = await self._judging.judge(one, approved, fetched, outcome, record)
        current = self._book.get(one.base)
        if current is None or not self._is_new(current, recipe.commit):
            return
        if verdict is not None:
            self.verdicts[one.base] = verdict
        await self._add_needed(resolved, one.base)
        seen = passing.seen(_as_told(current, fetched, record), candidate)
        if 0 < candidate.matures <= self._now() and not current.on_hold:
            await self._approve(seen)
            return
        is_known = current.candidate is not None and current.candidate.commit == candidate.commit
        what = "" if is_known else "seen"
        await self._book.put(seen, what, commit=candidate.commit, version=candidate.version)

    def _room(self) -> int:
        """Return how many recipes may be watched for what no person has said."""
        unasked = sum(
            one.approval is None and "" not in one.wanted_by for one in self._book.watched.values()
        )
        return max(0, min(MOST_ADDED - unasked, MOST_WATCHED - len(self._book.watched)))

    def _is_new(self, one: Watched, commit: str) -> bool:
        if commit in one.refusals or (one.refused is not None and one.refused.commit == commit):
            return False
        # One that waits is judged anew: time passes, and people change.
        if one.candidate is not None and one.candidate.commit == commit:
            return True
        return one.approval is None or one.approval.commit != commit

    async def _told(self, base: str, record: Record | None) -> None:
        """Have nothing wait any more: what is newest was decided before."""
        one = self._book.get(base)
        if one is None:
            return
        told = told_of(record) if record is not None else one.told
        candidate = one.candidate
        # What waits because its sources moved on is the same commit.
        stays = (
            candidate is not None
            and one.approval is not None
            and candidate.commit == one.approval.commit
        )
        quiet = replace(one, told=told, candidate=candidate if stays else None)
        if quiet != one:
            await self._book.put(quiet, "withdrawn" if quiet.candidate != candidate else "")

    async def _approved(self, one: Watched, commit: str) -> Recipe | None:
        """Return the recipe that was approved last, None where git has it no more."""
        try:
            return await self._histories.read(one, commit)
        except FloconError as error:
            self._log.warn("{base}: {error}", base=one.base, error=error)
            return None

    async def _approve(self, one: Watched) -> None:
        candidate = one.candidate
        assert candidate is not None  # noqa: S101 - it was just put there
        authors = await self.authors(one, candidate.commit)
        await self._book.put(
            passing.approved(one, RULE, self._now(), authors, unasked=True),
            "approved",
            by=RULE,
            commit=candidate.commit,
            version=candidate.version,
            checks="ABCDEFGHI",
        )

    async def authors(self, one: Watched, commit: str) -> tuple[str, ...]:
        """Return the mail addresses of those who wrote a commit and those before it."""
        try:
            notes = await self._histories.notes(one, "", commit)
        except FloconError:
            return ()
        return tuple(dict.fromkeys(note.mail for note in reversed(notes)))

    # What is new

    async def add(
        self, beginning: Iterable[Fetched], records: dict[str, Record], *, dry: bool
    ) -> list[tuple[Watched, str]]:
        """Watch recipes, and what they need of the AUR: what is needed first, with what to say.

        Nothing of it is approved. Raises FloconError, and then nothing is watched.
        """
        begun = list(beginning)
        bases = {one.offer.base for one in begun}
        others = {base: one for base, one in self._book.watched.items() if base not in bases}
        resolved = await self.resolving.resolve(begun, others)
        resolved.records |= records
        if len(self._book.watched) + len(resolved.fetched) > MOST_WATCHED:
            raise BuildError(f"more than {MOST_WATCHED} recipes would be watched", "remove some")
        told = []
        for base in in_order(resolved):
            one, said = await self._new(
                resolved, base, "" if base in bases else _needing(resolved, base)
            )
            told.append((one, said))
        if not dry:
            for one, _ in told:
                await self._begin(one, resolved)
        return [*self._waiting_before(resolved, bases), *told]

    def _waiting_before(self, resolved: Resolved, bases: set[str]) -> list[tuple[Watched, str]]:
        """Return what was watched already, is needed and waits for a person: first things first."""
        found: dict[str, tuple[Watched, str]] = {}

        def note(needed: Iterable[str], needed_by: str) -> None:
            for base in needed:
                one = self._book.get(base)
                if one is None or base in found or base in resolved.fetched:
                    continue
                open_, approval = one.open, one.approval
                needs = open_.needs if open_ else approval.needs if approval else Needs()
                note(set(needs.bases) - bases, base)
                if one.stage() is Stage.WAITS and open_ is not None:
                    found[base] = one, _waiting(open_.version, Outcome(needs, (), ()), needed_by)

        for base in resolved.fetched:
            note(resolved.plan.outcome(base).needs.bases, base)
        return list(found.values())

    async def _add_needed(self, resolved: Resolved, but: str) -> None:
        """Watch what a recipe that is watched needs now, and nobody has approved."""
        for base in in_order(resolved):
            if base != but and self._book.get(base) is None:
                one, _ = await self._new(resolved, base, _needing(resolved, base))
                await self._begin(one, resolved)

    async def _new(self, resolved: Resolved, base: str, needed_by: str) -> tuple[Watched, str]:
        fetched, record = resolved.fetched[base], resolved.records.get(base)
        known = self._book.get(base)
        one = known or Watched(base, fetched.origin, since=self._now(), wanted_by=())
        wanted = tuple(dict.fromkeys((*one.wanted_by, needed_by)))
        one = replace(one, origin=fetched.origin, wanted_by=wanted)
        if known is not None and not self._is_new(known, fetched.recipe.commit):
            return one, "is as it was approved"
        approved = None
        if one.approval is not None:
            approved = await self._approved(one, one.approval.commit)
        outcome = resolved.plan.outcome(base)
        candidate, verdict = await self._judging.judge(one, approved, fetched, outcome, record)
        if verdict is not None:
            self.verdicts[base] = verdict
        # What a person adds is for that person to approve.
        candidate = replace(candidate, matures=0.0)
        one = passing.seen(_as_told(one, fetched, record), candidate)
        return one, _waiting(candidate.version, outcome, needed_by)

    async def _begin(self, one: Watched, resolved: Resolved) -> None:
        fetched, record = resolved.fetched[one.base], resolved.records.get(one.base)
        if record is not None:
            self.records[one.base] = record.bare()
        if one.origin.kind == "folder":
            spare = [one.approval.commit] if one.approval else []
            await self._histories.keep(fetched.recipe, spare)
        await self._book.put(one, "added", commit=one.commit, version=one.version)

    def _others(self, base: str) -> dict[str, Watched]:
        return {other: one for other, one in self._book.watched.items() if other != base}


def _needing(resolved: Resolved, base: str) -> str:
    """Return the first base that needs another one."""
    for other in resolved.fetched:
        if base in resolved.plan.outcome(other).needs.bases:
            return other
    return ""


def _as_told(one: Watched, fetched: Fetched, record: Record | None) -> Watched:
    offer = fetched.offer
    told = told_of(record) if record is not None else one.told
    if one.approval is not None:
        # What it is taken for is what was approved, until more is.
        return replace(one, told=told)
    return replace(one, names=offer.names, provides=offer.provides, told=told)


def _waiting(version: str, outcome: Outcome, needed_by: str) -> str:
    needs = outcome.needs
    said = f"{version} waits to be approved"
    if needed_by:
        said += f"; {needed_by} needs it"
    if needs.packages:
        said += f"; needs {', '.join(needs.packages)} of pacman's"
    return "; ".join((said, *outcome.lacks))
