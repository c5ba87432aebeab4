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
        held: Callable[[], Held | None],
    ) -> None:
        self._reactor = reactor
        self._folder = folder
        self._bounds = bounds
        self._passed = passed
        self._memory = memory
        self._held = held
        self._begun = Room.of(folder)
        self._shared = shared_memory()
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
        now = Room.of(self._folder)
        if now.is_little:
            self._pass(TOO_BIG, "the disk is nearly full")
        elif self._memory() > self._bounds.memory:
            self._short_of_memory()
        else:
            lost = self._has_lost or self._begun.files - now.files > MOST_FILES
            since = self._reactor.seconds() - self._counted
            if self._counting is None and (lost or since > COUNT_EVERY):
                self._counting = Deferred.fromCoroutine(self._count())
                self._counting.addErrback(lambda _: None)

    @property
    def _has_lost(self) -> bool:
        """Whether disk or memory lost more than the job may have; others take of both, too."""
        lost = self._begun.bytes - Room.of(self._folder).bytes
        shared = shared_memory() - self._shared
        return lost > self._bounds.disk or shared > self._bounds.memory

    async def _count(self) -> None:
        try:
            counted = await self._sum("--block-size=1")
            files = await self._sum("--inodes")
            held = await deferToThread(self._held)
        except FloconError:
            return
        finally:
            self._counting = None
            self._counted = self._reactor.seconds()
        if held is None:
            self._pass(TOO_BIG, f"it has more than {MOST_OPEN} files open")
        elif counted + held.disk > self._bounds.disk:
            allowed = f"{self._bounds.disk // _MIB} MiB"
            self._pass(TOO_BIG, f"it took more than {allowed} of disk")
        elif held.memory > self._bounds.memory:
            self._short_of_memory()
        elif files > MOST_FILES:
            self._pass(TOO_BIG, f"it made more than {MOST_FILES} files")
        else:
            # Programs hand files to one another, and have received them by the next look.
            was_hiding, self._is_hiding = self._is_hiding, held.sent > 0 and self._has_lost
            if not held.sent:
                # Others' it is, then, and nothing to count anew for each time.
                self._shared = max(self._shared, shared_memory())
            if was_hiding and self._is_hiding:
                self._pass(TOO_BIG, "it keeps files, or memory, where they cannot be counted")

    def _short_of_memory(self) -> None:
        allowed = f"{self._bounds.memory // _MIB} MiB"
        self._pass(TOO_MUCH_MEMORY, f"it took more than {allowed} of memory")

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


@dataclass(frozen=True, slots=True)
class Held:
    """What a job's processes have in no folder: bytes; and how many files are sent, not received.

    What is sent no process has open, and how large it is nobody can tell.
    """

    disk: int = 0
    memory: int = 0
    sent: int = 0


def held_of(user: int, proc: Path = Path("/proc")) -> Held | None:
    """Return what a user's processes behind walls hold of files without a name.

    None where they have more open than anybody looks through. Blocks: for a thread.
    """
    found: dict[tuple[int, int], tuple[int, bool]] = {}
    looked = sent = 0
    for process in _walled(user, proc):
        for path in _held(process):
            looked += 1
            if looked > MOST_OPEN:
                return None
            with suppress(OSError):
                info = os.stat(path)  # noqa: PTH116 - many
                if stat.S_ISSOCK(info.st_mode):
                    sent += _sent(path)
                elif stat.S_ISREG(info.st_mode) and not info.st_nlink:
                    in_memory = os.readlink(path).startswith("/memfd:")  # noqa: PTH115 - a name
                    found[info.st_dev, info.st_ino] = info.st_blocks * 512, in_memory
    memory = sum(size for size, in_memory in found.values() if in_memory)
    return Held(sum(size for size, _ in found.values()) - memory, memory, sent)


def _sent(socket: str) -> int:
    """Return how many files wait in a socket, by its path among a process's descriptors."""
    process, _, number = socket.rpartition("/fd/")
    lines = Path(process, "fdinfo", number).read_bytes().splitlines()
    return next((int(one[8:]) for one in lines if one.startswith(b"scm_fds:")), 0)


def shared_memory(told: Path = Path("/proc/meminfo")) -> int:
    """Return the bytes of this machine's memory that are files' or several processes'."""
    with suppress(OSError, ValueError):
        for line in told.read_bytes().splitlines():
            if line.startswith(b"Shmem:"):
                return int(line.split()[1]) * 1024
    return 0


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
    own = (one for one in _numbered(proc) if _owner(one) == user)
    return [one for one in map(_living, own) if _namespace(one) not in {"", here}]


def _living(process: Path) -> Path:
    """Return a process as one of its threads tells of it that has not ended.

    The first one may have: by its number the kernel then tells of nothing that the others have.
    """
    if not _has_ended(process):
        return process
    with suppress(OSError):
        threads = (process.parent / one for one in os.listdir(process / "task"))  # noqa: PTH208
        return next((one for one in threads if not _has_ended(one)), process)
    return process


def _has_ended(process: Path) -> bool:
    """Whether it has left its namespaces: only that of its number it keeps."""
    return not _namespace(process, "net")


def _numbered(proc: Path) -> list[Path]:
    return [proc / name for name in os.listdir(proc) if name.isdigit()]  # noqa: PTH208 - many


def _owner(process: Path) -> int:
    with suppress(OSError):
        return process.stat().st_uid
    return -1


def _namespace(process: Path, kind: str = "pid") -> str:
    """Return in which namespace one is, of those of processes; "" where that is not told."""
    with suppress(OSError):
        return os.readlink(process / "ns" / kind)  # noqa: PTH115 - a name, and no path
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
