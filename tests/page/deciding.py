"""A node's pages to decide on, in a process of its own; what waits is whatever a test says.

The face, the pages and the links are the real ones. ``python -m tests.page.deciding`` prints the
port that it listens on, then answers lines of JSON: ``{"link": WHO}`` makes a link, ``{"tell":
{...}}`` has these be shown, ``{"later": SECONDS}`` lets time pass, ``{"did": true}`` asks what was
decided.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from flocon.approving.pages import Approving
from flocon.books.traffic import Traffic
from flocon.faces.loopback import Loopback
from flocon.faces.needs import ForPacman
from flocon.faces.page import Pages
from flocon.precedence import Precedence
from flocon.serving.site import LARGEST_BODY, Site
from tests.builds.told import builds, look, watched
from tests.lan.lan import environment


class Deciding:
    """The process, seen from the tests."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.page.deciding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        )
        self.port = int(self._read())

    def link(self, who: str = "ada") -> str:
        return str(self._ask({"link": who}))

    def tell(self, **told: Any) -> None:
        """Have this be shown: ``builds`` and ``look``."""
        self._ask({"tell": told})

    def later(self, seconds: float) -> None:
        self._ask({"later": seconds})

    def did(self) -> list[list[str]]:
        """Return what was decided since this was asked last."""
        done: list[list[str]] = self._ask({"did": True})
        return done

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=5)

    def _ask(self, message: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        return json.loads(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        raise AssertionError("the server of the pages ended")


class _Later:
    """The reactor, at a later time than it is."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.more = 0.0

    def seconds(self) -> float:
        now: float = self._reactor.seconds()
        return now + self.more

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


class _Builds:
    """Has what is shown, and notes what is decided."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {"builds": builds(watched()), "look": look()}
        self.did: list[list[str]] = []

    def describe(self) -> dict[str, Any]:
        described: dict[str, Any] = self.told["builds"]
        return described

    async def steer(self, words: Sequence[str], who: str) -> str:
        if words[0] == "look":
            return json.dumps(self.told["look"])
        if words[0] == "log":
            text = "==> Making package\n" if words[2] == "0" else ""
            head = {"next": 19, "running": False, "result": "built"}
            return f"{json.dumps(head)}\n{text}"
        self.did.append([*words, who])
        return f"{words[1]}: {words[0]} was said"


class _Told(LineOnlyReceiver):
    delimiter = b"\n"
    MAX_LENGTH = 1 << 22

    def __init__(self, reactor: _Later, shown: _Builds, approving: Approving) -> None:
        self._reactor = reactor
        self._builds = shown
        self._approving = approving

    def lineReceived(self, line: bytes) -> None:
        print(json.dumps(self._answer(json.loads(line))), flush=True)

    def _answer(self, message: dict[str, Any]) -> Any:
        if "link" in message:
            return self._approving.make_link(message["link"])
        if "did" in message:
            did, self._builds.did = self._builds.did, []
            return did
        self._builds.told |= message.get("tell", {})
        self._reactor.more += message.get("later", 0.0)
        return None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._reactor.stop()


def serve() -> None:
    """Serve until the standard input ends."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 - for this process alone

    reactor: Any = _Later(installed)
    # Of the parts, only what pages need.
    none: Any = None
    parts = ForPacman(
        reactor,
        traffic=Traffic(),
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
        status=none,
    )
    face = Loopback(
        parts, pages=Pages(reactor, describe=none, search=none, listing=none, figures=none)
    )
    site = Site(reactor, face, most_connections=64, kept=LARGEST_BODY)
    port = reactor.listenTCP(0, site, interface="127.0.0.1").getHost().port
    shown = _Builds()
    approving = Approving(reactor, shown, f"http://localhost:{port}")
    face.review = approving.answer
    StandardIO(_Told(reactor, shown, approving), reactor=reactor)
    print(port, flush=True)
    reactor.run()


if __name__ == "__main__":
    serve()
