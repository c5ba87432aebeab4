"""Sending pacman to a holder, where the operator wants that, rather than bringing a package here.

Whether a holder may be trusted with that is ``redirects``'s; here it is greeted beforehand.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.asking.addresses import network_location
from flocon.asking.fetch import Wanted
from flocon.asking.small import last_modified
from flocon.errors import Refused, SourceError
from flocon.files import content_path
from flocon.sources.redirects import Redirects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.internet.defer import Deferred

    from flocon.asking.source import Source
    from flocon.neighbours.standing import Standing
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.sources.candidates import Candidates
    from flocon.transfers.transfers import Transfers

#: Seconds in which a holder says that it is there, before pacman is sent to it; how many are asked.
GREETING_PATIENCE = 0.5
MOST_GREETED = 2


class Redirecting:
    """Finds the holders that pacman is sent to; ``wanted`` tells whether the operator wants any.

    ``agent`` asks peers.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        wanted: Callable[[], bool],
        agent: Any,
        pacman: PacmanWatch,
        candidates: Candidates,
        standing: Standing,
        transfers: Transfers,
    ) -> None:
        self._reactor = reactor
        self.wanted = wanted
        self._agent = agent
        self._pacman = pacman
        self._candidates = candidates
        self._standing = standing
        self._transfers = transfers
        self._redirects = Redirects()

    def arrived(self, file_name: str) -> None:
        """Learn that pacman has a package, wherever it was sent for it."""
        self._redirects.arrived(file_name)

    def elsewhere(self, entry: Entry) -> Deferred[Source | None]:
        """Return the holder that pacman is to take a listed package from; None to bring it here."""
        return defer.Deferred.fromCoroutine(self._elsewhere(entry))

    async def _elsewhere(self, entry: Entry) -> Source | None:
        now = self._reactor.seconds()
        name = entry.file_name
        if (
            self._redirects.is_again(name, now)
            or self._transfers.find(name, entry.content) is not None
            # Its signature could only be had together with the package.
            or (entry.signature is None and self._pacman.signature_wanted(entry.repository))
        ):
            return None
        trusted = (
            source
            for source in self._direct_sources(entry, now)
            if self._redirects.may_be_sent(source.key, now)
        )
        for source in islice(trusted, MOST_GREETED):
            alive = self._redirects.is_alive(source.key, now) or await self._greet(source)
            # Others may have been sent there while it was greeted.
            if alive and self._redirects.may_be_sent(source.key, now):
                self._redirects.sent(name, source.key, now)
                return source
        return None

    def _direct_sources(self, entry: Entry, now: float) -> Iterator[Source]:
        """Yield the holders whose addresses pacman can be told, the best one first."""
        path = content_path(entry.file_name, entry.sha256)
        for source in self._candidates.holders(entry.file_name, entry, now) if path else ():
            place = network_location(source.url)
            # A zone is this machine's own affair; and pacman's address of the signature would be
            # another one if that of the package told what it is.
            if "%" not in place and not self._standing.demoted(source.key, now):
                yield replace(source, url=f"http://{place}{path}")

    async def _greet(self, source: Source) -> bool:
        """Ask a holder for the head of what pacman would be sent there for."""
        wanted = Wanted(source.url, source.label)
        try:
            await last_modified(self._agent, self._reactor, wanted, GREETING_PATIENCE)
        except Refused:
            return False
        except SourceError:
            self._standing.failed(source.key, self._reactor.seconds())
            return False
        self._redirects.answered(source.key, self._reactor.seconds())
        return True
