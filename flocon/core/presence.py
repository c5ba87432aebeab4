"""Who is there: the state machine of hello, beat, bye and expiry. No socket and no clock.

The shell (``net.multicast``) calls a method with ``now``, then takes the datagrams and the events
that came of it and asks for the next deadline::

    presence.start(now)                    a hello, and another a second later in case of loss
    presence.receive(now, address, data)   a datagram from that address
    presence.tick(now)                     the deadline has come
    presence.answered(now, ...)            what listens somewhere told its epoch
    presence.unanswered(now, ...)          nobody could be connected to there
    presence.stop(now)                     a bye

``now`` is in seconds. It should be monotonic; where it leaps forward this node has slept, and
where it goes back the lost time is made up for here.

Silent rules stand beside their constants. The format is in ``messages``, the table in ``peers``.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from flocon.core.buckets import Bucket, BucketTable
from flocon.core.messages import (
    LONGEST_BEAT,
    MOST_CLAIMED,
    SHORTEST_BEAT,
    Announcement,
    Kind,
    check,
    decode,
    encode,
    room_for,
)
from flocon.core.peer import OVERTAKEN, Peer
from flocon.core.peers import ACCEPTED, DROPPED, Peers, Verdict
from flocon.core.replicas import MOST_HOLDERS
from flocon.errors import DatagramError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Interface, IPv6Interface

    from flocon.core.inventory import Change
    from flocon.core.links import Link

#: Bits per second of all beats of a LAN together; the rest of 10 kbit/s is for newcomers.
BEATS_BUDGET = 9_000
#: Ethernet, IPv4 and UDP, then Ethernet, IPv6 and UDP: a beat goes out on both.
HEADERS = (14 + 20 + 8) + (14 + 40 + 8)
#: Nodes that started together do not stay in step.
JITTER = 0.1
#: A longer beat is announced in tenths of a second, which keeps it short.
ROUNDED_ABOVE = 2.0
#: A hello is said again once, and never more often than this.
HELLO_AGAIN = 1.0
#: Answers to a hello are spread over so many seconds, at least, and for each peer.
ANSWER_SPREAD = 0.3
ANSWER_SPREAD_PER_PEER = 0.01
#: One answer serves all newcomers of so many seconds: hellos cannot be used to amplify.
ANSWER_PAUSE = 1.0
#: A change waits so long for others, and a datagram with changes for the next one.
CHANGES_WAIT = 0.05
CHANGES_PAUSE = 0.1
#: What did not fit into that one goes sooner, though not as often as a listener allows.
CHANGES_RUSH = 0.025
#: More than a few seconds' worth is told as a new generation only: peers ask for the rest by HTTP.
MOST_PENDING = 256
#: What is due so soon is due now: adding and subtracting seconds rounds.
CLOCK_GRAIN = 1e-6
#: A deadline missed by so much: what was not heard meanwhile is nobody's silence.
DEAF_AFTER = 1.0
#: By so much: the machine was suspended, and the others think that it is gone.
SLEPT_AFTER = 10.0
#: Datagrams per second and at once: of one address, of all unknown ones, of all known ones.
SOURCE_RATE, SOURCE_BURST, MOST_SOURCES = 50.0, 200.0, 2_048
STRANGERS_RATE, STRANGERS_BURST = 500.0, 2_000.0
PEERS_RATE, PEERS_BURST = 2_000.0, 4_000.0
#: The newest of what this node sent; it comes back on each of its links, and is known unread.
SENT_REMEMBERED = 8
#: Seconds between two reports of a machine that has this node's id.
NAMESAKE_PAUSE = 60.0
#: Numbers of datagrams, per second and at once, that this node skips where somebody else has used
#: them up: fewer than ``peers.LEAP_RATE`` and ``LEAP``, or nobody would believe the next one.
SKIPPED_RATE, SKIPPED_BURST = 10.0, 32.0
#: Addresses whose link is remembered, so that it is looked up once.
MOST_REACHED = 4_096
#: The length of a beat before one was sent.
_USUAL_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node is from start to stop: 16 and 8 hexadecimal digits, and its host's name."""

    node: str
    epoch: str
    name: str


