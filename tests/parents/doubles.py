"""Caching proxies as pacoloco, flexo, cpcache and pkgstash are said to answer: one page of Python.

``python -m tests.parents.doubles KIND ADDRESS:PORT UPSTREAM FOLDER [--log FILE] [--fault FAULT]
[--lacks FILE]``: what a client asks for is fetched from UPSTREAM (http://HOST, laid out as mirrors
are), kept under FOLDER and given. FAULT is ``wrong`` (other bytes of the right length), ``silent``
(no answer), ``slow`` (100 KB/s), ``away`` (sends to the mirror by 301), or ``empty`` (200 without a
body). Written from what was seen of them on the wire; nothing of flocon is used.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

KINDS = ("pacoloco", "flexo", "cpcache", "pkgstash")
FAULTS = ("", "wrong", "silent", "slow", "away", "empty")
#: What is sent of a slow answer each tenth of a second.
SLOW_PIECE = 10_000
_GIVEN = ("Last-Modified",)


class Double(ThreadingHTTPServer):
    """One proxy; ``asked`` are the requests, each as ``METHOD PATH RANGE STATUS BYTES``."""

    daemon_threads = True

    def __init__(
        self,
        kind: str,
        place: tuple[str, int],
        upstream: str,
        folder: Path,
        *,
        log: Path | None = None,
        fault: str = "",
        lacks: frozenset[str] = frozenset(),
    ) -> None:
        assert kind in KINDS and fault in FAULTS, (kind, fault)
        self.kind = kind
        self.upstream = upstream.rstrip("/")
        self.folder = folder
        self.fault = fault
        self.lacks = lacks
        self.asked: list[str] = []
        self._log = log
        self._locks: dict[Path, threading.Lock] = {}
        self._guard = threading.Lock()
        super().__init__(place, _Handler)

    @property
    def url(self) -> str:
        """Where a ``Server`` line of its clients leads, complete but for what is asked for."""
        host, port = self.server_address[:2]
        named = "/repo/archlinux" if self.kind == "pacoloco" else ""
        return f"http://{host!s}:{port}{named}/$repo/os/$arch"

    def start(self) -> Double:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def end(self) -> None:
        self.shutdown()
        self.server_close()

    def note(self, line: str) -> None:
        with self._guard:
            self.asked.append(line)
            if self._log is not None:
                with self._log.open("a") as log:
                    print(line, file=log)

    def lock(self, path: Path) -> threading.Lock:
        """One transfer of a file at a time: who comes second waits for it."""
        with self._guard:
            return self._locks.setdefault(path, threading.Lock())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Double
    timeout = 30

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        if self.server.kind == "flexo":
            self.close_connection = True
            self._give(400)
        elif self.server.kind == "cpcache":
            self._give(405)
        else:
            self._answer(body=False)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass

    def _answer(self, *, body: bool) -> None:
        if self.server.fault == "silent":
            time.sleep(30)
            self.close_connection = True
            return
        raw = urlsplit(self.path).path
        # flexo and cpcache take names as they are written.
        path = raw if self.server.kind in {"flexo", "cpcache"} else unquote(raw)
        if self.server.kind == "pacoloco":
            parts = path.split("/", 3)
            if parts[:3] != ["", "repo", "archlinux"] or len(parts) < 4:
                self._give(404)
                return
            path = f"/{parts[3]}"
        if ".." in path or self.server.fault == "away":
            self._redirect(path)
        elif path.endswith((".db", ".files")):
            self._database(path, body=body)
        elif path.endswith((".db.sig", ".files.sig")):
            self._give(404)
        else:
            self._package(path, body=body)

    def _database(self, path: str, *, body: bool) -> None:
        kind = self.server.kind
        if kind == "cpcache":
            self._redirect(path)
            return
        since = self.headers.get("If-Modified-Since") if kind == "pacoloco" else None
        status, data, head = self._fetch(path, since)
        fields = {name: head[name] for name in _GIVEN if name in head and kind == "pacoloco"}
        if status == 304:
            self._give(304, fields=fields, body=False)
        elif status == 200:
            self._give(200, data, fields, body=body)
        else:
            self._give(status if kind == "pkgstash" else 404)

    def _package(self, path: str, *, body: bool) -> None:
        kind = self.server.kind
        kept = self._kept(path)
        wanted = self.headers.get("Range", "")
        if kind == "flexo" and wanted and not kept.exists():
            self._redirect(path)
            return
        with self.server.lock(kept):
            status, modified = 200, ""
            if not kept.exists() or not kept.stat().st_size:
                status, data, head = self._fetch(path, None)
                if status == 200 or kind == "flexo":
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    kept.write_bytes(data if status == 200 else b"")
                    if kind == "flexo" and status == 200:
                        (kept.parent / f".{kept.name}.cfs").write_text(f"{len(data)}\n")
                modified = head.get("Last-Modified", "")
        if status != 200:
            missing = {"pacoloco": 500, "flexo": 404, "cpcache": 404, "pkgstash": status}
            self._give(missing[kind])
            return
        data = kept.read_bytes()
        if self.server.fault == "empty":
            self._give(200, b"")
            return
        if self.server.fault == "wrong":
            data = bytes(one ^ 0xFF for one in data[:64]) + data[64:]
        fields = {"Last-Modified": modified} if kind == "pacoloco" and modified else {}
        self._give_range(path, data, wanted, fields, body=body)

    def _give_range(
        self, path: str, data: bytes, wanted: str, fields: dict[str, str], *, body: bool
    ) -> None:
        kind, size = self.server.kind, len(data)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if not wanted or not first or kind == "pkgstash":
            self._give(200, data, fields, body=body)
            return
        start = int(first)
        end = min(int(last) + 1, size) if last and kind == "pacoloco" else size
        if start >= size:
            if kind == "flexo" and start == size:
                self._give(206, b"", {"Content-Range": f"bytes {start}-{size}/{size}"})
            elif kind == "flexo":
                self._redirect(path)
            else:
                self._give(416)
            return
        fields = fields | {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
        self._give(206, data[start:end], fields, body=body)

    def _kept(self, path: str) -> Path:
        if self.server.kind == "pacoloco":
            return self.server.folder / "pkgs" / "archlinux" / path.rpartition("/")[2]
        root = self.server.folder / ("pkg" if self.server.kind == "cpcache" else "")
        return root / path.lstrip("/")

    def _fetch(self, path: str, since: str | None) -> tuple[int, bytes, dict[str, str]]:
        """Return what the mirror says; 502 where it is away."""
        if path.rpartition("/")[2].removesuffix(".sig") in self.server.lacks:
            return 404, b"", {}
        place = urlsplit(self.server.upstream).netloc
        connection = http.client.HTTPConnection(place, timeout=10)
        headers = {"User-Agent": f"{self.server.kind} double"}
        if since:
            headers["If-Modified-Since"] = since
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read(), dict(response.getheaders())
        except (OSError, http.client.HTTPException):
            return 502, b"", {}
        finally:
            connection.close()

    def _redirect(self, path: str) -> None:
        self._give(301, fields={"Location": self.server.upstream + path})

    def _give(
        self,
        status: int,
        data: bytes = b"",
        fields: dict[str, str] | None = None,
        *,
        body: bool = True,
    ) -> None:
        wanted = self.headers.get("Range", "-")
        self.server.note(f"{self.command} {self.path} {wanted} {status} {len(data)}")
        self.send_response(status)
        for name, value in (fields or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        if self.server.fault != "slow":
            self.wfile.write(data)
            return
        for at in range(0, len(data), SLOW_PIECE):
            self.wfile.write(data[at : at + SLOW_PIECE])
            time.sleep(0.1)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("place")
    parser.add_argument("upstream")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--fault", default="", choices=FAULTS)
    parser.add_argument("--lacks", action="append", default=[])
    given = parser.parse_args(arguments)
    host, _, port = given.place.rpartition(":")
    Double(
        given.kind,
        (host, int(port)),
        given.upstream,
        given.folder,
        log=given.log,
        fault=given.fault,
        lacks=frozenset(given.lacks),
    ).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
