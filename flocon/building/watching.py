"""Looks at what a running job takes, and ends it where that is too much.

The kernel bounds one process, and one file; here is their sum. What lies on disk is counted where
the file system lost more than the job may have, and now and then anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from flocon.building.endings import TOO_BIG, TOO_MUCH_MEMORY, Ending
from flocon.errors import FloconError
from flocon.walls.folders import MOST_FILES, Room, lying_in
from flocon.walls.taking import (
    MOST_OPEN,
    held_behind_walls,
    machine_memory,
    shared_memory,
    taken_behind_walls,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flocon.building.orders import Bounds
    from flocon.walls.taking import Memory, Taken

#: Seconds between two looks, and between two counts of a folder that nothing calls for.
EVERY, COUNT_EVERY = 0.5, 30.0
#: Processes that a wall is made of, and its steps begin with.
_OF_WALLS = 32
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is left, and what all behind walls and the machine take, at one moment."""

    room: Room
    taken: Taken
    memory: Memory
    shared: int


def _see(folder: Path, enough: int) -> _Seen:
    """Look at it. Blocks, for as long as a process has much memory: for a thread."""
    taken = taken_behind_walls(enough)
    return _Seen(Room.of(folder), taken, machine_memory(), shared_memory())


class Watch:
    """Watches one job; ``passed`` is called once, with what it has too much of.

    ``grouped`` is whether a control group bounds what the kernel keeps for it.
    """

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        bounds: Bounds,
        passed: Callable[[Ending], None],
        *,
        grouped: bool = False,
    ) -> None:
        self._reactor = reactor
        self._folder = folder
        self._bounds = bounds
        self._passed = passed
        self._grouped = grouped
        self._begun = Room.of(folder)
        self._shared = shared_memory()
        self._memory = machine_memory()
        self._is_hiding = False
        self._counting: Deferred[None] | None = None
        self._counted = 0.0
        self._calls = LoopingCall(self._look)
        self._calls.clock = reactor

    def start(self) -> None:
        self._counted = self._reactor.seconds()
        self._calls.start(EVERY, now=False).addErrback(lambda _: None)

    async def stop(self) -> None:
        if self._calls.running:
            self._calls.stop()
        if self._counting is not None:
            self._counting.cancel()
            await self._counting

    async def _look(self) -> None:
        now = await deferToThread(_see, self._folder, self._bounds.memory)
        if not self._calls.running:
            return
        if now.room.is_little:
            self._pass(TOO_BIG, "the disk is nearly full")
        elif now.taken.memory > self._bounds.memory:
            self._short_of_memory()
        elif not self._grouped and now.memory.is_short_since(self._memory, self._bounds.memory):
            reason = "little memory is left, and the kernel keeps much for it: sockets, or the like"
            self._pass(TOO_MUCH_MEMORY, reason)
        elif now.taken.threads > self._bounds.processes + _OF_WALLS:
            # What is installed is root's, to whom the kernel sets no limit of these.
            self._pass(TOO_BIG, f"it has more than {self._bounds.processes} processes")
        else:
            lost = self._has_lost(now) or self._begun.files - now.room.files > MOST_FILES
            since = self._reactor.seconds() - self._counted
            if self._counting is None and (lost or since > COUNT_EVERY):
                self._counting = Deferred.fromCoroutine(self._count())
                self._counting.addErrback(lambda _: None)

    def _has_lost(self, now: _Seen) -> bool:
        """Whether disk or memory lost more than the job may have; others may take of both."""
        lost = self._begun.bytes - now.room.bytes
        return lost > self._bounds.disk or now.shared - self._shared > self._bounds.memory

    async def _count(self) -> None:
        try:
            lying = await lying_in(self._reactor, self._folder)
            held = await deferToThread(held_behind_walls)
            now = await deferToThread(_see, self._folder, self._bounds.memory)
        except FloconError:
            return
        finally:
            self._counting = None
            self._counted = self._reactor.seconds()
        if held is None:
            self._pass(TOO_BIG, f"it has more than {MOST_OPEN} files open")
        elif lying.disk + held.disk > self._bounds.disk:
            allowed = f"{self._bounds.disk // _MIB} MiB"
            self._pass(TOO_BIG, f"it took more than {allowed} of disk")
        elif held.memory > self._bounds.memory:
            self._short_of_memory()
        elif lying.names > MOST_FILES:
            self._pass(TOO_BIG, f"it made more than {MOST_FILES} files and links")
        else:
            # Programs hand files to one another, and have received them by the next look.
            was_hiding, self._is_hiding = self._is_hiding, held.unseen > 0 and self._has_lost(now)
            if not held.unseen:
                # Others' it is, then, and nothing to count anew for each time.
                self._shared = max(self._shared, now.shared)
            if was_hiding and self._is_hiding:
                self._pass(TOO_BIG, "it keeps files, or memory, where they cannot be counted")

    def _short_of_memory(self) -> None:
        allowed = f"{self._bounds.memory // _MIB} MiB"
        self._pass(TOO_MUCH_MEMORY, f"it took more than {allowed} of memory")

    def _pass(self, result: str, reason: str) -> None:
        if self._calls.running:
            self._calls.stop()
        self._passed(Ending(result, reason))
