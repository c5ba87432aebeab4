"""The builder as a program: asked over its socket, killed, and run without root."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

import flocon
from flocon.programs.talking import Conversation, Message
from tests.building.case import BOUNDS, PACKAGE, builder, missing, recipe, tar_of
from tests.building.packages import make_package
from tests.needs import leave_out
from tests.packaging.workshop import PACKAGING

PROGRAM = [sys.executable, "-m", "flocon.building"]


class _Asking:
    """A conversation with the builder."""

    def __init__(self, case: TestCase) -> None:
        self.heard: DeferredQueue[dict[str, Any]] = DeferredQueue()
        self.files: list[int] = []
        self.log = ""
        self.over: Deferred[None] = Deferred()
        self._case = case
        self.talk = Conversation(self._received, lambda _: self.over.callback(None))

    def _received(self, _: Conversation, message: Message) -> None:
        self.files += message.files
        for one in message.files:
            self._case.addCleanup(os.close, one)
        self.heard.put(dict(message.values))

    async def until_done(self) -> dict[str, Any]:
        while True:
            said = await self.heard.get()
            self.log += said.get("log", "")
            if said.get("done") or "error" in said:
                return said

    async def until_step(self, name: str) -> None:
        while (await self.heard.get()).get("step") != name:
            pass


class ServiceTests(TestCase):
    """One builder, as a process of its own."""

    timeout = 120

    def setUp(self) -> None:
        leave_out(missing())
        self.folder = Path(tempfile.mkdtemp(prefix="flocon-build-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.work, self.socket = self.folder / "work", self.folder / "socket"

    def do(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(work)

    def start(self, *options: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        words = [*before, *PROGRAM, "--listen", str(self.socket), "--work", str(self.work)]
        self.said = self.folder / "said"
        environment = {**os.environ, "PYTHONPATH": str(Path(flocon.__file__).parent.parent)}
        with self.said.open("ab") as said:
            process = subprocess.Popen(
                [*words, *options], stdout=said, stderr=said, env=environment, cwd=self.folder
            )
        self.addCleanup(self._end, process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    async def ask(self, process: subprocess.Popen[bytes]) -> _Asking:
        asking = _Asking(self)
        for _ in range(400):
            if process.poll() is not None:
                break
            try:
                await connectProtocol(UNIXClientEndpoint(reactor, str(self.socket)), asking.talk)
            except ConnectError:
                await deferLater(reactor, 0.05)
                continue
            self.addCleanup(self._leave, asking)
            return asking
        raise AssertionError(self.said.read_text())

    def _leave(self, asking: _Asking) -> Deferred[None]:
        asking.talk.leave_now()
        return asking.over

    def order(
        self,
        asking: _Asking,
        files: dict[str, str | bytes],
        others: Sequence[int] = (),
        **values: Any,
    ) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(tar_of(files))
            file.flush()
            said = {
                "do": "build",
                "job": "1",
                "base": "odd",
                "recipe": 0,
                "architecture": "x86_64",
                "epoch": 1_700_000_000,
                "root": "machine",
                "bounds": BOUNDS,
                **values,
            }
            asking.talk.say(said, [file.fileno(), *others])

    def test_what_is_ordered_is_built_and_handed_over(self) -> Deferred[None]:
        async def go() -> None:
            process = self.start("--user", builder())
            asking = await self.ask(process)
            self.order(asking, recipe())
            done = await asking.until_done()
            self.assertEqual((done["result"], done["reason"]), ("built", ""), done)
            (package,) = done["packages"]
            self.assertEqual(package["name"], "odd-1-1-any.pkg.tar.zst")
            self.assertEqual(os.fstat(asking.files[0]).st_size, package["size"])
            self.assertIn("pkgbase = odd", done["srcinfo"])

        return self.do(go())

    def test_a_second_order_waits_for_the_first(self) -> Deferred[None]:
        async def go() -> None:
            process = self.start("--user", builder())
            first, second = await self.ask(process), await self.ask(process)
            self.order(first, recipe("build() { sleep 2; }\npackage() { :; }\n"))
            await first.until_step("build")
            self.order(second, recipe(), job="2")
            self.assertEqual(await second.heard.get(), {"step": "waiting"})
            self.assertEqual((await first.until_done())["result"], "built")
            self.assertEqual((await second.until_done())["result"], "built")

        return self.do(go())

    def test_who_leaves_has_the_job_ended(self) -> Deferred[None]:
        async def go() -> None:
            process = self.start("--user", builder())
            asking = await self.ask(process)
            self.order(asking, recipe("build() { sleep 999; }\npackage() { :; }\n"))
            await asking.until_step("build")
            asking.talk.leave_now()
            await self._none_left()
            after = await self.ask(process)
            self.order(after, recipe())
            self.assertEqual((await after.until_done())["result"], "built")

        return self.do(go())

    async def _none_left(self) -> None:
        for _ in range(200):
            if not _seeing(self.folder.name) and not list((self.work / "jobs").iterdir()):
                return
            await deferLater(reactor, 0.05)
        self.assertEqual(
            (_seeing(self.folder.name), list((self.work / "jobs").iterdir())), ([], [])
        )

    def test_killed_it_leaves_no_process_and_the_next_one_clears_up(self) -> Deferred[None]:
        async def go() -> None:
            for step in ("fetch", "build"):
                process = self.start("--user", builder())
                asking = await self.ask(process)
                slow = (
                    "setsid sleep 999 >/dev/null 2>&1 </dev/null &\nbuild() { sleep 999; }\n"
                    + PACKAGE
                )
                self.order(asking, recipe(slow))
                await asking.until_step(step)
                await deferLater(reactor, 0.3)
                process.send_signal(signal.SIGKILL)
                process.wait()
                await asking.over
                for _ in range(1_200):
                    if not _seeing(self.folder.name):
                        break
                    await deferLater(reactor, 0.05)
                self.assertEqual(_seeing(self.folder.name), [])
            after = await self.ask(self.start("--user", builder()))
            self.order(after, recipe())
            self.assertEqual((await after.until_done())["result"], "built")
            await self._none_left()

        return self.do(go())

    def test_told_to_end_it_ends_what_runs(self) -> Deferred[None]:
        async def go() -> None:
            process = self.start("--user", builder())
            asking = await self.ask(process)
            self.order(asking, recipe("build() { sleep 999; }\n" + PACKAGE))
            await asking.until_step("build")
            process.send_signal(signal.SIGTERM)
            await asking.over
            self.assertEqual(await deferToThread(process.wait, 60), 0)
            await self._none_left()

        return self.do(go())

    def test_strangers_have_nothing_built(self) -> Deferred[None]:
        async def go() -> None:
            process = self.start("--user", builder())
            await self.ask(process)
            self.socket.chmod(0o666)
            asks = (
                "import socket, sys\n"
                "s = socket.socket(socket.AF_UNIX)\n"
                "s.connect(sys.argv[1])\n"
                's.sendall(b\'{"do":"describe"}\\n\')\n'
                "print(s.recv(9999).decode())\n"
            )
            number = pwd.getpwnam("nobody").pw_uid
            said = await self._say(
                "setpriv",
                f"--reuid={number}",
                "--clear-groups",
                "/usr/bin/python3",
                "-c",
                asks,
                str(self.socket),
            )
            self.assertIn("not for this user", said)

        return self.do(go())

    def test_without_a_wall_it_says_what_to_install_and_stays(self) -> Deferred[None]:
        async def go() -> None:
            self.patch(os, "environ", {**os.environ, "PATH": str(self.folder)})
            process = self.start("--user", builder())
            for _ in range(2):
                asking = await self.ask(process)
                self.order(asking, {"PKGBUILD": "pkgname=odd\n"})
                said = await asking.heard.get()
                self.assertIn("bwrap", said["error"])
                self.assertIn("pacman -S --needed bubblewrap", said["remedy"])
            self.assertIsNone(process.poll())

        return self.do(go())

    async def _say(self, *words: str) -> str:
        done = await deferToThread(
            subprocess.run, words, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def test_nonsense_is_answered_in_a_sentence(self) -> Deferred[None]:
        async def go() -> None:
            asking = await self.ask(self.start("--user", builder()))
            for said in (
                {},
                {"do": "rm"},
                {"do": "build"},
                {"do": ["build"]},
                {"do": "build", "recipe": 0},
            ):
                asking.talk.say(said)
                self.assertIn("error", await asking.until_done())

        return self.do(go())

    def test_what_it_can_and_cannot_is_described(self) -> Deferred[None]:
        async def go() -> None:
            asking = await self.ask(self.start("--user", builder()))
            asking.talk.say({"do": "describe"})
            said = await asking.until_done()
            self.assertTrue(said["rights"] and said["can"] and said["cannot"] and said["free"])
            # What holds of any builder is nothing that this one lacks.
            self.assertEqual(said["lacks"], said["cannot"][1:])
            self.assertEqual(said["missing"], [])

        return self.do(go())

    def test_what_its_unit_lets_it_do_is_enough(self) -> Deferred[None]:
        async def go() -> None:
            unit = (PACKAGING / "flocon-build.service").read_text()
            said = " ".join(re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE))
            rights = ",".join(f"+{one.removeprefix('CAP_').lower()}" for one in said.split())
            bounded = ["setpriv", f"--bounding-set=-all,{rights}"]
            asking = await self.ask(self.start("--user", builder(), before=bounded))
            own = self.folder / "own"
            own.mkdir()
            package = make_package(own, "tool", {"usr/bin/flocon-test-tool": "#!/bin/sh\n"})
            with package.open("rb") as file:
                dependency = {"name": "tool", "file": package.name, "fd": 1}
                uses = "build() { flocon-test-tool; }\n"
                files = [file.fileno()]
                self.order(asking, recipe(uses + PACKAGE), files, dependencies=[dependency])
            done = await asking.until_done()
            self.assertEqual(done.get("result"), "built", (done, asking.log))

        return self.do(go())

    def test_without_root_it_refuses_unless_it_is_told(self) -> Deferred[None]:
        async def go() -> None:
            self.folder.chmod(0o777)
            process = self.start(before=_as_somebody())
            self.assertEqual(process.wait(30), 1)
            self.assertIn("--without-root", self.said.read_text())

        return self.do(go())

    def test_without_root_it_builds_where_it_is_told_to(self) -> Deferred[None]:
        async def go() -> None:
            self.folder.chmod(0o777)
            asking = await self.ask(self.start("--without-root", before=_as_somebody()))
            own = 'install -Dm644 -o root -g root "$startdir/PKGBUILD" "$pkgdir/usr/share/odd/text"'
            own = "package() { " + own + "; }\n"
            self.order(asking, recipe(own))
            done = await asking.until_done()
            self.assertEqual(done.get("result"), "built", (done, asking.log, self.said.read_text()))

        return self.do(go())

    def test_what_it_may_not_look_into_counts_all_the_same(self) -> Deferred[None]:
        """Without root a job has the builder's number, and may close what is its own."""
        hide = """build() {
mkdir -p closed/within
cd closed/within
chmod 000 ../../closed
for number in {1..6}; do head -c 50M /dev/zero >$number; done
sleep 60
}
"""

        async def go() -> None:
            self.folder.chmod(0o777)
            asking = await self.ask(self.start("--without-root", before=_as_somebody()))
            bounds = {**BOUNDS, "disk": 100 << 20, "time": 110}
            self.order(asking, recipe(hide + PACKAGE), bounds=bounds)
            done = await asking.until_done()
            self.assertEqual(done.get("result"), "too big", (done, asking.log))

        return self.do(go())


def _as_somebody() -> list[str]:
    """Return what runs a program without root's rights, though this clone may be root's alone."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"]


def _seeing(name: str) -> list[str]:
    """Return the processes that see a job's folder from behind a wall."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if name in (process / "mountinfo").read_text():
                    found.append(process.name)
            except OSError:
                continue
    return found
