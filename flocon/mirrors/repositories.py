"""Which repositories are mirrored, in which order, from which servers, and how they are signed.

By the settings and pacman's configuration as they are when it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.pacman.configuration import SignatureLevel
from flocon.snapshots.dated import servers_of_the_past
from flocon.states.generation import Where
from flocon.upstream.servers import mirrored, servers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.files import Asked
    from flocon.pacman.configuration import PacmanConfiguration
    from flocon.pacman.entries import Entry
    from flocon.settings.settings import Mirror as MirrorSettings
    from flocon.states.states import States


class Repositories:
    """``settings`` and ``configuration`` give those in force."""

    def __init__(
        self,
        settings: Callable[[], MirrorSettings],
        configuration: Callable[[], PacmanConfiguration],
    ) -> None:
        self._settings = settings
        self._configuration = configuration

    def mirrored(self) -> list[Where]:
        """Return what is mirrored, in the order in which pacman looks through it."""
        return list(mirrored(self._settings(), self._configuration()))

    def order(self) -> list[str]:
        """Return the repositories in the order in which pacman looks through them."""
        return list(dict.fromkeys(where.repository for where in self.mirrored()))

    def servers(self, asked: Asked) -> tuple[str, ...]:
        """Return the servers of what is mirrored and is not pacman's own here; () for all else."""
        if not asked.repository or not asked.architecture:
            return ()
        settings, configuration = self._settings(), self._configuration()
        where = Where(asked.architecture, asked.repository)
        own = configuration.repository(asked.repository) is not None
        if own and asked.architecture not in settings.upstream:
            return ()
        return servers_of(settings, configuration, where)

    def servers_of_the_past(
        self, states: States, asked: Asked, entry: Entry | None
    ) -> tuple[str, ...]:
        """Return who may have what only past states list; () where there are none."""
        archive = self._settings().archive
        return servers_of_the_past(states, archive, asked, entry) if archive else ()

    def signature_level(self, where: Where) -> SignatureLevel:
        """Return how far the database of a repository has to be signed."""
        configuration = self._configuration()
        known = configuration.repository(where.repository)
        if known is None or where.architecture not in configuration.architectures:
            return SignatureLevel.OPTIONAL
        return known.database_signature
