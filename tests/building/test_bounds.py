"""What a job takes ends within its bounds, behind the real wall; and nothing of it outlasts it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from flocon.building import job as jobs
from flocon.building import layouts, results, roots
from flocon.building.results import Left
from flocon.walls import folders, taking
from tests.building.case import PACKAGE, JobCase, recipe


class BoundsTests(JobCase):
    """What a job takes ends within its bounds, and the next one runs."""

    async def _ends(self, files: dict[str, str | bytes], result: str, **bounds: float) -> str:
        done = await self.build(files, bounds=bounds)
        self.assertEqual(done.result, result, (done.reason, done.log[-2_000:]))
        self.assertTrue(done.reason)
        self.assertEqual(done.names, [])
        self.assert_nothing_left()
        return done.log

    async def _next_one_runs(self) -> None:
        after = await self.build(recipe())
        self.assertEqual(after.result, "built", after.log)

    def test_processes_without_end(self) -> Deferred[None]:
        async def go() -> None:
            bomb = "b() { b | b & }; b\nwhile :; do sleep 1; done\n"
            await self._ends(recipe(bomb + PACKAGE), "timed out", processes=100, time=6)
            await self._next_one_runs()

        return self.do(go())

    def test_time_that_is_up_before_the_wall_stands(self) -> Deferred[None]:
        return self.do(self._quiet(self._ends(recipe(), "timed out", time=1)))

    def test_what_still_writes_is_waited_for_before_its_folder_goes(self) -> Deferred[None]:
        """A thread cannot be stopped: it would write into what is being taken away."""

        async def go() -> None:
            lay_out, begun, ended = layouts.machine_layout, threading.Event(), threading.Event()

            def slowly(*arguments: Any, **named: Any) -> Any:
                begun.set()
                time.sleep(2)
                layout = lay_out(*arguments, **named)
                ended.set()
                return layout

            self.patch(roots, "machine_layout", slowly)
            done = await self.build(recipe(), bounds={"time": 1})
            self.assertEqual(done.result, "timed out", done.reason)
            self.assertTrue(begun.is_set() and ended.is_set())
            self.assert_nothing_left()

        return self.do(go())

    def test_cancelled_while_it_is_collected_it_leaves_nothing_open(self) -> Deferred[None]:
        async def go() -> None:
            taken: list[Left] = []
            collecting: Deferred[None] = Deferred()

            def slowly(*arguments: Any) -> Left:
                time.sleep(1)
                taken.append(results.take(*arguments))
                return taken[0]

            self.patch(jobs, "take", slowly)
            job, *_ = self.job(
                recipe(),
                stepped=lambda name: collecting.callback(None) if name == "collect" else None,
            )
            work = Deferred.fromCoroutine(job.run())
            await collecting
            await deferLater(reactor, 0.2)
            work.cancel()
            work.cancel()
            await self.assertFailure(work, CancelledError)
            (made,) = taken[0].packages
            self.assertRaises(OSError, os.fstat, made.descriptor)
            self.assert_nothing_left()

        return self.do(go())

    def test_cancelled_while_it_is_taken_away_it_goes_all_the_same(self) -> Deferred[None]:
        async def go() -> None:
            begun: Deferred[None] = Deferred()
            clear = folders.clear

            async def slowly(*arguments: Any) -> None:
                begun.callback(None)
                await deferLater(reactor, 0.5)
                await clear(*arguments)

            self.patch(jobs, "clear", slowly)
            job, *_ = self.job(recipe("build() { false; }\n" + PACKAGE))
            work = Deferred.fromCoroutine(job.run())
            await begun
            await deferLater(reactor, 0.1)
            work.cancel()
            with contextlib.suppress(CancelledError):
                await work
            self.assert_nothing_left()

        return self.do(go())

    def test_output_without_end(self) -> Deferred[None]:
        async def go() -> None:
            files = recipe("build() { yes; }\n" + PACKAGE)
            log = await self._ends(files, "timed out", time=8)
            self.assertLess(len(log), (16 << 20) + (1 << 20))

        return self.do(go())

    def test_of_much_output_head_and_tail_are_told(self) -> Deferred[None]:
        async def go() -> None:
            more = "echo first; yes | head -c 40000000; echo last; false"
            done = await self.build(recipe("build() { " + more + "; }\n" + PACKAGE))
            self.assertEqual(done.result, "failed")
            self.assertLess(len(done.log), (16 << 20) + (1 << 20))
            for words in ("first\n", "bytes are left out here", "last\n", "A failure occurred"):
                self.assertIn(words, done.log)

        return self.do(go())

    def test_more_on_disk_than_it_may(self) -> Deferred[None]:
        async def go() -> None:
            fill = "for n in {1..99}; do head -c 50M /dev/zero >$n; done; sleep 60"
            files = recipe("build() { " + fill + "; }\n" + PACKAGE)
            await self._ends(files, "too big", disk=200 << 20)
            await self._next_one_runs()

        return self.do(go())

    def test_files_that_have_no_name_any_more_count(self) -> Deferred[None]:
        """What counts a folder does not find them, nor who keeps one as a memory's."""

        async def go() -> None:
            hold = """build() { python3 -c '
import mmap, os, time
kept = []
for number in range(10):
    file = os.open("hidden", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.unlink("hidden")
    for _ in range(50):
        os.write(file, bytes(1 << 20))
    if number % 2:
        kept.append(mmap.mmap(file, 50 << 20))
        os.close(file)
time.sleep(60)
'; }
"""
            await self._ends(recipe(hold + PACKAGE), "too big", disk=200 << 20, time=40)

        return self.do(go())

    def test_what_the_kernel_keeps_counts_where_little_memory_is_left(self) -> Deferred[None]:
        """What lies in sockets no process has, and no folder."""
        hold = """build() { python3 -c '
import socket, time
kept = []
for number in range(2_500):
    kept.append(socket.socketpair())
    kept[-1][0].setblocking(False)
    try:
        while True:
            kept[-1][0].send(bytes(60_000))
    except BlockingIOError:
        pass
time.sleep(60)
'; }
"""

        async def go() -> None:
            files = recipe(hold + PACKAGE)
            self.patch(taking, "_LITTLE", 1)
            await self._ends(files, "too much memory", memory=256 << 20, time=110)

        return self.do(go())

    def test_files_that_are_on_their_way_from_one_to_another_count(self) -> Deferred[None]:
        """No process has them open: what waits to be received keeps them."""

        async def go() -> None:
            hold = """build() { python3 -c '
import os, socket, time
ours, theirs = socket.socketpair()
for number in range(10):
    file = os.open("hidden", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.unlink("hidden")
    for _ in range(50):
        os.write(file, bytes(1 << 20))
    socket.send_fds(ours, [b"."], [file])
    os.close(file)
time.sleep(60)
'; }
"""
            await self._ends(recipe(hold + PACKAGE), "too big", disk=200 << 20, time=40)

        return self.do(go())

    def test_memory_that_no_process_has_counts(self) -> Deferred[None]:
        """A file of memory's that is on its way or open, a segment that nobody is attached to."""
        sent = """build() { python3 -c '
import os, socket, time
ours, theirs = socket.socketpair()
for number in range(10):
    file = os.memfd_create("hidden")
    for _ in range(50):
        os.write(file, bytes(1 << 20))
    socket.send_fds(ours, [b"."], [file])
    os.close(file)
time.sleep(60)
'; }
"""
        open_ = """build() { python3 -c '
import os, time
for number in range(10):
    file = os.memfd_create("hidden")
    for _ in range(50):
        os.write(file, bytes(1 << 20))
time.sleep(60)
'; }
"""
        shared = """build() { python3 -c '
import ctypes, time
library = ctypes.CDLL(None, use_errno=True)
library.shmat.restype = ctypes.c_void_p
assert library.semget(0, 32_000, 0o600) < 0, "a set of many"
sets = queues = 0
while library.semget(0, 250, 0o600) >= 0:
    sets += 1
while library.msgget(0, 0o600) >= 0:
    queues += 1
assert sets < 256 and queues < 256, (sets, queues)
for number in range(10):
    one = library.shmget(0, ctypes.c_size_t(50 << 20), 0o1600)
    assert one >= 0, ctypes.get_errno()
    at = library.shmat(one, None, 0)
    ctypes.memset(ctypes.c_void_p(at), 1, 50 << 20)
    library.shmdt(ctypes.c_void_p(at))
time.sleep(60)
'; }
"""

        async def go() -> None:
            await self._ends(recipe(sent + PACKAGE), "too big", memory=256 << 20, time=30)
            await self._ends(recipe(open_ + PACKAGE), "too much memory", memory=256 << 20, time=30)
            done = await self.build(recipe(shared + PACKAGE), bounds={"memory": 256 << 20})
            self.assertIn("AssertionError: 22", done.log)

        return self.do(go())

    def test_what_others_keep_in_memory_is_not_the_jobs(self) -> Deferred[None]:
        """Also where it has files on their way, of which nobody can tell how large they are."""
        sends = """build() { python3 -c '
import os, socket, time
ours, theirs = socket.socketpair()
file = os.open("sent", os.O_RDWR | os.O_CREAT)
socket.send_fds(ours, [b"."], [file])
print("on its way", flush=True)
time.sleep(6)
'; }
"""

        async def go() -> None:
            others = self.folder / "others"
            others.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "others", str(others)], check=True)
            self.addCleanup(subprocess.run, ["umount", str(others)], check=True)
            job, _, log, _ = self.job(recipe(sends + PACKAGE), bounds={"memory": 256 << 20})
            work = Deferred.fromCoroutine(job.run())
            while not work.called and "on its way" not in "".join(log):
                await deferLater(reactor, 0.1)
            (others / "large").write_bytes(bytes(300 << 20))
            outcome = await work
            self.addCleanup(outcome.left.close)
            self.assertEqual((outcome.ending.reason, outcome.ending.result), ("", "built"), log)

        return self.do(go())

    def test_one_file_ends_where_it_may_be_no_larger(self) -> Deferred[None]:
        async def go() -> None:
            files = recipe("build() { head -c 300M /dev/zero >one; }\n" + PACKAGE)
            done = await self.build(files, bounds={"disk": 200 << 20})
            self.assertIn("File too large", done.log)
            self.assertEqual(done.names, [])

        return self.do(go())

    def test_more_memory_together_than_it_may(self) -> Deferred[None]:
        # tail keeps what has no end of a line.
        hungry = (
            "for n in {1..8}; do (head -c 60M /dev/zero; sleep 60) | tail >/dev/null & done; wait"
        )
        files = recipe("build() { " + hungry + "; }\n" + PACKAGE)
        return self.do(self._quiet(self._ends(files, "too much memory", memory=256 << 20)))

    def test_a_process_whose_first_thread_has_ended_counts(self) -> Deferred[None]:
        """Of such a one the kernel tells by the number of another of its threads alone."""
        hidden = """build() { hoard() { python3 -c '
import ctypes, os, platform, threading, time
def hoard():
    time.sleep(1)
    kept = []
    for number in range(3):
        HOARD
    time.sleep(60)
threading.Thread(target=hoard).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
'; }; for n in {1..3}; do hoard $n & done; sleep 60; }
"""
        file = """kept.append(os.open(str(os.getpid()), os.O_RDWR | os.O_CREAT | os.O_EXCL))
        os.unlink(str(os.getpid()))
        os.write(kept[-1], bytes(50 << 20))"""

        async def go() -> None:
            files = recipe(hidden.replace("HOARD", 'kept.append(b"x" * (60 << 20))') + PACKAGE)
            await self._ends(files, "too much memory", memory=256 << 20, time=20)
            files = recipe(hidden.replace("HOARD", file) + PACKAGE)
            await self._ends(files, "too big", disk=200 << 20, time=30)

        return self.do(go())

    def test_a_folder_in_a_folder_in_a_folder(self) -> Deferred[None]:
        deep = """build() { python3 -c '
import os
for _ in range(5000):
    os.mkdir("d")
    os.chdir("d")
'; false; }
"""
        return self.do(self._quiet(self._ends(recipe(deep + PACKAGE), "failed")))

    def test_what_is_left_running(self) -> Deferred[None]:
        async def go() -> None:
            left = "setsid sleep 1000 >/dev/null 2>&1 </dev/null &\n"
            done = await self.build(recipe(left + PACKAGE))
            self.assertEqual(done.result, "built", done.log)
            self.assert_nothing_left()

        return self.do(go())

    def test_cancelled_it_is_gone(self) -> Deferred[None]:
        async def go() -> None:
            begun: Deferred[None] = Deferred()
            job, *_ = self.job(
                recipe("build() { sleep 1000; }\n" + PACKAGE),
                stepped=lambda name: begun.callback(None) if name == "build" else None,
            )
            work = Deferred.fromCoroutine(job.run())
            await begun
            await deferLater(reactor, 1)
            work.cancel()
            await self.assertFailure(work, CancelledError)
            self.assert_nothing_left()

        return self.do(go())

    async def _quiet(self, work: object) -> None:
        await work  # type: ignore[misc]
