"""What went through this node since it started, in bytes and in answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Traffic:
    """Bytes by direction, and answers to pacman by where they came from."""

    from_peers_bytes: int = 0
    from_mirrors_bytes: int = 0
    to_peers_bytes: int = 0
    to_pacman_bytes: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def to_pacman(self, count: int) -> None:
        self.to_pacman_bytes += count

    def to_peer(self, count: int) -> None:
        self.to_peers_bytes += count
