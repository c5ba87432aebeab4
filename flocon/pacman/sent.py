"""Databases that mirrors sent through this node and that pacman here does not have itself.

A pacman with a DBPath of its own (checkupdates, pacstrap, devtools) reads them where this node does
not look. They are as trusted as pacman's own, for they came from the same mirrors; so they list,
too, for a day. Bounded in number and bytes: whoever may ask this node can have one fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.pacman.entries import PackedEntries

if TYPE_CHECKING:
    from collections.abc import Collection

    from flocon.pacman.listing import Database

#: Seconds for which one lists.
KEPT_FOR = 86_400.0
#: How many are kept, of one repository and in all, and their bytes: Arch's three take 2 MiB.
MOST_OF_ONE = 2
MOST = 12
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class _Sent:
    database: Database
    at: float
    bytes: int


class SentDatabases:
    """Keeps the newest of them; ``now`` is in seconds."""

    def __init__(self) -> None:
        #: The oldest first.
        self._sent: list[_Sent] = []

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, database: Database, now: float) -> None:
        self.drop({database.digest})
        entries = database.entries
        size = entries.memory if isinstance(entries, PackedEntries) else 0
        if size <= MOST_BYTES:
            self._sent.append(_Sent(database, now, size))
        of_one = [one for one in self._sent if one.database.repository == database.repository]
        for one in of_one[:-MOST_OF_ONE]:
            self._sent.remove(one)
        while len(self._sent) > MOST or sum(one.bytes for one in self._sent) > MOST_BYTES:
            del self._sent[0]

    def renew(self, digest: str, now: float) -> bool:
        """Keep one for longer; return whether it is there."""
        found = next((one.database for one in self._sent if one.database.digest == digest), None)
        if found is not None:
            self.add(found, now)
        return found is not None

    def drop(self, digests: Collection[str]) -> None:
        """Forget those that pacman here has itself."""
        self._sent = [one for one in self._sent if one.database.digest not in digests]

    def current(self, now: float) -> tuple[Database, ...]:
        """Return those that list now, the newest first."""
        self._sent = [one for one in self._sent if 0 <= now - one.at < KEPT_FOR]
        return tuple(one.database for one in reversed(self._sent))
