"""A node as a process: what it refuses to start with, and how it starts and stops."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import flocon

PATIENCE = 30.0
ROOT = Path(flocon.__file__).parent.parent
TWISTD = "from twisted.scripts.twistd import run; run()"


class Running:
    """A process whose two outputs go to one file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._output = folder / f"output{len(list(folder.glob('output*')))}"
        command = [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "flocon", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=output
            )

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
        values = {
            "pacman_conf": f'"{self.pacman_conf}"',
            "lan": f'"tcp:{_free_port()}:interface=127.0.0.1"',
            "loopback": f'["tcp:{self.port}:interface=127.0.0.1"]',
            "store": f'{{path = "{self.folder}/store"}}',
            "presence": f'{{port = {_free_port()}, interfaces = ["127.0.0.1"]}}',
        }
        lines = [f"{key} = {value}" for key, value in (values | changed).items() if value]
        self.config.write_text("\n".join(lines) + "\n")

    def start(self, *arguments: str) -> Running:
        running = Running(self.folder, "--config", str(self.config), *arguments)
        self.addCleanup(running.end)
        return running

    def started(self) -> Running:
        """Start a node and wait until it answers."""
        running = self.start()
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
        self.assertRefused(self.start(), "flocon.toml: shop", "is not a key flocon knows")

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
        self.assertRefused(self.start("--interface", "a b"), "'a b'", "--interface")

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)):
            self.assertRefused(self.start(), str(self.port), "--loopback")

    def test_an_endpoint_of_no_known_kind(self) -> None:
        self.assertRefused(self.start("--lan", "nosuch:1"), "nosuch", "--lan")

    def test_a_store_that_another_node_uses(self) -> None:
        self.started()
        self.port = _free_port()
        self.configure()
        self.assertRefused(self.start(), "flocon:", str(self.folder / "store"))

    def test_an_option_nobody_knows(self) -> None:
        self.assertRefused(self.start("--shop"), "shop")


class Life(NodeTestCase):
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

    def test_without_a_store_it_says_so_and_answers_all_the_same(self) -> None:
        (self.folder / "store").write_text("not a folder")
        running = self.started()
        self.assertIn("nothing is kept for the LAN", running.output)

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
    def test_two_thousand_hangups_are_a_few(self) -> None:
        running = self.started()
        for _ in range(2_000):
            running.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: "settings read anew" in running.output, running)
        time.sleep(1.5)
        self.assertLessEqual(running.output.count("settings read anew"), 3)
        self.assertEqual(self.check(), b"OK")
