"""What all behind this process's walls takes together: processes, memory, files without a name.

Whose they are says nothing, for what is installed runs as root: they are told by the namespace of
numbers that they are in, which is one that this process has made, or below one.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Files that may be open and mapped.
MOST_OPEN = 400_000
#: Bytes of what is told of what a process has mapped.
_LARGEST_MAPS = 16 << 20
#: A part of the machine's memory; where less can be had, little is left.
_LITTLE = 4
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: NS_GET_PARENT of <linux/nsfs.h>.
_ABOVE = 0xB702
#: Namespaces one in another that a kernel allows.
_DEEPEST = 32
#: Fields of /proc/PID/stat after the name: the parent, and how many threads there are.
_PARENT, _THREADS = 1, 17


@dataclass(frozen=True, slots=True)
class Taken:
    """Bytes of memory, and how many processes and threads there are."""

    memory: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What processes have in no folder: bytes; and how much of it there is that nobody can tell.

    That is a file that was sent and not received, which no process has open, and a process that
    does not show what it has.
    """

    disk: int = 0
    memory: int = 0
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of the machine's: all, what can be had, and what the kernel keeps that is no file's.

    What it keeps is a process's, as sockets, pipes and page tables are, and it tells of none whose.
    """

    total: int
    available: int
    kept: int

    def is_short_since(self, before: Memory, most: int) -> bool:
        """Whether little is left, and the kernel keeps ``most`` bytes more than it did."""
        return self.available < self.total // _LITTLE and self.kept - before.kept > most


def machine_memory(proc: Path = Path("/proc")) -> Memory:
    """Return what the kernel tells of all memory; nothing where it does not."""
    said = _meminfo(proc)
    total = said.get(b"MemTotal", 0)
    known = (b"MemFree", b"Buffers", b"Cached", b"SwapCached", b"AnonPages", b"SReclaimable")
    kept = total - sum(said.get(one, 0) for one in known)
    return Memory(total, said.get(b"MemAvailable", total), kept)


def taken_behind_walls(enough: int, proc: Path = Path("/proc")) -> Taken:
    """Return what all of them take together.

    Memory that they share is counted once where the sum is above ``enough``: that takes longer.
    """
    processes = _walled(proc)
    threads = sum(max(1, _field(one, _THREADS)) for one in processes)
    memory = sum(_resident(one) for one in processes)
    if memory > enough:
        memory = sum(_proportional(one) for one in processes)
    return Taken(memory, threads)


def held_behind_walls(proc: Path = Path("/proc")) -> Held | None:
    """Return what they hold of files without a name.

    None where they have more open than anybody looks through. Blocks: for a thread.
    """
    found: dict[tuple[int, int], tuple[int, bool]] = {}
    devices = _of_memory()
    looked = unseen = 0
    for process in _walled(proc):
        unseen += is_closed(process)
        for path in _held(process):
            looked += 1
            if looked > MOST_OPEN:
                return None
            with suppress(OSError):
                info = os.stat(path)  # noqa: PTH116 - many
                if stat.S_ISSOCK(info.st_mode):
                    unseen += _sent(path)
                elif stat.S_ISREG(info.st_mode) and not info.st_nlink:
                    in_memory = info.st_dev in devices
                    found[info.st_dev, info.st_ino] = info.st_blocks * 512, in_memory
    memory = sum(size for size, in_memory in found.values() if in_memory)
    return Held(sum(size for size, _ in found.values()) - memory, memory, unseen)


def _of_memory() -> set[int]:
    """Return where files lie that are memory: memfds, what processes share, segments (shmem)."""
    found = set()
    for flags in (os.MFD_CLOEXEC, os.MFD_CLOEXEC | os.MFD_HUGETLB):
        # A kernel may have no large pages.
        with suppress(OSError):
            file = os.memfd_create("device", flags)
            found.add(os.fstat(file).st_dev)
            os.close(file)
    return found


def is_closed(process: Path) -> bool:
    """Whether it may have files without a name, and this process is not told of them.

    Who is not root is told by who lets him, and never what is mapped: only that it has no name.
    """
    try:
        os.listdir(process / "fd")  # noqa: PTH208 - whether it can be
        if os.geteuid() == 0:
            return False
        with (process / "maps").open("rb") as file:
            return b" (deleted)\n" in file.read(_LARGEST_MAPS)
    except PermissionError:
        return True
    except OSError:
        return False


def shared_memory(proc: Path = Path("/proc")) -> int:
    """Return the bytes of memory that are files' or several processes', and may be a job's.

    What lies in a folder that is seen here, and segments of this namespace, are others': behind a
    wall there are none of either.
    """
    with suppress(OSError, ValueError, KeyError):
        return _meminfo(proc)[b"Shmem"] - _in_folders(proc) - _in_segments(proc)
    return 0


def _meminfo(proc: Path) -> dict[bytes, int]:
    """Return bytes by name, of what is told in KiB; nothing where it cannot be read."""
    with suppress(OSError, ValueError):
        lines = (one.split() for one in (proc / "meminfo").read_bytes().splitlines())
        return {one[0][:-1]: int(one[1]) * 1024 for one in lines if one[2:] == [b"kB"]}
    return {}


def _in_folders(proc: Path) -> int:
    """Return what lies in folders of memory that this process sees, each once (proc(5))."""
    taken: dict[bytes, int] = {}
    for line in (proc / "self/mountinfo").read_bytes().splitlines():
        before, _, kind = line.partition(b" - ")
        _, _, device, _, at, *_ = before.split()
        if kind.startswith(b"tmpfs ") and device not in taken:
            # One that cannot be looked at, or has a sign in its name that is written otherwise.
            with suppress(OSError):
                info = os.statvfs(at)
                taken[device] = (info.f_blocks - info.f_bfree) * info.f_frsize
    return sum(taken.values())


def _in_segments(proc: Path) -> int:
    with suppress(OSError, ValueError, IndexError):
        lines = (proc / "sysvipc/shm").read_bytes().splitlines()
        at = lines[0].split().index(b"rss")
        return sum(int(one.split()[at]) for one in lines[1:])
    return 0


def _sent(socket: str) -> int:
    """Return how many files wait in a socket, by its path among a process's descriptors."""
    process, _, number = socket.rpartition("/fd/")
    lines = Path(process, "fdinfo", number).read_bytes().splitlines()
    return next((int(one[8:]) for one in lines if one.startswith(b"scm_fds:")), 0)


