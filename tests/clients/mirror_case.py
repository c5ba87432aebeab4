"""The face for machines without a node, over states on disk and packages that the test has."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.answering.visitors import mirror_names
from flocon.asking.attempts import Attempt, Limits
from flocon.asking.source import Origin, Source
from flocon.clients.mirror import MirrorFace
from flocon.clients.needs import ForMirror
from flocon.errors import SourceError, StoreError
from flocon.files import Asked, Content
from flocon.mirrors.clients import Clients
from flocon.pacman.entries import Entry
from flocon.states.archive import Archive
from flocon.states.catalogue import Catalogue
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
from flocon.states.states import States
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from flocon.transfers.transfers import Transfers
from tests.faces.web import Answer, Browser, OpenedBytes
from tests.fakes import FakeAgent, FakeTools, Request
from tests.pacman.test_syncdb import desc, tar

CORE = Where("x86_64", "core")
ARM = Where("aarch64", "core")
NAME = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
PATH = f"/core/os/x86_64/{NAME}"
DATA = bytes(range(256)) * 20
SIGNATURE = b"a signature"
MIRROR = Source(Origin.MIRROR, "m", "m", f"http://m/{NAME}")


class HeldFile:
    def __init__(self, content: Content, origin: str, file_name: str) -> None:
        self.origin = origin
        self.file_name = file_name
        self.content = content


def content_of(data: bytes) -> Content:
    return Content(len(data), hashlib.sha256(data).digest())


def entry_of(data: bytes, name: str = NAME, **fields: str) -> dict[str, str]:
    """Return what a database says of a package with these bytes."""
    content = content_of(data)
    return {
        "FILENAME": name,
        "CSIZE": str(content.size),
        "SHA256SUM": content.sha256.hex(),
        "PGPSIG": "",
        **fields,
    }


def database(*entries: Mapping[str, str]) -> bytes:
    return tar(*((f"p{at}/desc", desc(**entry)) for at, entry in enumerate(entries)))


class Shelf:
    """Packages that are held, by name, and transfers that wait for the test."""

    def __init__(self) -> None:
        self.tools = FakeTools()
        self.files: dict[str, bytes] = {}
        #: What lies beside the packages, by name.
        self.signatures: dict[str, bytes] = {}
        self.opened: list[OpenedBytes] = []
        self.gone = False
        self.origin = "store"
        #: What opening a file waits for.
        self.slow_disk: Deferred[None] | None = None
        self.transfers = Transfers(self.tools, sign=self.sign, publish=lambda *_: succeed(True))
        #: What was asked for: by whom, and whether others may fetch it.
        self.begun: list[tuple[str, bool]] = []
        self.refuses = False
        self.at_mirrors: bytes | SourceError | None = None

    def sign(self, _: Transfer) -> Deferred[bytes | None]:
        return succeed(SIGNATURE)

    # Offering and opening

    def find(self, file_name: str, content: Content | None = None) -> HeldFile | None:
        data = self.files.get(file_name)
        if data is None or content not in {None, content_of(data)}:
            return None
        return HeldFile(content_of(data), self.origin, file_name)

    async def open(self, held: HeldFile, *, signature: bool = False, own: bool = True) -> Any:
        if self.slow_disk is not None:
            await self.slow_disk
        name = next(name for name, data in self.files.items() if content_of(data) == held.content)
        if self.gone or (signature and name not in self.signatures):
            raise StoreError("/store", "is gone")
        self.opened.append(OpenedBytes(self.signatures[name] if signature else self.files[name]))
        return self.opened[-1]

    def read_at_once(
        self, held: HeldFile, *, signature: bool, own: bool = True
    ) -> tuple[bytes, float] | None:
        files = self.signatures if signature else self.files
        name = next(name for name, data in self.files.items() if content_of(data) == held.content)
        data = None if self.gone or own else files.get(name)
        return None if data is None else (data, OpenedBytes.MODIFIED)

    # What comes

    def coming(self, entry: Entry) -> Transfer | None:
        return self.transfers.find(entry.file_name, entry.content)

    async def transfer(
        self, asked: Asked, entry: Entry, client: str, *, looks: bool
    ) -> Transfer | None:
        self.begun.append((client, looks))
        if self.refuses:
            return None
        subject = Subject(asked.file.subject, entry.content)
        return self.transfers.join(subject, self.chooser(MIRROR))

    def chooser(self, *sources: Source) -> Callable[[Sequence[Attempt]], Attempt | None]:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            left = sources[len(tried) :]
            return Attempt(left[0], Limits(60.0, 60.0)) if left else None

        return choose

    async def signature(self, asked: Asked, entry: Entry) -> bytes | None:
        if isinstance(self.at_mirrors, SourceError):
            raise self.at_mirrors
        return self.at_mirrors


class MirrorCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.shelf = Shelf()
        self.reactor = self.shelf.tools.reactor
        self.archive = Archive(Path(self.mktemp()))
        self.states = States(self.reactor, self.archive, Catalogue(self.reactor, self.archive))
        self.wait(self.states.open())
        self.clients = Clients()
        self.layouts: dict[str, str] = {}
        self.private: set[str] = set()
        self.ambiguous: set[str] = set()
        self.asked_for: list[tuple[str, Where, str]] = []
        #: Lists of files that are being fetched, by generation.
        self.fetching: dict[str, Deferred[Generation | None]] = {}
        #: Packages of which it is to be found out whether they are held.
        self.judging: dict[str, Deferred[None]] = {}
        signatures: Any = SimpleNamespace(find=self.shelf.signature)
        shelf: Any = self.shelf
        parts = ForMirror(
            self.reactor,
            states=self.states,
            clients=self.clients,
            offering=shelf,
            opening=shelf,
            transfers=self.shelf.transfers,
            for_clients=shelf,
            signatures=signatures,
            precedence=self.shelf.tools.precedence,
            layouts=lambda: self.layouts,
            allows=lambda name: name not in self.private,
            is_ambiguous=lambda name: name in self.ambiguous,
            asked_for=lambda *of: self.asked_for.append((*of[:2], of[2].file_name)),
            with_files=self.with_files,
            judged=self.judged,
        )
        self.face = MirrorFace(parts, mirror_names("nas"))
        self.browser = Browser(self.reactor, self.face, "10.0.0.9")
        self.others: list[Browser] = []
        self.addCleanup(self.finish)

    def judged(self, file_name: str) -> Deferred[None]:
        """Have it be known at once what is held, or once it is said to be."""
        return self.judging.get(file_name, succeed(None))

    def finish(self) -> None:
        for browser in (self.browser, *self.others):
            browser.close()
        self.shelf.transfers.stop()
        self.states.close()
        self.assertEqual([one.closed for one in self.shelf.opened], [1] * len(self.shelf.opened))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual([one for one in self.shelf.tools.files if not one.closed], [])

    def wait(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def another(self, address: str) -> Browser:
        self.others.append(Browser(self.reactor, self.face, address))
        return self.others[-1]

    # States

    def keep(self, data: bytes) -> Piece:
        descriptor = os.memfd_create("test")
        try:
            os.write(descriptor, data)
            return self.archive.take(descriptor)
        finally:
            os.close(descriptor)

    def generation(
        self, made: int, databases: Mapping[Where, Sequence[Mapping[str, str]]], **files: bytes
    ) -> Generation:
        """Have a generation with these entries; ``files`` are those of core, by their field."""
        found = {where: self.keep(database(*entries)) for where, entries in databases.items()}
        pieces = {name: self.keep(data) for name, data in files.items()}
        one = {
            where: DatabaseFiles(piece, **(pieces if where == CORE else {}))
            for where, piece in found.items()
        }
        generation = Generation(made, "m", one)
        self.wait(self.states.add(generation))
        return generation

    def publish(self, *data: bytes, made: int = 1, **files: bytes) -> Generation:
        """Publish a state whose core lists a package of each of these bytes."""
        names = [NAME, *(f"p{at}-1-1-x86_64.pkg.tar.zst" for at in range(1, len(data)))]
        fields = [{}, *({"NAME": f"p{at}", "VERSION": "1-1"} for at in range(1, len(data)))]
        entries = [
            entry_of(one, name, **more) for one, name, more in zip(data, names, fields, strict=True)
        ]
        generation = self.generation(made, {CORE: entries}, **files)
        self.wait(self.states.publish(generation.identity))
        return generation

    def with_files(self, generation: Generation, _: Where) -> Deferred[Generation | None]:
        return self.fetching.setdefault(generation.identity, Deferred())

    @property
    def since(self) -> int:
        published = self.states.published
        assert published is not None
        return published[1].since

    # What is asked

    @property
    def asked_of_mirror(self) -> Request:
        """What the mirror behind the node was asked last."""
        agent: FakeAgent = self.shelf.tools.agent(MIRROR)
        return agent.last

    def get(self, path: str | bytes, **headers: str) -> Answer:
        return self.browser.get(path, **headers)

    def assertRefused(self, answer: Answer, status: int) -> None:
        self.assertEqual(answer.status, status)
        self.assertEqual((answer.headers["content-length"], answer.body), ("0", b""))


def signed(signature: bytes) -> dict[str, str]:
    return {"PGPSIG": base64.b64encode(signature).decode()}
