"""What a person looks at before deciding: a recipe whole, the one before, what is held."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flocon.builds.polling import as_values
from flocon.errors import BuildError, FloconError
from flocon.jobs.watched import Phase
from flocon.machine.reactor_threads import in_thread
from flocon.recipes.differences import as_text, differ
from flocon.recipes.inspection import called_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.builds.fetching import Fetching
    from flocon.builds.histories import Histories
    from flocon.jobs.archive import Archive
    from flocon.jobs.watched import Watched
    from flocon.recipes.recipe import CommitNote, Recipe

#: Commits of which is told who wrote them.
MOST_NOTES = 50


class Looking:
    """Reads recipes by commit, and tells of them."""

    def __init__(
        self,
        reactor: Any,
        archive: Archive,
        histories: Histories,
        fetching: Fetching,
        *,
        arch_has: Callable[[str], str],
        since: Callable[[str], float],
    ) -> None:
        self._reactor = reactor
        self._histories = histories
        self._fetching = fetching
        self._arch_has = arch_has
        #: Since when a base was seen to have its maintainer, 0.0 for never.
        self._since = since
        self._archive = archive

    async def recipes(self, one: Watched) -> tuple[Recipe | None, Recipe]:
        """Return the recipe that was approved last, and the one that it is about now.

        They are the same where nothing waits. Raises FloconError where that is gone.
        """
        if not one.commit:
            raise BuildError(f"nothing is known of {one.base} yet", "'flocon build check' looks")
        after = await self._histories.read(one, one.commit)
        if one.approval is None or one.candidate is None:
            return None, after
        try:
            return await self._histories.read(one, one.approval.commit), after
        except FloconError:
            # What was approved is gone from its history: all of the new one is to be read.
            return None, after

    async def look(self, one: Watched) -> dict[str, Any]:
        """Return JSON's values of all that there is to see; raises FloconError."""
        before, after = await self.recipes(one)
        held, packages, digest = await self._held(one)
        verdict = self._fetching.verdicts.get(one.base) if one.candidate else None
        candidate = one.candidate
        return {
            "base": one.base,
            "names": list(one.names),
            "origin": {"kind": one.origin.kind, "place": one.origin.place},
            "stage": one.stage().value,
            "commit": one.commit,
            # What can be decided of it, whatever is being built.
            "proposed": candidate.commit if candidate else "",
            "version": one.version,
            "approved": one.approval.commit if one.approval else "",
            "published": one.published.version if one.published else "",
            "reasons": list(one.reasons()),
            "checks": [
                {"check": check.check, "passed": check.passed, "sentence": check.sentence}
                for check in (verdict.checks if verdict is not None else ())
            ],
            "needs": {
                "bases": list(candidate.needs.bases if candidate else ()),
                "packages": list(candidate.needs.packages if candidate else ()),
            },
            # Those of Arch's packages after which it is called.
            "after": [name for name in map(called_after, one.names) if self._arch_has(name)],
            "record": self._record(one.base),
            "files": _texts(after),
            "modes": _modes(after),
            "before": None if before is None else _texts(before),
            "modes_before": None if before is None else _modes(before),
            "held": held,
            "packages": packages,
            "digest": digest,
            "notes": [_note(note) for note in await self._notes(one)],
        }

    async def _held(self, one: Watched) -> tuple[list[dict[str, Any]], list[str], str]:
        """Return what is held of a build, where its packages lie, and what stands for it."""
        job = one.job
        if job is None or job.phase is not Phase.HELD or one.candidate is not None:
            return [], [], ""
        rows, packages = await in_thread(self._reactor, self._archive.read_held, job.name)
        # What is told everywhere is a part of it.
        return rows or [asdict(found) for found in job.surprises], packages, job.digest

    def _record(self, base: str) -> dict[str, Any] | None:
        values = as_values(self._fetching.records.get(base))
        return values and {**values, "maintained_since": self._since(base)}

    async def differences(self, one: Watched) -> str:
        """Return as a diff what changed since the last approval; all of it, where there is none."""
        before, after = await self.recipes(one)
        # Two texts that have little in common take seconds.
        return await in_thread(self._reactor, lambda: as_text(differ(before, after)))

    async def _notes(self, one: Watched) -> Sequence[CommitNote]:
        since = one.approval.commit if one.approval and one.candidate else ""
        try:
            return (await self._histories.notes(one, since, one.commit))[:MOST_NOTES]
        except FloconError:
            return ()


def _texts(recipe: Recipe) -> dict[str, str]:
    # Bytes that are no text stay what they are: who shows them makes them visible.
    return {
        path: file.data.decode("utf-8", "surrogateescape") for path, file in recipe.files.items()
    }


def _modes(recipe: Recipe) -> dict[str, str]:
    return {path: f"{file.mode:o}" for path, file in recipe.files.items()}


def _note(note: CommitNote) -> dict[str, Any]:
    return {
        "commit": note.commit,
        "author": note.author,
        "mail": note.mail,
        "when": note.when,
        "subject": note.subject,
    }
