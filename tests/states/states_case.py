"""States on disk, of databases that a test makes: read, kept, published; with a clock by hand."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.states.archive import Archive
from flocon.states.catalogue import Catalogue
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
from flocon.states.states import States
from tests.inline import InlineReactor
from tests.pacman.test_syncdb import tar

CORE = Where("x86_64", "core")
EXTRA = Where("x86_64", "extra")
DAY = 86_400
#: When a test begins.
BEGINNING = 1_790_000_000


def sha256_of(name: str, version: str) -> bytes:
    return hashlib.sha256(f"{name} {version}".encode()).digest()


def file_name(name: str, version: str) -> str:
    return f"{name}-{version}-x86_64.pkg.tar.zst"


def database(packages: Mapping[str, str]) -> bytes:
    """Return a sync database with a package of each name, in this version."""
    return tar(
        *((f"{name}-{version}/desc", _desc(name, version)) for name, version in packages.items())
    )


def _desc(name: str, version: str) -> bytes:
    fields = {
        "FILENAME": file_name(name, version),
        "NAME": name,
        "VERSION": version,
        "ARCH": "x86_64",
        "CSIZE": "1000",
        "SHA256SUM": sha256_of(name, version).hex(),
    }
    return "".join(f"%{field}%\n{value}\n\n" for field, value in fields.items()).encode()


def keep(archive: Archive, data: bytes) -> Piece:
    """Have an archive keep a content."""
    descriptor = os.memfd_create("test")
    try:
        os.write(descriptor, data)
        return archive.take(descriptor)
    finally:
        os.close(descriptor)


class StatesTestCase(SynchronousTestCase):
    """``self.now`` is what the clock says, in seconds since 1970."""

    def setUp(self) -> None:
        self.now = float(BEGINNING)
        self.patch(time, "time", lambda: self.now)
        self.reactor = InlineReactor()
        self.folder = Path(self.mktemp())
        self.begin()

    def begin(self) -> None:
        """Open what is on disk, as a node does that starts."""
        self.archive = Archive(self.folder)
        self.states = States(self.reactor, self.archive, Catalogue(self.reactor, self.archive))
        self.addCleanup(self.states.close)
        self.done(self.states.open())

    def done(self, coroutine: Any) -> Any:
        """Return what a coroutine returns that waits for nothing."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def refused(self, coroutine: Any, error: type[Exception]) -> str:
        """Return why a coroutine was refused."""
        failure = self.failureResultOf(Deferred.fromCoroutine(coroutine), error)
        return str(failure.value)

    def generation(self, **repositories: Mapping[str, str]) -> Generation:
        """Return a state made now, whose databases are in the archive."""
        databases = {
            Where("x86_64", name): DatabaseFiles(keep(self.archive, database(packages)))
            for name, packages in repositories.items()
        }
        return Generation(int(self.now), "mirror", databases)

    def read(self, **repositories: Mapping[str, str]) -> Generation:
        """Have a state read from a mirror now."""
        with self.archive.gathering():
            generation = self.generation(**repositories)
            self.done(self.states.add(generation))
        return generation

    def publish(self, **repositories: Mapping[str, str]) -> Generation:
        """Have a state read, and given out."""
        generation = self.read(**repositories)
        self.done(self.states.publish(generation.identity))
        return generation
