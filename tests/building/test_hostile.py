"""Recipes that mean harm, behind the real wall: what they cannot do, and that the next one runs."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from flocon.building import job as jobs
from flocon.building import layouts, results, roots
from flocon.building.results import Left
from tests.building.case import PACKAGE, JobCase, recipe

#: Runs wherever a PKGBUILD is read, as its own text; what it finds is put into the package.
FOUND = """
mkdir -p "$startdir/found"
found() { printf '%s\\n' "$*" >>"$startdir/found/text"; }
"""


class _Silent(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"a source\n")

    def log_message(self, *_: object) -> None:
        pass


class WallTests(JobCase):
    """What is seen and changed from behind the wall."""

    def test_a_plain_recipe_is_built(self) -> Deferred[None]:
        async def go() -> None:
            done = await self.build(recipe())
            self.assertEqual((done.result, done.reason), ("built", ""), done.log)
            self.assertEqual(done.names, ["odd-1-1-any.pkg.tar.zst"])
            self.assertIn("pkgbase = odd", done.left.srcinfo)
            self.assertEqual(done.steps, ["root", "fetch", "build", "collect"])
            self.assert_nothing_left()

        return self.do(go())

    def test_what_is_not_its_own_is_not_read(self) -> Deferred[None]:
        async def go() -> None:
            secrets = [
                Path(tempfile.mkdtemp(prefix="secret-", dir=place)) / "key"
                for place in ("/tmp", "/var/tmp", "/root", "/home", "/srv", "/var/lib", "/run")
            ]
            for path in secrets:
                path.parent.chmod(0o755)
                path.write_text("secret")
                path.chmod(0o644)
                self.addCleanup(path.parent.rmdir)
                self.addCleanup(path.unlink)
            names = [*map(str, secrets), "/etc/shadow", "/etc/gshadow", "/etc/fstab", "/etc/hosts"]
            names += [
                "/etc/machine-id",
                "/proc/kcore",
                "/proc/cmdline",
                "/proc/keys",
                "/proc/1/environ",
            ]
            names += [
                "/sys/kernel",
                "/etc/ssh",
                "/build/../proc/1/root/etc/hosts",
                "/dev/mem",
                "/dev/vda",
            ]
            lines = "".join(
                f"cat {name} >/dev/null 2>&1 && found read {name}\n"
                f"ls {name}/* >/dev/null 2>&1 && found listed {name}\n"
                for name in names
            )
            done = await self.build(recipe(FOUND + lines + PACKAGE))
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "")

        return self.do(go())

    def test_what_is_not_its_own_is_not_changed(self) -> Deferred[None]:
        async def go() -> None:
            places = "/ /usr /usr/bin /etc /opt /var /var/lib/pacman /proc/sys /dev /run /sys /root"
            lines = f"""
for place in {places}; do
  (: >"$place/made-by-a-recipe") 2>/dev/null && found wrote "$place"
done
for file in /etc/passwd /usr/bin/env /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do
  (: >>"$file") 2>/dev/null && found opened "$file"
done
mount -t tmpfs none /mnt 2>/dev/null && found mounted
chroot / true 2>/dev/null && found chroot
unshare -U true 2>/dev/null && found a namespace
unshare -Ur true 2>/dev/null && found root of a namespace
[ "$FAKEROOTKEY" ] || ! setpriv --reuid 0 true 2>/dev/null || found root
kill -9 1 2>/dev/null && found killed the first
kill -9 -1 2>/dev/null
"""
            done = await self.build(
                recipe(FOUND + lines.replace("kill -9 -1 2>/dev/null\n", "") + PACKAGE)
            )
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "")
            for place in places.split():
                self.assertFalse(Path(place, "made-by-a-recipe").exists())

        return self.do(go())

    def test_programs_that_become_root_do_not(self) -> Deferred[None]:
        async def go() -> None:
            lines = """
grep -E '^Cap' /proc/self/status | grep -v '0000000000000000' >>"$startdir/found/text"
grep -q '^NoNewPrivs:.*1' /proc/self/status || found may become another
grep -q '^Seccomp:.*2' /proc/self/status || found may call anything
cp /usr/bin/id "$startdir/suid" && chmod 4755 "$startdir/suid"
[ "$("$startdir/suid" -u)" = "$(id -u)" ] || found another user
[ "$(id -u)" = 0 ] && [ -z "$FAKEROOTKEY" ] && found root
true
"""
            done = await self.build(recipe(FOUND + lines + PACKAGE))
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "")

        return self.do(go())

    def test_nobody_outside_is_reached(self) -> Deferred[None]:
        async def go() -> None:
            server = ThreadingHTTPServer(("0.0.0.0", 0), _Silent)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            port = server.server_port
            listening = socket.socket(socket.AF_UNIX)
            listening.bind("\0flocon-test-" + self.folder.name)
            listening.listen()
            self.addCleanup(listening.close)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.connect(("192.0.2.1", 9))
                own = asking.getsockname()[0]
            lines = f"""
