"""The face for pacman over parts that decide what the test says, and a browser that asks it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.heads import Told
from flocon.asking.source import Origin, Source
from flocon.books.recent import Recent
from flocon.books.traffic import Traffic
from flocon.errors import StoreError
from flocon.faces.loopback import Loopback
from flocon.faces.needs import ForPacman
from flocon.files import Asked, Content
from flocon.pacman.entries import Entry
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from flocon.transfers.transfers import Transfers
from tests.faces.web import Answer, Browser, OpenedBytes
from tests.fakes import FakeTools, Request

if TYPE_CHECKING:
    from flocon.faces.needs import Found

NAME = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
PATH = f"/extra/os/x86_64/{NAME}"
DB = "/core/os/x86_64/core.db"
DATA = bytes(range(256)) * 40
WRONG = DATA[:-1] + b"\x00"
CONTENT = Content(len(DATA), hashlib.sha256(DATA).digest())
SIGNATURE = b"a signature"
THEN = "Tue, 14 Nov 2023 22:13:20 GMT"
PEER = Source(Origin.PEER, "p", "10.0.0.7", f"http://10.0.0.7/pkg/{NAME}")
MIRROR_A, MIRROR_B = (Source(Origin.MIRROR, key, key, f"http://{key}/x") for key in "mn")


class HeldFile:
    origin = "cache"
    content = CONTENT
    file_name = NAME


class FakeDesk:
    """Decides what the test says, and brings files by real transfers."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.tools = FakeTools()
        self.reactor: Any = self.tools.reactor
        self.transfers = Transfers(self.tools, sign=self.sign, publish=self.publish)
        self.listed: set[str] = {NAME}
        self.here: dict[str, HeldFile] = {}
        self.opened: list[OpenedBytes] = []
        self.gone = False
        self.too_many = False
        self.settling: Deferred[None] | None = None
        self.acquainting: Deferred[None] | None = None
        self.sources: tuple[Source, ...] = (MIRROR_A, MIRROR_B)
        self.starts: list[int] = []
        #: What the database says, and where pacman is sent, once it is known.
        self.embedded: bytes | None = None
        self.redirects = False
        self.holder: Deferred[Source | None] = succeed(None)
        self.signs: list[Deferred[bytes | None]] = []
        self.unsigned = False
        #: Repositories with servers that only pacman can ask.
        self.others: set[str] = set()
        self.asked_for: list[str] = []
        self.noticed: list[Entry] = []
        #: What mirrors were asked without wanting it, and what they say.
        self.heads: list[tuple[str, str | None]] = []
        self.telling: Deferred[Told] = Deferred()

    def sign(self, _: Transfer) -> Deferred[bytes | None]:
        self.signs.append(Deferred())
        return self.signs[-1]

    def publish(self, _: Transfer, __: bytes | None) -> Deferred[bool]:
        return succeed(True)

    def chooser(self, *sources: Source) -> Callable[[Sequence[Attempt]], Attempt | None]:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            left = sources[len(tried) :]
            return Attempt(left[0], Limits(60.0, 60.0)) if left else None

        return choose

    def entry(self, asked: Asked) -> Entry | None:
        if asked.file.subject not in self.listed:
            return None
        content = CONTENT.size, CONTENT.sha256
        return Entry("extra", NAME, "gtk++", "1:2.0-1", *content, self.embedded)

    def parts(self) -> ForPacman:
        """Return it as the face is given it."""
        packages: Any = SimpleNamespace(transfer=self.package, asked_for=self.noticed.append)
        from_mirrors: Any = SimpleNamespace(transfer=self.from_mirrors, told=self.told)
        # Asked for anew each time: a test may have it replaced.
        databases: Any = SimpleNamespace(transfer=lambda *asked: self.database(*asked))  # noqa: PLW0108
        anything: Any = self
        return ForPacman(
            self.reactor,
            traffic=self.traffic,
            listed=self,
            offering=anything,
            opening=self,
            packages=packages,
            redirecting=self,
            transfers=self.transfers,
            signatures=self,
            databases=databases,
            from_mirrors=from_mirrors,
            precedence=self.tools.precedence,
            status=self.status,
        )

    def wanted(self) -> bool:
        return self.redirects

    def elsewhere(self, _: Entry) -> Deferred[Source | None]:
        return self.holder

    def settled(self) -> Deferred[None]:
        return self.settling or succeed(None)

    def acquainted(self, _: Entry | None) -> Deferred[None]:
        return self.acquainting or succeed(None)

    def find(self, file_name: str, content: Content | None = None) -> HeldFile | None:
        found = self.here.get(file_name)
        return found if found is None or content in {None, found.content} else None

    def is_settled(self) -> bool:
        return self.settling is None

    def read_at_once(
        self, held: Found, *, signature: bool, own: bool = True
    ) -> tuple[bytes, float] | None:
        return None if self.gone else (SIGNATURE if signature else DATA, OpenedBytes.MODIFIED)

    async def open(self, held: Found, *, signature: bool = False, own: bool = True) -> OpenedBytes:
        if self.gone:
            raise StoreError("/cache", "is gone")
        self.opened.append(OpenedBytes(SIGNATURE if signature else DATA))
        return self.opened[-1]

    def has_others(self, repository: str) -> bool:
        return repository in self.others

    def package(
        self, asked: Asked, entry: Entry | None, start: int, _: int | None
    ) -> Transfer | None:
        if self.too_many:
            return None
        self.starts.append(start)
        choose = self.chooser(*self.sources)
        if entry is None:
            return self.transfers.alone(Subject(asked.file.text), choose)
        return self.transfers.join(Subject(asked.file.text, entry.content), choose)

    def arrived(self, file_name: str) -> None:
        self.asked_for.append(file_name)

    def is_unsigned(self, entry: Entry) -> bool:
        return self.unsigned

    def from_mirrors(self, asked: Asked, modified_since: str | None) -> Transfer:
        subject = Subject(asked.file.text, modified_since=modified_since)
        return self.transfers.alone(subject, self.chooser(*self.sources))

    def database(self, asked: Asked, modified_since: str | None) -> Deferred[Transfer | bytes]:
        return succeed(self.from_mirrors(asked, modified_since))

    def told(self, asked: Asked, modified_since: str | None) -> Deferred[Told]:
        self.heads.append((asked.file.text, modified_since))
        return self.telling

    def status(self) -> dict[str, Any]:
        return {"peers": []}


class LoopbackTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.desk = FakeDesk()
        self.clock = self.desk.reactor
        self.recent = Recent()
        self.face = Loopback(self.desk.parts(), recent=self.recent)
        self.browser = Browser(self.clock, self.face)
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.browser.close()
        self.desk.transfers.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        files: list[Any] = [*self.desk.opened, *self.desk.tools.files]
        self.assertEqual([file.closed for file in files], [1] * len(files))

    def get(self, path: str | bytes, **headers: str) -> Answer:
        return self.browser.get(path, **headers)

    def asked(self, source: Source) -> Request:
        last: Request = self.desk.tools.agent(source).last
        return last

    def assertRefused(self, answer: Answer, status: int) -> None:
        self.assertEqual(answer.status, status)
        self.assertEqual((answer.headers["content-length"], answer.body), ("0", b""))
