"""One run of pacman with the node, and without it."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock, skipUnless

from flocon.errors import ToolMissing
from flocon.leading import borrow
from flocon.leading.node_lines import Method
from tests.leading.pacman_shapes import CORE, EXTRA, stock
from tests.leading.setup_case import HAS_PACMAN, NEEDS_PACMAN, Case, change, contents, tools

MAIN = "from flocon.cli import main; main()"


class Node(http.server.BaseHTTPRequestHandler):
    """Answers ``/check`` as a node does, everything else with 404, and keeps the paths."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = b"OK\n" if self.path == "/check" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def node() -> Iterator[tuple[int, list[str]]]:
    """Run something that answers as a node; yield its port and what it was asked."""
    asked: list[str] = []
    handler = type("Handler", (Node,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


class Borrowing(Case):
    #: Stands in for pacman: notes its arguments and configuration, and fails in its own way.
    STUB = """
if [ "$1" = --version ]; then echo " Pacman v$VERSION - libalpm"; exit 0; fi
echo "$@" >"$OUT/arguments"; env >"$OUT/environment"
[ "$1" = --config ] && cat "$2" >"$OUT/configuration"
exit 7"""

    def run_cli(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        with tools(self.base / "bin", pacman=self.STUB):
            return subprocess.run(
                [sys.executable, "-c", MAIN, *arguments],
                env={**os.environ, "OUT": str(self.base), "VERSION": "7.0.0", **environment},
                cwd=Path(borrow.__file__).parents[2],
                capture_output=True,
                check=False,
            )

    def said(self, name: str) -> str:
        return (self.base / name).read_text()

    def test_pacman_runs_once_with_the_node_and_the_files_stay(self) -> None:
        path = self.write(stock(CORE + EXTRA))
        before = contents(self.etc)
        with node() as (port, _):
            done = self.run_cli("--port", str(port), "pacman", "-Syu", "--config", str(path), "a=b")
        self.assertEqual((7, b""), (done.returncode, done.stderr))
        self.assertRegex(self.said("arguments"), r"^--config /proc/self/fd/[0-9]+ -Syu a=b\n$")
        line = f"CacheServer = http://localhost:{port}/$repo/os/$arch\n"
        self.assertIn(f"[core]\n{line}Server = https://de2", self.said("configuration"))
        self.assertEqual(before, contents(self.etc))

    def test_an_older_pacman_gets_a_server(self) -> None:
        path = self.write(stock(CORE))
        with node() as (port, _):
            self.run_cli(f"--port={port}", "pacman", f"--config={path}", "-Sy", VERSION="6.0.2")
        line = f"\nServer = http://localhost:{port}/$repo/os/$arch\nServer = https://de2"
        self.assertIn(line, self.said("configuration"))

    def test_a_proxy_is_not_asked_for_the_node(self) -> None:
        path = self.write(stock(CORE))
        with node() as (port, _):
            environment = {"http_proxy": "http://proxy.example:1", "no_proxy": "x.example"}
            self.run_cli(f"--port={port}", "pacman", "--config", str(path), "-Sy", **environment)
        self.assertIn("no_proxy=x.example,localhost\n", self.said("environment"))

    def test_pacman_is_plain_and_says_so_where_no_node_answers(self) -> None:
        path = self.write(stock(CORE))
        with node() as (port, _):
            pass
        done = self.run_cli(f"--port={port}", "pacman", "--config", str(path), "--", "--config")
        self.assertEqual(7, done.returncode)
        self.assertIn(b"pacman goes on without the node", done.stderr)
        self.assertEqual(f"--config {path} -- --config\n", self.said("arguments"))

    def test_a_configuration_that_cannot_be_led_is_used_as_it_is(self) -> None:
        path = self.write({"pacman.conf": b"[options]\n"})
        with node() as (port, _):
            done = self.run_cli(f"--port={port}", "pacman", "--config", str(path), "-Q")
        self.assertEqual(7, done.returncode)
        self.assertIn(b"nothing can be set up", done.stderr)
        self.assertEqual(f"--config {path} -Q\n", self.said("arguments"))

    def test_a_set_up_pacman_runs_as_it_is(self) -> None:
        path = self.write(stock(CORE))
        with node() as (port, _):
            change(path, Method.CACHE_SERVER, port=port)
            done = self.run_cli(f"--port={port}", "pacman", "--config", str(path), "-Sy")
        self.assertEqual(b"", done.stderr)
        self.assertEqual(f"--config {path} -Sy\n", self.said("arguments"))

    def test_every_argument_is_pacmans(self) -> None:
        with node() as (port, _):
            pass
        self.run_cli("--port", str(port), "pacman", "--help", "--json", "--port", "-h", "--undo")
        self.assertEqual("--help --json --port -h --undo\n", self.said("arguments"))

    def test_something_else_on_the_port_is_not_a_node(self) -> None:
        def refuse(self: Node) -> None:
            self.send_error(503)

        with node() as (port, _):
            self.assertTrue(borrow.node_answers(port))
            with mock.patch.object(Node, "do_GET", refuse):
                self.assertFalse(borrow.node_answers(port))

    def test_something_that_drips_holds_pacman_up_no_longer(self) -> None:
        cut_off = threading.Event()

        def drip(self: Node) -> None:
            try:
                for _ in range(3_000):
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    time.sleep(0.005)
            except OSError:
                cut_off.set()

        self.patch(borrow, "QUICK", 0.1)
        self.patch(borrow, "_MOST_SAID", 1 << 20)
        with node() as (port, _), mock.patch.object(Node, "do_GET", drip):
            self.assertFalse(borrow.node_answers(port))
        self.assertTrue(cut_off.wait(30))

    def test_without_pacman_there_is_nothing_to_run(self) -> None:
        with mock.patch.dict(os.environ, {"PATH": str(self.base)}):
            self.assertRaises(ToolMissing, borrow.borrow, ["-Q"], port=1, tell=self.fail)

    @skipUnless(HAS_PACMAN, NEEDS_PACMAN)
    def test_a_real_pacman_asks_the_node_first(self) -> None:
        folders = ("RootDir", "DBPath", "CacheDir", "GPGDir", "HookDir")
        options = "[options]\nArchitecture = x86_64\nSigLevel = Never\n"
        for name in folders:
            (self.base / name).mkdir()
            options += f"{name} = {self.base / name}\n"
        options += f"LogFile = {self.base / 'log'}\n"
        mirrorlist = b"Server = http://127.0.0.1:9/$repo\n"
        path = self.write(stock(CORE, mirrorlist, options=options.encode()))
        # Below folders of its own it needs no more than to believe that it is root.
        root = ["fakeroot"] if os.geteuid() else []
        if root and not shutil.which("fakeroot"):
            self.skipTest("pacman needs root here, or fakeroot")
        arguments = ("pacman", "-Sy", f"--config={path}")
        with node() as (port, asked):
            done = subprocess.run(
                [*root, sys.executable, "-c", MAIN, f"--port={port}", *arguments],
                cwd=Path(borrow.__file__).parents[2],
                capture_output=True,
                check=False,
            )
        self.assertEqual(["/check", "/core/os/x86_64/core.db"], asked, done.stderr)
        self.assertEqual(1, done.returncode)
