"""The face for peers over a shelf that decides what the test says, and a browser that asks it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.source import Origin, Source
from flocon.books.traffic import Traffic
from flocon.errors import StoreError
from flocon.faces.lan import Lan
from flocon.faces.needs import Shelf
from flocon.files import Asked, Content
from flocon.holdings.inventory import Inventory
from flocon.machine.shares import Crowd
from flocon.pacman.listing import Listing
from flocon.pacman.privacy import Privacy
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from flocon.transfers.transfers import Transfers
from tests.faces.web import Answer, Browser, OpenedBytes
from tests.fakes import FakeTools

if TYPE_CHECKING:
    from flocon.faces.needs import Found

NAME = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
DATA = bytes(range(256)) * 20
CONTENT = Content(len(DATA), hashlib.sha256(DATA).digest())
THEN = "Tue, 14 Nov 2023 22:13:20 GMT"
#: The identity of the one generation that there may be.
GENERATION = "0123456789abcdef"
SIGNATURE = b"a signature"
MIRROR = Source(Origin.MIRROR, "m", "m", f"http://m/{NAME}")


class HeldFile:
    origin = "cache"

    def __init__(self, content: Content, file_name: str) -> None:
        self.content = content
        self.file_name = file_name


class FakeShelf:
    """One held file, one database, and transfers that wait for the test."""

    epoch = "0a1b2c3d"

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.inventory = Inventory()
        self.own_repositories: Any = None
        self.asked: list[str] = []
        self.files: dict[str, bytes] = {}
        self.opened: list[OpenedBytes] = []
        self.gone = False
        self.tools = FakeTools()
        self.reactor = self.tools.reactor
        self.transfers = Transfers(self.tools, sign=self.sign, publish=self.publish)
        self.relayed: list[tuple[Asked, str | None]] = []
        self.looked_up: list[tuple[Asked, str | None]] = []
        self.privacy = Privacy(Listing)
        self.lists = True
        self.crowd = Crowd(4, 2)
        #: What is told of the state that this node gives, None where it gives none.
        self.state: bytes | None = None
        #: Whether anybody waited for what was relayed last.
        self.hurried = True

    def sign(self, _: Transfer) -> Deferred[bytes | None]:
        return succeed(SIGNATURE)

    def publish(self, _: Transfer, __: bytes | None) -> Deferred[bool]:
        return succeed(True)

    def parts(self) -> Shelf:
        """Return it as the face is given it."""
        databases: Any = SimpleNamespace(open=self.open_database)
        states: Any = SimpleNamespace(told=lambda: self.state, open=self.open_state)
        return Shelf(
            self.reactor,
            traffic=self.traffic,
            own=self,
            offering=self,
            opening=self,
            privacy=self.privacy,
            databases=databases,
            states=states,
            for_peers=self,
            transfers=self.transfers,
            precedence=self.tools.precedence,
            crowd=self.crowd,
            own_repositories=lambda: self.own_repositories,
        )

    def find(self, file_name: str, _: Content | None = None) -> HeldFile | None:
        self.asked.append(file_name)
        data = self.files.get(file_name)
        if data is None:
            return None
        return HeldFile(Content(len(data), hashlib.sha256(data).digest()), file_name)

    def read_at_once(
        self, held: Found, *, signature: bool, own: bool = True
    ) -> tuple[bytes, float] | None:
        return None if self.gone else (SIGNATURE if signature else DATA, OpenedBytes.MODIFIED)

    async def open(self, held: Found, *, signature: bool = False, own: bool = True) -> OpenedBytes:
        return self.opening(SIGNATURE if signature else DATA)

    def open_database(self, file_name: str) -> OpenedBytes:
        self.asked.append(file_name)
        if file_name != "core.db":
            raise StoreError(file_name, "is not shared")
        return self.opening(b"database")

    async def open_state(self, identity: str, architecture: str, file_name: str) -> OpenedBytes:
        self.asked.append(f"{identity} {architecture} {file_name}")
        if self.state is None or (identity, architecture) != (GENERATION, "x86_64"):
            raise StoreError(file_name, "is of no state")
        return self.opening(b"database of the state")

    def opening(self, data: bytes) -> OpenedBytes:
        if self.gone:
            raise StoreError("/cache", "is gone")
        self.opened.append(OpenedBytes(data))
        return self.opened[-1]

    def relay(
        self, asked: Asked, etag: str | None, asker: str, *, unhurried: bool = False
    ) -> Deferred[Transfer | None]:
        self.relayed.append((asked, etag))
        self.hurried = not unhurried
        if not self.lists:
            return succeed(None)
        return succeed(
            self.transfers.join(
                Subject(asked.file.subject, CONTENT), self.chooser(MIRROR), unhurried=unhurried
            )
        )

    def coming(self, asked: Asked, etag: str | None) -> Transfer | None:
        self.relayed.append((asked, etag))
        return self.transfers.find(asked.file.subject, CONTENT)

    def listed(self, asked: Asked, etag: str | None) -> tuple[Content, Transfer | None] | None:
        self.looked_up.append((asked, etag))
        if not self.lists:
            return None
        return CONTENT, self.transfers.find(asked.file.subject, CONTENT)

    def chooser(self, *sources: Source) -> Callable[[Sequence[Attempt]], Attempt | None]:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            left = sources[len(tried) :]
            return Attempt(left[0], Limits(60.0, 60.0)) if left else None

        return choose


class LanTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.shelf = FakeShelf()
        self.lan = Lan(self.shelf.parts())
        self.browser = Browser(self.shelf.tools.reactor, self.lan, "10.0.0.9")
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.browser.close()
        self.lan.close()
        self.shelf.transfers.stop()
        self.assertEqual([one.closed for one in self.shelf.opened], [1] * len(self.shelf.opened))
        self.assertEqual(self.shelf.tools.reactor.getDelayedCalls(), [])
        self.assertEqual([one.closed for one in self.shelf.tools.files if not one.closed], [])

    def get(self, path: str | bytes, **headers: str) -> Answer:
        return self.browser.get(path, **headers)

    def assertRefused(self, answer: Answer, status: int) -> None:
        self.assertEqual(answer.status, status)
        self.assertEqual((answer.headers["content-length"], answer.body), ("0", b""))
        self.assertNotIn("server", answer.headers)
