"""A node as a process: what it refuses to start with, and how it starts and stops."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import SkipTest
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

import flocon

PATIENCE = 30.0
ROOT = Path(flocon.__file__).parent.parent
TWISTD = "from twisted.scripts.twistd import run; run()"
#: One whose disk never answers again once it is to stop.
HANGING = f"""
from twisted.internet.defer import Deferred
from flocon.holdings.holdings import Holdings
from flocon.node import service
service.LONGEST_END = 0.3
Holdings.stopService = lambda _: Deferred()
{TWISTD}
"""


class Running:
    """A process whose two outputs go to one file."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        descriptors: int | None = None,
        program: str = TWISTD,
    ) -> None:
        self._output = folder / f"output{len(list(folder.glob('output*')))}"
        command = [sys.executable, "-c", program, "-n", "--pidfile=", "flocon", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=output
            )
        if descriptors is not None:
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class NodeTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.config = self.folder / "flocon.toml"
        self.pacman_conf = self.folder / "pacman.conf"
        self.pacman_conf.write_text(
            "[options]\nArchitecture = x86_64\n"
            f"DBPath = {self.folder}/db\nCacheDir = {self.folder}/cache\n"
        )
        self.port = _free_port()
        self.configure()

    def configure(self, **changed: str) -> None:
        """Write flocon.toml; each value as TOML, empty to leave the key out."""
        self.lan_port = _free_port()
        values = {
            "pacman_conf": f'"{self.pacman_conf}"',
            "lan": f'"tcp:{self.lan_port}:interface=127.0.0.1"',
            "loopback": f'["tcp:{self.port}:interface=127.0.0.1"]',
            "store": f'{{path = "{self.folder}/store"}}',
            "presence": f'{{port = {_free_port()}, interfaces = ["127.0.0.1"]}}',
        }
        lines = [f"{key} = {value}" for key, value in (values | changed).items() if value]
        self.config.write_text("\n".join(lines) + "\n")

    def start(self, *arguments: str, **options: Any) -> Running:
        config = "--config", str(self.config)
        running = Running(self.folder, *config, *arguments, **options)
        self.addCleanup(running.end)
        return running

    def started(self, **options: Any) -> Running:
        """Start a node and wait until it answers."""
        running = self.start(**options)
        self.wait_until(lambda: self.check() == b"OK", running)
        return running

    def check(self) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/check")
            return connection.getresponse().read().strip()
        except OSError:
            return b""
        finally:
            connection.close()

    def asked(self, path: str) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
            told: dict[str, Any] = json.loads(answer.read())
            return told

    def wait_until(self, condition: Callable[[], bool], running: Running) -> None:
        """Wait for another process: there is nothing but time to wait with."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or running.process.poll() is not None:
                self.fail(f"status {running.process.poll()}:\n{running.output}")
            time.sleep(0.02)


class Refusing(NodeTestCase):
    def assertRefused(self, running: Running, *expected: str) -> None:
        """Wait for status 1, one line that has all of ``expected``, and no traceback."""
        status = running.process.wait(PATIENCE)
        output = running.output
        self.assertEqual(status, 1, output)
        self.assertNotIn("Traceback", output)
        said = [line for line in output.splitlines() if all(word in line for word in expected)]
        self.assertEqual(len(said), 1, output)

    def test_an_unknown_key(self) -> None:
        self.configure(shop='"x"')
        running = self.start()
        self.assertRefused(running, "flocon.toml: shop", "is not a key flocon knows")
        # What can stand on the command line is no help with it.
        self.assertEqual(len(running.output.splitlines()), 1, running.output)

    def test_a_file_that_is_not_there(self) -> None:
        self.config.unlink()
        self.assertRefused(self.start(), "flocon.toml", "cannot be read")

    def test_a_file_that_is_not_toml(self) -> None:
        self.config.write_text("lan = \n")
        self.assertRefused(self.start(), "flocon.toml", "is not TOML", "line 1")

    def test_a_size_that_is_none(self) -> None:
        self.configure(store=f'{{path = "{self.folder}/store", max_size = "much"}}')
        self.assertRefused(self.start(), "store.max_size", "'much' is not a size", "10G")

    def test_an_interface_that_cannot_be(self) -> None:
        self.assertRefused(self.start("--interface", "a b"), "'a b'", "flocon: --interface")
        self.configure(presence='{interfaces = ["a b"]}')
        self.assertRefused(self.start(), "'a b'", f"{self.config}: presence.interfaces")

    def test_a_mirror_whose_port_is_taken_or_that_nobody_could_ask(self) -> None:
        port = _free_port()
        self.configure(mirror=f'{{serve = true, listen = ["tcp:{port}:interface=127.0.0.1"]}}')
        with socket.create_server(("127.0.0.1", port)):
            sentence = f"port {port} is taken; is another flocon running?"
            self.assertRefused(self.start(), f"{self.config}: mirror.listen: {sentence}")
        for own, setting in ((port, "lan"), (self.port, "loopback")):
            endpoint = f"tcp:{own}:interface=127.0.0.1"
            lan = f'"tcp:{port}:interface=127.0.0.1"'
            self.configure(lan=lan, mirror=f'{{serve = true, listen = ["{endpoint}"]}}')
            sentence = f"port {own} is that of {self.config}: {setting} already"
            named = f"{self.config}: mirror.listen: {sentence}"
            self.assertRefused(self.start(), f"{named}; choose another port for one of them")
        self.configure(mirror="{serve = true, listen = []}")
        self.assertRefused(self.start(), f"{self.config}: mirror.listen: is empty")

    def test_a_node_that_pacman_could_never_ask(self) -> None:
        self.configure(loopback="[]")
        self.assertRefused(self.start(), f"{self.config}: loopback: is empty")

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)):
            sentence = f"port {self.port} is taken; is another flocon running?"
            self.assertRefused(self.start(), f"{self.config}: loopback: {sentence}")
            given = "--loopback", f"tcp:{self.port}:interface=127.0.0.1"
            self.assertRefused(self.start(*given), f"flocon: --loopback: {sentence}")

    def test_systemds_socket_where_systemd_has_handed_over_none(self) -> None:
        for endpoint in ("systemd:domain=INET:index=0", "systemd:domain=INET:name=lan"):
            self.assertRefused(self.start("--lan", endpoint), "systemd has handed over no socket")

    def test_an_endpoint_of_no_known_kind(self) -> None:
        self.assertRefused(self.start("--lan", "nosuch:1"), "nosuch", "--lan")

    def test_a_store_that_another_node_uses(self) -> None:
        self.started()
        self.port = _free_port()
        self.configure()
        self.assertRefused(
            self.start(), f"{self.config}: store.path: {self.folder}/store: another flocon"
        )

    def test_a_store_where_somebody_elses_things_lie_which_stay_as_they_are(self) -> None:
        store = self.folder / "store"
        for name in ("incoming/upload.tar", "packages/a-1-1-any.pkg.tar.zst.sig", "thesis.tex"):
            (store / name).parent.mkdir(parents=True, exist_ok=True)
            (store / name).write_bytes(b"somebody's")
        before = sorted(store.rglob("*"))
        self.assertRefused(self.start(), str(store), "'thesis.tex'", "--store")
        self.assertEqual(sorted(store.rglob("*")), before)

    def test_an_option_nobody_knows(self) -> None:
        self.assertRefused(self.start("--shop"), "shop")


class BecomingADaemon(NodeTestCase):
    """``twistd flocon`` without -n: whoever typed it waits for what it says, and reads no log."""

    def setUp(self) -> None:
        super().setUp()
        self.place = self.folder / "place"
        self.place.mkdir()
        self.addCleanup(self.end)

    def end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            process = int((self.place / "twistd.pid").read_text())
            os.kill(process, signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE
            while (self.place / "twistd.pid").exists() and time.monotonic() < deadline:
                time.sleep(0.02)

    def daemon(
        self, *arguments: str, twistd: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", TWISTD, *twistd]
        return subprocess.run(
            [*command, "flocon", "--config", str(self.config), *arguments],
            cwd=self.place,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def assert_refused(self, done: subprocess.CompletedProcess[str], *expected: str) -> None:
        self.assertEqual(done.returncode, 1, done.stderr)
        (line,) = done.stderr.splitlines()
        for word in expected:
            self.assertIn(word, line)
        self.assertEqual(list(self.place.iterdir()), [])

    def test_it_answers_when_the_terminal_is_free_again(self) -> None:
        done = self.daemon()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(self.check(), b"OK")

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)):
            done = self.daemon()
        self.assert_refused(done, f"port {self.port} is taken; is another flocon running?")

    def test_a_store_that_cannot_be_written(self) -> None:
        (self.folder / "store").write_text("not a folder")
        self.assert_refused(self.daemon(), str(self.folder / "store"), "--store")

    def test_a_store_that_another_node_uses(self) -> None:
        self.started()
        self.port, self.lan_port = _free_port(), _free_port()
        self.configure()
        self.assert_refused(self.daemon(), str(self.folder / "store"), "another flocon is running")

    def test_files_of_twistds_own_that_cannot_be_written(self) -> None:
        missing = f"{self.folder}/missing/file"
        for option in ("--logfile", "--pidfile"):
            self.assert_refused(self.daemon(twistd=(option, missing)), option, missing)

    def test_what_is_known_only_afterwards_is_told_too(self) -> None:
        # As another user: what that user may write is seen once twistd has become that user.
        if os.geteuid():
            raise SkipTest("only root can become somebody else")
        self.started()
        self.port, self.lan_port = _free_port(), _free_port()
        self.configure()
        done = self.daemon(twistd=("--uid", "0"))
        self.assertEqual(done.returncode, 1)
        # twistd hands so few bytes to the terminal that the sentence may be cut there.
        self.assertIn(f"{self.config}: store.path: ", self.log())
        self.assertIn("another flocon is running", self.log())
        self.assertNotIn("Traceback", done.stderr)
        self.assertFalse((self.place / "twistd.pid").exists())

    def log(self) -> str:
        return (self.place / "twistd.log").read_text()


class Life(NodeTestCase):
    def test_whatever_lies_in_place_of_its_small_files_it_starts_and_answers(self) -> None:
        store = self.folder / "store"
        store.mkdir()
        (store / "flocon-store").write_bytes(b"flocon store 1\n")
        record = {"node": "a", "address": "10.0.0.1", "strikes": 1, "why": "x", "banned": False}
        dates = '"since": 9e11, "until": 1e999'
        row = json.dumps(record).removesuffix("}")
        (store / "quarantine.json").write_text(f"[{row}, {dates}}}]")
        (store / "savings.json").write_text('{"wan": [1e17, 1e-300], "days": {}}')
        for name in ("node", "state.sqlite", "databases.json"):
            os.mkfifo(store / name)
        running = self.started()
        for path in ("/status.json", "/metrics", "/"):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", path)
            self.assertEqual(connection.getresponse().status, 200, path)
            connection.close()
        self.assertNotIn("Traceback", running.output)
        for name in ("quarantine.json", "savings.json"):
            self.assertIn(f"{store / name} is not used as it is", running.output)
            self.assertTrue((store / f"{name}.set-aside").exists())

    def test_a_mirror_answers_machines_without_a_node_and_another_node_does_not(self) -> None:
        port = _free_port()
        for serve, status in (("true", 503), ("false", 0)):
            listen = f'["tcp:{port}:interface=127.0.0.1"]'
            self.configure(mirror=f"{{serve = {serve}, listen = {listen}}}")
            running = self.started()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            found = 0
            with contextlib.suppress(ConnectionRefusedError):
                connection.request("GET", "/core/os/x86_64/core.db")
                found = connection.getresponse().status
            connection.close()
            # It has no mirror from which it could have read any.
            self.assertEqual(found, status)
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(PATIENCE)
            self.assertNotIn("Traceback", running.output)

    def test_it_answers_and_stops_soon_without_a_traceback(self) -> None:
        running = self.started()
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(PATIENCE)
        took = time.monotonic() - began
        self.assertLess(took, 2.0)
        # twistd ends itself with the signal that stopped it, once all services have stopped.
        self.assertIn(running.process.returncode, {0, -signal.SIGTERM})
        for word in ("Traceback", "Unhandled", "Error"):
            self.assertNotIn(word, running.output)
        self.assertIn("flocon has stopped", running.output)

    def test_it_ends_in_time_where_a_disk_does_not_answer(self) -> None:
        running = self.started(program=HANGING)
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(PATIENCE)
        self.assertEqual(running.process.returncode, 1, running.output)
        self.assertNotIn("flocon has stopped", running.output)

    def test_without_a_store_it_says_so_and_answers_all_the_same(self) -> None:
        (self.folder / "store").write_text("not a folder")
        running = self.started()
        self.assertIn("nothing is kept for the LAN", running.output)
        told = self.asked("/doctor.json")["store"]
        self.assertIn(f"{self.folder}/store: ", told["problem"])
        self.assertIn("--store", told["remedy"])
        self.assertEqual(self.asked("/status.json")["store"]["problem"], told["problem"])

    def test_signals_are_answered_in_the_log(self) -> None:
        running = self.started()
        running.process.send_signal(signal.SIGUSR1)
        self.wait_until(lambda: "0 peers" in running.output, running)
        running.process.send_signal(signal.SIGUSR2)
        self.wait_until(lambda: "joining the group anew" in running.output, running)

    def test_debug_lines_come_once_the_settings_are_read_anew(self) -> None:
        running = self.started()
        self.configure(debug="true", shop='"x"')
        running.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: "the settings stay as they are" in running.output, running)
        self.configure(debug="true")
        running.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: "settings read anew" in running.output, running)
        self.assertEqual(self.check(), b"OK")

    def test_with_few_files_no_face_is_closed_by_who_takes_connections(self) -> None:
        running = self.started(descriptors=256)
        taken = [
            socket.create_connection(("127.0.0.1", port), timeout=5)
            for port in (self.port, self.lan_port)
            for _ in range(250)
        ]
        for one in taken:
            self.addCleanup(one.close)
            with contextlib.suppress(OSError):
                one.sendall(b"GET /")
        for _ in range(20):
            self.assertEqual(self.check(), b"OK")
        self.assertLess(len(list(Path(f"/proc/{running.process.pid}/fd").iterdir())), 256)
        self.assertNotIn("file descriptors", running.output)
        self.assertNotIn("EMFILE", running.output)

    def test_a_second_start_is_the_same_node(self) -> None:
        nodes = []
        for _ in range(2):
            running = self.started()
            nodes += [line for line in running.output.splitlines() if " is node " in line]
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(PATIENCE)
        names = {line.partition(" is node ")[2].split()[0] for line in nodes}
        self.assertEqual((len(nodes), len(names)), (2, 1))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Reloading(NodeTestCase):
    def test_a_value_that_cannot_be_is_said_and_the_node_goes_on(self) -> None:
        running = self.started()
        sentence = "the settings stay as they are"
        for count, value in enumerate(("[]", "9" * 5_000), 1):
            self.configure(proxy=value)
            running.process.send_signal(signal.SIGHUP)
            said = partial(lambda count: running.output.count(sentence) == count, count)
            self.wait_until(said, running)
        self.assertNotIn("Traceback", running.output)
        self.assertEqual(self.check(), b"OK")

    def test_two_thousand_hangups_are_a_few(self) -> None:
        running = self.started()
        for _ in range(2_000):
            running.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: "settings read anew" in running.output, running)
        time.sleep(1.5)
        self.assertLessEqual(running.output.count("settings read anew"), 3)
        self.assertEqual(self.check(), b"OK")
