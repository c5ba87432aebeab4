"""The parts of ``sources`` as a test needs them: real ones over sources in memory."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, succeed

from flocon.books.traffic import Traffic
from flocon.files import Asked, parse_path
from flocon.neighbours.standing import Standing
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.pacman.entries import Entry
from flocon.pacman.privacy import Privacy
from flocon.sources.candidates import Candidates
from flocon.sources.choosing import Choosing
from flocon.sources.listed import Listed
from flocon.sources.ranking import OwnNode
from flocon.sources.reporter import Reporter
from flocon.transfers.transfer import Transfer
from flocon.transfers.transfers import Transfers
from tests.fakes import FakeTools, Request

NAME = "a-1-1-any.pkg.tar.zst"
SIZE = 4 << 20
ENTRY = Entry("core", NAME, "a", "1-1", SIZE, bytes(32))
MIRROR = "mirror"


def asked(name: str = NAME) -> Asked:
    found = parse_path(f"/core/os/x86_64/{name}".encode())
    assert found is not None
    return found


def peer(address: str) -> Any:
    return mock.Mock(node=f"n{address}", address=address, port=1, able_since=0.0, far=False)


class Room:
    """A node with one mirror, that lists ``ENTRY``; nobody holds it but whom a test names."""

    def __init__(self) -> None:
        self.tools = FakeTools()
        self.clock = self.tools.reactor
        self.standing = Standing()
        self.traffic = Traffic()
        self.own = OwnNode("n", "e", relays=True, able_since=0.0)
        self.pacman: Any = mock.Mock()
        self.pacman.configuration = PacmanConfiguration(
            (Repository("core", (f"http://{MIRROR}/core",)),)
        )
        self.pacman.listing.find = lambda name, _="": [ENTRY] if name == NAME else []
        self.pacman.listing.mirrored_entries = lambda _: ()
        self.neighbourhood: Any = mock.Mock()
        self.neighbourhood.holding.return_value = self.neighbourhood.able.return_value = []
        self.neighbourhood.mirrors.return_value = []
        self.neighbourhood.is_held.side_effect = lambda *of: bool(self.neighbourhood.holding(*of))
        self.listed = Listed(self.pacman, self.neighbourhood)
        self.privacy = Privacy(lambda: self.pacman.listing)
        self.candidates = Candidates(
            self.clock,
            own=self.own,
            pacman=self.pacman,
            neighbourhood=self.neighbourhood,
            standing=self.standing,
            reporter=Reporter(self.clock, self.standing, self.traffic, mock.Mock(), mock.Mock()),
        )
        self.choosing = Choosing(self.clock, self.candidates, self.standing, mock.Mock())
        self.transfers = Transfers(self.tools, sign=self._sign, publish=self._publish)

    def _sign(self, _: Transfer) -> Deferred[bytes | None]:
        return succeed(None)

    def _publish(self, _: Transfer, __: bytes | None) -> Deferred[bool]:
        return succeed(True)

    def holders(self, *addresses: str) -> None:
        self.neighbourhood.holding.return_value = [peer(one) for one in addresses]

    def owners(self, *addresses: str) -> None:
        self.neighbourhood.able.return_value = [peer(one) for one in addresses]

    def requests(self, key: str) -> list[Request]:
        """Return what was asked of a source."""
        agent = self.tools.agents.get(key)
        return list(agent.requests) if agent is not None else []

    def stop(self) -> None:
        self.transfers.stop()
        self.clock.advance(60)
