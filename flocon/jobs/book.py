"""What is watched, as it is now: each change is on the disk before anything comes of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from flocon.asking.waiting import Outcome
from flocon.errors import BuildError, FloconError
from flocon.machine.reactor_threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flocon.jobs.archive import Archive
    from flocon.jobs.watched import Watched


class Book:
    """``now`` gives Unix time. ``changed`` is called when changes are on the disk."""

    def __init__(self, reactor: Any, archive: Archive, now: Callable[[], float]) -> None:
        self._reactor = reactor
        self._archive = archive
        self._now = now
        self._watched: dict[str, Watched] = {}
        #: What of it is on the disk.
        self._written: dict[str, Watched] = {}
        self._events: list[dict[str, Any]] = []
        self._waiting: list[Outcome[None]] = []
        self._writing = False
        self.changed: Callable[[], None] = lambda: None
        #: Why the last change is not on the disk, "" where it is.
        self.problem = ""

    @property
    def watched(self) -> Mapping[str, Watched]:
        return self._watched

    async def open(self) -> None:
        """Read what was written; raises StoreError."""
        self._watched = await in_thread(self._reactor, self._archive.open)
        self._written = dict(self._watched)

    def settled(self) -> dict[str, Watched]:
        """Return what is on the disk as it is: what is just being changed is not among it."""
        return {base: one for base, one in self._watched.items() if self._written.get(base) is one}

    def get(self, base: str) -> Watched | None:
        return self._watched.get(base)

    def all(self) -> tuple[Watched, ...]:
        return tuple(self._watched.values())

    def demand(self, base: str) -> Watched:
        """Return what is watched under a name: a base's, or one of its packages'."""
        one = self._watched.get(base)
        if one is None:
            named = [each for each in self._watched.values() if base in each.names]
            one = named[0] if len(named) == 1 else None
        if one is None:
            problem = f"{base} is not built here"
            raise BuildError(problem, "'flocon build status' has what is")
        return one

    async def put(self, one: Watched, what: str, **said: Any) -> None:
        """Have it be so from now on; ``what`` happened goes into the history, unless it is "".

        Returns when it is on the disk; raises StoreError where it could not be written.
        """
        self._watched[one.base] = one
        await self._write(one.base, what, said)

    def put_back(self, one: Watched) -> None:
        """Have it be so without writing: whatever is written next has it so."""
        self._watched[one.base] = one

    async def flush(self) -> None:
        """Write once more what could not be written; raises StoreError where it still cannot."""
        if self.problem:
            await self._write("", "", {})

    async def remove(self, base: str, by: str) -> None:
        """Watch it no more."""
        self._watched.pop(base, None)
        await self._write(base, "removed", {"by": by})

    async def _write(self, base: str, what: str, said: Mapping[str, Any]) -> None:
        if what:
            self._events.append({"when": round(self._now(), 3), "base": base, "what": what, **said})
        written: Outcome[None] = Outcome()
        self._waiting.append(written)
        if not self._writing:
            self._writing = True
            # By itself: whoever changed something may be cancelled, the next one's is behind it.
            Deferred.fromCoroutine(self._write_all())
        await written.wait()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                try:
                    await self._save()
                except FloconError as error:
                    self.problem = str(error)
                    for one in waiting:
                        one.fail(error)
                else:
                    self.problem = ""
                    for one in waiting:
                        one.succeed(None)
                    self.changed()
        finally:
            self._writing = False

    async def _save(self) -> None:
        # The history first: a decision that is told of and lost is made again, another is not.
        events, watched = tuple(self._events), tuple(self._watched.values())
        if events:
            await in_thread(self._reactor, self._archive.append, events)
            del self._events[: len(events)]
        await in_thread(self._reactor, self._archive.save, watched)
        self._written = {one.base: one for one in watched}

    async def ended(self) -> None:
        """Return when all is written, or could not be."""
        if self._writing:
            last: Outcome[None] = Outcome()
            self._waiting.append(last)
            with suppress(FloconError):
                await last.wait()
