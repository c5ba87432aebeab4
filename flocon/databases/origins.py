"""Which databases a peer gave: pacman has them, and yet nothing more may follow from them.

What a mirror sent is as good as pacman's own. A peer's may be made up, where the operator takes
databases from peers: it is not handed on, and nothing is fetched ahead because of it. Remembered
over restarts, for the file lies on pacman's disk as long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flocon.files import Kind, parse_file_name

#: Databases of peers that are remembered; a machine has a handful, each a new one some times a day.
MOST = 512
_DIGEST = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Given:
    """A database's file as a peer gave it: the name, and the size in bytes."""

    file_name: str
    size: int


class DatabaseOrigins:
    """Files by digest: the first 16 hex digits of their SHA-256, as ``Database.digest`` is."""

    def __init__(self, peers: dict[str, Given] | None = None) -> None:
        self._peers = dict(peers or {})

    def from_peer(self, digest: str, given: Given) -> None:
        self._peers.pop(digest, None)
        self._peers[digest] = given
        while len(self._peers) > MOST:
            del self._peers[next(iter(self._peers))]

    def from_mirror(self, digest: str) -> bool:
        """Learn that a mirror sent the same; return whether a peer had been the only one."""
        return self._peers.pop(digest, None) is not None

    def is_peers(self, digest: str) -> bool:
        """Whether a peer gave it, and no mirror since."""
        return digest in self._peers

    def may_be_peers(self, file_name: str, size: int) -> bool:
        """Whether a file of this name and size may be one that a peer gave."""
        return Given(file_name, size) in self._peers.values()

    def dump(self) -> dict[str, Any]:
        return {digest: [one.file_name, one.size] for digest, one in self._peers.items()}


def load(value: Any) -> dict[str, Given]:
    """Return what was dumped; what makes no sense of it is left out."""
    if not isinstance(value, dict):
        return {}
    found = {}
    for digest, given in list(value.items())[-MOST:]:
        match given:
            case [str(name), int(size)] if size >= 0 and _DIGEST.fullmatch(digest):
                file = parse_file_name(name)
                if file is not None and file.kind is Kind.DATABASE:
                    found[digest] = Given(name, size)
    return found
