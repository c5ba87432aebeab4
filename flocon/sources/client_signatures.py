"""Signatures of packages that lie here or came without them, for machines without a node.

Mostly a signature came with its package, or stands in the database. Where it did neither a mirror
is asked, once for all who want it, and nobody's word is taken: who asks verifies.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred

from flocon.asking.patience import PACMAN, stagger
from flocon.asking.small import fetch_signature
from flocon.asking.waiting import Outcome
from flocon.errors import Broken, FloconError, SourceError
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.sources.choosing import LIMITS
from flocon.sources.tried import is_missing
from flocon.transfers.staggered import first_good

if TYPE_CHECKING:
    from flocon.asking.source import Source
    from flocon.books.traffic import Traffic
    from flocon.files import Asked
    from flocon.pacman.entries import Entry
    from flocon.sources.candidates import Candidates
    from flocon.sources.means import Agents
    from flocon.sources.signatures import Signatures

#: Bytes of signatures that are remembered, and how many are asked for at a time.
MOST_BYTES = 1 << 20
MOST_AT_A_TIME = 32


class ClientSignatures:
    """Asks mirrors for signatures, and remembers those of late."""

    def __init__(
        self,
        reactor: Any,
        *,
        candidates: Candidates,
        agents: Agents,
        signatures: Signatures,
        traffic: Traffic,
    ) -> None:
        self._reactor = reactor
        self._candidates = candidates
        self._agents = agents
        self._signatures = signatures
        self._traffic = traffic
        self._lately: OrderedDict[tuple[str, bytes], bytes] = OrderedDict()
        self._coming: dict[tuple[str, bytes], tuple[Deferred[None], Outcome[bytes | None]]] = {}

    @property
    def remembered(self) -> int:
        """How many bytes of signatures are in memory."""
        return sum(map(len, self._lately.values()))

    async def find(self, asked: Asked, entry: Entry) -> bytes | None:
        """Return a package's signature, None where the mirrors have none; raises SourceError."""
        key = entry.file_name, entry.sha256
        known = self._lately.get(key)
        if known is not None:
            self._lately.move_to_end(key)
            return known
        if self._signatures.is_unsigned(entry):
            return None
        if key not in self._coming:
            if len(self._coming) >= MOST_AT_A_TIME:
                raise Broken(entry.file_name, "too many signatures are asked for")
            outcome: Outcome[bytes | None] = Outcome()
            # On its own account: who asked first may leave.
            work = Deferred.fromCoroutine(self._bring(asked, entry, outcome))
            if outcome.known:
                return await outcome.wait()
            self._coming[key] = work, outcome
        return await self._coming[key][1].wait()

    async def _bring(self, asked: Asked, entry: Entry, outcome: Outcome[bytes | None]) -> None:
        key = entry.file_name, entry.sha256
        try:
            signature = await self._ask(asked, entry)
        except (FloconError, CancelledError) as failure:
            known = failure if isinstance(failure, FloconError) else None
            outcome.fail(known or Broken(entry.file_name, "its signature was not found out"))
        else:
            if signature is not None:
                self._remember(key, signature)
            outcome.succeed(signature)
        finally:
            self._coming.pop(key, None)

    def _remember(self, key: tuple[str, bytes], signature: bytes) -> None:
        self._lately[key] = signature
        while self.remembered > MOST_BYTES:
            self._lately.popitem(last=False)

    async def _ask(self, asked: Asked, entry: Entry) -> bytes | None:
        servers = self._candidates.servers(asked, entry)
        mirrors = self._candidates.mirrors(entry.file_name, servers, self._reactor.seconds())
        failures: list[SourceError] = []

        async def ask(mirror: Source) -> tuple[bytes, Source]:
            agent = self._agents.of(mirror)
            try:
                return await fetch_signature(
                    agent, self._reactor, mirror, LIMITS, most=LARGEST_SIGNATURE
                )
            except SourceError as failure:
                failures.append(failure)
                raise

        tries = [partial(ask, mirror) for mirror in mirrors]
        try:
            signature, giver = await first_good(
                self._reactor, tries, stagger=stagger(len(tries)), patience=PACMAN
            )
        except SourceError:
            if mirrors and len(failures) == len(tries) and all(map(is_missing, failures)):
                self._signatures.unsigned.note(entry, self._reactor.seconds())
                return None
            raise
        self._traffic.take(giver.came, len(signature))
        return signature

    def stop(self) -> None:
        for work, _ in list(self._coming.values()):
            work.cancel()
