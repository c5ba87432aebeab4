"""The signer as a program: started, asked over its socket, ended, killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.needs import leave_out
from tests.signing.case import build, file_name, made, verified
from tests.signing.kills import Killing
from tests.signing.process import PATIENCE, SignerProcess

#: Kills of one run; ``python -m tests.signing.kills`` has more.
KILLS = 8


class ProcessCase(SynchronousTestCase):
    options: tuple[str, ...] = ()

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


def _running() -> list[str]:
    """Return the command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_text("utf-8", "replace"))
    return lines


class ProcessTests(ProcessCase):
    def setUp(self) -> None:
        super().setUp()
        self.signer = SignerProcess(self.folder)
        self.addCleanup(self.signer.close)
        self.signer.start()

    def test_it_makes_a_repository_and_publishes_a_build(self) -> None:
        told = self.signer.ask({"do": "init", "name": "home"})
        self.assertEqual(len(told["fingerprint"]), 40)
        name, data = made("foo")
        told = self.signer.ask({"do": "publish", "names": [name], "build": build("foo")}, [data])
        self.assertTrue(told["done"])
        self.assertEqual(verified(self.signer.published / "home"), {"foo": "1.0-1"})

    def test_a_refusal_is_a_sentence_and_what_to_do(self) -> None:
        told = self.signer.ask({"do": "list"})
        self.assertIn("no repository", told["error"])
        self.assertIn("flocon repo init", told["remedy"])

    def test_it_ends_when_it_is_told_and_leaves_no_agent(self) -> None:
        self.signer.ask({"do": "init", "name": "home"})
        self.assertEqual(self.signer.stop(), 0)
        self.assertEqual([line for line in _running() if str(self.folder) in line], [])

    def test_who_leaves_before_it_is_his_turn_has_nothing_done(self) -> None:
        self.signer.ask({"do": "init", "name": "home"})
        name, data = made("foo")
        request = {"do": "publish", "names": [name], "build": build("foo")}
        other, other_data = made("bar")
        first = self.signer.begin(request, [data])
        with self.signer.begin(
            {"do": "publish", "names": [other], "build": build("bar")}, [other_data]
        ):
            pass
        with first, first.makefile("rb") as answers:
            self.assertIn(b'"done":true', answers.readline())
        self.assertEqual(
            [one["name"] for one in self.signer.ask({"do": "list"})["packages"]], ["foo"]
        )


