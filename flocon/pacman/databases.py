"""The listing of this machine's sync databases: which are read, and when it is made anew.

Two kinds are listed: what lies in pacman's folder, and what mirrors sent through this node and
pacman here has not taken. When to look is ``watch``'s to say, how one is read
``database_files``'s.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from twisted.logger import Logger

from flocon.errors import NoDescriptors, SyncDatabaseError
from flocon.machine.limits import give_back
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.database_files import Loaded, digest_of, load, load_sent, stamp_of
from flocon.pacman.listing import Listing
from flocon.pacman.sent import SentDatabases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from flocon.pacman.answers import PacmanReactor
    from flocon.pacman.configuration import PacmanConfiguration
    from flocon.pacman.listing import Database

#: Databases that were sent and wait to be read, and their bytes, which may lie in memory.
MOST_WAITING = 8
MOST_WAITING_BYTES = 64 << 20


class SentFiles:
    """Files of databases that mirrors sent and nobody has read yet; the newest, within bounds."""

    def __init__(self) -> None:
        #: Repository and open file of each, the oldest first.
        self._waiting: list[tuple[str, int]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, repository: str, descriptor: int) -> bool:
        """Keep one, which stays the caller's to close; return whether it can wait here.

        Without descriptors it cannot: it is listed once pacman has it.
        """
        size = os.fstat(descriptor).st_size
        if size > MOST_WAITING_BYTES:
            return False
        while self._waiting and not self._has_room(size):
            os.close(self._waiting.pop(0)[1])
        try:
            self._waiting.append((repository, os.dup(descriptor)))
        except OSError:
            return False
        return True

    def take(self) -> tuple[str, int]:
        """Return repository and descriptor of the oldest, which the caller is to close."""
        return self._waiting.pop(0)

    def close(self) -> None:
        while self._waiting:
            os.close(self._waiting.pop()[1])

    def _has_room(self, size: int) -> bool:
        """Whether one more database may wait to be read."""
        waiting = sum(os.fstat(descriptor).st_size for _, descriptor in self._waiting)
        return len(self._waiting) < MOST_WAITING and waiting + size <= MOST_WAITING_BYTES


class PacmanDatabases:
    """Keeps ``listing``, and tells when it is another one.

    ``is_peers`` tells by its digest whether a database was given by a peer.
    """

    log = Logger()

    def __init__(
        self,
        reactor: PacmanReactor,
        listing_changed: Callable[[Listing], None],
        is_peers: Callable[[str], bool],
    ) -> None:
        self._reactor = reactor
        self._listing_changed = listing_changed
        self.is_peers = is_peers
        self.sent_files = SentFiles()
        self.listing = Listing()
        self._paths: Sequence[tuple[str, Path]] = ()
        self._loaded: dict[str, Loaded] = {}
        self._sent = SentDatabases()
        #: By whose word they are listed.
        self._mirrored: dict[str, tuple[Database, ...]] = {}

    @property
    def any_sent(self) -> bool:
        """Whether something lists that does so for a day only."""
        return bool(self._sent)

    def configure(self, configuration: PacmanConfiguration) -> None:
        """Take the repositories that there are now; ``publish`` then tells what they list."""
        # For every request, so made once.
        names = [one.name for one in configuration.repositories if configuration.files]
        self._paths = [(name, configuration.sync_directory / f"{name}.db") for name in names]

    def stale(self) -> list[tuple[str, Path]]:
        """Return the databases whose file is another one than was read."""
        nothing = Loaded()
        return [
            (name, path)
            for name, path in self._paths
            if stamp_of(path) != self._loaded.get(name, nothing).stamp
        ]

    def unusable(self) -> list[tuple[str, Path, str]]:
        """Return each repository whose database's file is there and lists nothing: file and why."""
        return [
            (name, path, problem)
            for name, path in self._paths
            if (problem := self._loaded.get(name, Loaded()).problem)
        ]

    async def load(self, databases: Sequence[tuple[str, Path]]) -> bool:
        """Read these, and tell what they list; return whether it is known of all of them.

        Where no descriptor was left for one it lists what it did, and is stale still.
        """
        results = await in_thread(self._reactor, _load_all, databases, dict(self._loaded))
        known = None not in results
        for (name, path), loaded in zip(databases, results, strict=True):
            if loaded is None:
                continue
            self._loaded[name] = loaded
            if loaded.problem:
                problem = loaded.problem
                self.log.warn(
                    "{path} cannot be used, so nothing of [{name}] is shared with the LAN or taken"
                    " from it: {problem}",
                    path=path,
                    name=name,
                    problem=problem,
                )
        del results, loaded
        self.publish()
        # Now that the listing before is gone.
        await in_thread(self._reactor, give_back)
        return known

    def mirror(self, databases: tuple[Database, ...], by: str) -> None:
        """Take these as what this node gives to other machines ``by`` somebody's word."""
        self._mirrored[by] = databases
        self.publish()

    async def load_sent(self) -> None:
        """Read what mirrors sent and pacman here has not, each once."""
        while self.sent_files:
            repository, descriptor = self.sent_files.take()
            try:
                digest = await in_thread(self._reactor, digest_of, descriptor)
                if digest in self._digests() or self._sent.renew(digest, self._reactor.seconds()):
                    continue
                database = await in_thread(self._reactor, load_sent, repository, descriptor, digest)
            except (OSError, SyncDatabaseError) as error:
                self.log.debug("{name}.db, as sent: {error}", name=repository, error=error)
            else:
                self._sent.add(database, self._reactor.seconds())
                del database
            finally:
                os.close(descriptor)
        self.publish()
        await in_thread(self._reactor, give_back)

    def _digests(self) -> set[str]:
        return {one.database.digest for one in self._loaded.values() if one.database}

    def publish(self) -> None:
        """Make the listing anew of what is loaded, in the configuration's order."""
        loaded = {name: self._loaded.get(name, Loaded()) for name, _ in self._paths}
        self._loaded = loaded
        self._sent.drop(self._digests())
        own = (self._marked(one.database) for one in loaded.values() if one.database)
        sent = self._sent.current(self._reactor.seconds())
        listing = Listing(tuple(own), sent, tuple(chain(*self._mirrored.values())))
        if listing != self.listing:
            self.listing = listing
            self._listing_changed(listing)

    def _marked(self, database: Database) -> Database:
        from_peer = self.is_peers(database.digest)
        return (
            database if from_peer == database.from_peer else replace(database, from_peer=from_peer)
        )


def _load_all(
    databases: Sequence[tuple[str, Path]], known: Mapping[str, Loaded]
) -> list[Loaded | None]:
    """Return what became of each; None where it is not known for want of descriptors."""
    results: list[Loaded | None] = []
    for name, path in databases:
        try:
            results.append(load(name, path, known.get(name)))
        except NoDescriptors:
            results.append(None)
    return results
