"""Waiting for disks: which threads do, and how a folder that hangs holds up nobody else.

What is done with a folder goes by its lanes: one thing after the other in each, in a thread that is
there only meanwhile. So a folder that hangs, with the server that has it, holds as many threads as
it has lanes, however often it is asked, and nobody but those who want something of it. A thread
that hangs cannot be ended: it is left to itself, and ends with the process at the latest.

The reactor's own threads are there for what pacman waits for; here are those for all else.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from flocon.errors import FolderSilent
from flocon.machine.reactor_threads import in_own_thread
from flocon.machine.worker import PoliteThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
#: Seconds after which a folder that is asked something counts as silent.
SILENT_AFTER = 10.0
#: Seconds for which a folder is waited for where something else can be had.
PATIENCE = 3.0
#: Seconds that are left to what still runs when the node stops.
LAST_WAIT = 1.0
#: Files made safe at once: they mostly wait for the disk, and it for several together.
MOST_KEEPING = 4
#: Files opened at once for strangers.
MOST_OPENING = 2
#: Those that keep their files on this machine's own disks, or in its memory. One that is not known
#: is taken for another: then somebody waits for a thread where there was no need to.
_ON_DISKS = (
    "bcachefs btrfs erofs exfat ext2 ext3 ext4 f2fs hfsplus iso9660 jfs nilfs2 ntfs3 udf vfat"
)
_OTHERS = "overlay ramfs reiserfs rootfs squashfs tmpfs xfs zfs"
NEAR = frozenset((*_ON_DISKS.split(" "), *_OTHERS.split(" ")))
_MOUNTS, _DESCRIPTOR = Path("/proc/self/mountinfo"), Path("/proc/self/fdinfo")


@dataclass(eq=False, slots=True)
class _Call:
    work: Callable[..., Any]
    arguments: tuple[object, ...]
    result: Deferred[Any] = field(init=False)


class Lane:
    """Does one thing after the other in a thread; ``changed`` hears of its silence and its end.

    ``begin`` has something done in a thread. Work that goes on for long calls ``beat``.
    """

    def __init__(
        self,
        reactor: Any,
        path: Path,
        begin: Callable[..., Deferred[Any]],
        changed: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._path = path
        self._begin = begin
        self._changed = changed
        self._calls: deque[_Call] = deque()
        self._running: _Call | None = None
        self._beat = 0.0
        self._due: Any = None
        self._stopped = False
        self.silent = False

    def beat(self) -> None:
        """Note that the folder has answered; from any thread."""
        self._beat = self._reactor.seconds()

    def beating(self, stopped: Callable[[], bool]) -> Callable[[], bool]:
        """Return what is asked between two pieces of work whether to stop: each is an answer."""

        def ask() -> bool:
            self.beat()
            return stopped()

        return ask

    @property
    def waits(self) -> float:
        """Seconds for which the folder has not answered what it is asked now."""
        return 0.0 if self._running is None else max(0.0, self._reactor.seconds() - self._beat)

    def run(self, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        """Do something, as soon as all before it is done. Fails with FolderSilent when stopped."""
        call = _Call(work, arguments)
        # Who leaves is not told; what has not begun is not begun then.
        result: Deferred[_T] = Deferred(lambda _: self._leave(call))
        call.result = result
        if self._stopped:
            result.errback(self._silence())
            return result
        self._calls.append(call)
        self._go_on()
        return result

    async def ask(self, work: Callable[..., _T], *arguments: object) -> _T:
        """Do something that can be had elsewhere; raises FolderSilent where it takes too long.

        At once where the folder lets somebody wait for that long already.
        """
        if self.waits > PATIENCE:
            raise self._silence()
        asked = self.run(work, *arguments)
        asked.addTimeout(PATIENCE, self._reactor)
        try:
            return await asked
        except TooLate:
            raise self._silence() from None

    def afterwards(self, work: Callable[..., object], *arguments: object) -> None:
        """Have something done that nobody waits for; from any thread."""
        self._reactor.callFromThread(self._do, work, *arguments)

    def _do(self, work: Callable[..., object], *arguments: object) -> None:
        self.run(work, *arguments).addErrback(lambda _: None)

    def _silence(self) -> FolderSilent:
        return FolderSilent(str(self._path), self.waits)

    def _leave(self, call: _Call) -> None:
        if call in self._calls:
            self._calls.remove(call)

    def _go_on(self) -> None:
        if self._running is None and self._calls:
            call = self._running = self._calls.popleft()
            self.beat()
            done = maybeDeferred(self._begin, call.work, *call.arguments)
            self._look_in(SILENT_AFTER)
            done.addBoth(self._ended, call)

    def _ended(self, outcome: Any, call: _Call) -> None:
        self._running = None
        self._look_no_more()
        if self.silent:
            self.silent = False
            self._changed()
        # Else nobody waits any more.
        if not call.result.called:
            (call.result.errback if isinstance(outcome, Failure) else call.result.callback)(outcome)
        if not self._stopped:
            self._go_on()

    def _look_in(self, seconds: float) -> None:
        if not self._stopped:
            self._due = self._reactor.callLater(seconds, self._look)

    def _look_no_more(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _look(self) -> None:
        self._due = None
        silent = self.waits >= SILENT_AFTER
        if silent != self.silent:
            self.silent = silent
            self._changed()
        # It may go on by itself, and stop again.
        self._look_in(SILENT_AFTER if silent else SILENT_AFTER - self.waits)

    def stop(self) -> None:
        """Begin nothing any more, and have nobody wait for what does not end."""
        self._stopped = True
        self._look_no_more()
        calls, self._calls = self._calls, deque()
        for call in calls:
            call.result.errback(self._silence())
        if self._running is None:
            return
        if self.silent:
            self._abandon()
        else:
            self._due = self._reactor.callLater(LAST_WAIT, self._abandon)

    def _abandon(self) -> None:
        self._due = None
        if self._running is not None and not self._running.result.called:
            self._running.result.errback(self._silence())


class Lanes:
    """The lanes of all folders, by the folder and what is done in one.

    ``changed`` is told of a folder that became silent, or answers again.
    """

    def __init__(self, reactor: Any, run: Callable[..., Deferred[Any]] | None = None) -> None:
        self._reactor = reactor
        #: Takes the place of threads of their own, in a test.
        self._run = run
        self._lanes: dict[Path, dict[str, Lane]] = {}
        self._stopped = False
        self.changed: Callable[[Path], None] = lambda _: None

    def lane(self, folder: Path, use: str) -> Lane:
        lanes = self._lanes.setdefault(folder, {})
        lane = lanes.get(use)
        if lane is None:
            lane = lanes[use] = Lane(
                self._reactor,
                folder,
                partial(self._begin, f"{use} {folder.name}"),
                lambda: self.changed(folder),
            )
            if self._stopped:
                lane.stop()
        return lane

    def _begin(self, name: str, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        if self._run is not None:
            return self._run(work, *arguments)
        return in_own_thread(self._reactor, name, work, *arguments)

    def silence(self, folder: Path) -> float:
        """Return for how many seconds a folder has not answered, 0 where it does."""
        lanes = self._lanes.get(folder, {}).values()
        return max((lane.waits for lane in lanes if lane.silent), default=0.0)

    def silences(self) -> dict[Path, float]:
        """Return the folders that do not answer, and for how many seconds."""
        told = {folder: self.silence(folder) for folder in self._lanes}
        return {folder: seconds for folder, seconds in told.items() if seconds}

    def stop(self) -> None:
        self._stopped = True
        for lanes in self._lanes.values():
            for lane in lanes.values():
                lane.stop()


class Threads:
    """The pools, by what they do; ``pool`` instead of all of them for a test."""

    _log = Logger()

    def __init__(self, reactor: Any, pool: ThreadPool | None = None) -> None:
        self._reactor = reactor
        # One thread hashes, so one file at a time.
        self.hashing = pool or PoliteThreadPool(0, 1, "hashing")
        self.keeping = pool or ThreadPool(0, MOST_KEEPING, "keeping")
        self.opening = pool or ThreadPool(0, MOST_OPENING, "opening")
        #: For hashing what comes in and only strangers wait for.
        self.for_strangers = pool or ThreadPool(0, 1, "for strangers")
        #: For folders of which any may hang, each by itself.
        self.lanes = Lanes(reactor, partial(self.run, pool) if pool else None)
        #: Set when the node stops: what runs in a thread ends soon then.
        self.stopped = Event()

    @property
    def _pools(self) -> list[ThreadPool]:
        pools = (self.hashing, self.keeping, self.opening, self.for_strangers)
        return list(dict.fromkeys(pools))

    def start(self) -> None:
        for pool in self._pools:
            pool.start()

    def stop(self) -> None:
        for pool in self._pools:
            if pool.started:
                pool.stop()

    def run(self, pool: ThreadPool, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        """Do something in a thread of ``pool``, or at once where it has none."""
        if not pool.started:
            return maybeDeferred(work, *arguments)
        result: Deferred[_T] = deferToThreadPool(self._reactor, pool, work, *arguments)
        return result

    def some_time(self, work: Callable[[], None]) -> None:
        """Have something done that nobody waits for, in a thread while there are any."""
        done = self.run(self.keeping, work)
        done.addErrback(lambda failure: self._log.failure("disk work failed", failure))


def is_far(path: Path) -> bool:
    """Whether a folder, or the nearest that there is above it, is not on this machine's own disks.

    Blocks for as long as that one does. What cannot be found out is near.
    """
    for place in (path, *path.parents):
        try:
            descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            return _is_far(descriptor)
        finally:
            os.close(descriptor)
    return False


def _is_far(descriptor: int) -> bool:
    # The kernel's own tables: the file system is not asked.
    try:
        told = (_DESCRIPTOR / str(descriptor)).read_text().splitlines()
        mounts = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return False
    number = next((line.split()[1] for line in told if line.startswith("mnt_id:")), "")
    return any(kind not in NEAR for one, kind in map(_mount, mounts) if one == number)


def _mount(line: str) -> tuple[str, str]:
    """Return a mount's number and its file system (proc_pid_mountinfo(5))."""
    head, _, tail = line.partition(" - ")
    return head.partition(" ")[0], tail.partition(" ")[0]
