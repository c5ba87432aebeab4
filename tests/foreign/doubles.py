"""Doubles of other tools' machines, written from what was seen of them on the wire.

    python -m tests.foreign.doubles pacredir FOLDER ADDRESS:7078 [--log FILE] [--fault FAULT]
    python -m tests.foreign.doubles pacserve FOLDER ADDRESS:15678 [--announce ADDRESS] [--peer URL]
    python -m tests.foreign.doubles paclan FOLDER ADDRESS:15678 [--announce ADDRESS]
    python -m tests.foreign.doubles redirector ADDRESS:7077 --peer ADDRESS:7078 ...

``pacredir`` is the server that its machines run (/pkg and /db, no listing), ``redirector`` is what
their pacman asks on loopback: a HEAD to each peer, and a 307 to the fastest. What each was asked is
written to ``--log``, a JSON object on each line. ``FAULT`` is one of ``FAULTS``.
"""

from __future__ import annotations

import argparse
import email.utils
import http.server
import json
import re
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

#: What a double may do wrong: "wrong" bytes of the right length, "silent" on each connection,
#: "late" by more than anybody waits for, "elsewhere" for a redirect to a stranger, "busy" for 503s,
#: "huge" for endless answers, "claims" for saying that it has all.
FAULTS = ("", "wrong", "silent", "late", "elsewhere", "busy", "huge", "claims")
#: Where "elsewhere" sends.
STRANGER = "http://203.0.113.7/pkg/"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CHUNK = 64 << 10


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves files; ``server`` is a Double."""

    protocol_version = "HTTP/1.1"
    server: Double

    def version_string(self) -> str:
        return self.server.banner

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def _get(self) -> None:
        server = self.server
        server.note(self)
        if server.fault == "silent":
            server.closed.wait(30)
            self.close_connection = True
            return
        if server.fault == "late":
            server.closed.wait(3)
        if server.fault == "busy":
            self.refuse(503)
        elif server.fault == "elsewhere":
            self.refuse(302, Location=STRANGER + self.path.rsplit("/", 1)[-1])
        else:
            server.answer(self)

    def refuse(self, status: int, **headers: str) -> None:
        """Answer with a page, as all of them do."""
        body = b"<html><body>no</body></html>"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_json(self, value: object) -> None:
        self.send_page(json.dumps(value).encode(), "application/json; charset=UTF-8")

    def send_page(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, path: Path, **headers: str) -> None:
        """Send a file, or the one range that was asked for."""
        size = path.stat().st_size
        start, end, status = 0, size, 200
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked and (asked[1] or asked[2]):
            if asked[1]:
                start = int(asked[1])
                end = min(size, int(asked[2]) + 1) if asked[2] else size
            else:
                start = max(0, size - int(asked[2]))
            if start >= size or end <= start:
                self.refuse(416, Content_Range=f"bytes */{size}")
                return
            status = 206
            headers["Content_Range"] = f"bytes {start}-{end - 1}/{size}"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Last-Modified", email.utils.formatdate(path.stat().st_mtime, usegmt=True))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.command != "HEAD":
            self._copy(path, start, end)

    def _copy(self, path: Path, start: int, end: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            left = end - start
            while left:
                data = file.read(min(_CHUNK, left))
                if self.server.fault == "wrong":
                    data = bytes(byte ^ 0x55 for byte in data)
                self.wfile.write(data)
                left -= len(data)


class Double(http.server.ThreadingHTTPServer):
    """One of them: files of ``folder``, answered at ``address`` and ``port`` (0: any)."""

    daemon_threads = True
    banner = "darkhttpd/1.17"
    request_queue_size = 128

    def __init__(
        self, folder: Path, address: str, port: int = 0, *, fault: str = "", log: Path | None = None
    ) -> None:
        assert fault in FAULTS
        self.folder, self.fault, self._log = folder, fault, log
        #: What was asked, oldest first: method, path, client, headers.
        self.asked: list[dict[str, Any]] = []
        self.closed = threading.Event()
        self._lock = threading.Lock()
        super().__init__((address, port), Handler)
        self.address, self.port = address, self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/"

    def start(self) -> None:
        """Answer in a thread, until ``end``."""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def end(self) -> None:
        self.closed.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of who has gone."""

    def note(self, request: Handler, **more: Any) -> None:
        told = {
            "method": request.command,
            "path": request.path,
            "client": request.client_address[0],
            "from": request.client_address[1],
            "agent": request.headers.get("User-Agent", ""),
            "range": request.headers.get("Range", ""),
            **more,
        }
        with self._lock:
            self.asked.append(told)
            if self._log is not None:
                with self._log.open("a") as file:
                    file.write(json.dumps(told) + "\n")

    def held(self, name: str) -> Path | None:
        """Return the file of that name, which is one of a package, if there is one."""
        path = self.folder / name
        return path if "/" not in name and not name.startswith(".") and path.is_file() else None

    def answer(self, request: Handler) -> None:
        raise NotImplementedError


