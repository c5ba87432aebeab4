"""A machine with folders of packages, in virtual time with threads that run at once.

``tests.inline`` has the reactor; the folders are real.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from flocon.files import Content
from flocon.holdings.holdings import Holdings
from flocon.holdings.inventory import Change
from flocon.holdings.offering import Held
from flocon.holdings.politeness import PAUSE
from flocon.store.folder import Opened
from flocon.store.incoming import Incoming
from tests.inline import FakeWatch, InlineReactor

T = TypeVar("T")
A = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
B = "zlib-1.3-2-x86_64.pkg.tar.zst"
C = "core-1-1-any.pkg.tar.xz"
SIGNATURE = b"a signature of some bytes"
#: Long before anything that is "still growing".
OLD = 1_600_000_000


def content_of(data: bytes) -> Content:
    return Content(len(data), hashlib.sha256(data).digest())


def put(folder: Path, name: str, data: bytes, signature: bytes | None = SIGNATURE) -> None:
    """Lay a package down as pacman does: with the mirror's time, under its final name at once."""
    for file_name, part in ((name + ".sig", signature), (name, data)):
        if part is not None:
            path = folder / (file_name + ".part")
            path.write_bytes(part)
            os.utime(path, (OLD, OLD))
            path.rename(folder / file_name)


@dataclass(frozen=True)
class Listed:
    """What a database says of a file."""

    size: int
    sha256: bytes
    signature: bytes | None

    @property
    def is_signed(self) -> bool:
        return self.signature is not None

    def read_signature(self) -> bytes | None:
        return self.signature


def result_of(done: Deferred[T]) -> T:
    """Return the result of what needed no time."""
    results: list[T] = []
    done.addCallback(results.append)
    (result,) = results
    return result


class Cache:
    """What a test asks of the parts of a machine's holdings, in one hand: most need several."""

    def __init__(self, holdings: Holdings) -> None:
        self.startService = holdings.startService
        self.stopService = holdings.stopService
        self.ready = holdings.looking.ready
        self.set_directories = holdings.looking.set_directories
        self.listing_changed = holdings.looking.listing_changed
        self.inventory = holdings.offering.inventory
        self.find = holdings.offering.find
        self._opening = holdings.opening
        self.check = holdings.hashing.check
        self.incoming = holdings.keeping.incoming
        self.publish = holdings.keeping.publish
        self.spare = holdings.arrivals.spare
        #: The store's size is looked at.
        self.store = holdings.accounts

    def open(self, held: Held, *, signature: bool = False, own: bool = True) -> Deferred[Opened]:
        """Open as the node does, in a way that a test can wait for or leave."""
        return Deferred.fromCoroutine(self._opening.open(held, signature=signature, own=own))


