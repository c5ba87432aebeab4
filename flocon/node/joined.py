"""Own repositories of a node that has some, put together: found, given, told of, kept in copies.

This is imported only where there are any; elsewhere ``joining`` stands alone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flocon.joined import telling
from flocon.joined.copies import COPIES_FILE, Copies
from flocon.joined.giving import Giving
from flocon.joined.published import lies_in
from flocon.joined.repositories import OwnRepositories
from flocon.repository.published import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.node.parts import Parts
    from flocon.pacman.entries import Entry
    from flocon.presence.peer import Peer

#: Copies may take one part in so many of the store.
SHARE = 2


class Joined:
    """Has the parts of it, and tells the node's others what changed."""

    def __init__(self, reactor: Any, parts: Parts) -> None:
        self._parts = parts
        settings = parts.settings
        self.repositories = OwnRepositories(
            reactor,
            keys=settings.repo.keys,
            published=settings.repo.published,
            store=settings.store.path,
            agent=parts.desk.agents.peers,
            neighbourhood=parts.neighbourhood,
            offence=parts.offenders.offence,
            changed=self.changed,
        )
        self.repositories.has = parts.holdings.offering.holds
        self.giving = Giving(reactor, self.repositories, parts.pacman, parts.desk.privacy.keeps)
        self.copies = Copies(
            reactor,
            parts.ahead_means,
            self.repositories,
            own=parts.desk.own,
            copies=lambda: parts.reloading.settings.repo.copies,
            most=settings.store.max_size // SHARE,
            shelf=parts.holdings.clearing,
            file=settings.store.path / COPIES_FILE,
        )
        parts.holdings.clearing.protect(self.copies.protects, by="own")
        parts.desk.databases.own_repositories = self.giving.answer
        parts.desk.privacy.publishes = self._publishes_privately
        parts.neighbourhood.has_own = self._heard
        parts.why.own_repositories = lambda name: telling.database_answer(self.repositories, name)

    def start(self) -> None:
        self.repositories.startService()
        metered = self._parts.metered
        self.copies.start(free=metered.known and not metered.metered)

    def stop(self) -> Deferred[None]:
        self.copies.stop()
        return self.repositories.stopService()

    def look(self) -> Deferred[None]:
        return self.repositories.look()

    def folders(self) -> tuple[Path, ...]:
        """Return where the packages lie that this machine's signer publishes."""
        place = self._parts.settings.repo.published
        return tuple(
            place / name / PACKAGES
            for name, known in self.repositories.known.items()
            if known.trusted.publishes
        )

    def _publishes_privately(self, file_name: str) -> bool:
        """Whether a package lies in a private repository of this machine, also one listed no more.

        pacman's databases tell of it only once they were refreshed here.
        """
        privacy = self._parts.desk.privacy
        return any(
            privacy.keeps(folder.parent.name) and lies_in(folder, file_name)
            for folder in self.folders()
        )

    def changed(self) -> None:
        """Tell the others, and this node's parts, that a repository is another one."""
        parts = self._parts
        databases = (known.database for known in self.repositories.known.values())
        parts.pacman.mirror(tuple(one for one in databases if one is not None), by="own")
        parts.announcer.own(self.giving.announced())
        parts.following.published()
        parts.following.own_folders_changed()
        self.copies.changed()

    def _heard(self, peer: Peer) -> None:
        self.repositories.heard(peer)
        self.copies.heard(peer)

    def listed(self, name: str) -> Mapping[str, Entry] | None:
        known = self.repositories.known.get(name)
        return None if known is None or known.database is None else known.database.entries

    def describe(self) -> list[dict[str, Any]]:
        return telling.describe(self.repositories, self.copies.describe)

    def tell(self) -> Iterator[dict[str, Any]]:
        return telling.tell(self.repositories, time.time())

    def refused(self) -> dict[str, int]:
        """Return how often offers of peers were not taken, by what was wrong."""
        return dict(self.repositories.offers.refused)

    def keys_of(self, name: str) -> list[dict[str, Any]]:
        """Return the keys that this machine itself has for a repository, as ``finding`` does."""
        known = self.repositories.known.get(name)
        if known is None:
            return []
        from flocon.joined.finding import described  # noqa: PLC0415 - seldom asked

        own = self._parts.namesakes.identity.name
        keys = described(known.trusted.told)
        return [{"node": own, "address": "", "keys": keys, "problem": ""}]
