"""Does within bounds what is done for no job: making the clean system, and keeping it up to date.

It is the packages' own doing how much they take, as it is a recipe's what its job takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred

from flocon.building.endings import TIMED_OUT, Ending
from flocon.building.installing import Within
from flocon.building.orders import Bounds
from flocon.building.watching import Watch
from flocon.errors import BuildError
from flocon.walls.groups import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

#: Many times what base-devel takes, on a slow machine with a slow mirror.
BOUNDS = Bounds(memory=2 << 30, disk=12 << 30, processes=2_048, time=2 * 3_600.0)


class Bounded:
    """Does one thing, of which what it writes is in ``folder``; ``own`` is our control group."""

    def __init__(self, reactor: Any, folder: Path, own: Path | None) -> None:
        self._reactor = reactor
        self._bounds = BOUNDS
        self._group = Group(own, "system")
        self._folder = folder
        self._ending: Ending | None = None
        self._work: Deferred[int] | None = None

    async def do(self, work: Callable[[Within], Coroutine[Any, Any, int]]) -> int:
        """Return what comes of it; raise BuildError where it takes too much."""
        bounds = self._bounds
        self._group.make(bounds.memory, bounds.processes)
        self._work = Deferred.fromCoroutine(work(Within.of(bounds, self._group.path)))
        too_late = Ending(TIMED_OUT, f"it took longer than {bounds.time:.0f} s")
        late = self._reactor.callLater(bounds.time, self._passed, too_late)
        grouped = bool(self._group.path)
        watch = Watch(self._reactor, self._folder, bounds, self._passed, grouped=grouped)
        watch.start()
        try:
            return await self._work
        except CancelledError:
            if self._ending is None:
                raise
            raise BuildError(
                f"the clean root can be neither made nor brought up to date: {self._ending.reason}",
                'see the log, or set root = "machine"',
            ) from None
        finally:
            if late.active():
                late.cancel()
            await watch.stop()
            self._group.remove()

    def _passed(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
        if self._work is not None:
            self._work.cancel()