def _held(process: Path) -> Iterator[str]:
    """Yield what leads to each file that a process has open or mapped."""
    for name in ("fd", "map_files"):
        # It may have ended, and without a right nobody is told what is mapped.
        with suppress(OSError), os.scandir(process / name) as entries:
            for entry in entries:
                yield entry.path


def _walled(proc: Path) -> list[Path]:
    """Return the processes behind walls of this process's."""
    here = _namespace(proc / "self")
    within: dict[str, list[Path]] = {}
    for one in _numbered(proc):
        if (name := _namespace(one)) not in {"", here}:
            within.setdefault(name, []).append(one)
    outermost = {name: _outermost(name, members[0], here) for name, members in within.items()}
    ours = {one for one in set(outermost.values()) if any(map(_is_ours, within.get(one, ())))}
    return [_living(one) for name in within if outermost[name] in ours for one in within[name]]


def _outermost(name: str, process: Path, here: str) -> str:
    """Return which namespace below ``here`` that of a process is, or is within."""
    with suppress(OSError):
        descriptor = os.open(process / "ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        for _ in range(_DEEPEST):
            try:
                above = fcntl.ioctl(descriptor, _ABOVE)
            finally:
                os.close(descriptor)
            descriptor = above
            over = os.readlink(f"/proc/self/fd/{above}")  # noqa: PTH115 - a name, and no path
            if over == here:
                break
            name = over
        os.close(descriptor)
    return name


def _is_ours(process: Path) -> bool:
    """Whether it is the first one behind a wall: who started it, this process has started."""
    starting = process.parent / str(_field(process, _PARENT))
    return _field(starting, _PARENT) == os.getpid()


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


def _namespace(process: Path, kind: str = "pid") -> str:
    """Return in which namespace one is, of those of processes; "" where that is not told."""
    with suppress(OSError):
        return os.readlink(process / "ns" / kind)  # noqa: PTH115 - a name, and no path
    return ""


def _field(process: Path, at: int) -> int:
    """Return a field of /proc/PID/stat, counted after the name, which may have any sign in it."""
    with suppress(OSError, ValueError, IndexError):
        return int((process / "stat").read_bytes().rpartition(b")")[2].split()[at])
    return 0


def _resident(process: Path) -> int:
    with suppress(OSError, ValueError, IndexError):
        return int((process / "statm").read_bytes().split()[1]) * _PAGE
    return 0


def _proportional(process: Path) -> int:
    with suppress(OSError, ValueError):
        for line in (process / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0
