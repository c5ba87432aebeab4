"""A mirror's states on disk, and a LAN around it that is as a test says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.ahead.coming import Means
from flocon.files import Content
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.states.archive import FOLDER, Archive
from flocon.states.catalogue import Catalogue
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
from flocon.states.states import States
from tests.inline import InlineReactor
from tests.pacman.test_syncdb import tar

CORE, EXTRA = Where("x86_64", "core"), Where("x86_64", "extra")
#: When a test begins, in seconds since 1970.
BEGINNING = 1_790_000_000.0


def desc(name: str, version: str = "1-1", needs: str = "", groups: str = "") -> tuple[str, bytes]:
    """Return a member of a database: a package of 1,000 bytes."""
    fields = {
        "FILENAME": file_name(name, version),
        "NAME": name,
        "VERSION": version,
        "ARCH": "any",
        "CSIZE": "1000",
        "SHA256SUM": digest(name, version).hex(),
        "DEPENDS": "\n".join(needs.split()),
        "GROUPS": "\n".join(groups.split()),
    }
    text = "".join(f"%{field}%\n{value}\n\n" for field, value in fields.items() if value)
    return f"{name}-{version}/desc", text.encode()


def file_name(name: str, version: str = "1-1") -> str:
    return f"{name}-{version}-any.pkg.tar.zst"


def digest(name: str, version: str) -> bytes:
    return f"{name} {version}".encode().ljust(32)


class FakeTransfer:
    """A package on its way until a test says that it is here, or is not to be had."""

    def __init__(self) -> None:
        self.finished: Any = mock.Mock()
        self.ended: Deferred[None] = Deferred()
        self.finished.wait = lambda: self.ended
        self.terms: Any = mock.Mock()
        self.arrived = 0
        self.followed = self.followed_here = self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeTransfers:
    """What is on its way by file name; ``asked`` has each path that was asked for."""

    def __init__(self) -> None:
        self.coming: dict[str, FakeTransfer] = {}
        self.asked: list[str] = []

    def __iter__(self) -> Any:
        return iter(self.coming.values())

    def find(self, name: str, _: Content) -> FakeTransfer | None:
        return self.coming.get(name)

    def is_elsewhere(self, _: Any) -> bool:
        return False

    def ahead(self, asked: Any, entry: Any, *, mirrors: bool, spares: bool) -> FakeTransfer:
        assert mirrors
        assert spares
        self.asked.append(f"{asked.repository}/{asked.architecture}/{entry.file_name}")
        return self.coming.setdefault(entry.file_name, FakeTransfer())


class WantingTestCase(SynchronousTestCase):
    """``self.here`` are the names of the files that are held; ``self.full`` if there is no room."""

    def setUp(self) -> None:
        self.now = BEGINNING
        self.patch(time, "time", lambda: self.now)
        self.reactor = InlineReactor()
        self.store = Path(self.mktemp())
        self.here: set[str] = set()
        self.caches: list[str] = []
        self.full = False
        self.transfers = FakeTransfers()
        self.pacman: Any = mock.Mock()
        self.pacman.configured.return_value = succeed(None)
        self.pacman.configuration = PacmanConfiguration(
            repositories=(Repository("core"), Repository("extra")),
            architectures=("x86_64",),
            database_path=self.store / "db",
        )
        self.neighbourhood: Any = mock.Mock()
        self.neighbourhood.acquainted.return_value = succeed(None)
        self.neighbourhood.is_held.return_value = False
        self.neighbourhood.proved.return_value = []
        self.neighbourhood.holders.packages.return_value = iter(())
        self.means = self.make_means()
        self.archive = Archive(self.store / FOLDER)
        self.states = States(
            self.reactor, self.archive, Catalogue(self.reactor, self.archive), lambda: self.now
        )
        self.addCleanup(self.states.close)
        self.done(self.states.open())

    def make_means(self) -> Means:
        offering: Any = mock.Mock()
        offering.holds = lambda name, _: name in self.here
        offering.in_caches = lambda: self.caches
        self.accounts: Any = mock.Mock()
        arrivals: Any = mock.Mock()
        arrivals.accounts = self.accounts
        arrivals.has_room_ahead = lambda _: not self.full
        transfers: Any = self.transfers
        packages: Any = self.transfers
        return Means(arrivals, offering, packages, transfers, self.neighbourhood)

    def done(self, coroutine: Any) -> Any:
        """Return what a coroutine returns that waits for nothing."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def generation(self, **repositories: list[tuple[str, bytes]]) -> Generation:
        """Return a state whose databases are in the archive."""
        databases = {
            Where("x86_64", name): DatabaseFiles(self._keep(tar(*members)))
            for name, members in repositories.items()
        }
        return Generation(int(self.now), "mirror", databases)

    def _keep(self, data: bytes) -> Piece:
        descriptor = os.memfd_create("test")
        try:
            os.write(descriptor, data)
            return self.archive.take(descriptor)
        finally:
            os.close(descriptor)

    def read(self, **repositories: list[tuple[str, bytes]]) -> Generation:
        """Have a state read from a mirror now; it is the newest."""
        self.now += 1
        generation = self.generation(**repositories)
        self.done(self.states.add(generation))
        return generation

    def pass_time(self, seconds: float) -> None:
        """Let seconds pass, in steps."""
        for _ in range(20):
            self.reactor.advance(seconds / 20)

    def arrive(self, *names: str) -> None:
        for name in names:
            self.here.add(name)
            self.transfers.coming.pop(name).ended.callback(None)
