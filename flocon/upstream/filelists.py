"""Lists of files (``REPO.files``), which few clients ask for: fetched for those that somebody does.

How one is read, and whether it belongs to a database, is ``one_mirror``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock

from flocon.errors import FloconError
from flocon.files import is_architecture, is_repository
from flocon.log import logger
from flocon.states.generation import MOST_DATABASES, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import TypeAlias

    from flocon.states.generation import Generation
    from flocon.states.states import States
    from flocon.upstream.groups import Group
    from flocon.upstream.upstream import Upstream

    Key: TypeAlias = tuple[str, Where]

#: Seconds for which a list that no mirror had for a state is not asked for again.
AGAIN = 600.0
#: Seconds within which another demand need not be written down.
_COARSE = 3_600.0
#: States and repositories of which that is remembered.
_MOST = 4 * MOST_DATABASES


class FileLists:
    """Those of the states; ``allowed`` tells whether one may be fetched because a client asks.

    ``group`` returns with which others a repository is read, ``remember`` is called when something
    is to be kept over a restart, and ``unused`` gives the seconds for which a demand counts.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        states: States,
        upstream: Upstream,
        *,
        group: Callable[[Where], Group | None],
        remember: Callable[[], None],
        wall: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._states = states
        self._upstream = upstream
        self._group = group
        self._remember = remember
        self.unused: Callable[[], float] = lambda: 0.0
        self.allowed: Callable[[], bool] = lambda: True
        #: When each was asked for last, in seconds since 1970.
        self._asked: dict[Where, int] = {}
        #: Until when those that nobody has are not asked for.
        self._missing: dict[Key, float] = {}
        self._coming: dict[Key, list[Deferred[Generation | None]]] = {}
        self._work: set[Deferred[None]] = set()
        self._one_at_a_time = DeferredLock()

    def stop(self) -> None:
        for work in list(self._work):
            work.cancel()

    def wanted(self, wall: float) -> Collection[Where]:
        """Return those that a client asked for lately."""
        unused = self.unused()
        self._asked = {one: at for one, at in self._asked.items() if wall - at <= unused}
        return frozenset(self._asked)

    def find(self, generation: Generation, where: Where) -> Deferred[Generation | None]:
        """Return the generation with a list of files, None where it cannot be had.

        It is fetched where nobody asked before; whoever waits may leave, and it comes all the same.
        """
        result: Deferred[Generation | None] = Deferred()
        one = generation.databases.get(where)
        if one is None:
            result.callback(None)
            return result
        self._note(where)
        key = generation.identity, where
        if one.files is not None:
            result.callback(generation)
        elif not self.allowed() or self._missing.get(key, 0.0) > self._reactor.seconds():
            result.callback(None)
        else:
            # Whoever does not wait any more has been told.
            waiting = self._coming.setdefault(key, [])
            waiting.append(result)
            if len(waiting) == 1:
                work = Deferred.fromCoroutine(self._fetch(generation, where))
                self._work.add(work)
                work.addBoth(self._ended, key, work)
        return result

    def _note(self, where: Where) -> None:
        now = int(self._wall())
        before = self._asked.get(where)
        self._asked[where] = now
        if before is None or not 0 <= now - before < _COARSE:
            self._remember()

    async def _fetch(self, generation: Generation, where: Where) -> None:
        await self._one_at_a_time.run(
            lambda: Deferred.fromCoroutine(self._fetch_one(generation, where))
        )

    async def _fetch_one(self, generation: Generation, where: Where) -> None:
        group = self._group(where)
        found = self._states.find(generation.identity)
        if group is None or found is None or found.databases[where].files is not None:
            return
        try:
            async with self._states.taking():
                one = await self._upstream.files(group, where, found.databases[where])
                if one is not None and one.files is not None:
                    identity = generation.identity
                    await self._states.add_files(identity, where, one.files, one.files_signature)
        except FloconError as error:
            self._log.warn("the list of files of {where}: {error}", where=where, error=error)

    def _ended(self, result: Any, key: Key, work: Deferred[None]) -> None:
        self._work.discard(work)
        if result is not None and not result.check(CancelledError):
            self._log.failure("fetching a list of files failed", result)
        identity, where = key
        generation = self._states.find(identity)
        if generation is not None and generation.databases[where].files is None:
            generation = None
            while len(self._missing) >= _MOST:
                del self._missing[next(iter(self._missing))]
            self._missing[key] = self._reactor.seconds() + AGAIN
        for one in self._coming.pop(key):
            if not one.called:
                one.callback(generation)

    def dump(self) -> list[list[Any]]:
        return [[*where, at] for where, at in self._asked.items()]

    def load(self, value: Any) -> None:
        """Remember what was dumped; what is damaged of it is left out."""
        for one in value if isinstance(value, list) else ():
            match one:
                case [str(architecture), str(repository), int(at)] if (
                    is_architecture(architecture)
                    and is_repository(repository)
                    and len(self._asked) < MOST_DATABASES
                ):
                    self._asked[Where(architecture, repository)] = at
