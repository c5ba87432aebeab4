"""Which servers of pacman's configuration may have a file. Decides only; asks nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.files import Kind, mirror_root
from flocon.pacman.configuration import package_servers_for, servers_for

if TYPE_CHECKING:
    from flocon.files import Asked
    from flocon.pacman.configuration import PacmanConfiguration
    from flocon.pacman.entries import Entry


def servers_of(
    configuration: PacmanConfiguration, asked: Asked, entry: Entry | None
) -> tuple[str, ...]:
    """Return the mirrors that may have a file, each complete but for the file's name.

    pacman's CacheServers are asked first, as pacman does; for packages only.
    """
    repository = asked.repository or (entry.repository if entry else "")
    if asked.file.kind is Kind.NOTE:
        places = (
            (one.name, servers_for(configuration, one.name, ""))
            for one in configuration.repositories
        )
        roots = (mirror_root(server, name) for name, servers in places for server in servers)
        return tuple(dict.fromkeys(filter(None, roots)))
    of = package_servers_for if asked.file.kind is Kind.PACKAGE else servers_for
    if repository:
        return of(configuration, repository, asked.architecture)
    every = (of(configuration, one.name, "") for one in configuration.repositories)
    return tuple(dict.fromkeys(server for servers in every for server in servers))
