"""The peers and what they hold, kept up to date from what presence hears.

Presence says who is there, ``core.replication`` what to do about each announcement; here it is
done, by reading inventories. Who is in quarantine is left out of every answer.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

from flocon.core.buckets import Bucket
from flocon.core.inventory import Holders
from flocon.core.presence import Heard, PeerCame, PeerLeft, PeerRestarted
from flocon.core.replication import Apply, Nothing, next_step
from flocon.errors import SourceError
from flocon.log import logger
from flocon.net.waiting import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.core.inventory import Content
    from flocon.core.peers import Peer
    from flocon.core.presence import Event, Presence
    from flocon.core.standing import Standing
    from flocon.net.replicate import InventoryClient

#: Changes of a replica applied between two turns of the reactor; each is looked up in the sync
#: databases once the table is full.
SLICE, SLICE_WHEN_FULL = 5_000, 300
#: Lines for who comes and goes: per second in the long run, and at once (a LAN that starts).
LINE_RATE, LINE_BURST = 0.2, 200
#: Seconds after its start when a node has heard who is there: a hello is answered within 0.4 s.
HEARING = 0.6
#: Seconds for which the inventories of those that were heard are waited for after that.
READING = 1.5
#: The ability to fetch for others, as it is announced.
RELAY = "relay"
#: The ability to give databases away.
DATABASES = "databases"


class Neighbourhood:
    """The peers and what they hold: keeps the replicas up to date from what presence hears."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        presence: Presence,
        client: InventoryClient,
        standing: Standing,
        *,
        held_off: Callable[[Peer], bool],
        listed: Callable[[str, Content], bool],
    ) -> None:
        """Begin alone; ``held_off`` tells who is left alone, ``listed`` is for ``Holders``."""
        self._reactor = reactor
        self._presence = presence
        self._client = client
        self._standing = standing
        self._held_off = held_off
        self.holders = Holders(listed=listed)
        self._mending: dict[str, Deferred[None]] = {}
        self._sweep: IDelayedCall | None = None
        self._lines = Bucket(LINE_RATE, LINE_BURST)
        self._unsaid = 0
        self._acquainting: Deferred[None] | None = None
        self._acquainted: Outcome[None] = Outcome()

    def start(self) -> None:
        """Begin to get acquainted: what is asked in the first moments is held by nobody yet."""
        self._acquainting = defer.Deferred.fromCoroutine(self._get_acquainted())
        self._acquainting.addErrback(lambda reason: reason.trap(defer.CancelledError))
        self._acquainting.addBoth(lambda _: self._acquainted.succeed(None))

    async def _get_acquainted(self) -> None:
        await task.deferLater(self._reactor, HEARING)
        until = self._reactor.seconds() + READING
        while self._mending and self._reactor.seconds() < until:
            await task.deferLater(self._reactor, 0.02)

    @property
    def is_acquainted(self) -> bool:
        """Whether those that were there before this node are known, and what they hold."""
        return self._acquainted.known or self._acquainting is None

    def acquainted(self) -> Deferred[None]:
        """Fire when ``is_acquainted`` is so."""
        return defer.succeed(None) if self.is_acquainted else self._acquainted.wait()

    def event(self, event: Event) -> None:
        """Take what presence tells."""
        match event:
            case PeerCame(peer):
                self._standing.pardon(peer.node)
                self._tell("{name} at {address} is here", name=peer.name, address=peer.address)
            case PeerRestarted(peer):
                self._standing.pardon(peer.node)
                self._forget(peer.node)
            case PeerLeft(peer, reason):
                self._forget(peer.node)
                self._tell(
                    "{name} at {address} has gone ({reason})",
                    name=peer.name,
                    address=peer.address,
                    reason=reason,
                )
            case Heard(peer, announcement):
                step = next_step(
                    self.holders.replica(peer.node),
                    announcement.generation,
                    announcement.files,
                    announcement.changes,
                )
                if isinstance(step, Apply):
                    self.holders.apply(peer.node, announcement.generation, step.changes)
                elif not isinstance(step, Nothing) and peer.node not in self._mending:
                    self._mend(peer, step.since)

    def _tell(self, line: str, **fields: str) -> None:
        """Write a line for who comes or goes, unless somebody makes up peers by the hundred."""
        if not self._lines.take(self._reactor.seconds()):
            self._unsaid += 1
            return
        if self._unsaid:
            self._log.info("{count} more peers came or left", count=self._unsaid)
            self._unsaid = 0
        self._log.info(line, **fields)

    def _forget(self, node: str) -> None:
        if mending := self._mending.pop(node, None):
            mending.cancel()
        self.holders.forget(node)
        self._sweep_soon()

    def _sweep_soon(self) -> None:
        if self._sweep is None:
            self._sweep = self._reactor.callLater(0, self._sweep_on)

    def _sweep_on(self) -> None:
        """Clear a slice of what peers that left have held, and the next one a moment later."""
        more = self.holders.sweep()
        self._sweep = self._reactor.callLater(0.01, self._sweep_on) if more else None

    def _mend(self, peer: Peer, since: int | None) -> None:
        if self._standing.demoted(f"inventory {peer.node}", self._reactor.seconds()):
            return
        mending = defer.Deferred.fromCoroutine(self._read(peer, since))
        self._mending[peer.node] = mending

        def ended(result: Any) -> None:
            if self._mending.get(peer.node) is mending:
                del self._mending[peer.node]
            if result is not None and not result.check(defer.CancelledError):
                self._log.failure("reading the inventory of {peer} failed", result, peer=peer.name)

        mending.addBoth(ended)

    async def _read(self, peer: Peer, since: int | None) -> None:
        key = f"inventory {peer.node}"
        try:
            answer = await self._client.read(peer.address, peer.port, since)
        except SourceError as error:
            self._standing.failed(key, self._reactor.seconds())
            self._log.debug("no inventory: {error}", error=error)
            return
        self._standing.succeeded(key, 0, 0)
        if answer.epoch != peer.epoch:
            # It restarted meanwhile: what it says next tells what to do.
            return
        if answer.whole:
            self.holders.replace(peer.node, 0, ())
            self._sweep_soon()
            if self.holders.replica(peer.node) is None:
                # More peers than are kept: it is not read again at each of its beats.
                self._standing.failed(key, self._reactor.seconds())
                return
        elif (replica := self.holders.replica(peer.node)) is None or replica.generation != since:
            return
        generation = 0 if answer.whole else since or 0
        changes = iter(answer.changes)
        while piece := list(islice(changes, SLICE_WHEN_FULL if self.holders.full else SLICE)):
            self.holders.apply(peer.node, generation, piece)
            await task.deferLater(self._reactor, 0)
        self.holders.apply(peer.node, answer.generation, ())

    def holding(self, file_name: str, content: Content) -> list[Peer]:
        """Return the peers that announced this very package and may be asked."""
        return self._askable(
            self._presence.peer(node) for node in self.holders.holding(file_name, content)
        )

    def able(self, repository: str) -> list[Peer]:
        """Return the peers that fetch files of ``repository`` for others."""
        return self._askable(
            peer
            for peer in self._presence.peers()
            if RELAY in peer.abilities and any(name == repository for name, _ in peer.databases)
        )

    def sharing(self, repository: str) -> list[Peer]:
        """Return the peers that give ``repository``'s database away."""
        return self._askable(
            peer
            for peer in self._presence.peers()
            if DATABASES in peer.abilities and any(name == repository for name, _ in peer.databases)
        )

    def _askable(self, peers: Iterable[Peer | None]) -> list[Peer]:
        return [peer for peer in peers if peer is not None and not self._held_off(peer)]

    def stop(self) -> None:
        if self._acquainting is not None:
            self._acquainting.cancel()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for mending in list(self._mending.values()):
            mending.cancel()