class StrangersTests(ProcessCase):
    """Who asks is told by the kernel: another user really asks here."""

    user = 65_534

    def setUp(self) -> None:
        leave_out("" if os.geteuid() == 0 else "only root can be another user")
        super().setUp()
        self.folder.chmod(0o755)

    def started(self, *options: str) -> None:
        self.signer = SignerProcess(self.folder, *options)
        self.addCleanup(self.signer.close)
        self.signer.start()
        # Whoever the socket's mode lets in.
        Path(self.signer.path).chmod(0o666)
        self.signer.ask({"do": "init", "name": "home"})

    def as_user(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask as another user, with a package where names are given."""
        files = [made("foo")[1]] * len(request.get("names", ()))
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            # Whatever happens there, it is not to go on as a second run of the tests.
            try:
                os.setgroups([])
                os.setgid(self.user)
                os.setuid(self.user)
                os.write(write, json.dumps(self.signer.ask(request, files)).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            said = json.loads(answer.read())
        os.waitpid(child, 0)
        return dict(said)

    def requests(self) -> dict[str, dict[str, Any]]:
        names = [file_name("foo")]
        return {
            "key": {"do": "key"},
            "list": {"do": "list"},
            "publish": {"do": "publish", "names": names, "build": build("foo")},
            "add": {"do": "add", "names": names, "trusted": True},
            "remove": {"do": "remove", "packages": ["foo"]},
            "rollback": {"do": "rollback", "package": "foo"},
            "init": {"do": "init", "name": "other"},
            "replace": {"do": "replace"},
            "switch": {"do": "switch"},
        }

    def refused(self) -> set[str]:
        """Return the requests that another user has refused for who he is."""
        said = {name: self.as_user(request) for name, request in self.requests().items()}
        return {name for name, one in said.items() if "not for this user" in one.get("error", "")}

    def test_a_stranger_may_not_ask_for_anything(self) -> None:
        self.started("--node", "0")
        self.assertEqual(self.refused(), set(self.requests()))
        self.assertEqual(verified(self.signer.published / "home"), {})

    def test_the_node_may_have_builds_published_and_no_more(self) -> None:
        self.started("--node", str(self.user))
        wanted = set(self.requests()) - {"key", "list", "publish"}
        self.assertEqual(self.refused(), wanted)
        self.assertEqual(verified(self.signer.published / "home"), {"foo": "1.0-1"})

    def test_a_commander_may_ask_for_anything(self) -> None:
        self.started("--node", "0", "--commanders", str(self.user))
        self.assertEqual(self.refused(), set())


class BoundsTests(ProcessCase):
    def let_go(self, signer: SignerProcess, before: int) -> None:
        """Wait until it has no more open than ``before``."""
        end = time.monotonic() + PATIENCE
        while signer.descriptors() > before and time.monotonic() < end:
            time.sleep(0.05)
        self.assertLessEqual(signer.descriptors(), before)

    def test_whatever_is_said_and_handed_over_nothing_of_it_stays(self) -> None:
        signer = SignerProcess(self.folder)
        self.addCleanup(signer.close)
        signer.start()
        signer.ask({"do": "init", "name": "home"})
        before = signer.descriptors()
        dice = random.Random(7)
        name, data = made("foo")
        for _ in range(60):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(signer.path)
                client.settimeout(PATIENCE)
                pipe = os.pipe()
                # More at a time than are let in of one user are left at once.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    socket.send_fds(client, [dice.randbytes(dice.randrange(1, 50))], pipe * 20)
                for one in pipe:
                    os.close(one)
        self.let_go(signer, before)
        for _ in range(20):
            signer.ask({"do": dice.choice(["add", "publish", "x", 7]), "names": [name]}, [data])
            signer.ask({"do": "add", "names": [name] * 3, "trusted": True}, [data] * 3)
            signer.ask({"do": "add", "names": [name], "trusted": True}, [dice.randbytes(900)])
        self.assertEqual(signer.ask({"do": "list"})["packages"], [])
        self.let_go(signer, before)
        self.assertEqual(list((self.folder / "home" / "desk").iterdir()), [])


class StartingTests(ProcessCase):
    def run_signer(self, *words: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [sys.executable, "-m", "flocon.signing", "--home", str(self.folder / "home"), *words],
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE,
        )
        return done

    def test_without_a_socket_it_says_what_to_name(self) -> None:
        done = self.run_signer("--published", str(self.folder / "published"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("name a socket's path", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_a_commander_that_nobody_is_is_named(self) -> None:
        done = self.run_signer("--commanders", "nobody-is-called-so")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nobody-is-called-so", done.stderr)

    def test_it_says_that_its_user_keeps_nothing_from_the_node(self) -> None:
        done = self.run_signer("--node", str(os.getuid() or 0), "--listen", "/nonexistent/x")
        self.assertIn("nothing keeps what else does from its keys", done.stderr)

    def test_on_a_socket_of_systemds_it_answers(self) -> None:
        path = str(self.folder / "socket")
        with socket.socket(socket.AF_UNIX) as held:
            held.bind(path)
            held.listen()
            # As systemd does it: the socket is descriptor 3, and the process is told its own id.
            script = 'exec 3<&"$1"; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x; shift;'
            script += ' export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; exec "$@"'
            words = ["--home", str(self.folder / "home"), "--published", str(self.folder / "p")]
            program = [sys.executable, "-m", "flocon.signing"]
            process = subprocess.Popen(
                ["bash", "-c", script, "x", str(held.fileno()), *program, *words],
                pass_fds=[held.fileno()],
                stderr=subprocess.DEVNULL,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        signer = SignerProcess(self.folder)
        self.addCleanup(signer.close)
        told = signer.ask({"do": "init", "name": "home"})
        self.assertEqual(told["name"], "home")
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)


class KillTests(ProcessCase):
    def test_killed_at_any_moment_it_publishes_all_or_nothing(self) -> None:
        seed = random.randrange(1 << 30)
        killing = Killing(self.folder, seed)
        killing.run(KILLS)
        self.assertEqual(killing.wrong, [], f"seed {seed}")
        self.assertGreater(killing.seen, 0)
