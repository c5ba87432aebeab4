"""How a state is read: the databases of all mirrored repositories, from the mirrors that have them.

Whose servers those are is the settings' and pacman's; when one is read ``refreshing``'s.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from flocon.asking.addresses import network_location
from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted
from flocon.asking.small import fetch_small
from flocon.errors import Refused, StoreError
from flocon.machine.reactor_threads import in_thread
from flocon.mirrors.generation import LARGEST_DATABASE, DatabaseFiles, Generation, Where
from flocon.pacman.configuration import fill_in, servers_for
from flocon.pacman.syncdb import LARGEST_SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from flocon.mirrors.archive import Archive
    from flocon.mirrors.generation import Piece
    from flocon.pacman.configuration import PacmanConfiguration
    from flocon.settings.settings import Mirror as MirrorSettings

#: Seconds of silence of a mirror that has a database to give.
LIMITS = Limits(first_byte=10.0, stall=10.0)


def mirrored(
    settings: MirrorSettings, configuration: PacmanConfiguration
) -> dict[Where, tuple[str, ...]]:
    """Return which databases are mirrored, each with its servers, complete but for the file."""
    own = configuration.architectures[:1] or ("x86_64",)
    architectures = settings.architectures or own
    names = settings.repositories or tuple(one.name for one in configuration.repositories)
    found = {
        Where(architecture, name): servers_of(settings, configuration, Where(architecture, name))
        for architecture in architectures
        for name in names
    }
    return {where: servers for where, servers in found.items() if servers}


def servers_of(
    settings: MirrorSettings, configuration: PacmanConfiguration, where: Where
) -> tuple[str, ...]:
    """Return the servers of a mirrored repository, complete but for the file."""
    named = settings.upstream.get(where.architecture)
    if named is not None:
        return tuple(fill_in(one, where.repository, where.architecture) for one in named)
    known = configuration.repository(where.repository)
    if known is not None and where.architecture not in configuration.architectures:
        return ()
    return servers_for(configuration, where.repository, where.architecture)


class Upstream:
    """Reads states by ``agent`` into ``archive``."""

    def __init__(self, reactor: Any, agent: Any, archive: Archive) -> None:
        self._reactor = reactor
        self._agent = agent
        self._archive = archive

    async def read(
        self, servers: Mapping[Where, Sequence[str]], files: Collection[Where] = ()
    ) -> Generation:
        """Return the state that the mirrors have now, with the lists of ``files`` of some.

        Raises a SourceError or a StoreError.
        """
        databases = {}
        source = ""
        for where, places in servers.items():
            server = places[0]
            source = source or network_location(server)
            databases[where] = DatabaseFiles(
                await self._piece(f"{server}/{where.repository}.db", LARGEST_DATABASE),
                await self._optional(f"{server}/{where.repository}.db.sig", LARGEST_SIGNATURE),
            )
        return Generation(int(time.time()), source, databases)

    async def _optional(self, url: str, most: int) -> Piece | None:
        try:
            return await self._piece(url, most)
        except Refused:
            return None

    async def _piece(self, url: str, most: int) -> Piece:
        wanted = Wanted(url, network_location(url))
        data = await fetch_small(self._agent, self._reactor, wanted, LIMITS, most)
        return await in_thread(self._reactor, _take, self._archive, data)


def _take(archive: Archive, data: bytes) -> Piece:
    try:
        descriptor = os.memfd_create("flocon", os.MFD_CLOEXEC)
    except OSError as error:
        raise StoreError(str(archive.path), error.strerror or str(error)) from None
    with os.fdopen(descriptor, "r+b") as file:
        file.write(data)
        file.flush()
        return archive.take(file.fileno())