@dataclass(frozen=True, slots=True)
class PeerCame:
    """A peer not known before; its inventory is to be read."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerRestarted:
    """A known peer has a new epoch; its inventory is to be read anew."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """A peer said bye, was silent for three of its beats, or made room for another.

    ``peer`` is what it was.
    """

    peer: Peer
    reason: Literal["bye", "expired", "replaced"]


@dataclass(frozen=True, slots=True)
class Heard:
    """A peer said something new; follows PeerCame and PeerRestarted too."""

    peer: Peer
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Claimed:
    """What listens there is to be asked which node it is: ``answered`` or ``unanswered``."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Doubted:
    """A peer was heard somewhere else, and may have moved."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Namesake:
    """Another machine speaks as this very node: two of one image, or a stranger."""

    address: str
    announcement: Announcement


Event = PeerCame | PeerRestarted | PeerLeft | Heard | Claimed | Doubted | Namesake


class Presence:
    """Makes this node known and knows the others.

    ``beat`` is the seconds between two beats on a small LAN; ``chance`` spreads what should not
    come at once. ``counters`` has what was dropped, by reason. Raises DatagramError for an
    identity or a profile that cannot be announced.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        chance: random.Random,
        beat: float,
        port: int,
        system: str,
        architectures: tuple[str, ...] = (),
        databases: tuple[tuple[str, str], ...] = (),
        abilities: frozenset[str] = frozenset(),
        most_peers: int = MOST_HOLDERS,
    ) -> None:
        self._own = Announcement(
            Kind.BEAT,
            identity.node,
            identity.epoch,
            1,
            identity.name,
            port,
            system,
            architectures,
            beat,
            0,
            0,
            databases,
            abilities,
        )
        check(self._own)
        self._beat = beat
        self._chance = chance
        self._peers = Peers(most=most_peers)
        self._links: tuple[Link, ...] = ()
        self._reached: dict[str, bool] = {}
        self.counters: Counter[str] = Counter()
        self._datagrams: list[bytes] = []
        self._sent: deque[bytes] = deque(maxlen=SENT_REMEMBERED)
        self._events: list[Event] = []

        self._running = False
        self._sequence = 0
        self._length = _USUAL_LENGTH
        # What was not told yet: the changes after the generation of ``_own``, and the files then.
        self._pending: deque[Change] = deque()
        #: Whether the next datagram tells of a generation without the changes that led to it:
        #: those that come until then would mend nobody's gap.
        self._in_gap = False
        self._files = 0

        # The clock: what is added to ``now`` because it once went back, and the latest time.
        self._offset = 0.0
        self._latest = float("-inf")

        self._beat_at: float | None = None
        self._hello_at: float | None = None
        self._answer_at: float | None = None
        self._changes_at: float | None = None
        #: When to say again what is true, as somebody else said something in this node's name.
        self._truth_at: float | None = None
        self._last_truth = float("-inf")
        self._hellos = 0
        self._last_hello = self._last_answer = self._last_changes = float("-inf")
        self._namesake_at = float("-inf")

        self._sources = BucketTable(SOURCE_RATE, SOURCE_BURST, MOST_SOURCES)
        self._skipped = Bucket(SKIPPED_RATE, SKIPPED_BURST)
        self._of_strangers = Bucket(STRANGERS_RATE, STRANGERS_BURST)
        self._of_peers = Bucket(PEERS_RATE, PEERS_BURST)

    # What is known

    @property
    def running(self) -> bool:
        return self._running

    def peer(self, node: str) -> Peer | None:
        return self._peers.get(node)

    def peers(self) -> list[Peer]:
        return self._peers.all()

    def silence(self, now: float, peer: Peer) -> float:
        """Return for how many seconds ``peer`` was not heard."""
        return max(0.0, now + self._offset - peer.last_heard)

    # What comes of the calls below

    def take_datagrams(self) -> list[bytes]:
        """Return what is to be sent to the group on every link, and forget it."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def take_events(self) -> list[Event]:
        """Return what happened, in order, and forget it."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """Return when ``tick`` is to be called, by the caller's clock; None while stopped."""
        due = self._due()
        return None if due is None else due - self._offset

    def _due(self) -> float | None:
        if not self._running:
            return None
        times = (
            self._beat_at,
            self._hello_at,
            self._answer_at,
            self._truth_at,
            self._changes_at,
            self._peers.next_expiry(),
        )
        return min((time for time in times if time is not None), default=None)

    # What the operator and the machine do

    def start(self, now: float) -> None:
        """Say hello, and listen."""
        now = self._advance(now)
        if not self._running:
            self._running = True
            self._hello(now)

    def stop(self, now: float) -> None:
        """Say bye, and forget everybody (without an event each)."""
        now = self._advance(now)
        if not self._running:
            return
        self._send(now, Kind.BYE)
        self._running = False
        self._beat_at = self._hello_at = self._answer_at = self._changes_at = None
        self._truth_at = None
        for peer in self._peers.all():
            self._peers.remove(peer.node)

    def rejoin(self, now: float) -> None:
        """Say hello again, as after a start."""
        now = self._advance(now)
        if self._running:
            self._hello(now)

    def rename(self, now: float, identity: Identity) -> None:
        """Be another node from now on; there is no bye, as another machine has the old id."""
        now = self._advance(now)
        own = replace(self._own, node=identity.node, epoch=identity.epoch, name=identity.name)
        check(own)
        self._own = own
        if self._running:
            self._hello(now)

    def networks_changed(self, now: float, links: Sequence[Link]) -> None:
        """Take the links that there are now.

        A new network is greeted with a hello; where one is gone, or an address, a beat tells those
        who have heard this node there by which way it is to be reached now.
        """
        now = self._advance(now)
        before, self._links = _places(self._links), tuple(links)
        self._reached.clear()
        self._peers.networks_changed(self._reaches)
        self._tell_of_others()
        if self._running and _places(self._links) - before:
            self._hello(now)
        elif before - _places(self._links):
            self._tell(now)

    def update(
        self,
        now: float,
        *,
        port: int | None = None,
        system: str | None = None,
        architectures: tuple[str, ...] | None = None,
        databases: tuple[tuple[str, str], ...] | None = None,
        abilities: frozenset[str] | None = None,
        generation: int | None = None,
        files: int | None = None,
    ) -> None:
        """Change what this node says of itself, and say so soon; raise DatagramError.

        A ``generation`` given here is told without changes: peers read the rest by HTTP.
        """
        now = self._advance(now)
        given: dict[str, Any] = {
            "port": port,
            "system": system,
            "architectures": architectures,
            "databases": databases,
            "abilities": abilities,
            "generation": generation,
            "files": files,
        }
        if generation is None and files is not None:
            given["generation"] = self._own.generation + len(self._pending)
        own = replace(self._own, **{key: one for key, one in given.items() if one is not None})
        check(own)
        if generation is not None or files is not None:
            self._pending.clear()
            self._files = own.files
        if own != self._own:
            self._own = own
            self._tell(now)

    def account(self, saved: int, crossed: int) -> None:
        """Say from now on what the LAN saved this node, in MiB; nothing is sent because of it."""
        savings = min(saved, MOST_CLAIMED), min(crossed, MOST_CLAIMED)
        self._own = replace(self._own, savings=savings)

    def inventory_changed(
        self, now: float, generation: int, files: int, changes: Iterable[Change]
    ) -> None:
        """Tell the others of ``changes``, oldest first, that led to ``generation``."""
        now = self._advance(now)
        told = self._own.generation + len(self._pending)
        if not self._in_gap:
            self._pending.extend(changes)
        self._files = files
        following = generation == self._own.generation + len(self._pending)
        if not self._running or not following or len(self._pending) > MOST_PENDING:
            self._skip_pending(generation)
        if generation != told:
            self._tell(now)

    def _skip_pending(self, generation: int) -> None:
        self._pending.clear()
        self._in_gap = True
        self._own = replace(self._own, generation=generation, files=self._files)

    def _tell(self, now: float) -> None:
        if self._running and self._changes_at is None:
            self._changes_at = max(now + CHANGES_WAIT, self._last_changes + CHANGES_PAUSE)

    # Time

    def tick(self, now: float) -> None:
        """Do what is due."""
        now = self._advance(now)
        if not self._running:
            return
        for peer in self._peers.expire(now + CLOCK_GRAIN):
            self._events.append(PeerLeft(peer, "expired"))
        if _past(self._hello_at, now):
            self._say_hello(now)
        elif _past(self._answer_at, now):
            self._send(now, Kind.BEAT, in_chorus=True)
        elif _past(self._truth_at, now):
            self._last_truth = now
            self._truth_at = None
            self._send(now, Kind.BEAT)
        elif _past(self._changes_at, now) or _past(self._beat_at, now):
            self._send(now, Kind.BEAT)

    def _advance(self, now: float) -> float:
        """Return ``now`` as a time that never goes back; notice that this node has slept."""
        moment = now + self._offset
        if moment < self._latest:
            self._offset += self._latest - moment
            moment = self._latest
        self._latest = moment
        due = self._due()
        if due is not None and moment - due > DEAF_AFTER:
            self._was_deaf(moment, moment - due)
        return moment

    def _was_deaf(self, now: float, late: float) -> None:
        self._peers.spare_until(now + 2 * self._spread() + 2 * HELLO_AGAIN)
        # What is overdue is due now: lateness is noticed once.
        self._beat_at = _not_before(self._beat_at, now)
        self._hello_at = _not_before(self._hello_at, now)
        self._answer_at = _not_before(self._answer_at, now)
        self._truth_at = _not_before(self._truth_at, now)
        self._changes_at = _not_before(self._changes_at, now)
        if late > SLEPT_AFTER:
            self._hello(now)

    def _spread(self) -> float:
        return max(ANSWER_SPREAD, ANSWER_SPREAD_PER_PEER * len(self._peers))

    def _interval(self) -> float:
        """Return the seconds from this datagram to the next, so that all keep to the budget."""
        bits = 8 * (2 * self._length + HEADERS)
        fair = max(self._beat, bits * (len(self._peers) + 1) / BEATS_BUDGET)
        jittered = fair * self._chance.uniform(1 - JITTER, 1 + JITTER)
        within = min(max(jittered, SHORTEST_BEAT), LONGEST_BEAT)
        return round(within, 1 if within > ROUNDED_ABOVE else 3)

    # Sending

    def _hello(self, now: float) -> None:
        """Say hello twice; now, or a moment later where one was said just before."""
        self._hellos = 2
        earliest = self._last_hello + HELLO_AGAIN
        if now < earliest:
            self._hello_at = earliest
        else:
            self._say_hello(now)

    def _say_hello(self, now: float) -> None:
        self._hellos -= 1
        if self._links:
            # What nobody could hear does not hold up the one that is heard.
            self._last_hello = now
        again = now + HELLO_AGAIN * self._chance.uniform(1 - JITTER, 1 + JITTER)
        self._hello_at = again if self._hellos > 0 else None
        self._send(now, Kind.HELLO, in_chorus=True)

    def _send(self, now: float, kind: Kind, *, in_chorus: bool = False) -> None:
        """Say what this node is now; ``in_chorus`` where many others speak at the same time."""
        self._sequence += 1
        interval = self._interval()
        said = replace(self._own, kind=kind, sequence=self._sequence, beat=interval)
        if kind is not Kind.BYE:
            # A chorus on a large LAN is not to beat as one from then on.
            early = in_chorus and interval > self._beat * (1 + JITTER)
            self._beat_at = now + interval * (self._chance.uniform(JITTER, 1) if early else 1)
            # Whatever is said answers every hello up to here.
            if self._answer_at is not None:
                self._last_answer = now
            self._answer_at = None
            said = self._with_changes(now, said)
        self._in_gap = False
        datagram = encode(said)
        if not said.changes:
            self._length = len(datagram)
        self._datagrams.append(datagram)
        self._sent.append(datagram)

    def _with_changes(self, now: float, said: Announcement) -> Announcement:
        """Return ``said`` with the oldest changes not yet told, as many as fit."""
        if self._changes_at is not None:
            self._last_changes = now
        self._changes_at = None
        if not self._pending:
            return said
        # Digits that the generation and the number of files may grow by are allowed for: there can
        # be more in between than before and afterwards.
        last = self._own.generation + len(self._pending)
        most = max(self._files, said.files + len(self._pending))
        room = room_for(replace(said, generation=last, files=most), self._pending)
        if not room:
            self._skip_pending(last)
            return replace(said, generation=last, files=self._files)
        changes = tuple(self._pending.popleft() for _ in range(room))
        generation = said.generation + room
        files = self._files - sum(1 if one.held else -1 for one in self._pending)
        self._own = replace(self._own, generation=generation, files=max(0, files))
        if self._pending:
            self._changes_at = now + CHANGES_RUSH
        self._last_changes = now
        return replace(said, generation=generation, files=self._own.files, changes=changes)

    # Receiving

    def receive(self, now: float, address: str, data: bytes) -> None:
        """Take a datagram that came from ``address`` (link-local IPv6 with its ``%scope``)."""
        now = self._advance(now)
        if not self._running:
            return
        if data in self._sent:
            self.counters["own"] += 1
        elif not self._reaches(address):
            self.counters["off_link"] += 1
        elif not self._admits(now, address):
            self.counters["rate"] += 1
        else:
            try:
                said = decode(data)
            except DatagramError as error:
                self.counters[error.reason] += 1
            else:
                self._take(now, address, said)

    def _reaches(self, address: str) -> bool:
        known = self._reached.get(address)
        if known is None:
            if len(self._reached) >= MOST_REACHED:
                self._reached.clear()
            known = self._reached[address] = any(link.reaches(address) for link in self._links)
        return known

    def _admits(self, now: float, address: str) -> bool:
        """Whether one more is read: strangers together cannot drown those who are known."""
        if not self._sources.take(now, address):
            return False
        together = self._of_peers if self._peers.has_address(address) else self._of_strangers
        return together.take(now)

    def _take(self, now: float, address: str, said: Announcement) -> None:
        if said.node == self._own.node:
            self._hear_itself(now, address, said)
            return
        hear = self._peers.hear_bye if said.kind is Kind.BYE else self._peers.hear
        verdict = hear(now, address, said)
        self._tell_of_others()
        self._judge(now, address, said, verdict)

    def _hear_itself(self, now: float, address: str, said: Announcement) -> None:
        """Take a datagram in this node's name: every one of its own comes back to it."""
        if said.epoch == self._own.epoch:
            self.counters["own"] += 1
            if said.kind is Kind.BYE or said.sequence > self._sequence:
                self._contradict(now, said.sequence)
        elif any(str(one.ip) == address.partition("%")[0] for one in self._addresses()):
            # From before a restart, or made up.
            self.counters["clash"] += 1
            self._contradict(now, 0)
        else:
            self.counters["clash"] += 1
            if now >= self._namesake_at + NAMESAKE_PAUSE:
                self._namesake_at = now
                self._events.append(Namesake(address, said))

    def _contradict(self, now: float, sequence: int) -> None:
        """Somebody made up a datagram of this node: say soon what is true, in a later one."""
        self.counters["forged"] += 1
        ahead = sequence - self._sequence
        if ahead > 0 and self._skipped.take(now, ahead):
            self._sequence = sequence
            ahead = 0
        # A number that is lower than what they have heard, they believe a moment later.
        soonest = now + OVERTAKEN * 1.05 if ahead > 0 else now
        if self._truth_at is None or self._truth_at < soonest:
            self._truth_at = max(soonest, self._last_truth + ANSWER_PAUSE)

    def _addresses(self) -> Iterable[IPv4Interface | IPv6Interface]:
        return (one for link in self._links for one in link.addresses)

    def _tell_of_others(self) -> None:
        """Tell of those whom the last datagram, or answer, concerned besides its sender."""
        for peer in self._peers.take_pushed_out():
            self._events.append(PeerLeft(peer, "replaced"))
        for address, port in self._peers.take_promising():
            self._events.append(Claimed(address, port))
        for node in self._peers.take_doubted():
            doubted = self._peers.get(node)
            if doubted is not None:
                self._events.append(Doubted(doubted))

    # What was seen when somebody was connected to

    def answered(self, now: float, address: str, port: int, epoch: str) -> Peer | None:
        """Take what listens at ``address`` and ``port`` at its word that ``epoch`` is its own.

        Return the peer that is there.
        """
        now = self._advance(now)
        if not self._running:
            return None
        outcome = self._peers.answered(now, address, port, epoch)
        self._tell_of_others()
        if outcome is not None:
            verdict, said = outcome
            self._judge(now, address, said, verdict)
        return next((one for one in self.at(address, port) if one.epoch == epoch), None)

    def unanswered(self, now: float, address: str, port: int) -> None:
        """Note that nobody could be connected to at ``address`` and ``port``."""
        self._peers.unanswered(self._advance(now), address, port)
        self._tell_of_others()

    def is_missed(self, node: str) -> bool:
        """Whether the newest of a peer's datagrams has not come from its address (yet)."""
        return self._peers.is_missed(node)

    def elsewhere(self, node: str) -> list[str]:
        """Return from where the newest of a peer's datagrams came, besides its address."""
        return self._peers.elsewhere(node)

    def has_moved(self, node: str) -> bool:
        """Whether a peer that is missed at its address answers where it was heard instead."""
        return self._peers.has_moved(node)

    def at(self, address: str, port: int) -> list[Peer]:
        """Return those that were heard from ``address`` and announce ``port``."""
        return self._peers.at_place(address, port)

    def _judge(self, now: float, address: str, said: Announcement, verdict: Verdict) -> None:
        if verdict is Verdict.CLAIMED:
            self._events.append(Claimed(address, said.port))
        if verdict in DROPPED:
            self.counters[verdict.value] += 1
        if verdict not in ACCEPTED:
            return
        if verdict is Verdict.LEFT:
            peer = self._peers.remove(said.node)
            assert peer is not None
            self._events.append(PeerLeft(peer, "bye"))
            return
        peer = self._peers.get(said.node)
        assert peer is not None
        if verdict is Verdict.CAME:
            self._events.append(PeerCame(peer))
        elif verdict is Verdict.RESTARTED:
            self._events.append(PeerRestarted(peer))
        self._events.append(Heard(peer, said))
        if said.kind is Kind.HELLO and self._answer_at is None:
            spread = self._spread()
            earliest = self._last_answer + max(ANSWER_PAUSE, spread)
            self._answer_at = max(now + self._chance.uniform(0, spread), earliest)


def _past(when: float | None, now: float) -> bool:
    return when is not None and when <= now + CLOCK_GRAIN


def _not_before(when: float | None, now: float) -> float | None:
    return None if when is None else max(when, now)


def _places(links: Iterable[Link]) -> set[tuple[int, object]]:
    """Return what makes a hello worth while: each network, and each address that datagrams bear."""
    places: set[tuple[int, object]] = set()
    for link in links:
        for one in link.addresses:
            places.add((link.index, one.network))
            if one.version == 4 or one.is_link_local:  # noqa: PLR2004 - IPv4
                places.add((link.index, one))
    return places
