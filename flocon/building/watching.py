"""Looks at what a running job takes, and ends it where that is too much.

The kernel bounds one process, and one file; here is their sum. What lies on disk is counted where
the file system lost more than the job may have, and now and then anyway.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from flocon.building.endings import TOO_BIG, TOO_MUCH_MEMORY, Ending
from flocon.errors import FloconError
from flocon.walls.folders import lying_in
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

#: Seconds between two looks, and between two counts of a folder that nothing calls for.
EVERY, COUNT_EVERY = 0.5, 30.0
#: What stays of a file system, whatever a job may have.
RESERVE_BYTES, RESERVE_FILES = 512 << 20, 10_000
#: Names of files, folders and links that a job may leave on disk.
MOST_FILES = 4_000_000
#: Processes that a wall is made of, and its steps begin with.
_OF_WALLS = 32
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system has left: bytes and files."""

    bytes: int
    files: int

    @classmethod
    def of(cls, folder: Path) -> Room:
        info = os.statvfs(folder)
        # Some file systems have no number of files.
        return cls(info.f_bavail * info.f_frsize, info.f_favail if info.f_files else MOST_FILES)

    @property
    def is_little(self) -> bool:
        return self.bytes < RESERVE_BYTES or self.files < RESERVE_FILES


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

    def _look(self) -> None:
        now, taken = Room.of(self._folder), taken_behind_walls(self._bounds.memory)
        if now.is_little:
            self._pass(TOO_BIG, "the disk is nearly full")
        elif taken.memory > self._bounds.memory:
            self._short_of_memory()
        elif not self._grouped and machine_memory().is_short_since(
            self._memory, self._bounds.memory
        ):
            reason = "little memory is left, and the kernel keeps much for it: sockets, or the like"
            self._pass(TOO_MUCH_MEMORY, reason)
        elif taken.threads > self._bounds.processes + _OF_WALLS:
            # What is installed is root's, to whom the kernel sets no limit of these.
            self._pass(TOO_BIG, f"it has more than {self._bounds.processes} processes")
        else:
            lost = self._has_lost or self._begun.files - now.files > MOST_FILES
            since = self._reactor.seconds() - self._counted
            if self._counting is None and (lost or since > COUNT_EVERY):
                self._counting = Deferred.fromCoroutine(self._count())
                self._counting.addErrback(lambda _: None)

    @property
    def _has_lost(self) -> bool:
        """Whether disk or memory lost more than the job may have; others may take of both."""
        lost = self._begun.bytes - Room.of(self._folder).bytes
        shared = shared_memory() - self._shared
        return lost > self._bounds.disk or shared > self._bounds.memory

    async def _count(self) -> None:
        try:
            lying = await lying_in(self._reactor, self._folder)
            held = await deferToThread(held_behind_walls)
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
            was_hiding, self._is_hiding = self._is_hiding, held.unseen > 0 and self._has_lost
            if not held.unseen:
                # Others' it is, then, and nothing to count anew for each time.
                self._shared = max(self._shared, shared_memory())
            if was_hiding and self._is_hiding:
                self._pass(TOO_BIG, "it keeps files, or memory, where they cannot be counted")

    def _short_of_memory(self) -> None:
        allowed = f"{self._bounds.memory // _MIB} MiB"
        self._pass(TOO_MUCH_MEMORY, f"it took more than {allowed} of memory")

    def _pass(self, result: str, reason: str) -> None:
        if self._calls.running:
            self._calls.stop()
        self._passed(Ending(result, reason))
