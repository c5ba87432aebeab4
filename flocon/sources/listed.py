"""What is listed, once it is known: a package's entry in pacman's databases.

Databases are read elsewhere; here they are waited for, briefly, where pacman has just changed them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import succeed

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from flocon.files import Asked
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch

#: Seconds pacman's request waits for a sync database that was replaced a moment ago.
SETTLING_PATIENCE = 3.0


class Listed:
    """What pacman's databases and configuration say of a file."""

    def __init__(self, pacman: PacmanWatch, neighbourhood: Neighbourhood) -> None:
        self._pacman = pacman
        self._neighbourhood = neighbourhood

    def is_settled(self) -> bool:
        """Whether it is known what is listed."""
        return self._pacman.is_settled()

    def settled(self) -> Deferred[None]:
        """Fire when it is known what is listed."""
        return self._pacman.settled(SETTLING_PATIENCE)

    def acquainted(self, entry: Entry | None) -> Deferred[None]:
        """Fire when it is known who holds a package: after the start others are waited for."""
        if entry is None:
            return succeed(None)
        return self._neighbourhood.holder_known(entry.file_name, entry.content)

    def entry(self, asked: Asked) -> Entry | None:
        """Return what the sync database says of a package, None where it is not listed."""
        found = self._pacman.listing.find(asked.file.subject, asked.repository)
        return found[0] if found else None

    def for_peers(self, asked: Asked, etag: str | None) -> Entry | None:
        """Return what is listed of a package that a peer asks for, here or for other machines.

        One for others is to be named by its content: there may be several of one name.
        """
        entry = self.entry(asked)
        if etag is None or (entry is not None and _tag(entry) == etag):
            return entry
        others = self._pacman.listing.mirrored_entries(asked.file.subject)
        return next((one for one in others if _tag(one) == etag), entry)

    def has_others(self, repository: str) -> bool:
        """Whether pacman has servers for a repository that only pacman can ask."""
        known = self._pacman.configuration.repository(repository)
        return known is not None and known.has_others


def _tag(entry: Entry) -> str:
    return f'"{entry.sha256.hex()}"'
