"""What all behind walls take: whoever they are, and nobody else."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.walls import taking
from flocon.walls.bubblewrap import Wall, behind_installation_wall
from flocon.walls.running import Plan, Walled
from flocon.walls.taking import (
    Memory,
    Taken,
    held_behind_walls,
    machine_memory,
    shared_memory,
    taken_behind_walls,
)
from tests.needs import leave_out

_MIB = 1 << 20
_SEGMENTS = """       key shmid perms size cpid nattch                   rss                  swap
         0     1   600 9999    7      0               2097152                     0
         0     2   600 9999    7      0               1048576                     0
"""
#: Looks as nobody at children that show all, close themselves, and map what has no name.
_CLOSED = """
import ctypes, mmap, os
from pathlib import Path
from taking import is_closed

def closes():
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)

def maps():
    file = os.memfd_create("hidden")
    os.truncate(file, 4096)
    kept.append(mmap.mmap(file, 4096))
    os.close(file)

kept, said = [], []
for does in (lambda: None, closes, maps):
    (ready, begun), (waits, ends) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        does()
        os.write(begun, b"!")
        os.close(ends)
        os.read(waits, 1)
        os._exit(0)
    os.read(ready, 1)
    said.append(is_closed(Path("/proc", str(child))))
    os.close(ends)
    os.waitpid(child, 0)
