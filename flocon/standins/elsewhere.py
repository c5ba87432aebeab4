"""Where else on the LAN a file is, for who asks in another tool's place: by tables in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.asking.addresses import network_location
from flocon.files import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    from flocon.asking.source import Source
    from flocon.files import FileName
    from flocon.neighbours.standing import Standing
    from flocon.pacman.entries import Entry
    from flocon.pacman.listing import Listing
    from flocon.presence.peer import Peer

    class Candidates(Protocol):
        def holders(self, name: str, entry: Entry, now: float) -> Iterable[Source]:
            """Return the peers that announced a package, the best one first."""


class Elsewhere:
    """``listing`` returns what is listed now, ``keeps`` tells of which repository nobody hears.

    ``peer`` returns a node by its id; ``known_at`` the address of another tool's machine that lists
    a package, None for none.
    """

    def __init__(
        self,
        clock: Any,
        *,
        listing: Callable[[], Listing],
        keeps: Callable[[str], bool],
        candidates: Candidates,
        standing: Standing,
        peer: Callable[[str], Peer | None],
        known_at: Callable[[str], str | None],
    ) -> None:
        self._clock = clock
        self._listing = listing
        self._keeps = keeps
        self._candidates = candidates
        self._standing = standing
        self._peer = peer
        self._known_at = known_at

    def listed(self, file_name: str, repository: str) -> Sequence[Entry]:
        """Return the entries of a name that others may be told of, in one repository or in all."""
        entries = self._listing().find(file_name, repository)
        return [one for one in entries if not self._keeps(one.repository)]

    def holder(self, file: FileName, entry: Entry) -> str | None:
        """Return where another node has a file, by an address that can be told.

        One of another network would not let in who asks here: it does not know him.
        """
        now = self._clock.seconds()
        for source in self._candidates.holders(file.text, entry, now):
            peer = self._peer(source.node)
            # A zone is this machine's own affair.
            tellable = "%" not in network_location(source.url) and peer and not peer.far
            if tellable and not self._standing.demoted(source.key, now):
                return source.url
        return None

    def foreign(self, file: FileName) -> str | None:
        """Return where another tool's machine has a file."""
        place = self._known_at(file.subject)
        return None if place is None else f"{place.rstrip('/')}/pkg/{escape(file.text)}"
