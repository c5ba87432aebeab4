"""What is due is fetched ahead, several packages at a time, and counted.

What is due, and what follows from a failure, is ``wishes``'s; how a package comes is ``ahead``'s.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import defer

from flocon.errors import FloconError
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twisted.internet.defer import Deferred

    from flocon.ahead.wishes import Key, Wish, Wishes
    from flocon.pacman.entries import Entry

#: Packages that come at a time, and those of them that nobody holds.
AT_ONCE = 4
FROM_MIRRORS_AT_ONCE = 2
#: Packages of the queue among which one is looked for that a peer holds, before the others.
FURTHEST = 64


if TYPE_CHECKING:

    class Brings(Protocol):
        """How packages come."""

        def is_at_peers(self, entry: Entry) -> bool: ...

        async def fetch(self, entry: Entry, *, mirrors: bool, asked: bool) -> None:
            """Have a package brought here; raises FloconError."""


class Bringing:
    """The packages that are fetched now, and those that follow; ``ended`` is called after each.

    It is told whether that was no attempt, and is to be made soon.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        around: Brings,
        wishes: Wishes,
        ended: Callable[[bool], None],
        purpose: str = "the next upgrade",
    ) -> None:
        self._reactor = reactor
        self._around = around
        self._wishes = wishes
        self._ended = ended
        self._purpose = purpose
        #: With each whether mirrors may be asked for it.
        self._queue: deque[tuple[Wish, bool]] = deque()
        self._active: dict[Key, tuple[Wish, Deferred[None]]] = {}
        self._from_mirrors: set[Key] = set()
        #: Those of which the last try was none, until it is known whether they are due still.
        self._postponed: dict[Key, Wish] = {}
        self._filling = False
        #: Of what is being fetched, or was fetched last: how many packages there are, how many were
        #: looked after, and how many of those are there now.
        self.total = self.done = self.fetched = 0
        #: The bytes of all of them, and of those that are there.
        self.total_bytes = self.fetched_bytes = 0

    def __bool__(self) -> bool:
        """Whether there is anything to fetch."""
        return bool(self._active or self._queue or self._postponed)

    def __iter__(self) -> Iterator[Entry]:
        """Yield what is being fetched."""
        return iter([wish.entry for wish, _ in self._active.values()])

    @property
    def keys(self) -> set[Key]:
        """What is being fetched or about to be."""
        return {wish.key for wish, _ in self._queue}.union(self._active, self._postponed)

    def count_anew(self) -> None:
        self.total = self.done = self.fetched = 0
        self.total_bytes = self.fetched_bytes = 0

    def take(self, due: Iterable[tuple[Wish, bool]]) -> None:
        """Fetch what is due now, one after the other, and nothing else beside what runs."""
        counted = self.keys
        queue = deque(one for one in due if one[0].key not in self._active)
        fresh = [wish for wish, _ in queue if wish.key not in counted]
        if fresh and not self:
            self.count_anew()
        self._queue = queue
        still = {wish.key for wish, _ in queue}
        self._postpone_no_more(lambda wish: wish.key not in still)
        self._postponed.clear()
        self.total += len(fresh)
        self.total_bytes += sum(wish.entry.size for wish in fresh)
        self._fill()

    def rest(self, *, asked: bool = False) -> None:
        """End what nobody asked for, and with ``asked`` all of it."""
        self._queue = deque(one for one in self._queue if one[0].asked and not asked)
        for wish, work in list(self._active.values()):
            if asked or not wish.asked:
                work.cancel()
        self._postpone_no_more(lambda wish: asked or not wish.asked)

    def _postpone_no_more(self, of: Callable[[Wish], bool]) -> None:
        """Count those no more that are not to be tried again soon."""
        for wish in [one for one in self._postponed.values() if of(one)]:
            del self._postponed[wish.key]
            self._count_out(wish)

    def _count_out(self, wish: Wish) -> None:
        self.total -= 1
        self.total_bytes -= wish.entry.size

    def _fill(self) -> None:
        """Begin what there is room for beside what is being fetched."""
        if self._filling:
            return
        self._filling = True
        try:
            while len(self._active) < AT_ONCE and (one := self._next()):
                self._queue.remove(one)
                self._begin(*one)
        finally:
            self._filling = False

    def _next(self) -> tuple[Wish, bool] | None:
        if self._queue and len(self._from_mirrors) < FROM_MIRRORS_AT_ONCE:
            return self._queue[0]
        for wish, mirrors in islice(self._queue, FURTHEST):
            if not mirrors or self._around.is_at_peers(wish.entry):
                return wish, mirrors
        return None

    def _begin(self, wish: Wish, mirrors: bool) -> None:
        at_peers = self._around.is_at_peers(wish.entry)
        looks = not mirrors and not at_peers
        if looks:
            self._wishes.looked(wish)
        if mirrors and not at_peers:
            self._from_mirrors.add(wish.key)
        work: Deferred[None] = defer.Deferred.fromCoroutine(
            self._around.fetch(wish.entry, mirrors=mirrors, asked=wish.asked)
        )
        self._active[wish.key] = wish, work
        work.addBoth(self._take, wish, looks, wish.asked)

    def _take(self, result: Any, wish: Wish, looks: bool, was_asked: bool) -> None:
        """Take what came of a package; ``looks`` if nobody was known to have it.

        If a person asked for it only meanwhile, less was tried than is to be.
        """
        self._active.pop(wish.key, None)
        self._from_mirrors.discard(wish.key)
        too_little = wish.asked and not was_asked
        postponed = result is not None and (
            too_little or result.check(defer.CancelledError) is not None
        )
        if result is None:
            self._wishes.came(wish)
            self.done += 1
            self.fetched += 1
            self.fetched_bytes += wish.entry.size
        elif postponed:
            self._postponed[wish.key] = wish
        elif looks:
            # That was no attempt.
            self._count_out(wish)
        else:
            self._wishes.failed(wish, self._reactor.seconds())
            self.done += 1
        if result is not None:
            self._tell(result, wish)
        self._fill()
        if not self and not self._filling and self.total:
            self._log.info(
                "ready for {purpose}: {fetched} of {total}",
                purpose=self._purpose,
                fetched=self.fetched,
                total=self.total,
            )
        self._ended(postponed)

    def _tell(self, failure: Any, wish: Wish) -> None:
        if failure.check(FloconError, defer.CancelledError):
            self._log.debug("{file}: {error}", file=wish.entry.file_name, error=failure.value)
        else:
            self._log.failure("fetching ahead failed", failure)
