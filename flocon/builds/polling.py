"""Looks whether what is watched has changed: by one question to the AUR, and git where it did.

When that is, and what follows, is for ``keeper`` and ``judging``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flocon.errors import BuildError, FloconError, Refused, SourceError, Stalled, Unreachable
from flocon.jobs import passing
from flocon.jobs.watched import AUR, FOLDER, GIT, Candidate, Failing, Job, Phase, Watched
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flocon.aur.records import Record
    from flocon.builds.fetching import Fetching
    from flocon.builds.histories import Histories
    from flocon.jobs.book import Book
    from flocon.jobs.resolving import AsksAur
    from flocon.settings.settings import Build

#: Seconds between two questions to a recipe's own sources whether they have moved on.
HEADS = 86_400.0
#: Seconds after which no further source of one recipe is asked: each may take its time.
LONGEST_HEADS = 600.0
#: Seconds after which what needs something that nobody had is looked at once more.
LACKING = 6 * 3_600.0
#: Names of one recipe by which the AUR is asked for it.
MOST_NAMES = 16
#: Seconds for which what could not be looked at is left alone: doubled each time, up to a day.
FIRST_PAUSE, LONGEST_PAUSE = 3_600.0, 86_400.0
GONE = "the AUR does not have it any more; what was built stays"


class Polling:
    """``has`` tells the repository of pacman that has a package of a name, "" for none.

    ``observe`` is told all that the AUR said; it remembers who maintained what.
    """

    _log = logger()

    def __init__(
        self,
        book: Book,
        aur: AsksAur,
        histories: Histories,
        fetching: Fetching,
        *,
        settings: Callable[[], Build],
        has: Callable[[str], str],
        observe: Callable[[Mapping[str, Record]], None],
        now: Callable[[], float],
    ) -> None:
        self._book = book
        self._aur = aur
        self._histories = histories
        self._fetching = fetching
        self._settings = settings
        self._has = has
        self._observe = observe
        self._now = now
        #: Since when what could not be looked at is left alone, and for how long, by base.
        self._left_alone: dict[str, tuple[float, float]] = {}
        #: When what lacks something was looked at last, and how all stood then, by base.
        self._lacking: dict[str, tuple[float, int]] = {}
        #: Why the last look was not whole, "" where it was.
        self.problem = ""

    async def poll(self, bases: Iterable[str] = (), *, urgent: bool = False) -> None:
        """Look at all that is watched, or at these; nothing raises but StoreError."""
        chosen = {base: one for base in bases if (one := self._book.get(base)) is not None}
        watched = chosen or dict(self._book.watched)
        problems = []
        try:
            records = await self._records(watched.values(), urgent=urgent)
        except SourceError as error:
            problems.append(str(error))
            records = {}
        asked = not problems
        for base in watched:
            since, pause = self._left_alone.get(base, (0.0, 0.0))
            if not urgent and 0 <= self._now() - since < pause:
                continue
            try:
                await self._look(base, records, asked=asked, urgent=urgent)
            except (Unreachable, Refused, Stalled) as error:
                problems.append(f"{base}: {error}")
                # Of the AUR it is known when to ask again; others may take their time each time.
                if watched[base].origin.kind == GIT:
                    self._leave_alone(base)
            except FloconError as error:
                # It is the same tomorrow, most likely: what it sends costs that much each time.
                self._leave_alone(base)
                await self._note(base, f"it could not be looked at: {error}")
            else:
                self._left_alone.pop(base, None)
        known: tuple[dict[str, Any], ...] = self._left_alone, self._lacking
        for remembered in known:
            for base in remembered.keys() - self._book.watched.keys():
                del remembered[base]
        self.problem = problems[0] if problems else ""

    def _leave_alone(self, base: str) -> None:
        _, pause = self._left_alone.get(base, (0.0, FIRST_PAUSE / 2))
        pause = min(2 * pause, LONGEST_PAUSE)
        self._left_alone[base] = self._now(), pause

    async def _records(self, watched: Iterable[Watched], *, urgent: bool) -> dict[str, Record]:
        """Return what the AUR says, by base; asks nothing where nothing is its own."""
        asked = {one.base: _names(one) for one in watched if one.origin.kind == AUR}
        found = await self._named(asked, urgent)
        # All may have other names by now: then only the recipe itself can tell them.
        renamed = {base: await self._names_now(base) for base in asked if base not in found}
        return found | await self._named(renamed, urgent)

    async def _named(self, names: Mapping[str, Sequence[str]], urgent: bool) -> dict[str, Record]:
        """Return what the AUR says of recipes, asked for by any of their packages."""
        some = {name for each in names.values() for name in each}
        if not some:
            return {}
        said = await self._aur.info(sorted(some), urgent=urgent)
        # A package may be another recipe's by now.
        found = {one.base: one for one in said.values() if one.name in names.get(one.base, ())}
        self._observe({one.name: one for one in found.values()})
        return found

    async def _names_now(self, base: str) -> Sequence[str]:
        one = self._book.get(base)
        if one is None or one.notes == (GONE,):
            # It was looked for before.
            return ()
        try:
            return await self._fetching.names(one)
        except FloconError:
            return ()

    async def _look(
        self, base: str, records: Mapping[str, Record], *, asked: bool, urgent: bool
    ) -> None:
        one = self._book.get(base)
        if one is None:
            return
        await self._look_for_arch(one)
        record = records.get(base)
        if one.origin.kind == AUR:
            if not asked:
                return
            is_news = record is None and one.notes != (GONE,)
            await self._note(base, "" if record else GONE)
            if record is None:
                # Its packages may have other names by now: git knows.
                if is_news or urgent:
                    with suppress(BuildError):
                        await self._fetching.look(base, None, urgent=urgent)
                return
        if one.origin.kind != FOLDER and (urgent or self._is_due(one, record)):
            await self._fetching.look(base, record, urgent=urgent)
        await self._look_at_heads(base, urgent=urgent)

    def _is_due(self, one: Watched, record: Record | None) -> bool:
        """Whether git is to be asked: something changed, or what waits is ripe."""
        if record is None or one.told != told_of(record):
            return True
        waits = one.candidate
        if waits is not None and waits.lacks:
            return self._may_be_had(one.base)
        if waits is None or not waits.matures:
            return False
        # What was seen first in times to come was so by a clock that was wrong.
        return waits.matures <= self._now() or waits.seen > self._now()

    def _may_be_had(self, base: str) -> bool:
        """Whether what a recipe lacks may be there by now: of others, or in pacman's databases."""
        others = hash(frozenset(map(_had, self._book.watched.values())))
        since, before = self._lacking.get(base, (float("-inf"), 0))
        if others == before and 0 <= self._now() - since < LACKING:
            return False
        self._lacking[base] = self._now(), others
        return True

    async def _look_for_arch(self, one: Watched) -> None:
        taken = next(filter(None, map(self._has, one.names)), "")
        if taken == one.taken_up:
            return
        self._log.info("{base} is in {repository} now", base=one.base, repository=taken or "none")
        what = "taken up" if taken else "not in Arch any more"
        await self._book.put(replace(one, taken_up=taken), what, repository=taken)

    async def _note(self, base: str, note: str) -> None:
        """Keep what else a person should know of it, or ("") that there is nothing."""
        one = self._book.get(base)
        notes = (note,) if note else ()
        if one is not None and one.notes != notes:
            await self._book.put(replace(one, notes=notes), "")

    async def _look_at_heads(self, base: str, *, urgent: bool) -> None:
        """Ask the sources of what was built whether they are further now, once a day."""
        one = self._book.get(base)
        if one is None or one.published is None or not one.published.heads:
            return
        if one.job is not None or one.candidate is not None or one.on_hold or one.taken_up:
            return
        if 0 <= self._now() - one.heads_asked < HEADS and not urgent:
            return
        moved, away = [], None
        until = self._now() + LONGEST_HEADS
        for source, commit in one.published.heads:
            if self._now() > until:
                break
            try:
                head = await self._histories.git.heads(source)
            except SourceError as error:
                away = error
                continue
            if head and head != commit:
                moved.append(source)
        one = self._book.get(base)
        if one is not None:
            asked = replace(one, heads_asked=self._now())
            await self._book.put(*_moved_on(asked, moved, self._settings().auto, self._now()))
        if away is not None:
            raise away


