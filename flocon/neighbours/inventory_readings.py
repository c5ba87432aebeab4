"""Reading the inventories of peers, when ``readings`` allows it: what runs, and what waits.

What is done with an answer is ``neighbourhood``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.errors import SourceError, Unreachable
from flocon.log import logger
from flocon.neighbours.readings import Outcome as Ending
from flocon.neighbours.readings import Reading, Readings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.neighbours.inventories import InventoryClient
    from flocon.neighbours.inventory_text import InventoryReader
    from flocon.presence.peer import Peer
    from flocon.presence.presence import Presence

#: Seconds between two looks at who may be read.
SHORTEST_WAIT = 0.01
#: The same while very many wait: to look a thousand through takes 8 ms.
CROWDED_WAIT = 0.1
#: What a line of an inventory takes, about, in bytes.
LINE = 120


@dataclass(slots=True, eq=False)
class _Mending:
    """A reading that runs; ``answered`` once the place has said which node it is."""

    reading: Reading
    #: What was announced from there when it began.
    announced: set[tuple[str, str, int]]
    deferred: Deferred[None] | None = None
    answered: bool = False


class InventoryReadings:
    """Reads what is wanted, one reading of a place at a time.

    ``taken`` is awaited with each answer, ``failed`` called where there is none, and ``followed``
    with each peer that announced something new while it was being read.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        presence: Presence,
        client: InventoryClient,
        *,
        taken: Callable[[Reading, InventoryReader], Awaitable[None]],
        failed: Callable[[Reading, SourceError], None],
        followed: Callable[[Peer], None],
    ) -> None:
        self._reactor = reactor
        self._presence = presence
        self._client = client
        self._taken = taken
        self._failed = failed
        self._followed = followed
        self._readings = Readings()
        self._mending: dict[tuple[str, int], _Mending] = {}
        self._timer: IDelayedCall | None = None
        self._begun_at = float("-inf")
        self._stopped = False

    @property
    def busy(self) -> bool:
        """Whether anything is read or waits for that."""
        return self._readings.busy

    def runs(self, address: str, port: int) -> bool:
        """Whether a place is being read."""
        return (address, port) in self._mending

    def is_silent(self, address: str, port: int) -> bool:
        """Whether a place is being read and has not answered yet."""
        mending = self._mending.get((address, port))
        return mending is not None and not mending.answered

    def prove(self, address: str, port: int) -> None:
        """Learn that a node was at a place before this one was started."""
        self._readings.prove(address, port)

    def want(self, address: str, port: int, since: int | None) -> None:
        """Have a place asked what changed after ``since``, or for everything."""
        self._readings.want(address, port, since)
        self._begin_in(0)

    def drop(self, address: str, port: int) -> None:
        """Want nothing of a place any more."""
        self._readings.drop(address, port)
        self.end(address, port)

    def end(self, address: str, port: int) -> None:
        """End a reading, unless it is what has just told that it is of no use."""
        mending = self._mending.get((address, port))
        if mending is not None and not mending.answered and mending.deferred is not None:
            mending.deferred.cancel()

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
                self._followed(peer)

    async def _read(self, mending: _Mending) -> None:
        reading = mending.reading
        place = reading.address, reading.port
        try:
            answer = await self._client.read(*place, reading.since)
        except SourceError as error:
            self._log.debug("no inventory: {error}", error=error)
            gone = isinstance(error, Unreachable)
            ending = Ending.GONE if gone else Ending.BROKEN
            self._readings.ended(self._reactor.seconds(), *place, ending)
            self._failed(reading, error)
            return
        now = self._reactor.seconds()
        self._readings.ended(now, *place, Ending.READ, LINE * (1 + answer.count))
        mending.answered = True
        await self._taken(reading, answer)

    def stop(self) -> None:
        """End every reading, and begin none."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for mending in list(self._mending.values()):
            if mending.deferred is not None:
                mending.deferred.cancel()


def _announced(peer: Peer) -> tuple[str, str, int]:
    return peer.node, peer.epoch, peer.generation
