"""Which machines there are, this one and the peers, and what they have. Nothing is decided here."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.files import is_package_name, package_of
from flocon.machine.reactor_threads import in_thread
from flocon.wanted.requests import MOST_OF_A_CLIENT, scope_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from flocon.holdings.offering import Offering
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.pacman.watch import PacmanWatch
    from flocon.presence.peer import Peer
    from flocon.wanted.requests import Requests, Scope

#: What a peer announces that is such a mirror itself: what it has is what others want.
MIRROR = "mirror"
#: Seconds between two looks at what peers have, while the same peers are there, and where others
#: are: each new name has all databases read.
LOOK_AGAIN = 600.0
LOOK_AT_OTHERS = 60.0
#: What follows the name in pacman's folder of an installed package: version and release.
_PARTS = 2


class Machines:
    """Has ``requests`` learn what this machine and the peers have."""

    def __init__(
        self,
        reactor: Any,
        requests: Requests,
        *,
        pacman: PacmanWatch,
        offering: Offering,
        neighbourhood: Neighbourhood,
    ) -> None:
        self._reactor = reactor
        self._requests = requests
        self._pacman = pacman
        self._offering = offering
        self._neighbourhood = neighbourhood
        self._looked = float("-inf")
        self._looked_at: frozenset[str] = frozenset()

    async def note(self, mirrored: Mapping[str, Sequence[str]]) -> None:
        """Note what all have; ``mirrored`` are the repositories by architecture, in order."""
        await self._note_own(mirrored)
        there = self._peers()
        now = self._reactor.seconds()
        same = self._looked_at == there.keys()
        if now < self._looked + (LOOK_AGAIN if same else LOOK_AT_OTHERS):
            return
        self._looked, self._looked_at = now, frozenset(there)
        for part in self._neighbourhood.holders.packages(there, MOST_OF_A_CLIENT):
            for node, names in part.items():
                for scope in _scopes(there[node], mirrored):
                    self._requests.note(scope, names, time.time())
            await task.deferLater(self._reactor, 0)

    def _peers(self) -> dict[str, Peer]:
        """Return the peers of which it is known what they have, and that have it for themselves."""
        replica = self._neighbourhood.holders.replica
        return {
            one.node: one
            for one in self._neighbourhood.proved()
            if MIRROR not in one.abilities and replica(one.node) is not None
        }

    async def _note_own(self, mirrored: Mapping[str, Sequence[str]]) -> None:
        configuration = self._pacman.configuration
        repositories = [one.name for one in configuration.repositories]
        names = set(map(package_of, self._offering.in_caches()))
        names |= await in_thread(self._reactor, _installed, configuration.database_path / "local")
        for architecture in configuration.architectures:
            if architecture in mirrored:
                scope = scope_of(architecture, repositories, mirrored[architecture])
                self._requests.note(scope, names, time.time())


def _scopes(peer: Peer, mirrored: Mapping[str, Sequence[str]]) -> list[Scope]:
    announced = {name for name, _ in peer.databases}
    return [
        scope_of(architecture, announced, mirrored[architecture])
        for architecture in peer.architectures
        if architecture in mirrored
    ]


def _installed(local: Path) -> set[str]:
    """Return the names of the packages that pacman has installed here."""
    with suppress(OSError):
        parted = (name.rsplit("-", _PARTS) for name in os.listdir(local))  # noqa: PTH208 - names
        return {one[0] for one in parted if len(one) > _PARTS and is_package_name(one[0])}
    return set()
