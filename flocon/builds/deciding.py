"""What a person decides of a recipe, done: each answers with a sentence, or raises FloconError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.errors import BuildError
from flocon.jobs import passing
from flocon.jobs.passing import is_meant
from flocon.jobs.queueing import stages
from flocon.jobs.watched import Phase, Stage
from flocon.machine.reactor_threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.builds.fetching import Fetching
    from flocon.builds.shift import Shift
    from flocon.jobs.archive import Archive
    from flocon.jobs.book import Book
    from flocon.jobs.watched import Watched

#: Events of the history that are told at once.
MOST_EVENTS = 200


class Deciding:
    """``forget`` is called with a base that is watched no more; ``now`` gives Unix time."""

    def __init__(
        self,
        reactor: Any,
        *,
        book: Book,
        archive: Archive,
        fetching: Fetching,
        shift: Shift,
        now: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._book = book
        self._archive = archive
        self._fetching = fetching
        self._shift = shift
        self._now = now
        self.forget: Callable[[str], None] = lambda _: None

    async def approve(self, one: Watched, commit: str, who: str) -> str:
        """Have what waits be built, or what is held be signed; ``commit`` "" is what waits now."""
        if one.candidate is None and one.job is not None and one.job.phase is Phase.HELD:
            accepted = passing.accepted(one, commit, self._now())
            digest = one.job.digest
            await self._book.put(accepted, "accepted", by=who, digest=digest, commit=one.commit)
            return f"{one.base} {one.version} is signed and published"
        candidate = one.open
        if commit and (candidate is None or not is_meant(commit, candidate.commit)):
            now = f"{candidate.commit[:12]} waits" if candidate else "nothing waits"
            raise BuildError(
                f"commit {commit} of {one.base} does not wait: {now}",
                f"see 'flocon build diff {one.base}'",
            )
        # What a person has seen is built, whatever was pushed meanwhile.
        authors = await self._fetching.authors(one, candidate.commit) if candidate else ()
        current = self._same(one)
        approved = passing.approved(current, who, self._now(), authors)
        assert approved.approval is not None  # noqa: S101 - that is what it is
        end = self._shift.ending(one.base)
        await self._book.put(
            approved,
            "approved",
            by=who,
            commit=approved.approval.commit,
            version=approved.approval.version,
            against=list(approved.approval.against),
        )
        end()
        return self._standing(one.base)

    def _same(self, one: Watched) -> Watched:
        """Return it as it is by now; raises BuildError where something else waits."""
        current = self._book.demand(one.base)
        before, now = one.open, current.open
        if (before.commit if before else "") != (now.commit if now else ""):
            raise BuildError(f"something else of {one.base} waits by now", "look at it again")
        return current

    async def reject(self, one: Watched, commit: str, who: str) -> str:
        """Never build the commit that waits, or publish what is held."""
        refused = one.commit
        job = one.job
        if one.candidate is None and job is not None and job.phase is Phase.HELD:
            refused = job.digest
        if commit and not is_meant(commit, refused):
            raise BuildError(
                f"{commit} of {one.base} does not wait", f"see 'flocon build diff {one.base}'"
            )
        await self._book.put(
            passing.rejected(one, who, self._now()), "rejected", by=who, commit=refused
        )
        return f"{refused[:12]} of {one.base} is not built; what comes after it is judged anew"

    async def hold(self, one: Watched, who: str) -> str:
        end = self._shift.ending(one.base)
        await self._book.put(passing.held_back(one, who), "on hold", by=who)
        end()
        return f"nothing of {one.base} is built until 'flocon build hold {one.base} --off'"

    async def release(self, one: Watched, who: str) -> str:
        if not one.on_hold:
            raise BuildError(f"{one.base} is not on hold", "")
        await self._book.put(passing.released(one), "off hold", by=who)
        return self._standing(one.base)

    async def rebuild(self, one: Watched, who: str) -> str:
        end = self._shift.ending(one.base)
        await self._book.put(passing.again(one, self._now()), "rebuild", by=who, commit=one.commit)
        end()
        return self._standing(one.base)

    async def cancel(self, one: Watched, who: str) -> str:
        """End its job, wherever that is."""
        if one.stage() not in {Stage.QUEUED, Stage.BUILDING}:
            raise BuildError(f"{one.base} is not being built", "")
        failed = passing.failed(one, self._now(), [f"{who} ended it"])
        end = self._shift.ending(one.base)
        await self._book.put(failed, "cancelled", by=who)
        end()
        return f"{one.base} is not built; 'flocon build rebuild {one.base}' begins anew"

    async def remove(self, one: Watched, who: str) -> str:
        """Watch it no more; what is published stays."""
        needing = [
            other.base
            for other in self._book.watched.values()
            if other.approval is not None and one.base in other.approval.needs.bases
        ]
        if needing:
            needs = "needs" if len(needing) == 1 else "need"
            remedy = f"begin with 'flocon build remove {needing[0]}'"
            raise BuildError(f"{', '.join(needing)} {needs} {one.base}", remedy)
        end = self._shift.ending(one.base)
        await self._book.remove(one.base, who)
        end()
        self.forget(one.base)
        await in_thread(self._reactor, self._archive.forget, one.base)
        return (
            f"{one.base} is built no more; what is published stays, until"
            f" 'flocon repo remove {' '.join(one.names)}'"
        )

    async def log(self, one: Watched, begin: int) -> tuple[dict[str, Any], str]:
        """Return how far a log was read, and a piece of it."""
        following, data = await in_thread(self._reactor, self._archive.read_log, one.base, begin)
        job = one.job
        stage, blocking = self._stage(one.base)
        # A character may be cut in two here: the next piece begins with it.
        whole = _whole(data)
        head = {
            "next": following - (len(data) - len(whole)),
            "running": job is not None and job.phase in {Phase.QUEUED, Phase.BUILDING},
            "job": job.name if job else "",
            "result": stage.value,
            "why": f"waits for {', '.join(blocking)}" if blocking else "",
        }
        return head, whole.decode("utf-8", "replace")

    async def history(self, base: str) -> list[dict[str, Any]]:
        """Return what happened last, of one recipe, or of all."""
        return await in_thread(self._reactor, self._archive.history, base, MOST_EVENTS)

    def _standing(self, base: str) -> str:
        one = self._book.demand(base)
        stage, blocking = self._stage(base)
        waits = f", waits for {', '.join(blocking)}" if blocking else ""
        return f"{one.base} {one.version}: {stage.value}{waits}"

    def _stage(self, base: str) -> tuple[Stage, tuple[str, ...]]:
        """Return the stage of a recipe, and the bases that it waits for in it."""
        for one, stage, blocking in stages(self._book.watched):
            if one.base == base:
                return stage, blocking
        return self._book.demand(base).stage(), ()


#: The first byte of a character of several has these bits, and its others have that one alone.
_FIRST, _FURTHER = 0xC0, 0x80
_LONGEST_CHARACTER = 4


def _whole(data: bytes) -> bytes:
    """Return bytes without the beginning of a character at their end."""
    for back in range(1, min(_LONGEST_CHARACTER, len(data)) + 1):
        byte = data[-back]
        if byte & _FIRST == _FIRST:
            length = 2 + (byte >= 0xE0) + (byte >= 0xF0)  # noqa: PLR2004 - as UTF-8 has it
            return data[:-back] if back < length else data
        if byte & _FIRST != _FURTHER:
            break
    return data
