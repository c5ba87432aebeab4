"""Peers that give own repositories over real HTTP, as they should or as they should not."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from flocon.joined.told import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flocon.joined.told import Generation


class Server(ThreadingHTTPServer):
    """Says nothing of who left before the answer's end."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Peer:
    """What is known of a node, as ``presence`` has it, and the server that it runs."""

    address: str
    own: tuple[tuple[str, int], ...] = ()
    node: str = "0" * 16
    name: str = "ada"
    port: int = 0
    abilities: frozenset[str] = frozenset({"relay"})
    #: What is at which path.
    paths: dict[str, bytes] = field(default_factory=dict)
    #: The paths that were asked for.
    asked: list[str] = field(default_factory=list)

    def start(self) -> None:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                peer.asked.append(self.path)
                body = peer.paths.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = Server((self.address, 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def give(
        self, told: Generation, files: Mapping[str, bytes], *, announced: int | None = None
    ) -> None:
        """Have it announce and give a generation."""
        self.own = ((told.name, told.signed if announced is None else announced),)
        self.paths[f"/own/{told.name}"] = dump(told)
        for name, data in files.items():
            self.paths[f"/own/{told.name}/{told.sequence}/{name}"] = data


class Neighbourhood:
    """The peers that there are."""

    def __init__(self) -> None:
        self.peers: list[Any] = []
        self.private: set[str] = set()
        self.news: Callable[[Any], None] = lambda _: None

    def is_private(self, name: str) -> bool:
        return name in self.private

    def proved(self) -> list[Any]:
        return self.peers

    def acquainted(self) -> Deferred[None]:
        return succeed(None)
