"""Other tools' machines as holders, put together: who is heard, looked at, asked and told.

Made once there is one, or the operator has named one; a node that knows none has none of this.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.datagrams.buckets import BucketTable
from flocon.errors import SourceError
from flocon.foreign.asking import Asking
from flocon.foreign.browsed import Browsed
from flocon.foreign.heard import PING, PONG, PREFIX, announcement, own_url, paclan_word, read
from flocon.foreign.looks import Looks
from flocon.foreign.place import Place, Tool
from flocon.foreign.places import MDNS, MULTICAST, SETTING, Places
from flocon.foreign.rounds import Rounds
from flocon.foreign.telling import own_id
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall
    from twisted.web.iweb import IAgent

    from flocon.foreign.places import Record
    from flocon.mdns.services import Found

#: Datagrams taken of one address per second, and at once, and addresses told apart: pacserve sends
#: one in five minutes for each of its addresses.
RATE, BURST, MOST_SENDERS = 0.2, 6, 256
#: Seconds after which a pacserve is told of our face again: it forgets whom it could not ask.
NUDGED_FOR = 240.0
#: Seconds before the first word of ours in the group, and between two.
FIRST_WORD, EVERY_WORD = 1.0, 300.0


class Foreign:
    """The machines; ``may`` is as for ``Places``, ``agent`` connects to literal addresses.

    ``say`` sends a datagram to pacserve's group, ``answer`` one to an address; ``news`` is called
    when somebody may hold what nobody did. ``identity`` is what a face of ours shows to paclans.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        agent: IAgent,
        may: Callable[[str, bool], bool],
        *,
        say: Callable[[bytes], None],
        news: Callable[[], None],
        answer: Callable[[str, bytes], None] = lambda *_: None,
        identity: str = "",
    ) -> None:
        self._reactor = reactor
        self._say = say
        self._answer = answer
        self._identity = identity
        self._told = news
        self._places = Places(may)
        self._asking = Asking(reactor, agent)
        self._rounds = Rounds(reactor, self._places, self._asking)
        self._looks = Looks(reactor, self._places, self._asking, self._news)
        self._looks.met = self._met
        self._browsed = Browsed(own_id(), self.announced, self.gone)
        self._senders = BucketTable(RATE, BURST, MOST_SENDERS)
        self._face: int | None = None
        self._word: IDelayedCall | None = None
        self._nudged: dict[Place, float] = {}
        self._nudges: set[Deferred[None]] = set()
        self._counters: Counter[str] = Counter()

    # Who is there

    def received(self, address: str, data: bytes) -> None:
        """Take a datagram of pacserve's group."""
        if not self._senders.take(self._reactor.seconds(), address):
            self._counters["datagrams too many"] += 1
            return
        heard = read(data)
        if heard is None:
            self._counters["datagrams of nobody"] += 1
            return
        place = Place(heard.tool, address, heard.port)
        self.found(place, MULTICAST, heard.identity)
        if heard.asks:
            self._tell_paclan(place)

    def _tell_paclan(self, place: Place) -> None:
        """Answer who asks the group who is there: who has proved that it is, and nobody else."""
        record = self._places.get(place)
        if self._identity and self._face and record and record.proved:
            self._answer(place.address, self._paclan_word(PONG, self._face))

    def _paclan_word(self, kind: str, port: int) -> bytes:
        return paclan_word(kind, self._identity, port, str(int(self._reactor.seconds() * 1_000)))

    def nudged(self, address: str, port: int) -> None:
        """Learn that a pacserve wants to be known, which connected from that address."""
        self.found(Place(Tool.PACSERVE, address, port), MULTICAST)

    def found(self, place: Place, way: str, name: str = "") -> None:
        """Learn of a place; ``name`` is what it has there, of a paclan what it will show."""
        identity = name if place.tool is Tool.PACLAN else ""
        is_new = self._places.heard(place, way, name, self._reactor.seconds(), identity)
        if is_new:
            self._log.debug("heard of {place} by {way}", place=str(place), way=way)
            self._looks.look()
            return
        record = self._places.get(place)
        if record is not None and record.proved and place.tool is Tool.PACSERVE:
            self._met(place)

    def browsed(self, found: Sequence[Found], architectures: Collection[str]) -> None:
        """Learn of all whom mDNS tells of now, and which architectures are this machine's."""
        self._browsed.tell(found, architectures)

    def announced(self, place: Place, instance: str) -> None:
        """Learn where an instance of mDNS is now; it is nowhere else any more."""
        self._now_at(MDNS, instance, [place])

    def named(self, name: str, places: Sequence[Place]) -> None:
        """Learn where what the operator named is now; it is nowhere else any more."""
        self._now_at(SETTING, name, places)

    def _now_at(self, way: str, name: str, places: Sequence[Place]) -> None:
        for record in self._places:
            if record.ways.get(way) == name and record.place not in places:
                self._places.forget(record.place, way)
        for place in places:
            self.found(place, way, name)

    def deaf(self) -> None:
        """Forget whom only the group told of: it is heard no more."""
        for record in self._places:
            if MULTICAST in record.ways and self._places.forget(record.place, MULTICAST):
                self._rounds.found.forget(record.place)

    def gone(self, instance: str) -> None:
        """Learn that an instance of mDNS is there no more."""
        for place in self._places.gone(MDNS, instance):
            self._rounds.found.forget(place)

    def look_anew(self) -> None:
        """Look at all anew who failed: the links are others now."""
        self._places.pardon()
        self._rounds.found.clear()
        self._looks.look()

    def _news(self, place: Place) -> None:
        """Learn that a place may hold what nobody did: what was asked for may be there."""
        record = self._places.get(place)
        if record is not None and record.files is None:
            self._rounds.found.doubt(self._reactor.seconds())
        self._told()

    # Who has it

    def holding(self, name: str, size: int) -> list[Place]:
        """Return who has a file of that size, by what is known: nobody is asked."""
        return self._rounds.holding(name, size)

    def look(self, name: str, size: int) -> Deferred[None] | None:
        """Have all asked for a file; return what fires soon once it is known who has it.

        None where nobody needs to be waited for.
        """
        if not len(self._places):
            return None
        self._looks.look()
        return self._rounds.look(name, size)

    def ended(self, node: str, size: int, failure: SourceError | None) -> None:
        """Learn what came of one that was asked for a file's bytes."""
        for record in self._places.of(node):
            if not record.proved:
                continue
            if failure is not None:
                record.bytes += size
                self._rounds.failed(record.place, failure.detail)
            elif not self._places.gave(record, size, self._reactor.seconds()):
                self._rounds.failed(record.place, "does not give what it says that it has")
            return

    def pacserves(self) -> list[tuple[str, int]]:
        """Return where pacserves are that may be asked."""
        askable = self._places.askable(self._reactor.seconds())
        return [
            (one.place.address, one.place.port)
            for one in askable
            if one.place.tool is Tool.PACSERVE
        ]

    def listing_one(self, file_name: str) -> str | None:
        """Return the root of a pacserve that lists a file, if one does; nobody is asked."""
        for record in self._places.askable(self._reactor.seconds()):
            if record.files is not None and file_name in record.files:
                return record.place.root.removesuffix("/")
        return None

    def listings(self) -> Iterator[tuple[Place, str, int]]:
        """Yield who lists what: the place, a file's name and its size."""
        for record in self._places.askable(self._reactor.seconds()):
            for name, size in list((record.files or {}).items()):
                yield record.place, name, size

    # How we are known to them

    def face(self, port: int | None) -> None:
        """Be known to pacserves and paclans by a face at ``port``, or no more."""
        self._face = port
        self._nudged.clear()
        if self._word is not None:
            self._word.cancel()
            self._word = None
        if port is not None:
            self._word = self._reactor.callLater(FIRST_WORD, self._speak)
            for record in self._places.askable(self._reactor.seconds()):
                if record.place.tool is Tool.PACSERVE:
                    self._met(record.place)

    def _speak(self) -> None:
        self._word = self._reactor.callLater(EVERY_WORD, self._speak)
        assert self._face is not None  # noqa: S101 - spoken for a face alone
        for prefix in {PREFIX: None, **self._looks.prefixes}:
            self._say(announcement(prefix, self._face))
        if self._identity:
            self._say(self._paclan_word(PING, self._face))

    def _met(self, place: Place) -> None:
        """Tell one of our face, if there is one; a pacserve only if it was not told lately."""
        if place.tool is Tool.PACLAN:
            self._tell_paclan(place)
            return
        now = self._reactor.seconds()
        if self._face is None or now - self._nudged.get(place, float("-inf")) < NUDGED_FOR:
            return
        self._nudged = {one: at for one, at in self._nudged.items() if now - at < NUDGED_FOR}
        self._nudged[place] = now
        nudge = defer.Deferred.fromCoroutine(self._nudge(place, own_url(self._face)))
        self._nudges.add(nudge)
        nudge.addBoth(lambda _: self._nudges.discard(nudge))

    async def _nudge(self, place: Place, url: str) -> None:
        try:
            await self._asking.nudge(place, url)
            self._counters["nudges"] += 1
        except SourceError as failure:
            self._log.debug("{place}: {failure}", place=str(place), failure=failure)

    # What is told of them

    @property
    def counters(self) -> Counter[str]:
        """What happened, by words."""
        refused = Counter({"places too many": self._places.refused})
        return self._counters + self._rounds.counters + refused

    def describe(self, held_off: Callable[[str], str]) -> list[dict[str, Any]]:
        """Return how each stands; ``held_off`` gives why an address is in quarantine, or ""."""
        now = self._reactor.seconds()
        terms = [(one, held_off(one.place.address)) for one in self._places]
        # A node's machine, or this one, is none that would be asked.
        return [
            _told(one, now, term) for one, term in terms if term or self._places.may_be_reached(one)
        ]

    def stop(self) -> None:
        self.face(None)
        self._looks.stop()
        self._rounds.stop()
        for nudge in list(self._nudges):
            nudge.cancel()


def _told(record: Record, now: float, term: str) -> dict[str, Any]:
    place, ways = record.place, record.ways
    state = "good" if record.proved else "failing" if record.errors else "unknown"
    return {
        "address": place.address,
        "port": place.port,
        "kind": place.tool.value,
        "name": "" if place.tool is Tool.PACLAN else next(filter(None, ways.values()), ""),
        "found": next((way for way in (SETTING, MDNS, MULTICAST) if way in ways), MULTICAST),
        "state": "quarantine" if term else state,
        "files": None if record.files is None else len(record.files),
        "bytes": record.bytes,
        "silent_seconds": None if record.heard_at is None else round(now - record.heard_at, 1),
        "why": term or record.why,
    }