def _moved_on(one: Watched, moved: list[str], auto: str, now: float) -> tuple[Watched, str]:
    """Return it with what follows of sources that moved on, and what happened.

    The recipe was approved as one of a history, so its text lets it be built again.
    """
    if not moved or one.approval is None or one.job is not None or one.candidate is not None:
        return one, ""
    if auto != "never":
        reason = f"new commits in {moved[0]}"
        return replace(
            one, job=Job(Phase.QUEUED, now, reasons=(reason,), unasked=True)
        ), "sources moved on"
    approval = one.approval
    failing = Failing(auto, f'the settings say auto = "never", and {moved[0]} has new commits')
    candidate = Candidate(
        approval.commit,
        approval.version,
        now,
        (failing,),
        needs=approval.needs,
        maintainers=approval.maintainers,
    )
    return passing.seen(one, candidate), "sources moved on"


def _names(one: Watched) -> tuple[str, ...]:
    """Return the names by which the AUR may know a recipe: what is newest of it may have others."""
    newest = one.candidate.names if one.candidate else ()
    return tuple(dict.fromkeys((*newest, *one.names, one.base)))[:MOST_NAMES]


def _had(one: Watched) -> tuple[str, str, str]:
    """Return what changes when others can have something else of a recipe."""
    approved = one.approval.commit if one.approval else ""
    return one.base, approved, one.published.version if one.published else ""


def told_of(record: Record) -> str:
    """Return what changes whenever the AUR says something else of a recipe that matters."""
    people = ",".join((record.maintainer, *sorted(record.co_maintainers)))
    return f"{record.version} {record.last_modified:.0f} {people}"


def as_values(record: Record | None) -> dict[str, Any] | None:
    """Return a record as JSON's values, for a person to look at."""
    if record is None:
        return None
    return {
        "maintainer": record.maintainer,
        "co_maintainers": list(record.co_maintainers),
        "votes": record.votes,
        "popularity": record.popularity,
        "first_submitted": record.first_submitted,
        "last_modified": record.last_modified,
        "out_of_date": record.out_of_date,
        "description": record.description,
        "url": record.url,
    }
