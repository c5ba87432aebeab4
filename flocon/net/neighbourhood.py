"""The peers and what they hold, kept up to date from what presence hears.

Presence says who is there, ``core.replication`` what to do about each announcement; here it is
done, by reading inventories, when ``core.readings`` allows it. Who is in quarantine is left out of
every answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

from flocon.core.buckets import Bucket
from flocon.core.presence_events import (
    Claimed,
    Doubted,
    Heard,
    Namesake,
    PeerCame,
    PeerLeft,
    PeerRestarted,
)
from flocon.core.readings import Outcome as Ending
from flocon.core.readings import Reading, Readings
from flocon.core.replicas import Holders
from flocon.core.replication import Apply, Read, next_step
from flocon.errors import SourceError, Unreachable
from flocon.log import logger
from flocon.net.waiting import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.core.content import Content
    from flocon.core.inventory import Change
    from flocon.core.inventory_text import InventoryReader
    from flocon.core.messages import Announcement
    from flocon.core.peer import Peer
    from flocon.core.presence import Presence
    from flocon.core.presence_events import Event
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
#: Seconds for which what a peer held is kept after its bye: anybody can send one in its name.
FAREWELL = 5.0
#: Seconds in which a datagram comes on all ways, if it comes.
ALL_WAYS = 0.3
#: Seconds in which one that is still there answers, where it also answers elsewhere.
SILENCE = 1.0
#: Peers of whom that is being waited for.
MOST_DOUBTED = 256
#: Seconds between two looks at who may be read.
SHORTEST_WAIT = 0.01
#: The same while very many wait: to look a thousand through takes 8 ms.
CROWDED_WAIT = 0.1
#: What a line of an inventory takes, about, in bytes.
LINE = 120
#: The ability to fetch for others, as it is announced.
RELAY = "relay"
#: The ability to give databases away.
DATABASES = "databases"


@dataclass(slots=True, eq=False)
class _Mending:
    """A reading that runs; ``answered`` once the place has said which node it is."""

    reading: Reading
    #: What was announced from there when it began.
    announced: set[tuple[str, str, int]]
    deferred: Deferred[None] | None = None
    answered: bool = False


class Neighbourhood:
    """The peers and what they hold: keeps the replicas up to date from what presence hears."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        presence: Presence,
        client: InventoryClient,
        *,
        held_off: Callable[[Peer], bool],
        listed: Callable[[str, Content], bool],
    ) -> None:
        """Begin alone; ``held_off`` tells who is left alone, ``listed`` is for ``Holders``."""
        self._reactor = reactor
        self._presence = presence
        self._client = client
        self._held_off = held_off
        self.holders = Holders(listed=listed)
        #: Called after presence was told what was seen; ``service`` has it pump.
        self.wake: Callable[[], None] = lambda: None
        #: Called with whoever has this very node's id, and answers to it.
        self.namesake: Callable[[str, Announcement], None] = lambda *_: None
        self._readings = Readings()
        self._mending: dict[tuple[str, int], _Mending] = {}
        self._namesakes: dict[tuple[str, int], Announcement] = {}
        self._timer: IDelayedCall | None = None
        self._begun_at = float("-inf")
        #: Those who said bye, and the calls that then forget what they held.
        self._parting: dict[str, tuple[str, IDelayedCall]] = {}
        self._doubting: dict[str, IDelayedCall] = {}
        #: Those for whose files there is no room.
        self._surplus: set[str] = set()
        self._sweep: IDelayedCall | None = None
        self._lines = Bucket(LINE_RATE, LINE_BURST)
        self._unsaid = 0
        self._stopped = False
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
        while self._readings.busy and self._reactor.seconds() < until:
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
                self._came(peer)
            case PeerRestarted(peer):
                self._forget(peer.node)
            case PeerLeft(peer, reason):
                self._left(peer, reason)
            case Heard(peer, announcement):
                self._follow(
                    peer, announcement.generation, announcement.files, announcement.changes
                )
            case Claimed(address, port):
                self._look_at(address, port)
            case Doubted(peer):
                self._doubt(peer.node)
            case Namesake(address, announcement):
                self._namesakes = {(address, announcement.port): announcement}
                self._want(address, announcement.port, announcement.generation)

    def _came(self, peer: Peer) -> None:
        epoch, call = self._parting.pop(peer.node, ("", None))
        if call is not None:
            call.cancel()
            if epoch != peer.epoch:
                self._forget(peer.node)
        if not peer.proved:
            self._look_at(peer.address, peer.port)
        self._tell("{name} at {address} is here", name=peer.name, address=peer.address)

    def _left(self, peer: Peer, reason: str) -> None:
        self._readings.drop(peer.address, peer.port)
        self._end(peer.address, peer.port)
        if reason == "bye" and self.holders.replica(peer.node) is not None:
            call = self._reactor.callLater(FAREWELL, self._part, peer.node)
            _, before = self._parting.pop(peer.node, ("", None))
            if before is not None:
                before.cancel()
            self._parting[peer.node] = peer.epoch, call
        else:
            self._forget(peer.node)
        self._tell(
            "{name} at {address} has gone ({reason})",
            name=peer.name,
            address=peer.address,
            reason=reason,
        )

    def _part(self, node: str) -> None:
        self._parting.pop(node, None)
        self._forget(node)

    def _follow(
        self, peer: Peer, generation: int, files: int, changes: Sequence[Change] = ()
    ) -> None:
        """Do what an announcement asks for."""
        if peer.node in self._surplus:
            return
        # It may have been heard at a better address since.
        peer = self._presence.peer(peer.node) or peer
        step = next_step(self.holders.replica(peer.node), generation, files, changes)
        if isinstance(step, Apply):
            self.holders.apply(peer.node, generation, step.changes)
        elif isinstance(step, Read) and (peer.address, peer.port) not in self._mending:
            # What is being read now is looked at again when it is here.
            self._want(peer.address, peer.port, step.since)

    def _look_at(self, address: str, port: int) -> None:
        """Ask what listens at a place which node it is; what changed since is a short answer."""
        replicas = [self.holders.replica(one.node) for one in self._presence.at(address, port)]
        self._want(address, port, next((one.generation for one in replicas if one), None))

    def _doubt(self, node: str) -> None:
        """Have a peer asked whether it is still there, where its datagrams stay away."""
        if node not in self._doubting and len(self._doubting) < MOST_DOUBTED:
            self._doubting[node] = self._reactor.callLater(ALL_WAYS, self._is_missed, node)

    def _is_missed(self, node: str) -> None:
        del self._doubting[node]
        peer = self._presence.peer(node)
        if peer is None or not self._presence.is_missed(node):
            return
        # Both at once: who has moved is silent at the old address, and refuses nothing.
        for address in (peer.address, *self._presence.elsewhere(node)):
            self._look_at(address, peer.port)
        call = self._reactor.callLater(SILENCE, self._is_silent, node, peer.address, peer.port)
        self._doubting[node] = call

    def _is_silent(self, node: str, address: str, port: int) -> None:
        """Give an address up where a peer does not answer any more, if it does elsewhere."""
        del self._doubting[node]
        peer = self._presence.peer(node)
        mending = self._mending.get((address, port))
        asked = mending is not None and not mending.answered
        there = peer is not None and peer.address == address
        if asked and there and self._presence.has_moved(node):
            self._presence.unanswered(self._reactor.seconds(), address, port)
            self._end(address, port)
            self.wake()

    def unreachable(self, node: str, address: str) -> None:
        """Nobody could be connected to where ``node`` was asked: it has other addresses, maybe."""
        peer = self._presence.peer(node)
        if peer is None or peer.address != address:
            return
        self._presence.unanswered(self._reactor.seconds(), address, peer.port)
        self._try_elsewhere(node, address)

    def _try_elsewhere(self, node: str, address: str) -> None:
        peer = self._presence.peer(node)
        if peer is not None and peer.address != address:
            self._look_at(peer.address, peer.port)

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
        self.holders.forget(node)
        self._surplus.clear()
        self._sweep_soon()

    def _sweep_soon(self) -> None:
        if self._sweep is None:
            self._sweep = self._reactor.callLater(0, self._sweep_on)

    def _sweep_on(self) -> None:
        """Clear a slice of what peers that left have held, and the next one a moment later."""
        more = self.holders.sweep()
        self._sweep = self._reactor.callLater(0.01, self._sweep_on) if more else None

    # Reading

    def _want(self, address: str, port: int, since: int | None) -> None:
        self._readings.want(address, port, since)
        self._begin_in(0)

    def _begin_in(self, seconds: float) -> None:
        """Look in a moment who may be read: once, however much is heard meanwhile."""
        if self._readings.crowded:
            pause = self._begun_at + CROWDED_WAIT - self._reactor.seconds()
            seconds = max(seconds, pause)
        if self._timer is not None:
            if self._timer.getTime() <= self._reactor.seconds() + seconds:
                return
            self._timer.cancel()
        self._timer = self._reactor.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._timer = None
        now = self._begun_at = self._reactor.seconds()
        for reading in self._readings.begin(now):
            self._mend(reading)
        deadline = self._readings.deadline(now)
        if deadline is not None:
            self._begin_in(max(deadline - now, SHORTEST_WAIT))

    def _mend(self, reading: Reading) -> None:
        place = reading.address, reading.port
        mending = _Mending(reading, {_announced(one) for one in self._presence.at(*place)})
        self._mending[place] = mending
        mending.deferred = defer.Deferred.fromCoroutine(self._read(mending))

        def ended(result: Any) -> None:
            if self._mending.get(place) is mending:
                del self._mending[place]
            self._readings.cancelled(self._reactor.seconds(), *place)
            if result is not None and not result.check(defer.CancelledError):
                self._log.failure(
                    "reading the inventory of {address} failed", result, address=reading.address
                )
            elif mending.answered:
                self._catch_up(mending)
            if self._readings.busy and not self._stopped:
                self._begin_in(0)

        mending.deferred.addBoth(ended)

    def _catch_up(self, mending: _Mending) -> None:
        """Look at what was announced while it was being read."""
        for peer in self._presence.at(mending.reading.address, mending.reading.port):
            if _announced(peer) not in mending.announced:
                self._follow(peer, peer.generation, peer.files)

    def _end(self, address: str, port: int) -> None:
        """End a reading, unless it is what has just told that it is of no use."""
        mending = self._mending.get((address, port))
        if mending is not None and not mending.answered and mending.deferred is not None:
            mending.deferred.cancel()

    async def _read(self, mending: _Mending) -> None:
        reading = mending.reading
        place = reading.address, reading.port
        try:
            answer = await self._client.read(*place, reading.since)
        except SourceError as error:
            self._log.debug("no inventory: {error}", error=error)
            self._failed(reading, error)
            return
        now = self._reactor.seconds()
        self._readings.ended(now, *place, Ending.READ, LINE * (1 + len(answer.changes)))
        mending.answered = True
        namesake = self._namesakes.pop(place, None)
        if namesake is not None and namesake.epoch == answer.epoch:
            self.namesake(reading.address, namesake)
        peer = self._presence.answered(now, *place, answer.epoch)
        self.wake()
        if peer is not None:
            await self._take(peer, reading.since, answer)

    def _failed(self, reading: Reading, error: SourceError) -> None:
        now = self._reactor.seconds()
        place = reading.address, reading.port
        self._namesakes.pop(place, None)
        # A connection that was kept is silent where the machine has moved.
        moved = any(self._presence.is_missed(one.node) for one in self._presence.at(*place))
        unreachable = isinstance(error, Unreachable)
        self._readings.ended(now, *place, Ending.GONE if unreachable else Ending.BROKEN)
        if not unreachable and not moved:
            return
        there = [one.node for one in self._presence.at(*place)]
        self._presence.unanswered(now, *place)
        self.wake()
        for node in there:
            self._try_elsewhere(node, reading.address)

    async def _take(self, peer: Peer, since: int | None, answer: InventoryReader) -> None:
        """Take what ``peer`` answered to the question what changed after ``since``."""
        if answer.whole:
            self.holders.replace(peer.node, 0, ())
            self._sweep_soon()
            if self.holders.replica(peer.node) is None:
                # More peers than are kept: it is not read again at each of its beats.
                self._surplus.add(peer.node)
                return
        elif (replica := self.holders.replica(peer.node)) is None or replica.generation != since:
            # It is another node than was asked, or something came in between.
            return
        generation = 0 if answer.whole else since or 0
        changes = iter(answer.changes)
        while piece := list(islice(changes, SLICE_WHEN_FULL if self.holders.full else SLICE)):
            self.holders.apply(peer.node, generation, piece)
            await task.deferLater(self._reactor, 0)
        self.holders.apply(peer.node, answer.generation, (), read=True)

    def holding(self, file_name: str, content: Content) -> list[Peer]:
        """Return the peers that announced this very package and may be asked."""
        return self._askable(
            self._presence.peer(node) for node in self.holders.holding(file_name, content)
        )

    def able(self, repository: str) -> list[Peer]:
        """Return the peers that fetch files of ``repository`` for others."""
        return self._with(RELAY, repository)

    def sharing(self, repository: str) -> list[Peer]:
        """Return the peers that give ``repository``'s database away."""
        return self._with(DATABASES, repository)

    def _with(self, ability: str, repository: str) -> list[Peer]:
        """Return those with an ability; nobody is asked of whom only a datagram has told."""
        return self._askable(
            peer
            for peer in self._presence.peers()
            if peer.proved
            and ability in peer.abilities
            and any(name == repository for name, _ in peer.databases)
        )

    def _askable(self, peers: Iterable[Peer | None]) -> list[Peer]:
        return [peer for peer in peers if peer is not None and not self._held_off(peer)]

    def stop(self) -> None:
        if self._acquainting is not None:
            self._acquainting.cancel()
        self._stopped = True
        calls = [self._sweep, self._timer, *self._doubting.values()]
        for call in [*calls, *(call for _, call in self._parting.values())]:
            if call is not None:
                call.cancel()
        self._sweep = self._timer = None
        self._doubting.clear()
        self._parting.clear()
        for mending in list(self._mending.values()):
            if mending.deferred is not None:
                mending.deferred.cancel()


def _announced(peer: Peer) -> tuple[str, str, int]:
    return peer.node, peer.epoch, peer.generation
