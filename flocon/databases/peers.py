"""Peers' databases: how new each is said to be, and what is looked at before one is taken.

Only where the operator lets peers have a part; whether one is asked at all is
``sources.ranking``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.asking.attempts import Limits
from flocon.asking.dates import seconds_of
from flocon.asking.fetch import Wanted
from flocon.asking.small import fetch_small, last_modified
from flocon.errors import Broken, Refused
from flocon.pacman.configuration import SignatureLevel
from flocon.pacman.keyring import Verdict
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.sources.places import database_source
from flocon.sources.ranking import Dated, sample_databases
from flocon.sources.tried import is_missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from flocon.asking.source import Source
    from flocon.files import Asked
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.neighbours.standing import Standing
    from flocon.pacman.keyring import Keyring
    from flocon.pacman.watch import PacmanWatch

#: Peers asked how new their database is, where the operator lets them answer, the seconds for which
#: they are waited for, and in which a late answer still counts beside the first mirror.
MOST_DATABASES = 8
ANSWER_PATIENCE = 0.5
LATE_PATIENCE = 2.5
PEER_SIGNATURE_LIMITS = Limits(first_byte=1.0, stall=0.5)


class PeersDatabases:
    """Asks peers, by ``agent``, for what is to be known of their databases."""

    def __init__(
        self,
        reactor: Any,
        *,
        agent: Any,
        neighbourhood: Neighbourhood,
        standing: Standing,
        keyring: Callable[[], Keyring],
    ) -> None:
        self._reactor = reactor
        self._agent = agent
        self._neighbourhood = neighbourhood
        self._standing = standing
        self._keyring = keyring

    async def dated(self, asked: Asked) -> list[Dated]:
        """Ask a few peers at once how new theirs is; the list grows as they answer.

        On a LAN they do in milliseconds. Who takes longer is heard beside the first mirror.
        """
        repository = asked.file.name
        peers = [
            peer
            for peer in self._neighbourhood.sharing(repository)
            if not self._standing.demoted(peer.address, self._reactor.seconds())
        ]
        # Of those who have the same one, the nearest is asked.
        peers.sort(key=lambda peer: peer.far)
        digests = [dict(peer.databases)[repository] for peer in peers]
        chosen = [peers[place] for place in sample_databases(digests, MOST_DATABASES)]
        found: list[Dated] = []
        asking = [
            defer.Deferred.fromCoroutine(
                self._ask_for_date(database_source(peer, asked.file.text), found)
            )
            for peer in chosen
        ]
        waiting: Deferred[None] = defer.Deferred()

        def answered(_: object) -> None:
            if not waiting.called:
                waiting.callback(None)

        defer.DeferredList(asking, consumeErrors=True).addCallback(answered)
        await waiting.addTimeout(ANSWER_PATIENCE, self._reactor, lambda *_: None)
        return found

    async def _ask_for_date(self, source: Source, found: list[Dated]) -> None:
        wanted = Wanted(source.url, source.label)
        modified = await last_modified(self._agent, self._reactor, wanted, LATE_PATIENCE)
        seconds = seconds_of(modified)
        if seconds is not None:
            found.append(Dated(source, seconds))

    async def good_signature(
        self, source: Source, descriptor: int, level: SignatureLevel
    ) -> tuple[bytes | None, str]:
        """Return the signature of a peer's database, and what the peer is to blame for.

        None where pacman needs none; raises a SourceError where the database cannot be taken for
        another reason.
        """
        if level is SignatureLevel.NEVER:
            return None, ""
        signature = await self._signature(source, level)
        if signature is not None:
            verdict = await self._keyring().verify(descriptor, signature, peer=source.label)
            if verdict is Verdict.BAD:
                return None, "has a wrong signature"
            if verdict is not Verdict.GOOD:
                raise Broken(source.label, "has a signature that cannot be checked")
        return signature, ""

    async def _signature(self, source: Source, level: SignatureLevel) -> bytes | None:
        wanted = Wanted(source.url + ".sig", source.label)
        try:
            return await fetch_small(
                self._agent, self._reactor, wanted, PEER_SIGNATURE_LIMITS, LARGEST_SIGNATURE
            )
        except Refused as refused:
            if not is_missing(refused) or level is SignatureLevel.REQUIRED:
                raise
            return None


def level_of(pacman: PacmanWatch, asked: Asked) -> SignatureLevel:
    """Return whether pacman wants a database's signature."""
    known = pacman.configuration.repository(asked.file.name)
    return known.database_signature if known is not None else SignatureLevel.OPTIONAL
