"""How the stand-in for the AUR answers: the RPC from its records, git by ``git http-backend``."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

#: What the AUR's records call the lists of a .SRCINFO.
LISTS = {
    "depends": "Depends",
    "makedepends": "MakeDepends",
    "checkdepends": "CheckDepends",
    "optdepends": "OptDepends",
    "conflicts": "Conflicts",
    "provides": "Provides",
    "replaces": "Replaces",
    "groups": "Groups",
    "license": "License",
}
#: So many results and no more: the AUR says an error then.
MOST_RESULTS = 5_000


def read_state(folder: Path) -> dict[str, Any]:
    """Return what the stand-in knows beside git: records, what of them is changed, troubles."""
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    except FileNotFoundError:
        return {"records": [], "changed": {}, "trouble": {}}
    return state


class Site:
    """Serves a stand-in's folder; ``port`` 0 takes any."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self._server = _Server((host, port), _Handler)
        self._server.folder = folder.absolute()
        self._thread: threading.Thread | None = None
        where = self._server.server_address
        self.address = f"http://{where[0]!s}:{where[1]}"

    @property
    def copy(self) -> str:
        """The address of the copy of all recipes."""
        return f"{self.address}/copy"

    def source(self, name: str) -> str:
        """Return the address of upstream's repository ``name``."""
        return f"{self.address}/sources/{name}.git"

    def answered(self) -> list[int]:
        """Return the statuses of what this process answered, and forget them."""
        answered, self._server.answered = self._server.answered, []
        return answered

    def serve_forever(self) -> None:
        print(self.address, flush=True)
        self._server.serve_forever()

    def start(self) -> None:
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Answer no more: who asks is refused."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    folder: Path

    def __init__(self, *arguments: Any) -> None:
        self.answered: list[int] = []
        super().__init__(*arguments)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where somebody hangs up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write no lines."""

    def _answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        with (self.server.folder / "asked").open("a") as log:
            log.write(f"{self.command} {self.path}\n")
        state = read_state(self.server.folder)
        path = unquote(parts.path)
        kind = "rpc" if path.startswith("/rpc/") else "git"
        kind = "copy" if path.startswith("/copy/") else kind
        status, retry_after = state["trouble"].get(kind, [None, None])
        if path.startswith("/sources/"):
            status = None
        if status == 0:
            self.close_connection = True
        elif status is not None:
            fields = {} if retry_after is None else {"Retry-After": str(retry_after)}
            self._send(status, fields, b'{"error":"no","type":"error"}')
        elif kind == "rpc":
            self._rpc(path, parse_qs(parts.query, keep_blank_values=True), state)
        else:
            self._git(path, parts.query, body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _rpc(self, path: str, query: Mapping[str, list[str]], state: dict[str, Any]) -> None:
        changed = state["changed"]
        records = [{**one, **changed.get(one["PackageBase"], {})} for one in state["records"]]
        _, _, kind, *words = path.strip("/").split("/")
        answer: dict[str, Any]
        if kind == "info":
            names = {*query.get("arg[]", ()), *words}
            found = [one for one in records if one["Name"] in names]
            answer = {"type": "multiinfo", "results": found}
        elif kind == "search" and len(words[0]) >= 2:
            by = query.get("by", ["name-desc"])[0]
            found = [_brief(one) for one in records if _is_found(one, words[0], by)]
            answer = {"type": "search", "results": found}
        else:
            answer = {"type": "error", "error": "Incorrect request type specified.", "results": []}
        if len(answer["results"]) > MOST_RESULTS:
            answer = {"type": "error", "error": "Too many package results.", "results": []}
        answer.update(version=5, resultcount=len(answer["results"]))
        data = json.dumps(answer).encode()
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        unchanged = self.headers.get("If-None-Match") == tag
        fields = {"ETag": tag, "Content-Type": "application/json"}
        self._send(304 if unchanged else 200, fields, b"" if unchanged else data)

    def _git(self, path: str, query: str, body: bytes) -> None:
        first, _, rest = path.lstrip("/").partition("/")
        environment = {
            **os.environ,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_HTTP_EXPORT_ALL": "1",
            # Whoever made the folder: it is served by who was told to.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": self.client_address[0],
        }
        if first == "copy":
            environment["PATH_INFO"] = f"/copy.git/{rest}"
        elif first != "sources":
            # As at the AUR: whatever the name, there is a repository, be it an empty one.
            environment["PATH_INFO"] = f"/aur.git/{rest}"
            environment["GIT_NAMESPACE"] = first.removesuffix(".git")
        done = subprocess.run(
            ["git", "http-backend"],
            env=environment,
            input=body,
            capture_output=True,
            check=False,
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(fields.pop("Status", "200").split()[0])
        self._send(status, fields, answer)

    def _send(self, status: int, fields: Mapping[str, str], data: bytes) -> None:
        self.server.answered.append(status)
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


#: What only an answer to "info" has.
_INFO_ONLY = {"CoMaintainers", "Submitter", "Keywords", *LISTS.values()}


def _brief(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in _INFO_ONLY}


def _is_found(record: Mapping[str, Any], word: str, by: str) -> bool:
    if by in {"provides", "depends"}:
        listed = record.get(by.title(), ())
        return any(one.split("=")[0] == word for one in listed)
    if by == "maintainer":
        return bool(record["Maintainer"] == word)
    return word in record["Name"] or (by != "name" and word in (record["Description"] or ""))
