"""Who is there: the state machine of hello, beat, bye and expiry. No socket and no clock.

The shell (``multicast``) calls a method with ``now``, then takes the datagrams and the events
that came of it and asks for the next deadline::

    presence.start(now)                    a hello, and another a second later in case of loss
    presence.receive(now, address, data)   a datagram from that address
    presence.tick(now)                     the deadline has come
    presence.answered(now, ...)            what listens somewhere told its epoch
    presence.unanswered(now, ...)          nobody could be connected to there
    presence.stop(now)                     a bye

``now`` is in seconds. It should be monotonic; where it leaps forward this node has slept, and
where it goes back the lost time is made up for here.

What this node says is ``speaker``'s, which datagrams are read at all ``earshot``'s, what is
believed of them ``peers``'s, and what is told of them stands in ``presence_events``. The format is
in ``messages``.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Unpack

from flocon.datagrams.messages import TOLD_MAGIC, Kind, decode
from flocon.errors import DatagramError
from flocon.presence.earshot import Earshot
from flocon.presence.expiries import SteadyClock
from flocon.presence.own_announcement import Identity, OwnAnnouncement, Profile
from flocon.presence.peer_table import LookedUp
from flocon.presence.peers import ACCEPTED, DROPPED, Peers, Verdict
from flocon.presence.presence_events import (
    Claimed,
    Doubted,
    Event,
    Heard,
    Namesake,
    PeerCame,
    PeerLeft,
    PeerRestarted,
    Proved,
    Told,
)
from flocon.presence.speaker import Speaker
from flocon.presence.timetable import CLOCK_GRAIN, HELLO_AGAIN

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from flocon.datagrams.messages import Announcement
    from flocon.holdings.inventory import Change
    from flocon.machine.links import Link
    from flocon.presence.peer import Peer

#: Peers whose files are kept.
MOST_HOLDERS = 1_024

#: A deadline missed by so much: what was not heard meanwhile is nobody's silence.
DEAF_AFTER = 1.0
#: By so much: the machine was suspended, and the others think that it is gone.
SLEPT_AFTER = 10.0
#: Seconds between two reports of a machine that has this node's id.
NAMESAKE_PAUSE = 60.0


class Presence(LookedUp):
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
        self._own = OwnAnnouncement(
            identity,
            beat=beat,
            port=port,
            system=system,
            architectures=architectures,
            databases=databases,
            abilities=abilities,
        )
        super().__init__(Peers(most=most_peers))
        self._speaker = Speaker(self._own, self._peers, beat=beat, chance=chance)
        self._earshot = Earshot()
        self._peers.is_far = lambda address: not self._earshot.reaches(address)
        self._clock = SteadyClock()
        self._links: tuple[Link, ...] = ()
        self._running = False
        self._namesake_at = float("-inf")
        self.counters: Counter[str] = Counter()
        self._events: list[Event] = []

    @property
    def running(self) -> bool:
        return self._running

    @property
    def node(self) -> str:
        """The id of this node."""
        return self._own.said.node

    @property
    def last_said(self) -> bytes | None:
        """The newest datagram, None before the first."""
        return self._speaker.last_said

    def silence(self, now: float, peer: Peer) -> float:
        """Return for how many seconds ``peer`` was not heard."""
        return max(0.0, now + self._clock.offset - peer.last_heard)

    def was_said(self, now: float, address: str, said: Announcement, within: float) -> bool:
        """Whether a peer has said this at an address, or something newer ``within`` seconds."""
        sequence, at = self._peers.heard_at(said.node, address)
        return sequence >= said.sequence and now + self._clock.offset < at + within

    # What comes of the calls below

    def take_datagrams(self) -> list[bytes]:
        """Return what is to be sent to the group on every link, and forget it."""
        return self._speaker.take_datagrams()

    def take_events(self) -> list[Event]:
        """Return what happened, in order, and forget it."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """Return when ``tick`` is to be called, by the caller's clock; None while stopped."""
        due = self._due()
        return None if due is None else due - self._clock.offset

    def _due(self) -> float | None:
        if not self._running:
            return None
        times = self._speaker.times.first(), self._peers.next_expiry()
        return min((time for time in times if time is not None), default=None)

    # What the operator and the machine do

    def start(self, now: float) -> None:
        """Say hello, and listen."""
        now = self._advance(now)
        if not self._running:
            self._running = True
            self._speaker.hello(now)

    def recall(self, now: float, address: str, said: Announcement) -> bool:
        """Have one looked at that was there before the start; return whether it is to be."""
        self._advance(now)
        near = self._running and self._earshot.reaches(address)
        wanted = near and self._peers.recall(address, said)
        self._tell_of_others()
        return wanted

    def stop(self, now: float) -> None:
        """Say bye, and forget everybody (without an event each)."""
        now = self._advance(now)
        if not self._running:
            return
        self._speaker.bye(now)
        self._running = False
        for peer in self._peers.all():
            self._peers.remove(peer.node)

    def rejoin(self, now: float) -> None:
        """Say hello again, as after a start."""
        now = self._advance(now)
        if self._running:
            self._speaker.hello(now)

    def rename(self, now: float, identity: Identity) -> None:
        """Be another node from now on; there is no bye, as another machine has the old id."""
        now = self._advance(now)
        self._own.rename(identity)
        if self._running:
            self._speaker.hello(now)

    def networks_changed(self, now: float, links: Sequence[Link]) -> None:
        """Take the links that there are now.

        A new network is greeted with a hello; where one is gone, or an address, a beat tells those
        who have heard this node there by which way it is to be reached now.
        """
        now = self._advance(now)
        before, self._links = _places(self._links), tuple(links)
        self._speaker.heard = bool(links)
        self._earshot.set_links(links)
        self._peers.networks_changed(self._earshot.reaches)
        self._tell_of_others()
        if self._running and _places(self._links) - before:
            self._speaker.hello(now)
        elif before - _places(self._links):
            self._tell(now)

    def update(self, now: float, **given: Unpack[Profile]) -> None:
        """Change what this node says of itself, and say so soon; raise DatagramError.

        A ``generation`` given here is told without changes: peers read the rest by HTTP.
        """
        now = self._advance(now)
        if self._own.update(given):
            self._tell(now)

    def account(self, saved: int, crossed: int) -> None:
        """Say from now on what the LAN saved this node, in MiB; nothing is sent because of it."""
        self._own.account(saved, crossed)

    def inventory_changed(
        self, now: float, generation: int, files: int, changes: Iterable[Change]
    ) -> None:
        """Tell the others of ``changes``, oldest first, that led to ``generation``."""
        now = self._advance(now)
        if self._own.inventory_changed(generation, files, changes, in_parts=self._running):
            self._tell(now)

    def _tell(self, now: float) -> None:
        if self._running:
            self._speaker.times.tell(now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        now = self._advance(now)
        if not self._running:
            return
        for peer in self._peers.expire(now + CLOCK_GRAIN):
            self._events.append(PeerLeft(peer, "expired"))
        self._speaker.tick(now)

    def _advance(self, now: float) -> float:
        """Return ``now`` as a time that never goes back; notice that this node has slept."""
        moment = self._clock.advance(now)
        due = self._due()
        if due is not None and moment - due > DEAF_AFTER:
            self._was_deaf(moment, moment - due)
        return moment

    def _was_deaf(self, now: float, late: float) -> None:
        self._peers.spare_until(now + 2 * self._speaker.spread() + 2 * HELLO_AGAIN)
        self._speaker.times.catch_up(now)
        if late > SLEPT_AFTER:
            self._speaker.hello(now)

    # Receiving

    def receive(self, now: float, address: str, data: bytes) -> None:
        """Take a datagram that came from ``address`` (link-local IPv6 with its ``%scope``)."""
        now = self._advance(now)
        if not self._running:
            return
        if self._speaker.has_sent(data):
            self.counters["own"] += 1
        elif not self._earshot.reaches(address):
            self.counters["off_link"] += 1
        elif not self._earshot.admits(now, address, is_peers=self._peers.has_address(address)):
            self.counters["rate"] += 1
        elif data.startswith(TOLD_MAGIC):
            self._events.append(Told(address, data))
        else:
            try:
                said = decode(data)
            except DatagramError as error:
                self.counters[error.reason] += 1
            else:
                self._take(now, address, said)

    def hear_far(self, now: float, address: str, said: Announcement, *, vouched: bool) -> None:
        """Take what a node of another network says at ``address``, by whatever way it came here."""
        now = self._advance(now)
        if self._running:
            self._take(now, address, said, vouched=vouched)

    def _take(self, now: float, address: str, said: Announcement, *, vouched: bool = True) -> None:
        if said.node == self._own.said.node:
            self._hear_itself(now, address, said)
            return
        if said.kind is Kind.BYE:
            verdict = self._peers.hear_bye(now, address, said)
        else:
            verdict = self._peers.hear(now, address, said, vouched=vouched)
        self._tell_of_others()
        self._judge(now, address, said, verdict)

    def _hear_itself(self, now: float, address: str, said: Announcement) -> None:
        """Take a datagram in this node's name: every one of its own comes back to it."""
        if said.epoch == self._own.said.epoch:
            self.counters["own"] += 1
            if said.kind is Kind.BYE or said.sequence > self._speaker.sequence:
                self._contradict(now, said.sequence)
            return
        self.counters["clash"] += 1
        if _bears(self._links, address):
            # From before a restart, or made up.
            self._contradict(now, 0)
        elif now >= self._namesake_at + NAMESAKE_PAUSE:
            self._namesake_at = now
            self._events.append(Namesake(address, said))

    def _contradict(self, now: float, sequence: int) -> None:
        self.counters["forged"] += 1
        self._speaker.contradict(now, sequence)

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
        before = {one.node for one in self.at(address, port) if one.proved}
        outcome = self._peers.answered(now, address, port, epoch)
        self._tell_of_others()
        if outcome is not None:
            self._judge(now, address, outcome[1], outcome[0])
        peer = next((one for one in self.at(address, port) if one.epoch == epoch), None)
        if peer is not None and (peer.node not in before or outcome is not None):
            self._events.append(Proved(peer))
        return peer

    def unanswered(self, now: float, address: str, port: int) -> None:
        """Note that nobody could be connected to at ``address`` and ``port``."""
        before = self.at(address, port)
        self._peers.unanswered(self._advance(now), address, port)
        self._tell_of_others()
        for peer in before:
            after = self._peers.get(peer.node)
            if after is None or after.address == peer.address:
                continue
            if after.said is not None and after.said is not peer.said:
                self._events.append(Heard(after, after.said))
            if self._peers.has_answered(after.node, after.address):
                self._events.append(Proved(after))

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
        if said.kind is Kind.HELLO:
            self._speaker.answer(now)


def _places(links: Iterable[Link]) -> set[tuple[int, object]]:
    """Return what makes a hello worth while: each network, and each address that datagrams bear."""
    places: set[tuple[int, object]] = set()
    for link in links:
        for one in link.addresses:
            places.add((link.index, one.network))
            if one.version == 4 or one.is_link_local:  # noqa: PLR2004 - IPv4
                places.add((link.index, one))
    return places


def _bears(links: Iterable[Link], address: str) -> bool:
    """Whether ``address`` is one of this machine's own."""
    own = (str(one.ip) for link in links for one in link.addresses)
    return address.partition("%")[0] in own
