"""Whom to ask for a database and for its signature, where peers may answer and where they may not.

A part of the front door beside ``desk``, which answers for packages. The order is decided in
``core.sources``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.core.names import escape
from flocon.core.sources import (
    Dated,
    Origin,
    Source,
    order_for_database,
    sample_databases,
    without_delay,
)
from flocon.errors import StoreError
from flocon.host.databases import LARGEST_FILE, find_problem, open_database
from flocon.net.fetch import Attempt, Limits, Wanted, last_modified, literal_host
from flocon.net.transfer import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.defer import Deferred

    from flocon.core.names import Asked
    from flocon.core.peers import Peer
    from flocon.core.standing import Standing
    from flocon.host.pacman import PacmanWatch
    from flocon.net.neighbourhood import Neighbourhood
    from flocon.net.transfer import Transfer
    from flocon.net.transfers import Transfers

#: Peers asked how new their database is, where the operator lets them answer.
MOST_DATABASES = 8
#: Databases of which it is remembered who gave them; a machine has a handful of repositories.
MOST_GIVEN = 256
#: A signature is a few hundred bytes; pacman takes 16 KiB.
LARGEST_SIGNATURE = 16 << 10


@dataclass(frozen=True, slots=True)
class Ways:
    """How the desk goes about mirrors and patience, for packages and databases alike.

    ``mirrors`` are those that may have what is asked for, in the order to ask them;
    ``from_mirrors`` begins a transfer from them alone; ``limits`` is the patience with one source;
    ``once_more`` is a mirror that was slow and is asked again, if there is time for it.
    """

    mirrors: Callable[[Asked], list[Source]]
    from_mirrors: Callable[[Asked, str | None], Transfer]
    limits: Callable[[Source], Limits]
    once_more: Callable[[Sequence[Source], Sequence[Attempt], float], Attempt | None]


class DatabaseSources:
    """Brings databases and their signatures; ``shared`` where the operator lets peers have a part.

    ``transfers`` begins what is decided here, and ``peer_agent`` asks peers how new theirs is.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        shared: bool,
        pacman: PacmanWatch,
        neighbourhood: Neighbourhood,
        standing: Standing,
        peer_agent: Any,
        transfers: Transfers,
        ways: Ways,
    ) -> None:
        self._reactor = reactor
        self._shared = shared
        self._pacman = pacman
        self._neighbourhood = neighbourhood
        self._standing = standing
        self._peer_agent = peer_agent
        self._transfers = transfers
        self._ways = ways
        #: Who gave a database last, by its request: its signature comes from there too.
        self._given: dict[tuple[str, str, str], Transfer] = {}

    def transfer(self, asked: Asked, modified_since: str | None) -> Deferred[Transfer]:
        """Return the transfer that brings a database: from the mirrors, or as the operator lets."""
        return defer.Deferred.fromCoroutine(self._transfer(asked, modified_since))

    def open(self, file_name: str) -> Any:
        """Open this machine's own database for peers, where the operator shares them."""
        if not self._shared:
            raise StoreError(file_name, "databases are not shared here")
        return open_database(self._pacman.configuration.sync_directory, file_name)

    async def _transfer(self, asked: Asked, modified_since: str | None) -> Transfer:
        # A node that has just started may not know its mirrors yet.
        await self._pacman.configured()
        if not self._shared:
            return self._ways.from_mirrors(asked, modified_since)
        if asked.file.is_signature:
            return self._signature(asked, modified_since)
        peers = await self._peers_databases(asked)
        transfer = (
            self._newest(asked, modified_since, peers)
            if peers
            else self._ways.from_mirrors(asked, modified_since)
        )
        key = _request_of(asked)
        self._given.pop(key, None)
        self._given[key] = transfer
        if len(self._given) > MOST_GIVEN:
            del self._given[next(iter(self._given))]
        return transfer

    def _newest(self, asked: Asked, modified_since: str | None, peers: Sequence[Dated]) -> Transfer:
        """Return the transfer of a database that peers have too.

        pacman ends with an error where a database is no such thing, or fails at it for good later,
        and asks nobody else: so what a peer gives is looked through before pacman gets a byte.
        """
        mirrors = self._ways.mirrors(asked)
        order = order_for_database(mirrors, peers, _seconds(modified_since), time.time())
        began = self._reactor.seconds()

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            since = max([began, *(attempt.heard for attempt in tried)])
            waited = self._reactor.seconds() - since
            asked_already = [attempt.source for attempt in tried]
            for source in without_delay(order, waited):
                if source not in asked_already:
                    return Attempt(source, self._ways.limits(source))
            return self._ways.once_more(mirrors, tried, waited)

        subject = Subject(
            asked.file.text,
            modified_since=modified_since,
            find_problem=find_problem,
            most=LARGEST_FILE,
        )
        return self._transfers.alone(subject, choose)

    def _signature(self, asked: Asked, modified_since: str | None) -> Transfer:
        """Return the transfer of a database's signature: from who gave the database, nobody else.

        pacman can do without most of them, but not with one that belongs to another database.
        """
        given = self._given.get(_request_of(asked))
        source = given.source if given else None
        if source is None or source.origin is not Origin.PEER:
            return self._ways.from_mirrors(asked, modified_since)
        signature = replace(source, url=source.url + ".sig")

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            return None if tried else Attempt(signature, self._ways.limits(signature))

        subject = Subject(asked.file.text, modified_since=modified_since, most=LARGEST_SIGNATURE)
        return self._transfers.alone(subject, choose)

    async def _peers_databases(self, asked: Asked) -> list[Dated]:
        """Ask a few peers at once how new theirs is; who does not answer soon has none."""
        repository = asked.file.name
        peers = [
            peer
            for peer in self._neighbourhood.sharing(repository)
            if not self._standing.demoted(peer.node, self._reactor.seconds())
        ]
        digests = [dict(peer.databases)[repository] for peer in peers]
        chosen = [peers[place] for place in sample_databases(digests, MOST_DATABASES)]
        sources = [_database_source(peer, asked.file.text) for peer in chosen]
        answers = await defer.DeferredList(
            [defer.Deferred.fromCoroutine(self._dated(source)) for source in sources],
            consumeErrors=True,
        )
        return [dated for good, dated in answers if good and dated is not None]

    async def _dated(self, source: Source) -> Dated | None:
        wanted = Wanted(source.url, source.label)
        patience = self._ways.limits(source).first_byte
        modified = await last_modified(self._peer_agent, self._reactor, wanted, patience)
        seconds = _seconds(modified)
        return None if seconds is None else Dated(source, seconds)


def _database_source(peer: Peer, file_name: str) -> Source:
    place = f"{literal_host(peer.address)}:{peer.port}"
    return Source(Origin.PEER, peer.node, peer.address, f"http://{place}/db/{escape(file_name)}")


def _request_of(asked: Asked) -> tuple[str, str, str]:
    return asked.repository, asked.architecture, asked.file.subject


def _seconds(date: str | None) -> float | None:
    """Return an HTTP date as seconds since 1970, None where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
