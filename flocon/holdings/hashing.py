"""Hashing the files that are known: one at a time, those first that a sync database lists.

Those of a folder that may hang are by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import gatherResults
from twisted.logger import Logger

from flocon.errors import FolderSilent, StoreError
from flocon.machine.limits import lacks_descriptors
from flocon.machine.worker import Worker
from flocon.store import folder as disk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.holdings.known import KnownFile, KnownFolder, KnownFolders
    from flocon.holdings.offering import Held, Offering
    from flocon.holdings.politeness import Politeness
    from flocon.holdings.recollection import Recollection
    from flocon.store.folder import Stamp
    from flocon.store.waiting import Threads


class _Queue:
    """Files that are hashed one after the other: those of this machine, or of one far folder."""

    def __init__(self, reactor: Any, hash_on: Callable[[_Queue], Awaitable[bool]]) -> None:
        self.urgent: dict[tuple[KnownFolder, str], None] = {}
        self.later: dict[tuple[KnownFolder, str], None] = {}
        self.worker = Worker(reactor, lambda: hash_on(self))


class Hashing:
    """The files that wait for it; what comes of each is noted, remembered and judged."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        threads: Threads,
        politeness: Politeness,
        folders: KnownFolders,
        offering: Offering,
        recollection: Recollection,
    ) -> None:
        self._threads = threads
        self._politeness = politeness
        self._folders = folders
        self._offering = offering
        self._recollection = recollection
        self._reactor = reactor
        self._started = False
        #: By the root of a far folder; None is for all that are near.
        self._queues: dict[Path | None, _Queue] = {}
        offering.hash = self.queue

    def start(self) -> None:
        self._started = True
        for queue in self._queues.values():
            queue.worker.start()

    def stop(self) -> Deferred[Any]:
        self._started = False
        return gatherResults([queue.worker.stop() for queue in self._queues.values()])

    def queue(self, folder: KnownFolder, name: str, urgent: bool) -> None:
        """Have a file hashed."""
        key = (folder, name)
        queue = self._queue_of(folder)
        if urgent:
            queue.later.pop(key, None)
            queue.urgent[key] = None
        elif key not in queue.urgent:
            queue.later[key] = None
        queue.worker.wake()

    def _queue_of(self, folder: KnownFolder) -> _Queue:
        root = folder.root if folder.far else None
        queue = self._queues.get(root)
        if queue is None:
            queue = self._queues[root] = _Queue(self._reactor, self._hash_on)
            if self._started:
                queue.worker.start()
        return queue

    async def check(self, file_name: str) -> Held | None:
        """Hash every file of this name now; return what is held of it then."""
        for folder in list(self._folders):
            file = folder.files.get(file_name)
            if file is not None:
                await self._hash(folder, file_name, file)
        return self._offering.find(file_name)

    async def _hash_on(self, queue: _Queue) -> bool:
        if not queue.urgent and not queue.later:
            return False
        await self._politeness.quiet()
        files = queue.urgent or queue.later
        if not files:
            return False
        folder, name = next(iter(files))
        del files[folder, name]
        file = folder.files.get(name)
        if file and not folder.gone and file.sha256 is None and not file.faulty:
            await self._hash(folder, name, file)
        return True

    async def _hash(self, folder: KnownFolder, name: str, file: KnownFile) -> None:
        """Hash a file, and take note of the result if it is still the same file then."""
        stamp = file.found.stamp
        stopped = self._threads.stopped.is_set
        sha256: bytes | None = None
        unreadable: OSError | None = None
        try:
            sha256 = await self._digest(folder, file.name_on_disk(name), stamp)
        except FolderSilent:
            # The node stops; or another folder is there now, and will be read.
            return
        except (StoreError, FileNotFoundError):
            self._folders.look_again(folder, name)
            return
        except OSError as error:
            if lacks_descriptors(error):
                self._offering.let_settle(folder, name)
                return
            unreadable = error
        current = folder.files.get(name)
        if stopped() or current is None or current.found.stamp != stamp:
            return
        if unreadable is not None:
            current.faulty = True
            self._log.warn(
                "{path} cannot be read and is not offered: {reason}",
                path=folder.path / name,
                reason=unreadable.strerror,
            )
        elif sha256 is not None:
            self._note(folder, name, current, sha256)
        self._offering.update(name)
        self._offering.tell()

    def _digest(self, folder: KnownFolder, on_disk: str, stamp: Stamp) -> Deferred[bytes | None]:
        """Return the SHA-256 of a file; one that is far holds up nobody else."""
        stopped = self._threads.stopped.is_set
        if folder.far:
            lane = self._threads.lanes.lane(folder.root, "hashing")
            return lane.run(disk.digest, folder.path, on_disk, stamp, lane.beating(stopped))
        return self._threads.run(
            self._threads.hashing, disk.digest, folder.path, on_disk, stamp, stopped
        )

    def _note(self, folder: KnownFolder, name: str, file: KnownFile, sha256: bytes) -> None:
        if file.sha256 in {None, sha256}:
            file.sha256 = sha256
            self._recollection.remember(folder.path, name, file)
        else:
            # Nobody wrote to it, and yet it is another one: the disk has lost bits of it.
            folder.report_damage(name, file, file.sha256 or b"", sha256)
            file.faulty = True
            self._recollection.forget(folder.path, name)