for host in 127.0.0.1 localhost {own} '[::1]' '[::ffff:127.0.0.1]' 0.0.0.0 2130706433 127.1; do
  curl -s -m 5 "http://$host:{port}/direct" --noproxy '*' >/dev/null && found direct "$host"
  curl -sf -m 5 "http://$host:{port}/proxy" >/dev/null && found proxy "$host"
  curl -sfp -m 5 "http://$host:{port}/tunnel" >/dev/null && found tunnel "$host"
done
python3 - 2>/dev/null <<'END' && found abstract
import socket
socket.socket(socket.AF_UNIX).connect("\\0flocon-test-{self.folder.name}")
END
python3 -c 'import socket; socket.socket(40, 1)' 2>/dev/null && found the host of a virtual machine
ip -o link 2>/dev/null | grep -v ' lo:' >>"$startdir/found/text"
true
"""
            done = await self.build(recipe(FOUND + lines + PACKAGE))
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "")
            self.assertEqual(_Silent.asked, [])
            self.assertTrue(done.refused)
            self.assertIn("127.0.0.1, port", done.log)

        return self.do(go())

    def test_what_one_job_left_the_next_does_not_see(self) -> Deferred[None]:
        async def go() -> None:
            leave = "touch /tmp/left /var/tmp/left /dev/shm/left $HOME/left $SRCDEST/left\n"
            self.assertEqual((await self.build(recipe(leave + PACKAGE))).result, "built")
            look = "ls /tmp/left /var/tmp/left /dev/shm/left $HOME/left $SRCDEST/left 2>/dev/null"
            done = await self.build(recipe(f"{FOUND}\n(found $({look}))\n{PACKAGE}"))
            # The PKGBUILD is read more than once: what this very job has made is its own.
            self.assertEqual(done.found().strip(), "")

        return self.do(go())


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
            clearing: Deferred[None] = Deferred()
            clear = jobs.clear

            async def slowly(*arguments: Any) -> None:
                clearing.callback(None)
                await deferLater(reactor, 0.5)
                await clear(*arguments)

            self.patch(jobs, "clear", slowly)
            job, *_ = self.job(recipe("build() { false; }\n" + PACKAGE))
            work = Deferred.fromCoroutine(job.run())
            await clearing
            await deferLater(reactor, 0.1)
            work.cancel()
            with contextlib.suppress(CancelledError):
                await work
            self.assert_nothing_left()

        return self.do(go())

    def test_output_without_end(self) -> Deferred[None]:
        async def go() -> None:
            files = recipe("build() { yes; }\n" + PACKAGE)
            log = await self._ends(files, "timed out", time=12)
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


class LeftTests(JobCase):
    """What a job leaves is believed as little as the job."""

    def test_a_status_proves_nothing(self) -> Deferred[None]:
        async def go() -> None:
            for status in (0, 13):
                done = await self.build(recipe(f"build() {{ exit {status}; }}\n{PACKAGE}"))
                self.assertEqual((done.result, done.names), ("failed", []), done.log)

        return self.do(go())

    def test_code_that_ends_makepkg_at_once(self) -> Deferred[None]:
        async def go() -> None:
            done = await self.build(recipe("exit 0\n" + PACKAGE))
            self.assertEqual(done.result, "failed")
            self.assertIn("left no package", done.reason)

        return self.do(go())

    def test_links_and_pipes_are_no_packages(self) -> Deferred[None]:
        async def go() -> None:
            lines = """
ln -sf /etc/passwd "$PKGDEST/link-1-1-any.pkg.tar.zst"
ln -sf ../recipe/PKGBUILD "$PKGDEST/near-1-1-any.pkg.tar.zst"
[ -e "$PKGDEST/pipe-1-1-any.pkg.tar.zst" ] || mkfifo "$PKGDEST/pipe-1-1-any.pkg.tar.zst"
mkdir -p "$PKGDEST/folder-1-1-any.pkg.tar.zst"
: >"$PKGDEST/empty-1-1-any.pkg.tar.zst"
: >"$PKGDEST/no package"
"""
            done = await self.build(recipe(lines + PACKAGE))
            self.assertEqual(done.names, ["odd-1-1-any.pkg.tar.zst"], done.log)

        return self.do(go())

    def test_a_folder_that_became_a_link_has_no_packages(self) -> Deferred[None]:
        async def go() -> None:
            lines = """
package() {
  rm -rf "$PKGDEST" /build/report
  ln -s /etc "$PKGDEST"
  ln -s /etc /build/report
  exit 0
}
"""
            done = await self.build(recipe(lines))
            self.assertEqual((done.result, done.left.srcinfo), ("failed", ""))

        return self.do(go())

    def test_what_sets_a_user_is_in_the_package_and_nowhere_else(self) -> Deferred[None]:
        async def go() -> None:
            lines = 'package() { install -Dm4755 /usr/bin/env "$pkgdir/usr/bin/odd"; }\n'
            done = await self.build(recipe("options=(!strip)\n" + lines))
            self.assertEqual(done.listing()["usr/bin/odd"], "-rwsr-xr-x")
            self.assert_nothing_left()

        return self.do(go())

    def test_twice_the_same_is_built(self) -> Deferred[None]:
        async def go() -> None:
            first, second = [await self.build(recipe()) for _ in range(2)]
            sums = [one.left.packages[0].sha256 for one in (first, second)]
            self.assertEqual(sums[0], sums[1])

        return self.do(go())