class Machine:
    """Holdings with their folders, in virtual time."""

    def __init__(self, top: Path, max_size: int = 1 << 20, directories: int = 1) -> None:
        self.top = top
        self.directories = [top / f"cache{number}" for number in range(directories)]
        for directory in self.directories:
            directory.mkdir(parents=True, exist_ok=True)
        self.listing: dict[str, list[Content]] = {}
        #: The signatures that the databases carry.
        self.signatures: dict[Content, bytes] = {}
        self.unsigned: set[str] = set()
        self.private: set[str] = set()
        self.changes: list[Change] = []
        self.max_size = max_size
        self.wall = 1_700_000_000.0
        #: Other tools' folders.
        self.adopt: list[Path] = []
        self.make()

    def make(self) -> None:
        self.reactor = InlineReactor()
        self.holdings = Holdings(
            self.reactor,
            store=self.top / "store",
            max_size=self.max_size,
            listed=self._listed,
            signature_needed=lambda name: name not in self.unsigned,
            changed=self.changes.extend,
            offered=lambda name, _: name not in self.private,
            directories=self.directories,
            adopt=self.adopt,
            watch=self._make_watch,
            pool=self.reactor.pool,  # type: ignore[arg-type]
            wall=lambda: self.wall,
        )
        self.cache = Cache(self.holdings)

    def _listed(self, name: str) -> list[Listed]:
        return [
            Listed(one.size, one.sha256, self.signatures.get(one))
            for one in self.listing.get(name, ())
        ]

    def _make_watch(self, reactor: object, changed: Callable[[Path, str], None]) -> FakeWatch:
        self.watch = FakeWatch(reactor, changed)
        return self.watch

    @property
    def folder(self) -> Path:
        return self.directories[0]

    @property
    def packages(self) -> Path:
        return self.top / "store" / "packages"

    def start(self) -> Machine:
        self.cache.startService()
        self.settle()
        return self

    def settle(self) -> None:
        """Let everything happen that waits for nothing but quiet."""
        self.reactor.settle()
        politeness = self.holdings.politeness
        while politeness._patient or politeness._keeping:
            self.reactor.advance(PAUSE)
            self.reactor.settle()

    def resume(self) -> None:
        """Let the threads do what they were kept from."""
        self.reactor.pool.resume()
        self.settle()

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        done: list[T] = []
        Deferred.fromCoroutine(work).addCallback(done.append)
        self.settle()
        (result,) = done
        return result

    def stop(self) -> None:
        done: list[None] = []
        self.cache.stopService().addCallback(done.append)
        self.settle()
        assert done == [None]
        assert not self.reactor.getDelayedCalls()

    def restart(self) -> None:
        self.stop()
        self.make()
        self.start()

    def crash(self) -> None:
        """End as a kill does: nothing is saved, the kernel gives up the lock."""
        self.holdings.arrivals.close()
        self.holdings.store.close()
        self.make()
        self.start()

    def report(self, folder: Path, *names: str) -> None:
        self.watch.report(folder, names)
        self.settle()

    def lay(self, name: str, data: bytes, signature: bytes | None = SIGNATURE) -> None:
        put(self.folder, name, data, signature)
        self.report(self.folder, name, name + ".sig")

    def relist(self, name: str, *contents: Content) -> None:
        self.listing[name] = list(contents)
        self.cache.listing_changed()
        self.settle()

    def received(self, data: bytes) -> Incoming:
        incoming = self.cache.incoming(len(data))
        os.write(incoming.fileno(), data)
        return incoming

    def publishing(
        self,
        incoming: Incoming,
        name: str,
        data: bytes,
        signature: bytes | None = SIGNATURE,
        *,
        spares: bool = False,
    ) -> list[bool]:
        result: list[bool] = []
        work = Deferred.fromCoroutine(
            self.cache.publish(incoming, name, content_of(data), signature, spares=spares)
        )
        work.addCallback(result.append)
        self.settle()
        return result

    def publish(self, name: str, data: bytes, signature: bytes | None = SIGNATURE) -> bool:
        incoming = self.received(data)
        try:
            (kept,) = self.publishing(incoming, name, data, signature)
        finally:
            incoming.close()
        return kept

    def held(self) -> dict[str, Content]:
        return {change.file_name: change.content for change in self.cache.inventory.whole()}

    def read(self, name: str, *, signature: bool = False) -> bytes:
        held = self.cache.find(name)
        assert held is not None
        opened = result_of(self.cache.open(held, signature=signature))
        try:
            return os.read(opened.fileno(), opened.size + 1)
        finally:
            opened.close()

    def stored(self) -> set[str]:
        return {path.name for path in self.packages.iterdir()}


@implementer(ILogObserver)
class Warnings:
    """What was said from level warn on, while a test runs."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.events: list[dict[str, object]] = []
        globalLogPublisher.addObserver(self)
        case.addCleanup(globalLogPublisher.removeObserver, self)

    def __call__(self, event: dict[str, object]) -> None:
        if str(event.get("log_namespace", "")).startswith("flocon.") and getattr(
            event["log_level"], "name", ""
        ) in {"warn", "error", "critical"}:
            self.events.append(event)

    def paths(self) -> list[str]:
        return [str(event.get("path")) for event in self.events]


class HoldingsCase(SynchronousTestCase):
    directories = 1

    def setUp(self) -> None:
        top = Path(tempfile.mkdtemp(prefix="flocon-test-"))
        self.addCleanup(shutil.rmtree, top)
        self.machine = Machine(top, directories=self.directories)
        self.cache = self.machine.cache
        self.warnings = Warnings(self)

    def start(self) -> Cache:
        self.machine.start()
        self.addCleanup(lambda: self.machine.stop() if self.machine.holdings.running else None)
        return self.machine.cache

    def lay(self, name: str, data: bytes, signature: bytes | None = SIGNATURE) -> None:
        put(self.machine.folder, name, data, signature)
