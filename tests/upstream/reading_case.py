"""A mirror's parts in virtual time: states on a disk, mirrors in memory."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.configuration import PacmanConfiguration, Repository, SignatureLevel
from flocon.pacman.keyring import Verdict
from flocon.settings.settings import Mirror as MirrorSettings
from flocon.states.archive import Archive
from flocon.states.catalogue import Catalogue
from flocon.states.generation import Where
from flocon.states.states import States
from flocon.upstream.one_mirror import Tools
from tests.fakes import FakeReactor
from tests.upstream.web import THEN, Web

T = TypeVar("T")
CORE, EXTRA = Where("x86_64", "core"), Where("x86_64", "extra")
ONE, TWO, THREE = "http://one", "http://two", "http://three"
#: A signature by its form alone.
SIGNATURE = b"\x89\x00\x05\x04\x00\x01\x02\x03"


class FakeKeyring:
    """Says of each signature what the test says of its bytes; it knows none otherwise."""

    def __init__(self) -> None:
        self.verdicts: dict[bytes, Verdict] = {}
        self.judged: list[bytes] = []

    async def verify(self, package: int, signature: bytes) -> Verdict:
        self.judged.append(os.pread(package, 1 << 20, 0))
        return self.verdicts.get(signature, Verdict.UNKNOWN)


class ReadingCase(SynchronousTestCase):
    """Two mirrors of core and extra, of which the first is asked first."""

    repositories: tuple[str, ...] = ("core", "extra")
    roots: tuple[str, ...] = (ONE, TWO)

    def setUp(self) -> None:
        self.clock = FakeReactor()
        self.web = Web()
        self.web.clock = self.clock
        self.keyring = FakeKeyring()
        self.level = SignatureLevel.OPTIONAL
        #: The time of day, beside the clock.
        self.wall = THEN + 3_600.0
        self.folder = Path(self.mktemp())
        self.archive = Archive(self.folder)
        catalogue = Catalogue(self.clock, self.archive)
        self.states = States(self.clock, self.archive, catalogue, self.time)
        self.done(self.states.open())
        self.addCleanup(self.states.close)
        self.tools: Any = Tools(
            self.clock,
            self.web,
            self.archive,
            lambda: self.keyring,  # type: ignore[arg-type, return-value]
            lambda _: self.level,
            self.time,
        )
        self.settings = MirrorSettings(serve=True)

    def time(self) -> float:
        return self.wall + self.clock.seconds()

    @property
    def configuration(self) -> PacmanConfiguration:
        return PacmanConfiguration(
            repositories=tuple(
                Repository(name, tuple(f"{root}/{name}/os/x86_64" for root in self.roots))
                for name in self.repositories
            ),
            architectures=("x86_64",),
        )

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
        return Deferred.fromCoroutine(coroutine)

    def done(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what comes of what needs no time."""
        return self.successResultOf(self.start(coroutine))

    def contents(self) -> set[str]:
        """Return the names of what lies in the archive."""
        return {path.name for path in (self.folder / "content").iterdir()}
