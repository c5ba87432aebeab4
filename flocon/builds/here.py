"""What this machine has to build with: pacman's databases, and what it published itself."""

from __future__ import annotations

import platform
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flocon.errors import StoreError
from flocon.files import ARCH
from flocon.jobs.stock import Stock, own_repository
from flocon.machine.reactor_threads import in_thread
from flocon.repository.published import CURRENT, newest_generation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
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
        #: Where the newest generation was when it was read, and the versions that it has.
        self._at = ""
        self._offered: Mapping[str, Collection[str]] | None = None

    def offered(self) -> Mapping[str, Collection[str]] | None:
        """Return the versions of each recipe's packages that are published now, by its base.

        None where that is not known. Others change that, too: whoever rolls back a package, or
        takes it out. Looks where the newest generation is, and reads its note of some KiB where
        that is another one.
        """
        self.own = self.own or own_repository(self._published(), self._chosen())
        if not self.own:
            return None
        folder = self._published() / self.own
        with suppress(OSError, StoreError):
            at = f"{self.own} {(folder / CURRENT).readlink()}"
            if at != self._at and (generation := newest_generation(folder)):
                found: defaultdict[str, set[str]] = defaultdict(set)
                for one in generation.files:
                    found[one.base].add(one.version)
                self._offered, self._at = dict(found), at
        return self._offered

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
