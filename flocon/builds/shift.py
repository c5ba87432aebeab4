"""Works through the queue, one job at a time, as long as there is something to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred

from flocon.errors import FloconError
from flocon.jobs import passing
from flocon.jobs.queueing import following
from flocon.jobs.watched import Phase
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.jobs.book import Book
    from flocon.jobs.watched import Watched
    from flocon.jobs.working import Working

#: Seconds until a builder or signer that was away is asked again: at first, and at the most.
FIRST_AGAIN, AGAIN = 2.0, 300.0


class Shift:
    """``wake`` begins work, and is called whenever there may be some."""

    _log = logger()

    def __init__(self, reactor: Any, book: Book, working: Working) -> None:
        self._reactor = reactor
        self._book = book
        self._working = working
        self._running: Deferred[None] | None = None
        self._job: Deferred[bool] | None = None
        self._later: Any = None
        self._stopped = True
        #: Whether the link costs nothing: else only what a person asked for is built.
        self.free = True
        self._pause = FIRST_AGAIN
        #: The base whose job is being done.
        self.current = ""

    def start(self) -> None:
        self._stopped = False
        self.wake()

    def wake(self) -> None:
        """Begin to work, unless that is under way; it ends when nothing is left to do."""
        if self._stopped or self._running is not None:
            return
        self._cancel_later()
        running = Deferred.fromCoroutine(self._work())
        if not running.called:
            self._running = running

    def ending(self, base: str) -> Callable[[], None]:
        """Return what ends the job of a recipe that is being done now, and none that comes later.

        It is called when what the recipe is instead is written down.
        """
        job = self._job if self.current == base else None
        return job.cancel if job is not None else lambda: None

    async def stop(self) -> None:
        """End what is being done, and return when it has ended."""
        self._stopped = True
        self._cancel_later()
        running = self._running
        if running is None:
            return
        gone: Deferred[None] = Deferred()
        running.addBoth(lambda _: gone.callback(None))
        self.ending(self.current)()
        await gone

    async def _work(self) -> None:
        try:
            await self._book.flush()
            while not self._stopped and (one := self._next()) is not None:
                went = await self._do(one)
                await self._working.clear(self._book.watched.values())
                if not went:
                    self._look_later()
                    return
                self._pause = FIRST_AGAIN
        except FloconError as error:
            # The disk: nothing can be done until it takes what is to be written.
            self._log.error("builds stand still: {error}", error=error)
            self._look_later()
        finally:
            self._running = None

    def _next(self) -> Watched | None:
        watched = self._book.settled()
        for _, one in sorted(watched.items()):
            if one.job is not None and one.job.phase is Phase.EXAMINING:
                return one
        return following(watched, free=self.free)

    async def _do(self, one: Watched) -> bool:
        """Do the next step of a job; False where who is to do it is away."""
        examines = one.job is not None and one.job.phase is Phase.EXAMINING
        step = self._working.examine(one) if examines else self._working.build(one)
        self.current = one.base
        self._job = Deferred.fromCoroutine(step)
        try:
            return await self._job
        except CancelledError:
            return True
        except FloconError:
            # What it was before cannot be written either: it begins anew when that can be.
            self._book.put_back(passing.put_back(self._book.demand(one.base)))
            raise
        except Exception:  # noqa: BLE001 - it is logged whole
            # What nobody has thought of is one recipe's, and the others are built.
            self._log.failure("a job met what nobody has thought of")
            await self._working.failed(one.base, "flocon itself met an error; its log has it")
            return True
        finally:
            self.current, self._job = "", None

    def _look_later(self) -> None:
        if not self._stopped:
            self._cancel_later()
            self._later = self._reactor.callLater(self._pause, self.wake)
            # Who has just ended is there again in a moment; others are started by a person.
            self._pause = min(2 * self._pause, AGAIN)

    def _cancel_later(self) -> None:
        later, self._later = self._later, None
        if later is not None and later.active():
            later.cancel()
