"""What went through this node since it started, in bytes and in answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flocon.asking.source import Came
from flocon.books.takers import Takers

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Traffic:
    """Bytes by direction and by who took them, and answers to pacman by where they came from.

    What came here is told apart: ``from_peers_bytes`` were held by peers, ``from_owners_bytes``
    were fetched for this node by peers, ``from_mirrors_bytes`` crossed the WAN to this node; of
    those, ``for_peers_bytes`` were fetched because peers asked.
    """

    from_peers_bytes: int = 0
    from_owners_bytes: int = 0
    from_mirrors_bytes: int = 0
    for_peers_bytes: int = 0
    to_peers_bytes: int = 0
    to_pacman_bytes: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    takers: Takers = field(default_factory=Takers)

    def to_pacman(self, count: int) -> None:
        self.to_pacman_bytes += count

    def to_peer(self, address: str, count: int) -> None:
        """Count what whoever asks from ``address`` was sent on the LAN."""
        self.to_peers_bytes += count
        self.takers.take(address, count)

    def take(self, came: Came, count: int) -> None:
        """Count what came here."""
        if came is Came.PEER:
            self.from_peers_bytes += count
        elif came is Came.OWNER:
            self.from_owners_bytes += count
        else:
            self.from_mirrors_bytes += count

    def describe(self) -> Mapping[str, int]:
        """Return all bytes by direction, as plain values."""
        return {
            name: getattr(self, name)
            for name in (
                "from_peers_bytes",
                "from_owners_bytes",
                "from_mirrors_bytes",
                "for_peers_bytes",
                "to_peers_bytes",
                "to_pacman_bytes",
            )
        }
