"""Sources that come from a network, by the way out: what is reached, told and refused."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.building.case import PACKAGE, Done, JobCase, recipe

NAMES = ["-c", "user.name=a", "-c", "user.email=a@b"]
LOCAL = ["127.0.0.0/8"]
SUM = hashlib.sha256(b"a source\n").hexdigest()


class _Source(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []
    elsewhere = ""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", self.elsewhere)
            self.end_headers()
            return
        self.send_response(503 if self.path == "/away" else 200)
        self.end_headers()
        self.wfile.write(b"a source\n")

    def log_message(self, *_: object) -> None:
        pass


class NetworkTests(JobCase):
    """A server of this machine, which an operator lets in."""

    def setUp(self) -> None:
        super().setUp()
        _Source.asked.clear()
        self.port = self._serve(_Source)

    def _serve(self, handler: Any) -> int:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_port

    async def _fetch(
        self, path: str, more: str = PACKAGE, digest: str = SUM, **values: Any
    ) -> Done:
        lines = f"source=(file::http://127.0.0.1:{self.port}/{path})\nsha256sums=({digest})\n"
        files: Mapping[str, str | bytes] = recipe(lines + more)
        return await self.build(files, **{"networks": LOCAL, **values})

    def test_a_source_is_fetched_and_its_host_told(self) -> Deferred[None]:
        async def go() -> None:
            more = 'package() { install -Dm644 "$srcdir/file" "$pkgdir/usr/share/odd/text"; }\n'
            done = await self._fetch("one", more)
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "a source\n")
            self.assertEqual(done.hosts, ["127.0.0.1"])
            self.assertEqual(_Source.asked, ["/one"])

        return self.do(go())

    def test_a_network_that_nobody_lets_in_is_refused(self) -> Deferred[None]:
        async def go() -> None:
            done = await self._fetch("one", networks=[])
            self.assertEqual((done.result, done.refused), ("failed", ["127.0.0.1"]))
            self.assertIn("[build] networks", done.log)
            self.assertEqual(_Source.asked, [])

        return self.do(go())

    def test_a_redirect_leads_no_nearer(self) -> Deferred[None]:
        async def go() -> None:
            _Source.elsewhere = "http://10.255.255.1/secret"
            done = await self._fetch("elsewhere")
            self.assertEqual((done.result, done.refused), ("failed", ["10.255.255.1"]))

        return self.do(go())

    def test_a_source_that_is_not_what_its_sum_says_is_not_tried_again(self) -> Deferred[None]:
        async def go() -> None:
            done = await self._fetch("one", digest="0" * 64)
            self.assertEqual((done.result, done.exit), ("failed", 1))

        return self.do(go())

    def test_a_server_that_fails_is_worth_another_try(self) -> Deferred[None]:
        async def go() -> None:
            done = await self._fetch("away")
            self.assertEqual(done.result, "unreachable", done.log)

        return self.do(go())

    def test_nothing_is_reached_while_it_is_built(self) -> Deferred[None]:
        async def go() -> None:
            build = f"""
build() {{
  curl -sf -m 5 http://127.0.0.1:{self.port}/from-build && return 1
  curl -sf -m 5 --noproxy '*' http://127.0.0.1:{self.port}/from-build && return 1
  curl -sf -m 5 -x http://127.0.0.1:3128 http://127.0.0.1:{self.port}/from-build && return 1
  true
}}
"""
            done = await self._fetch("one", build + PACKAGE)
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(_Source.asked, ["/one"])

        return self.do(go())

    def test_by_a_persons_word_it_is_while_it_is_built(self) -> Deferred[None]:
        async def go() -> None:
            build = f"build() {{ curl -sf -m 9 http://127.0.0.1:{self.port}/from-build; }}\n"
            done = await self._fetch("one", build + PACKAGE, online=True)
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(_Source.asked, ["/one", "/from-build"])

        return self.do(go())

    def test_which_commit_of_a_repository_was_built_is_told(self) -> Deferred[None]:
        async def go() -> None:
            commit, port = self._repository()
            source = f"git+http://127.0.0.1:{port}/up.git"
            lines = f"""
source=({source})
sha256sums=(SKIP)
pkgver() {{ cd up; git rev-list --count HEAD; }}
package() {{ install -Dm644 "$srcdir/up/file" "$pkgdir/usr/share/odd/text"; }}
"""
            done = await self.build(recipe(lines), networks=LOCAL)
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.left.commits, {source: commit})
            self.assertEqual(done.found(), "followed\n")

        return self.do(go())

    def test_a_source_with_another_one_in_it_is_fetched_in_both_ways(self) -> Deferred[None]:
        """As recipes do it: the inner one as a source of its own, or by git itself."""

        async def go() -> None:
            _, port = self._repository()
            served = f"http://127.0.0.1:{port}"
            outer, bare = self.folder / "outer", self.folder / "served/outer.git"
            outer.mkdir()
            add = ["submodule", "-q", "add", f"{served}/up.git", "inner"]
            for words in (["init", "-q"], add, [*NAMES, "commit", "-qm", "x"]):
                await deferToThread(subprocess.run, ["git", *words], cwd=outer, check=True)
            subprocess.run(["git", "clone", "-q", "--bare", outer, bare], check=True)
            subprocess.run(["git", "update-server-info"], cwd=bare, check=True)
            its_own = """
  git config submodule.inner.url "$srcdir/up"
  git -c protocol.file.allow=always submodule -q update"""
            for inner, update in ((f"git+{served}/up.git", its_own), ("", "")):
                lines = f"""
source=(git+{served}/outer.git {inner})
sha256sums=(SKIP{" SKIP" if inner else ""})
prepare() {{ cd outer; git submodule -q init{update or "; git submodule -q update"}; }}
build() {{ cat "$srcdir/outer/inner/file" >/dev/null; }}
package() {{ install -Dm644 "$srcdir/outer/inner/file" "$pkgdir/usr/share/odd/text"; }}
"""
                done = await self.build(recipe(lines), networks=LOCAL)
                self.assertEqual(done.result, "built", done.log)
                self.assertEqual(done.found(), "followed\n")
                self.assertEqual(done.hosts, ["127.0.0.1"])

        return self.do(go())

    def _repository(self) -> tuple[str, int]:
        up, bare = self.folder / "up", self.folder / "served/up.git"
        up.mkdir()
        (up / "file").write_text("followed\n")
        for words in (["init", "-q"], ["add", "."], [*NAMES, "commit", "-qm", "x"]):
            subprocess.run(["git", *words], cwd=up, check=True)
        bare.parent.mkdir()
        subprocess.run(["git", "clone", "-q", "--bare", up, bare], check=True)
        subprocess.run(["git", "update-server-info"], cwd=bare, check=True)
        said = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=up, check=True, capture_output=True, text=True
        )
        return said.stdout.strip(), self._serve(_folder(bare.parent))


def _folder(served: Path) -> type[SimpleHTTPRequestHandler]:
    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, directory=str(served), **options)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
