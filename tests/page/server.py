"""The status page of a node that is whatever a test says, in a process of its own.

The page, its files and the face they are on are the real ones, on the real server; only what they
tell of comes from outside. ``python -m tests.page.server PORT`` prints the port it listens on, then
takes what to tell as lines of JSON, ``{"status": ..., "files": ...}``, and prints a line for each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from flocon.books.figures import Figures
from flocon.books.traffic import Traffic
from flocon.faces.loopback import Loopback
from flocon.faces.needs import ForPacman
from flocon.faces.page import Pages
from flocon.precedence import Precedence
from flocon.serving.site import Site
from tests.lan.lan import environment


class Server:
    """The process, seen from the tests; ``port`` 0 takes any that is free."""

    def __init__(self, port: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.page.server", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        )
        self.port = int(self._read())
        self.address = f"http://localhost:{self.port}/"

    def tell(self, told: Mapping[str, Any]) -> None:
        """Have the page tell of this from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        self._read()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=5)

    def _read(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        raise AssertionError("the server of the page ended")


class _Told(LineOnlyReceiver):
    """What the page tells of, from the standard input; ends the process when that ends."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 22

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.traffic = Traffic()
        self._told: dict[str, Any] = {}

    def lineReceived(self, line: bytes) -> None:
        self._told = json.loads(line)
        print("told", flush=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reactor.stop()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self._told["status"]
        return status

    async def search(self, fields: Mapping[str, str]) -> dict[str, Any]:
        files = [one for one in self._told["files"] if fields["part"] in one["file"]]
        return {"files": files, "truncated": False}

    async def listing(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """Return pages of three files."""
        files = sorted(self._told["files"], key=lambda one: str(one["file"]))
        later = [one for one in files if one["file"] > fields.get("after", "")]
        page, last = later[:3], later[2:3]
        more = len(later) > len(page)
        following = {"after": last[0]["file"], "sha256": last[0]["sha256"]} if more else None
        return {"of": fields["of"], "files": page, "next": following}

    def figures(self) -> Figures:
        raise NotImplementedError("nobody asks for metrics here")


def serve(port: int) -> None:
    """Serve until the standard input ends."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 - for this process alone

    reactor: Any = installed
    told = _Told(reactor)
    pages = Pages(
        reactor,
        describe=told.status,
        search=told.search,
        listing=told.listing,
        figures=told.figures,
    )
    # Of the parts, only what the page needs.
    none: Any = None
    parts = ForPacman(
        reactor,
        traffic=told.traffic,
        listed=none,
        offering=none,
        opening=none,
        packages=none,
        redirecting=none,
        transfers=none,
        signatures=none,
        databases=none,
        from_mirrors=none,
        precedence=Precedence(reactor),
        status=told.status,
    )
    site = Site(reactor, Loopback(parts, pages=pages), most_connections=64)
    listening = reactor.listenTCP(port, site, interface="127.0.0.1")
    StandardIO(told, reactor=reactor)
    print(listening.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
