"""Which of this machine's databases peers are given, and which of them a peer itself gave.

Where a database comes from that pacman asks for is ``databases``'s.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.threads import deferToThreadPool

from flocon.databases.origins import Given
from flocon.errors import StoreError
from flocon.log import logger
from flocon.machine.remember import remember
from flocon.pacman.database_files import digest_of, open_database, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.databases.origins import DatabaseOrigins
    from flocon.pacman.database_files import Stamp
    from flocon.pacman.watch import PacmanWatch

#: What is remembered of databases that peers gave, below the store's folder.
DATABASES_FILE = "databases.json"


class OwnDatabases:
    """Opens this machine's databases where they are ``shared``.

    ``origins`` is kept up to date, and written to ``remembered``.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        shared: Callable[[], bool],
        pacman: PacmanWatch,
        origins: DatabaseOrigins,
        remembered: Path,
    ) -> None:
        self._reactor = reactor
        self.shared = shared
        self._pacman = pacman
        self._origins = origins
        self._remembered = remembered
        #: The digests of files that may be a peer's, as of their stamps: no more than pacman has.
        self._looked_at: dict[str, tuple[Stamp, str]] = {}

    def open(self, file_name: str) -> Any:
        """Open this machine's own database for peers, where the operator shares them.

        Raises StoreError; also of one that a peer gave, or that bears a date to come.
        """
        if not self.shared():
            raise StoreError(file_name, "databases are not shared here")
        directory = self._pacman.configuration.sync_directory
        opened = open_database(directory, file_name)
        try:
            self._check_ours(file_name.removesuffix(".sig"), directory)
        except StoreError:
            opened.close()
            raise
        return opened

    def _check_ours(self, file_name: str, directory: Path) -> None:
        path = directory / file_name
        stamp = stamp_of(path)
        if stamp is None:
            raise StoreError(str(path), "there is none")
        if stamp.modified_ns / 1e9 > time.time():
            raise StoreError(str(path), "it is dated in the future")
        # Only where it may be one is it read, and once for each file that lies there.
        if self._origins.may_be_peers(file_name, stamp.size):
            if self._looked_at.get(file_name, (None, ""))[0] != stamp:
                self._looked_at[file_name] = stamp, _digest_at(path)
            if self._origins.is_peers(self._looked_at[file_name][1]):
                raise StoreError(str(path), "a peer gave it")

    async def from_peer(self, file_name: str, descriptor: int) -> None:
        """Take note that a peer gave a database, before pacman gets any of it."""
        digest = await self._in_thread(digest_of, descriptor)
        given = Given(file_name, os.fstat(descriptor).st_size)
        self._origins.from_peer(digest, given)
        await self._write_down()

    def from_mirror(self, descriptor: int) -> None:
        """Forget that a peer gave what a mirror has sent as well."""
        if self._origins.dump():
            looking = defer.Deferred.fromCoroutine(self._disown(os.dup(descriptor)))
            looking.addErrback(
                lambda failure: self._log.failure("a database was not read", failure)
            )

    async def _disown(self, descriptor: int) -> None:
        try:
            digest = await self._in_thread(digest_of, descriptor)
        finally:
            os.close(descriptor)
        if self._origins.from_mirror(digest):
            await self._write_down()

    async def _write_down(self) -> None:
        await self._in_thread(remember, self._remembered, self._origins.dump())

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, function, *arguments)


def _digest_at(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return digest_of(file.fileno())
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from None
