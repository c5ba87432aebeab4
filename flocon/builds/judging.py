"""Judges a new commit of a recipe: evidence is gathered here, and weighed in ``recipes.bumps``.

What comes of it is a candidate: for a person, with what is against it, or for a rule, with when.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from flocon.errors import FloconError
from flocon.jobs.watched import AUR, Candidate, Failing
from flocon.machine.reactor_threads import in_thread
from flocon.recipes.bumps import Evidence, People, judge, references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    from flocon.aur.records import Record
    from flocon.jobs.plan import Outcome
    from flocon.jobs.resolving import Fetched
    from flocon.jobs.watched import Watched
    from flocon.recipes.bumps import Reference, Verdict
    from flocon.recipes.recipe import CommitNote, Recipe
    from flocon.settings.settings import Build

    class Histories(Protocol):
        """Recipes in git, and their sources' histories."""

        async def notes(
            self, base: str, since: str = "", until: str = ""
        ) -> Sequence[CommitNote]: ...

        async def is_ancestor(self, base: str, old: str, new: str) -> bool: ...

        async def reaches(self, source: str, commit: str) -> bool | None: ...


#: Seconds by which the AUR may say that a commit came later than it was seen here.
LATEST = 86_400.0
#: Commits that are told of at once, see ``aur.recipes``.
MOST_NOTES = 500
#: What is told against one commit.
MOST_FAILING = 32
#: References whose sources are asked for one commit, and seconds after which no further one is: who
#: names them may have each take minutes, and other recipes wait for their turn.
MOST_REFERENCES, LONGEST_ASKED = 32, 900.0
#: Words for what is no check of the nine.
FIRST, BY_HAND, DEPENDENCY, UNCLEAR, UNKNOWN = "first", "auto", "dependency", "srcinfo", "unknown"


class Judging:
    """``settings`` gives those in force, ``now`` Unix time.

    ``taken_over`` tells when a base's maintainer became another one, as far as this node has seen.
    """

    def __init__(
        self,
        reactor: Any,
        histories: Histories,
        *,
        settings: Callable[[], Build],
        taken_over: Callable[[str], float],
        now: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._histories = histories
        self._settings = settings
        self._taken_over = taken_over
        self._now = now

    async def judge(
        self,
        one: Watched,
        approved: Recipe | None,
        fetched: Fetched,
        outcome: Outcome,
        record: Record | None,
    ) -> tuple[Candidate, Verdict | None]:
        """Return what waits now: the newest commit, which nobody has approved."""
        seen = self._now()
        if one.candidate is not None and one.candidate.commit == fetched.recipe.commit:
            # A clock that was set back since must not have it wait for years.
            seen = min(seen, one.candidate.seen)
        failing = list(self._against(one, fetched, outcome, record))
        verdict = None
        if one.approval and approved and one.origin.can_be_approved_by_rule:
            try:
                verdict = await self._weigh(one, approved, fetched, record, seen)
            except FloconError as error:
                failing.append(Failing(UNKNOWN, f"not all of it could be looked at: {error}"))
            else:
                failing += [
                    Failing(check.check, check.sentence)
                    for check in verdict.checks
                    if not check.passed
                ]
        elif one.approval and not approved:
            failing.append(Failing(UNKNOWN, "the commit that was approved is not here any more"))
        by_rule = verdict is not None and not failing and not outcome.lacks
        candidate = Candidate(
            fetched.recipe.commit,
            fetched.srcinfo.version,
            seen,
            tuple(failing[:MOST_FAILING]),
            # Never 0.0, which is a person's: what is ripe already was so a moment ago.
            max(verdict.waits_until, 1.0) if by_rule and verdict is not None else 0.0,
            outcome.needs,
            people_of(record),
            outcome.lacks,
            fetched.offer.names,
            fetched.offer.provides,
        )
        return candidate, verdict

    def _against(
        self, one: Watched, fetched: Fetched, outcome: Outcome, record: Record | None
    ) -> Iterable[Failing]:
        if one.approval is None:
            yield Failing(FIRST, "nobody has approved any of it yet")
        elif not one.origin.can_be_approved_by_rule:
            yield Failing(BY_HAND, "a folder has no history that tells who changed it")
        elif self._settings().auto == "never":
            yield Failing(BY_HAND, 'the settings say auto = "never"')
        elif one.origin.kind == AUR and record is None:
            # Nobody then and nobody now would be the same people.
            yield Failing(UNKNOWN, "the AUR does not tell who maintains it")
        for base in outcome.new:
            yield Failing(DEPENDENCY, f"it needs {base} of the AUR now, which nobody has approved")
        for line, sentence in fetched.srcinfo.oddities:
            yield Failing(UNCLEAR, f".SRCINFO, line {line}: {sentence}")

    async def _weigh(
        self,
        one: Watched,
        approved: Recipe,
        fetched: Fetched,
        record: Record | None,
        seen: float,
    ) -> Verdict:
        assert one.approval is not None  # noqa: S101 - asked only then
        recipe, settings = fetched.recipe, self._settings()
        base, old, new = one.base, one.approval.commit, recipe.commit
        descends = await self._histories.is_ancestor(base, old, new)
        notes = await self._histories.notes(base, old, new) if descends else ()
        if len(notes) >= MOST_NOTES:
            # Behind these there may be more, of whomever.
            notes = ()
        people = one.approval.maintainers
        # What a stranger wrote takes as long as it takes: up to a second, not the reactor's.
        asked = await in_thread(self._reactor, references, approved, recipe)
        evidence = Evidence(
            descends=descends,
            notes=tuple(notes),
            known_mails=frozenset(one.authors),
            then=People(people[0], frozenset(people[1:])) if people else None,
            now=_people(record),
            taken_over=self._taken_over(base),
            judged=self._now(),
            modified=_modified(record, seen, self._now()),
            head=new,
            confirmed=frozenset(await self._confirmed(asked)),
        )
        judging = partial(judge, wait=settings.wait, trust=frozenset(settings.trust))
        return await in_thread(self._reactor, judging, approved, recipe, evidence)

    async def _confirmed(self, asked: Sequence[Reference]) -> list[Reference]:
        """Return those that their repositories have; who is away has confirmed nothing."""
        found = []
        until = self._reactor.seconds() + LONGEST_ASKED
        for one in asked[:MOST_REFERENCES]:
            if self._reactor.seconds() > until:
                break
            try:
                if await self._histories.reaches(one.source, one.name):
                    found.append(one)
            except FloconError:
                continue
        return found


def _modified(record: Record | None, seen: float, now: float) -> float:
    """Return when a commit came: when it was seen here, or later where the AUR says so.

    What was noted in a time that this machine had wrong is no matter: by the AUR's own clock it
    is known how long ago it was.
    """
    if record is None:
        return seen
    # Else whoever says that it was next year keeps it from everybody, and nobody is told.
    modified = max(seen, min(record.last_modified, seen + LATEST))
    if not record.told:
        return modified
    return max(modified, min(now - (record.told - record.last_modified), now + LATEST))


def people_of(record: Record | None) -> tuple[str, ...]:
    """Return who maintains it by the AUR: the maintainer ("" for nobody), then the others."""
    if record is None:
        return ()
    return (record.maintainer, *sorted(record.co_maintainers))


def _people(record: Record | None) -> People | None:
    if record is None:
        return None
    return People(record.maintainer, frozenset(record.co_maintainers))