class PacredirServer(Double):
    """What pacredir's machines run: their caches in /pkg, their databases in /db, no listing."""

    databases: Path | None = None

    def answer(self, request: Handler) -> None:
        path = unquote(request.path.split("?", 1)[0])
        match = re.fullmatch(r"/(pkg|db)/([^/]+)", path)
        if path == "/":
            request.send_page(b"", "text/html")
        elif path in {"/pkg", "/db"}:
            request.refuse(301, Location=f"{path}/")
        elif match is None:
            request.refuse(404)
        else:
            self._file(request, *match.groups())

    def _file(self, request: Handler, kind: str, name: str) -> None:
        place = self.databases if kind == "db" else self.folder
        path = place / name if place is not None else None
        if self.fault == "claims" and request.command == "HEAD":
            request.send_page(b"", "application/octet-stream")
        elif path is None or not path.is_file():
            request.refuse(404)
        elif request.headers.get("If-Modified-Since") == email.utils.formatdate(
            path.stat().st_mtime, usegmt=True
        ):
            request.send_response(304)
            request.end_headers()
        else:
            request.send_file(path)


class Redirector(Double):
    """What pacredir's pacman asks: a HEAD to each of ``peers``, and a 307 to the fastest."""

    banner = "pacredir"
    user_agent = "pacredir/0.7.8 (arch/x86_64)"
    #: Seconds to connect within, and for the answer.
    patience = 2.0
    peers: tuple[str, ...] = ()

    def answer(self, request: Handler) -> None:
        # Raw, as it came: the last part is asked for as it is.
        name = request.path.rsplit("/", 1)[-1]
        if request.path == "/check":
            request.send_page(b"OK\n", "text/plain")
            return
        kind = "db" if name.endswith((".db", ".files")) else "pkg"
        found: list[tuple[float, str]] = []
        threads = [
            threading.Thread(target=self._ask, args=(peer, f"/{kind}/{name}", found))
            for peer in self.peers
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.01)
        for thread in threads:
            thread.join()
        if found:
            request.refuse(307, Location=min(found)[1])
        else:
            request.refuse(404)

    def _ask(self, peer: str, path: str, found: list[tuple[float, str]]) -> None:
        host, port = peer.rsplit(":", 1)
        began = time.monotonic()
        try:
            with socket.create_connection((host, int(port)), self.patience) as connection:
                connection.settimeout(3)
                lines = (f"HEAD {path} HTTP/1.1", f"Host: {peer}", f"User-Agent: {self.user_agent}")
                connection.sendall("\r\n".join([*lines, "Accept: */*", "", ""]).encode())
                status = connection.recv(4_096).split(b" ", 2)[1:2]
        except OSError:
            return
        if status == [b"200"]:
            found.append((time.monotonic() - began, f"http://{peer}{path}"))


def split(place: str) -> tuple[str, int]:
    """Return address and port of ADDRESS:PORT."""
    address, port = place.rsplit(":", 1)
    return address, int(port)


def main(arguments: list[str]) -> int:
    from tests.foreign.groups import Paclan, Pacserve  # noqa: PLC0415 - they stand on what is here

    parser = argparse.ArgumentParser(prog="python -m tests.foreign.doubles", description=__doc__)
    parser.add_argument("kind", choices=("pacredir", "pacserve", "paclan", "redirector"))
    parser.add_argument("places", nargs="+", metavar="[FOLDER] ADDRESS:PORT")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--fault", choices=FAULTS, default="")
    parser.add_argument("--announce", default="", metavar="ADDRESS", help="join the group there")
    parser.add_argument("--interval", type=float, default=300.0)
    parser.add_argument("--databases", type=Path)
    parser.add_argument("--peer", action="append", default=[])
    given = parser.parse_args(arguments)
    address, port = split(given.places[-1])
    folder = Path(given.places[0])
    double: Double
    if given.kind == "pacredir":
        double = PacredirServer(folder, address, port, fault=given.fault, log=given.log)
        double.databases = given.databases
    elif given.kind == "redirector":
        double = Redirector(folder, address, port, fault=given.fault, log=given.log)
        double.peers = tuple(given.peer)
    else:
        kind = Pacserve if given.kind == "pacserve" else Paclan
        double = kind(folder, address, port, fault=given.fault, log=given.log)
        double.interval = given.interval
        for url in given.peer:
            double.add_static(url)
        if given.announce:
            double.join(given.announce)
    double.serve_forever(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
