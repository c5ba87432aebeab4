"""Looks at what a running job takes, and ends it where that is too much.

The kernel bounds one process, and one file; here is their sum. What lies on disk is counted where
the file system lost more than the job may have, and now and then anyway.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from flocon.building.endings import TOO_BIG, TOO_MUCH_MEMORY, Ending
from flocon.errors import FloconError
from flocon.machine.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flocon.building.orders import Bounds

#: Seconds between two looks, and between two counts of a folder that nothing calls for.
EVERY, COUNT_EVERY = 0.5, 30.0
#: Seconds that one count may take.
_COUNTED_WITHIN = 300.0
#: What stays of a file system, whatever a job may have.
RESERVE_BYTES, RESERVE_FILES = 512 << 20, 10_000
#: Files and folders that a job may leave on disk, and those that it may have open and mapped.
MOST_FILES, MOST_OPEN = 4_000_000, 400_000
_PAGE = os.sysconf("SC_PAGE_SIZE")
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
    """Watches one job; ``passed`` is called once, with what it has too much of."""

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        bounds: Bounds,
        passed: Callable[[Ending], None],
        *,
        memory: Callable[[], int],
        unnamed: Callable[[], int | None],
    ) -> None:
        self._reactor = reactor
        self._folder = folder
        self._bounds = bounds
        self._passed = passed
        self._memory = memory
        self._unnamed = unnamed
        self._begun = Room.of(folder)
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
        now = Room.of(self._folder)
        if now.is_little:
            self._pass(TOO_BIG, "the disk is nearly full")
        elif self._memory() > self._bounds.memory:
            allowed = f"{self._bounds.memory // _MIB} MiB"
            self._pass(TOO_MUCH_MEMORY, f"it took more than {allowed} of memory")
        else:
            lost = self._begun.bytes - now.bytes > self._bounds.disk
            lost = lost or self._begun.files - now.files > MOST_FILES
            since = self._reactor.seconds() - self._counted
            if self._counting is None and (lost or since > COUNT_EVERY):
                self._counting = Deferred.fromCoroutine(self._count())
                self._counting.addErrback(lambda _: None)

    async def _count(self) -> None:
        try:
            counted = await self._sum("--block-size=1")
            files = await self._sum("--inodes")
            unnamed = await deferToThread(self._unnamed)
        except FloconError:
            return
        finally:
            self._counting = None
            self._counted = self._reactor.seconds()
        if unnamed is None:
            self._pass(TOO_BIG, f"it has more than {MOST_OPEN} files open")
        elif counted + unnamed > self._bounds.disk:
            allowed = f"{self._bounds.disk // _MIB} MiB"
            self._pass(TOO_BIG, f"it took more than {allowed} of disk")
        elif files > MOST_FILES:
            self._pass(TOO_BIG, f"it made more than {MOST_FILES} files")

    async def _sum(self, what: str) -> int:
        # It complains of files that go meanwhile, and counts the others.
        words = ["du", "--summarize", "--one-file-system", what, "--", str(self._folder)]
        outcome = await run(self._reactor, words, seconds=_COUNTED_WITHIN, yielding=True)
        said = outcome.output.split(None, 1)
        return int(said[0]) if said and said[0].isdigit() else 0

    def _pass(self, result: str, reason: str) -> None:
        if self._calls.running:
            self._calls.stop()
        self._passed(Ending(result, reason))


def memory_of(user: int, enough: int, proc: Path = Path("/proc")) -> int:
    """Return the bytes of memory that a user's processes behind walls have together.

    What they share is counted once where the sum is above ``enough``, for that takes longer.
    """
    processes = _walled(user, proc)
    total = sum(_field(one / "statm", 1) * _PAGE for one in processes)
    if total <= enough:
        return total
    return sum(_proportional(one) for one in processes)


def unnamed_of(user: int, proc: Path = Path("/proc")) -> int | None:
    """Return the bytes of files that a user's processes behind walls have, and no folder any more.

    None where they have more open than anybody looks through. Blocks: for a thread.
    """
    found: dict[tuple[int, int], int] = {}
    looked = 0
    for process in _walled(user, proc):
        for path in _held(process):
            looked += 1
            if looked > MOST_OPEN:
                return None
            with suppress(OSError):
                info = os.stat(path)  # noqa: PTH116 - many
                if stat.S_ISREG(info.st_mode) and not info.st_nlink:
                    found[info.st_dev, info.st_ino] = info.st_blocks * 512
    return sum(found.values())


def _held(process: Path) -> Iterator[str]:
    """Yield what leads to each file that a process has open or mapped."""
    for name in ("fd", "map_files"):
        # It may have ended, and without a right nobody is told what is mapped.
        with suppress(OSError), os.scandir(process / name) as entries:
            for entry in entries:
                yield entry.path


def _walled(user: int, proc: Path) -> list[Path]:
    """Return a user's processes that see others than this one does."""
    here = _namespace(proc / "self")
    return [
        one for one in _numbered(proc) if _owner(one) == user and _namespace(one) not in {"", here}
    ]


def _numbered(proc: Path) -> list[Path]:
    return [proc / name for name in os.listdir(proc) if name.isdigit()]  # noqa: PTH208 - many


def _owner(process: Path) -> int:
    with suppress(OSError):
        return process.stat().st_uid
    return -1


def _namespace(process: Path) -> str:
    """Return which processes one sees; "" where that is not told."""
    with suppress(OSError):
        return os.readlink(process / "ns/pid")  # noqa: PTH115 - a name, and no path
    return ""


def _field(path: Path, at: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(path.read_bytes().split()[at])
    return 0


def _proportional(process: Path) -> int:
    with suppress(OSError, ValueError):
        for line in (process / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0
