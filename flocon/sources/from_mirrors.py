"""What only mirrors are asked for: files that nobody lists, and the heads of files.

Nothing of it is kept, and no peer has a part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.asking.heads import ask_heads
from flocon.transfers.subjects import Subject

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from flocon.asking.heads import Told
    from flocon.files import Asked
    from flocon.pacman.watch import PacmanWatch
    from flocon.sources.candidates import Candidates
    from flocon.sources.choosing import Choosing
    from flocon.sources.listed import Listed
    from flocon.transfers.transfer import Transfer
    from flocon.transfers.transfers import Transfers


class FromMirrors:
    """Asks mirrors by ``agent``, or has transfers ask them."""

    def __init__(
        self,
        reactor: Any,
        *,
        agent: Any,
        pacman: PacmanWatch,
        listed: Listed,
        candidates: Candidates,
        choosing: Choosing,
        transfers: Transfers,
    ) -> None:
        self._reactor = reactor
        self._agent = agent
        self._pacman = pacman
        self._listed = listed
        self._candidates = candidates
        self._choosing = choosing
        self._transfers = transfers

    def transfer(self, asked: Asked, modified_since: str | None) -> Transfer:
        """Return a transfer of this very file from the mirrors, kept by nobody."""
        name = asked.file.text
        chooser = self._choosing.chooser(name, self._candidates.servers(asked, None), None)
        subject = Subject(name, modified_since=modified_since)
        return self._transfers.alone(subject, chooser, chooser.mirrors)

    def told(self, asked: Asked, modified_since: str | None) -> Deferred[Told]:
        """Return what a mirror says of a file without sending it."""
        return defer.Deferred.fromCoroutine(self._told(asked, modified_since))

    async def _told(self, asked: Asked, modified_since: str | None) -> Told:
        await self._pacman.configured()
        everybody = self._candidates.mirrors_for(asked, self._listed.entry(asked))
        mirrors = [one for one in everybody if one.takes_heads]
        return await ask_heads(self._agent, self._reactor, mirrors, modified_since)
