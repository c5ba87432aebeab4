"""Doubles of pacserve and paclan: who finds its peers by one group, and speaks HTTP with them.

Written from what was seen on the wire. ``tests.foreign.doubles`` starts them.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import Any, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.foreign.doubles import STRANGER, Double, Handler

GROUP, GROUP_PORT = "224.3.45.67", 15679
PREFIX = "ThreadedServers.Pacserve/2013.05.12"
#: Seconds that a peer has for an answer.
TIMEOUT = 3.0


class _Grouped(Double):
    """One with a group: ``receive`` is given what comes from it."""

    interval = 300.0
    own_address = ""
    _socket: socket.socket | None = None

    def join(self, address: str) -> None:
        """Join on the interface of that address, hear, and announce after a second."""
        self.own_address = address
        heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        heard.bind(("", GROUP_PORT))
        member = socket.inet_aton(GROUP) + socket.inet_aton(address)
        heard.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self._socket = heard
        threading.Thread(target=self._hear, daemon=True).start()
        threading.Thread(target=self._announce_all_along, daemon=True).start()

    def end(self) -> None:
        super().end()
        if self._socket is not None:
            self._socket.close()

    def _hear(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(OSError):
            while not self.closed.is_set():
                data, (address, port) = self._socket.recvfrom(2_048)
                if address != self.own_address:
                    self.receive(data, address, port)

    def _announce_all_along(self) -> None:
        pause = 1.0
        while not self.closed.wait(pause):
            with contextlib.suppress(OSError):
                self.announce()
            pause = self.interval

    def announce(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            address = socket.inet_aton(self.own_address)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 32)
            sender.bind((self.own_address, 0))
            sender.sendto(self.announcement(), (GROUP, GROUP_PORT))

    def announcement(self) -> bytes:
        raise NotImplementedError

    def receive(self, data: bytes, address: str, port: int) -> None:
        raise NotImplementedError


class PacserveHandler(Handler):
    """As Handler, with the POST by which pacserves talk to each other."""

    def do_POST(self) -> None:  # noqa: N802 - as http.server calls it
        server = cast("Pacserve", self.server)
        length = int(self.headers.get("Content-Length", 0))
        form = parse_qs(self.rfile.read(length).decode())
        said = json.loads(form["json"][0]) if "json" in form else None
        server.note(self, said=said)
        self.close_connection = True
        if server.fault == "silent":
            server.closed.wait(30)
        elif server.fault == "late":
            server.closed.wait(3)
        elif server.fault == "busy":
            self.refuse(503)
        elif server.fault == "huge":
            self._endless()
        elif not isinstance(said, dict) or "type" not in said:
            self.refuse(400)
        else:
            self.send_json(server.asked_by_peer(said, self.client_address[0]))

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Connection", "close")
        self.end_headers()
        entry = (
            b'"a-1-1-x86_64.pkg.tar.zst": [{"mtime": 1, "size": 1, "dir": false, "href": "/"}], '
        )
        with contextlib.suppress(OSError):
            self.wfile.write(b"{")
            while not self.server.closed.is_set():
                self.wfile.write(entry * 1_000)


class Pacserve(_Grouped):
    """pacserve of 2018: its group, its POST, its files and redirects."""

    banner = PREFIX

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.RequestHandlerClass = PacserveHandler
        self.static: list[str] = []
        #: Those that nudged, or were heard and answered.
        self.dynamic: list[str] = []

    # Peers

    def add_static(self, url: str) -> None:
        """Have a peer that is named; as the program does, fail where a nudge to it does."""
        self.static.append(url)
        self.nudge(url)

    def announcement(self) -> bytes:
        return f"{self.banner} http://ungabunga:{self.port}/".encode()

    def receive(self, data: bytes, address: str, port: int) -> None:
        said = data.decode(errors="replace").split(" ")
        if len(said) != 2 or said[0] != self.banner:
            return
        with contextlib.suppress(ValueError):
            url = f"http://{address}:{urlsplit(said[1]).port or 8_000}/"
            if url not in [*self.dynamic, *self.static]:
                with contextlib.suppress(OSError):
                    self.nudge(url)
                    self.dynamic.append(url)

    def nudge(self, url: str) -> None:
        self.post(url, {"type": "nudge", "uri": f"http://ungabunga:{self.port}/"})

    def post(self, url: str, said: object) -> Any:
        body = f"json={quote(json.dumps(said))}".encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        request = urllib.request.Request(url, data=body, headers=kind)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return json.load(answer)

    # What it is asked

    def asked_by_peer(self, said: dict[str, Any], address: str) -> Any:
        kind, hops = said["type"], int(said.get("hops", 0))
        if kind == "nudge":
            url = f"http://{address}:{urlsplit(said['uri']).port or 8_000}/"
            if url not in [*self.dynamic, *self.static]:
                self.dynamic.append(url)
            return True
        if kind == "file check":
            return self.check(list(said["paths"]), hops)
        if kind == "directory listing":
            return self.listing(said.get("path", ""))
        return None

    def check(self, paths: list[str], hops: int) -> dict[str, str] | None:
        if self.fault == "elsewhere":
            return {path: STRANGER + path.rsplit("/", 1)[-1] for path in paths}
        if self.fault == "claims":
            return {path: path for path in paths}
        found = {path: path for path in paths if self.held(path.removeprefix("pkg/"))}
        left = [path for path in paths if path not in found]
        for url in [*self.static, *self.dynamic] if hops > 0 and left else ():
            try:
                said = self.post(url, {"type": "file check", "paths": left, "hops": hops - 1})
            except (OSError, ValueError):
                if url in self.static:
                    # As seen: one failing static peer ends the whole search.
                    return None
                self.dynamic.remove(url)
                continue
            for path, place in (said or {}).items():
                found[path] = place if "://" in place else url + place
            left = [path for path in left if path not in found]
        return found

    def listing(self, path: str) -> dict[str, Any] | None:
        if path.strip("/") == "pkg":
            return {
                one.name: [
                    {
                        "mtime": one.stat().st_mtime,
                        "size": one.stat().st_size,
                        "dir": False,
                        "href": f"/pkg/{quote(one.name)}",
                    }
                ]
                for one in sorted(self.folder.iterdir())
                if one.is_file()
            }
        root = [{"mtime": 0, "size": 0, "dir": True, "href": "/pkg/"}]
        return {"pkg": root} if not path.strip("/") else None

    def answer(self, request: Handler) -> None:
        path = unquote(request.path.split("?", 1)[0])
        match = re.fullmatch(r"/pkg/([^/]+)", path) or re.fullmatch(
            r"/pacman/[^/]+/[^/]+/([^/]+)", path
        )
        if match is None:
            request.refuse(404)
            return
        name = match[1]
        held = self.held(name)
        if held is not None:
            size = held.stat().st_size
            headers = (
                {}
                if "Range" in request.headers
                else {"Content_Range": f"bytes 0-{size - 1}/{size}"}
            )
            if name.endswith((".xz", ".gz")):
                headers["Content_Encoding"] = name.rsplit(".", 1)[1].replace("gz", "gzip")
            request.send_file(held, **headers)
            return
        found = self.check([f"pkg/{name}"], 1) or {}
        if f"pkg/{name}" in found:
            request.refuse(303, Location=found[f"pkg/{name}"])
        else:
            request.refuse(400)


class Paclan(_Grouped):
    """paclan: JSON on the same group, and any path's last part over HTTP."""

    banner = "paclan"
    identity = "00112233aabbccdd"

    def add_static(self, url: str) -> None:
        raise NotImplementedError("paclan names none")

    def said(self, kind: str) -> bytes:
        told = {
            "TYPE": kind,
            "PORT": str(self.port),
            "ID": self.identity,
            "NONCE": str(int(time.time() * 1_000)),
            "PEERS": [],
        }
        return json.dumps(told).encode()

    def announcement(self) -> bytes:
        return self.said("PING")

    def receive(self, data: bytes, address: str, port: int) -> None:
        with contextlib.suppress(ValueError):
            told = json.loads(data[:256])
            self.heard.append((address, told))
            if told.get("TYPE") == "PING" and self._socket is not None:
                self._socket.sendto(self.said("PONG"), (address, GROUP_PORT))
            self._prove(f"http://{address}:{int(told['PORT'])}/", str(told["ID"]))

    def _prove(self, url: str, identity: str) -> None:
        """Take who was heard for a peer, once it shows the id that was told."""
        with contextlib.suppress(OSError), self._head(url) as answer:
            if answer.headers["X-Paclan-ID"] == identity and url not in self.peers:
                self.peers.append(url)

    def _head(self, url: str) -> Any:
        return urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT)

    @property
    def peers(self) -> list[str]:
        """Those that have shown what they said."""
        peers: list[str] = self.__dict__.setdefault("_peers", [])
        return peers

    def _elsewhere(self, name: str) -> str | None:
        """Return where a peer has a file."""
        for url in self.peers:
            with contextlib.suppress(OSError), self._head(url + quote(name)):
                return url + quote(name)
        return None

    @property
    def heard(self) -> list[tuple[str, Any]]:
        """What it heard from the group, by address."""
        heard: list[tuple[str, Any]] = self.__dict__.setdefault("_heard", [])
        return heard

    def answer(self, request: Handler) -> None:
        path = unquote(request.path.split("?", 1)[0])
        held = self.held(path.rsplit("/", 1)[-1])
        if path == "/":
            request.send_response(200)
            request.send_header("X-Paclan-ID", self.identity)
            request.send_header("Content-Length", "0")
            request.end_headers()
        elif self.fault == "claims" and request.command == "HEAD":
            request.send_page(b"", "application/octet-stream")
        elif held is not None:
            request.send_file(held, X_Paclan_ID=self.identity)
        elif request.client_address[0] == "127.0.0.1":
            # Its own pacman: it is sent on, where a peer has it.
            where = self._elsewhere(path.rsplit("/", 1)[-1])
            request.refuse(404) if where is None else request.refuse(302, Location=where)
        else:
            request.refuse(404)
