"""A real pacman asks a real node for databases, whose mirrors misbehave; all on the loopback.

The same pacman without a node is the measure: it is never better off.
"""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from twisted.trial.unittest import SynchronousTestCase

from tests.lan.lan import environment, twistd, unavailable, wait_until
from tests.lan.repository import Recipe, RepoAdd, build
from tests.needs import leave_out

HOUR = 3_600.0
PACKAGE = "zlib-1.3.1-2-x86_64.pkg.tar.zst"
#: What stands in a version of the second package is what makepkg lets stand there.
RECIPES = (Recipe("zlib", "1.3.1-2", 9000), Recipe("odd", "1,2=3%4-1", 300))
PAGE = b"<!DOCTYPE html><html><body>welcome</body></html>" * 40


@cache
def repository() -> Path:
    """Return a folder with packages and ``core.db``, which repo-add wrote."""
    folder = Path(tempfile.mkdtemp(prefix="flocon-databases-"))
    RepoAdd().add(folder, "core", [build(recipe, folder, seed=1) for recipe in RECIPES])
    return folder


class Mirror:
    """An HTTP server in threads; ``rule`` says of a file name what is wrong with its answer.

    A number is a status, bytes are what is sent with 200, "silent" is no answer at all, and a
    float is the time that its date says; None is a mirror as it should be.
    """

    def __init__(self, folder: Path, rule: Callable[[str], Any] = lambda _: None) -> None:
        self.folder = folder
        self.rule = rule
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                # Whoever has seen enough resets the connection.
                with contextlib.suppress(ConnectionError):
                    super().handle()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

            def do_GET(self) -> None:
                outer.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._ended = threading.Event()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = unquote(request.path.rpartition("/")[2])
        self.asked.append(name)
        verdict = self.rule(name)
        path = self.folder / name
        if verdict == "silent":
            self._ended.wait(30)
            request.close_connection = True
        elif isinstance(verdict, int):
            self._send(request, verdict, b"")
        elif isinstance(verdict, bytes):
            self._send(request, 200, verdict)
        elif not path.exists():
            self._send(request, 404, b"")
        else:
            modified = verdict or path.stat().st_mtime
            since = request.headers.get("If-Modified-Since")
            if since and email.utils.parsedate_to_datetime(since).timestamp() >= int(modified):
                self._send(request, 304, b"")
            else:
                self._send(request, 200, path.read_bytes(), modified)

    @staticmethod
    def _send(
        request: BaseHTTPRequestHandler, status: int, body: bytes, modified: float = 0.0
    ) -> None:
        request.send_response(status)
        if status != 304:
            request.send_header("Content-Length", str(len(body)))
        if modified:
            request.send_header("Last-Modified", email.utils.formatdate(modified, usegmt=True))
        request.end_headers()
        request.wfile.write(body)

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MisbehavingMirrors(SynchronousTestCase):
    def setUp(self) -> None:
        leave_out(unavailable())
        self.top = Path(tempfile.mkdtemp(prefix="flocon-databases-"))
        self.addCleanup(shutil.rmtree, self.top)
        for name in ("root", "db", "cache", "gpg", "hooks", "store"):
            (self.top / name).mkdir()
        self.database = self.top / "db" / "sync" / "core.db"
        self.port = free_port()
        self.repository = self.top / "repository"
        shutil.copytree(repository(), self.repository, copy_function=os.link)
        self.publish(gzip.decompress((repository() / "core.db").read_bytes()), gzip.compress)

    def publish(self, plain: bytes, compress: Callable[[bytes], bytes]) -> None:
        path = self.repository / "core.db"
        path.unlink()
        path.write_bytes(compress(plain))
        os.utime(path, (time.time() - HOUR,) * 2)

    def mirror(self, rule: Callable[[str], Any] = lambda _: None) -> Mirror:
        mirror = Mirror(self.repository, rule)
        self.addCleanup(mirror.close)
        return mirror

    def start(self, *mirrors: Mirror, level: str = "Never") -> None:
        """Start a node; pacman itself knows no other server, and ``direct.conf`` no node."""
        lines = [f"Server = {mirror.url}/$repo/os/$arch" for mirror in mirrors]
        own = f"Server = http://localhost:{self.port}/$repo/os/$arch"
        folders = {"RootDir": "root", "DBPath": "db", "CacheDir": "cache", "GPGDir": "gpg"}
        options = [f"{key} = {self.top / name}" for key, name in folders.items()]
        options += [f"LogFile = {self.top}/log", f"HookDir = {self.top}/hooks"]
        options += ["Architecture = x86_64", f"SigLevel = {level}"]
        head = "\n".join(["[options]", *options, "[core]", ""])
        (self.top / "direct.conf").write_text(head + "\n".join(lines) + "\n")
        comments = [f"# flocon: {line}" for line in lines]
        (self.top / "pacman.conf").write_text(head + "\n".join([own, *comments]) + "\n")
        (self.top / "flocon.toml").write_text(f"[presence]\nport = {free_port()}\n")
        command = [twistd(), "--nodaemon", "--pidfile=", "flocon", "--interface", "lo"]
        command += ["--config", str(self.top / "flocon.toml"), "--store", str(self.top / "store")]
        command += ["--pacman-conf", str(self.top / "pacman.conf")]
        command += ["--lan", f"tcp:{free_port()}:interface=127.0.0.1"]
        command += ["--loopback", f"tcp:{self.port}:interface=127.0.0.1"]
        path = self.top / "node.log"
        with path.open("w") as log:
            node = subprocess.Popen(
                command, env=environment(), cwd=self.top, stdout=log, stderr=subprocess.STDOUT
            )
        self.addCleanup(self.stop, node, path)
        wait_until(self.answers, 20, "the node answers")

    def stop(self, node: subprocess.Popen[bytes], log: Path) -> None:
        node.terminate()
        node.wait(20)
        self.assertNotIn("Traceback", log.read_text())

    def answers(self) -> bool:
        try:
            return bool(self.ask("/check"))
        except OSError:
            return False

    def ask(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://localhost:{self.port}{path}") as answer:
            data: bytes = answer.read()
            return data

    def listed(self, file_name: str) -> bool:
        return bool(json.loads(self.ask(f"/why.json?file={file_name}"))["listed"])

    def pacman(self, *options: str, conf: str = "pacman.conf") -> tuple[int, str, float]:
        """Return the status, what was said, and the seconds it took."""
        began = time.monotonic()
        command = ["pacman", "--config", str(self.top / conf), "--noconfirm", "--noprogressbar"]
        done = subprocess.run(
            [*command, *options],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr, time.monotonic() - began

    def assert_clean(self, *options: str, within: float = 5.0) -> None:
        status, said, seconds = self.pacman(*options)
        self.assertEqual(status, 0, said)
        self.assertNotIn("error", said)
        self.assertLess(seconds, within)

    def test_one_that_has_a_page_under_every_name(self) -> None:
        first, second = self.mirror(lambda _: PAGE), self.mirror()
        self.start(first, second)
        status, _, _ = self.pacman("-Syy", conf="direct.conf")
        direct = self.database.read_bytes()
        self.assertEqual((status, direct), (0, PAGE))
        self.assert_clean("-Syy")
        self.assert_clean("-Sw", "zlib")
        self.assertIn("core.db", first.asked)

    def test_one_that_has_an_error_or_a_page_for_the_signature(self) -> None:
        for verdict in (404, 429, 503, PAGE):
            with self.subTest(verdict=verdict):
                self.setUp()

                def rule(name: str, verdict: Any = verdict) -> Any:
                    return verdict if name.endswith(".sig") else None

                (self.repository / "core.db.sig").write_bytes(b"of another database")
                first, second = self.mirror(rule), self.mirror()
                self.start(first, second, level="Optional")
                self.assert_clean("-Syy")
                self.assertEqual(second.asked, [])

    def test_one_that_is_silent_about_the_signature(self) -> None:
        first = self.mirror(lambda name: "silent" if name.endswith(".sig") else None)
        self.start(first, self.mirror(), level="Optional")
        self.assert_clean("-Syy", within=5.0)

    def test_eight_that_are_silent(self) -> None:
        self.start(*(self.mirror(lambda _: "silent") for _ in range(8)))
        status, said, seconds = self.pacman("-Syy")
        self.assertNotEqual(status, 0)
        self.assertIn("503", said)
        self.assertLess(seconds, 10)

    def test_eight_that_are_silent_and_one_that_is_not(self) -> None:
        silent = [self.mirror(lambda _: "silent") for _ in range(8)]
        self.start(*silent, self.mirror())
        self.assert_clean("-Syy", within=10)

    def test_a_local_server_behind_the_node_is_good_for_pacman(self) -> None:
        """Once a server gave an error, pacman takes its unchanged database for failed."""
        mirror = self.mirror(lambda _: 503)
        self.start(mirror)
        path = self.top / "pacman.conf"
        path.write_text(path.read_text() + f"Server = file://{self.repository}\n")
        # The node reads that by and by.
        wait_until(lambda: self.pacman("-Syy") and not self.pacman("-Sy")[0], 10, "pacman is well")
        for _ in range(2):
            status, said, _ = self.pacman("-Sy")
            self.assertEqual(status, 0, said)
        self.assertIn("core.db", mirror.asked)

    def test_a_date_to_come(self) -> None:
        tomorrow = time.time() + 24 * HOUR
        mirror = self.mirror(lambda _: tomorrow)
        self.start(mirror)
        self.assert_clean("-Sy")
        self.assertLessEqual(self.database.stat().st_mtime, time.time())
        mirror.rule = lambda _: None
        # One that lies there already, from whomever: pacman alone takes nothing for a day.
        os.utime(self.database, (tomorrow, tomorrow))
        before = self.database.stat().st_ino
        self.pacman("-Sy", conf="direct.conf")
        self.assertEqual(self.database.stat().st_ino, before)
        self.assert_clean("-Sy")
        self.assertNotEqual(self.database.stat().st_ino, before)
        self.assertLessEqual(self.database.stat().st_mtime, time.time())

    def test_whatever_pacman_reads_lists(self) -> None:
        plain = gzip.decompress((self.repository / "core.db").read_bytes())
        programs = {
            "pzstd": ["pzstd", "--quiet", "--stdout"],
            "lz4": ["bsdtar", "-cf-", "--format=gnutar", "--lz4", "@-"],
            "xz": ["bsdtar", "-cf-", "--format=gnutar", "--xz", "@-"],
            "bzip2": ["bsdtar", "-cf-", "--format=gnutar", "--bzip2", "@-"],
            "none": ["cat"],
            "cpio": ["bsdtar", "-cf-", "--format=newc", "@-"],
        }
        self.start(self.mirror())
        for name, program in programs.items():
            if shutil.which(program[0]) is None:
                continue

            def compress(data: bytes, program: list[str] = program) -> bytes:
                done = subprocess.run(program, input=data, capture_output=True, check=True)
                return done.stdout

            with self.subTest(compression=name):
                self.publish(plain, compress)
                self.assert_clean("-Syy")
                self.assert_clean("-Sw", "zlib", "odd")
                self.assertTrue(self.listed(PACKAGE))

    def test_a_private_dbpath_lists(self) -> None:
        self.start(self.mirror())
        private = str(self.top / "private")
        Path(private).mkdir()
        self.assertFalse(self.listed(PACKAGE))
        self.assert_clean("-Sy", "--dbpath", private)
        self.assert_clean("-Sw", "zlib", "--dbpath", private)
        self.assertTrue(self.listed(PACKAGE))
        kept = self.top / "store" / "packages" / PACKAGE
        wait_until(kept.exists, 5, "what is listed is kept")
