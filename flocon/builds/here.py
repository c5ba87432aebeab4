"""What this machine has to build with: pacman's databases, and what it published itself."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from flocon.files import ARCH
from flocon.jobs.stock import Stock, own_repository
from flocon.machine.reactor_threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from flocon.pacman.watch import PacmanWatch


class Here:
    """``published`` gives the folder in which the signer publishes, ``chosen`` the repository."""

    def __init__(
        self,
        reactor: Any,
        pacman: PacmanWatch,
        published: Callable[[], Path],
        chosen: Callable[[], str],
    ) -> None:
        self._reactor = reactor
        self._pacman = pacman
        self._published = published
        self._chosen = chosen
        #: The repository that this machine makes, "" for none; as it was found last.
        self.own = ""

    async def stock(self) -> Stock:
        """Read what there is, in a thread."""
        return await self._read([one.name for one in self._pacman.configuration.repositories])

    async def libraries(self) -> dict[str, frozenset[str]]:
        """Return the libraries that each package of the own repository provides."""
        # What pacman's databases have is no matter: they are a hundred times as large.
        stock = await self._read(())
        return await in_thread(self._reactor, stock.libraries)

    async def _read(self, names: Collection[str]) -> Stock:
        published, sync = self._published(), self._pacman.configuration.sync_directory
        self.own = await in_thread(self._reactor, own_repository, published, self._chosen())
        return await in_thread(self._reactor, Stock, sync, names, published, self.own)

    def architecture(self) -> str:
        return next(iter(self._pacman.configuration.architectures), platform.machine())

    def arch_has(self, name: str) -> str:
        """Return the repository of Arch's that has a package of a name, "" for none."""
        entries = self._pacman.listing.named(name)
        return next((one.repository for one in entries if one.repository in ARCH - {self.own}), "")
