"""A folder with a pacman.conf and sync databases, and a watch of it in the real reactor."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor as real_reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from flocon.pacman.configuration import PacmanConfiguration, servers_for
from flocon.pacman.databases import PacmanDatabases
from flocon.pacman.listing import Listing
from flocon.pacman.watch import PacmanWatch
from tests.lan.repository import Recipe, RepoAdd, SigningKey, build
from tests.pacman.test_syncdb import desc, tar

reactor: Any = real_reactor

RECIPES = (
    Recipe("gtk++", "1:2.0-1", 4000),
    Recipe("zlib", "1.3.1-2", 9000),
    Recipe("font", "2024.01-1.1", 100, "any"),
)


@cache
def real_repository() -> Path:
    """Return a folder with signed packages and ``core.db``, which real repo-add wrote."""
    folder = Path("real-repository").absolute()
    folder.mkdir()
    key = SigningKey(folder / "gpg")
    try:
        packages = [build(recipe, folder, seed=1) for recipe in RECIPES]
        for package in packages:
            key.sign(package.path)
    finally:
        key.close()
    RepoAdd().add(folder, "core", packages)
    return folder


class OnDisk(TestCase):
    timeout = 60

    def setUp(self) -> None:
        # pacman takes a blank in a CacheDir for the end of it: the checkout may lie anywhere.
        self.top = Path(tempfile.mkdtemp(prefix="flocon-pacman-"))
        self.addCleanup(shutil.rmtree, self.top)
        self.sync = self.top / "db" / "sync"
        self.sync.mkdir(parents=True)
        self.conf = self.top / "etc" / "pacman.conf"
        self.conf.parent.mkdir()

    def write(self, text: str, path: Path | None = None) -> None:
        head = f"[options]\nDBPath = {self.top}/db\nArchitecture = x86_64\n"
        if path is None:
            path, text = self.conf, head + text
        new = path.with_name("new")
        new.write_text(text)
        new.rename(path)

    def put(self, name: str, data: bytes) -> None:
        """Replace a database the way pacman does."""
        part = self.sync / f"{name}.db.part"
        part.write_bytes(data)
        part.rename(self.sync / f"{name}.db")


class WatchCase(OnDisk):
    def setUp(self) -> None:
        super().setUp()
        self.configurations: list[PacmanConfiguration] = []
        self.listings: list[Listing] = []
        self.watch = PacmanWatch(
            reactor,
            self.conf,
            self.configurations.append,
            self.listings.append,
            own_ports={19433},
            mirrors=["http://general/$repo"],
        )

    async def start(self, *repositories: str) -> None:
        self.write("".join(f"[{name}]\nServer = http://m/$repo\n" for name in repositories))
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.settled(30)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the file system's events bring about."""
        for _ in range(1000):
            if condition():
                return
            await deferLater(reactor, 0.01)
        self.fail("it did not happen")

    def database(self, **fields: str) -> bytes:
        return tar(("a-1-1/desc", desc(**fields)))

    def found(self) -> Any:
        return self.watch.listing.find("gtk++-1:2.0-1-x86_64.pkg.tar.zst")

    def warnings(self) -> list[str]:
        said: list[str] = []
        logger = mock.Mock()
        logger.warn = lambda text, **fields: said.append(text.format(**fields))
        self.patch(PacmanWatch, "log", logger)
        self.patch(PacmanDatabases, "log", logger)
        return said

    def servers(self) -> tuple[str, ...]:
        return servers_for(self.watch.configuration, "core", "x86_64")