print(*said)
"""
#: Has memory, threads, a file without a name and memory to share, and says so.
_TAKES = """
import mmap, os, threading, time
kept = os.urandom(1) * (60 << 20)
file = os.memfd_create("hidden")
os.write(file, bytes(20 << 20))
shared = mmap.mmap(-1, 10 << 20)
shared.write(bytes(10 << 20))
for _ in range(20):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("begun", flush=True)
time.sleep(60)
"""


class TakingTests(TestCase):
    """Of one wall of this process's, and of namespaces of others."""

    def setUp(self) -> None:
        leave_out("" if os.geteuid() == 0 else "needs root")
        leave_out("" if shutil.which("bwrap") else "needs bwrap")

    def test_what_is_behind_a_wall_counts_whoever_it_is(self) -> Deferred[None]:
        async def go() -> None:
            self.assertEqual(taken_behind_walls(1 << 40), Taken())
            below = ["bwrap", "--unshare-pid", "--bind", "/", "/"]
            # In namespaces below that of the wall, too.
            for before, more in (([], []), (below, ["--cap-add", "ALL"])):
                words = behind_installation_wall(
                    Wall("/", 0, 0, True), [*before, sys.executable, "-c", _TAKES]
                )
                at = words.index("--")
                words[at:at] = more
                said: list[bytes] = []
                walled = Walled(reactor, Plan(words), said.append)
                run = Deferred.fromCoroutine(walled.run())
                await self._until(lambda said=said: b"begun" in b"".join(said))  # type: ignore[misc]
                taken, held = taken_behind_walls(1 << 40), held_behind_walls()
                walled.end()
                await run
                self.assertGreater(taken.memory, 60 * _MIB, said)
                self.assertLess(taken.memory, 200 * _MIB)
                self.assertGreaterEqual(taken.threads, 21)
                self.assertLess(taken.threads, 30)
                assert held is not None
                self.assertEqual((held.disk, held.memory), (0, 30 * _MIB))
                self.assertEqual(taken_behind_walls(1 << 40), Taken())

        return Deferred.fromCoroutine(go())

    def test_namespaces_of_others_do_not_count(self) -> None:
        """Such as a container has, or a browser: of whoever started them, though not as a wall."""
        self._does_not_count(["unshare", "--pid", "--fork", sys.executable, "-c", _TAKES])
        # Not even what another builder, or this one's user, has walled in.
        program = f"import subprocess; subprocess.run(['unshare', '-pf', {sys.executable!r}, '-c', '''{_TAKES}'''])"  # noqa: E501
        self._does_not_count([sys.executable, "-c", program])

    def test_what_a_process_does_not_show_who_is_not_root_is_known(self) -> None:
        folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        shutil.copy(taking.__file__, folder / "taking.py")
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        words += ["/usr/bin/python3", "-c", _CLOSED]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, "False True True\n", done.stderr)

    def _does_not_count(self, command: Sequence[str]) -> None:
        with subprocess.Popen(
            ["setsid", "--fork", *command], stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            try:
                self.assertEqual(line, b"begun\n")
                self.assertEqual(taken_behind_walls(1 << 40), Taken())
            finally:
                for one in _of_session(process.stdout.fileno()):
                    os.kill(one, 9)

    async def _until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not true() and time.monotonic() < end:
            await deferLater(reactor, 0.05)


def _of_session(pipe: int) -> list[int]:
    """Return the processes that have the other end of a pipe: those that were started here."""
    inode = os.fstat(pipe).st_ino
    found = []
    for one in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if one.name.isdigit() and (one / "fd/1").stat().st_ino == inode:
                found.append(int(one.name))
    return found


class SharedTests(SynchronousTestCase):
    """Memory that is shared, as /proc tells of it."""

    def setUp(self) -> None:
        self.proc = Path(self.mktemp())
        for folder in ("self", "sysvipc"):
            (self.proc / folder).mkdir(parents=True)
        self._write("meminfo", "MemTotal: 99 kB\nShmem:          10240 kB\n")
        self._write("self/mountinfo", "25 1 8:1 / /tmp rw - ext4 /dev/vda rw\n")

    def _write(self, name: str, text: str) -> None:
        (self.proc / name).write_text(text)

    def test_what_nobody_else_has_may_be_a_jobs(self) -> None:
        self.assertEqual(shared_memory(self.proc), 10 * _MIB)

    def test_segments_of_this_namespace_are_others(self) -> None:
        self._write("sysvipc/shm", _SEGMENTS)
        self.assertEqual(shared_memory(self.proc), 7 * _MIB)

    def test_what_lies_in_folders_that_are_seen_here_is_others_and_counts_once(self) -> None:
        line = "26 1 0:9 / {at} rw shared:3 - tmpfs none rw\n"
        self._write("self/mountinfo", line.format(at="/a") + line.format(at="/b"))
        seen: list[bytes] = []

        def statvfs(at: bytes) -> SimpleNamespace:
            seen.append(at)
            return SimpleNamespace(f_blocks=2_000, f_bfree=1_488, f_frsize=4_096)

        self.patch(os, "statvfs", statvfs)
        self.assertEqual(shared_memory(self.proc), 8 * _MIB)
        self.assertEqual(seen, [b"/a"])

    def test_one_that_is_not_reached_is_none(self) -> None:
        self._write("self/mountinfo", "26 1 0:9 / /nowhere\\040at rw - tmpfs none rw\n")
        self.assertEqual(shared_memory(self.proc), 10 * _MIB)


class MemoryTests(SynchronousTestCase):
    """What the kernel keeps, by what it tells of all else."""

    def _memory(self, **said: int) -> Memory:
        proc = Path(self.mktemp())
        proc.mkdir()
        text = "".join(f"{name}: {value << 10} kB\n" for name, value in said.items())
        (proc / "meminfo").write_text(f"{text}HugePages_Total: 7\nodd\n")
        return machine_memory(proc)

    def test_it_keeps_what_is_neither_free_nor_a_files_nor_a_process(self) -> None:
        rest = {"Buffers": 1, "Cached": 2, "SwapCached": 3, "AnonPages": 4, "SReclaimable": 5}
        said = self._memory(MemTotal=100, MemFree=15, MemAvailable=20, **rest)
        self.assertEqual(said, Memory(100 * _MIB, 20 * _MIB, 70 * _MIB))

    def test_where_it_does_not_tell_there_is_enough(self) -> None:
        nothing = machine_memory(Path(self.mktemp()))
        self.assertFalse(nothing.is_short_since(nothing, 0))

    def test_much_is_too_much_where_little_is_left(self) -> None:
        before = Memory(100, 90, 10)
        for available, kept, said in ((20, 31, True), (20, 30, False), (25, 99, False)):
            self.assertIs(Memory(100, available, kept).is_short_since(before, 20), said)
