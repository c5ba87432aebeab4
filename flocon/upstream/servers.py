"""Which databases are mirrored, and from which servers: decides only.

What the operator names for an architecture comes before what pacman has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.errors import MirrorError
from flocon.pacman.configuration import fill_in, servers_for
from flocon.states.generation import Where

if TYPE_CHECKING:
    from flocon.pacman.configuration import PacmanConfiguration
    from flocon.settings.settings import Mirror as MirrorSettings


def mirrored(
    settings: MirrorSettings, configuration: PacmanConfiguration
) -> dict[Where, tuple[str, ...]]:
    """Return which databases are mirrored, each with its servers, complete but for the file."""
    wheres = meant(settings, configuration)
    found = {where: servers_of(settings, configuration, where) for where in wheres}
    return {where: servers for where, servers in found.items() if servers}


def meant(settings: MirrorSettings, configuration: PacmanConfiguration) -> list[Where]:
    """Return which databases are to be mirrored, whether a server of them is known or not."""
    own = configuration.architectures[:1] or ("x86_64",)
    architectures = settings.architectures or own
    names = settings.repositories or tuple(
        # An own repository has no server but the node: of it there is nothing to mirror.
        one.name
        for one in configuration.repositories
        if one.servers or one.has_others
    )
    return [Where(architecture, name) for architecture in architectures for name in names]


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


def nothing_mirrored(settings: MirrorSettings, configuration: PacmanConfiguration) -> MirrorError:
    """Return what to set where nothing is mirrored."""
    if not settings.repositories and not configuration.repositories:
        return MirrorError(
            "there is nothing to mirror: this machine's pacman has no repositories",
            'write repositories = ["core", "extra"] in [mirror] of flocon.toml, and mirrors ='
            ' ["https://HOST/$repo/os/$arch"] outside of it',
        )
    names = settings.repositories or [one.name for one in configuration.repositories]
    return MirrorError(
        f"there is nothing to mirror: no server is known for {', '.join(names)}",
        'write mirrors = ["https://HOST/$repo/os/$arch"] in flocon.toml, or for other machines'
        " upstream in [mirror]",
    )
