"""One peer: what it last said, where it was heard, and what can be told from both.

Whether a datagram is believed at all is ``peers``'s to say; the bounded table of all of them is
``peer_table``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flocon.datagrams.messages import Announcement

#: A peer that missed so many of its own beats is gone.
BEATS_TO_LIVE = 3
#: Beats as long as that are believed of whom nobody saw answer yet, and who cannot be connected to.
LONGEST_UNPROVED_BEAT = 60.0
#: Seconds in which a datagram can be overtaken by a later one, or come by another way. What is
#: older than the newest after that is true all the same: somebody else has used up the numbers.
OVERTAKEN = 2.0
#: Seconds until one is looked for anew who is said to be where it was not.
REFUTED_FOR = 25.0
#: Datagrams that a node may have sent unheard: so many, and so many per second since it was heard.
LEAP, LEAP_RATE = 64, 20.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node as it was when last heard.

    ``address`` is the best of those it was heard from: one that can be connected to and still
    carries its beats, one that answered for it before others, one on a link before far ones, then
    IPv4 before IPv6, link-local (with its ``%scope``) last. ``first_heard`` and ``last_heard`` are
    in seconds of the clock that ``presence`` is given, as is ``able_since``: when its abilities or
    databases last changed. ``beat`` is the silence it announced. ``proved``: some address of its
    has answered in its name, so that it is not made up. ``far``: ``address`` is on no link of this
    machine, but of another network, from which a node told of itself or was told of (``sites``).
    """

    node: str
    epoch: str
    name: str
    port: int
    system: str
    architectures: tuple[str, ...]
    address: str
    generation: int
    files: int
    databases: tuple[tuple[str, str], ...]
    abilities: frozenset[str]
    first_heard: float
    able_since: float
    last_heard: float
    beat: float
    savings: tuple[int, int] = (0, 0)
    own: tuple[tuple[str, int], ...] = ()
    proved: bool = False
    far: bool = False
    #: Its last words.
    said: Announcement | None = field(default=None, compare=False, repr=False)


class Standing(IntEnum):
    """What is to be thought of who says that a peer is at an address, the best first."""

    VOUCHED = 0
    #: It answered somewhere else when this was said by who had not told of it there.
    TOLD = 1
    #: It still answered there after that.
    REFUTED = 2


@dataclass(slots=True)
class KnownAddress:
    """Where a peer was heard."""

    sequence: int
    last_heard: float
    rank: int
    #: When three of the beats that came from here are missed; a shorter one does not cut it short.
    expires: float = 0.0
    #: What listens there has answered in this peer's name.
    proved: bool = False
    #: When nobody could be connected to there.
    failed_at: float | None = None
    #: It is on no link of this machine.
    far: bool = False
    #: It was proved since to be at another one: it may have moved, until it answers here.
    doubted: bool = False
    standing: Standing = Standing.VOUCHED
    #: What was said there that counts once the peer is there, and when it was found to be nowhere.
    said: Announcement | None = None
    refuted_at: float = float("-inf")

    @property
    def nearness(self) -> tuple[bool, int]:
        """Return how near it is, the lowest first, and then how good otherwise."""
        return self.far, self.rank


@dataclass(slots=True)
class Known:
    """All that is known of a peer: what it said, and at which addresses it was heard."""

    said: Announcement
    #: When that came.
    said_at: float
    first_heard: float
    able_since: float
    last_heard: float
    expires: float
    #: The time of its one valid entry in the heap, never after ``expires``.
    entry: float
    addresses: dict[str, KnownAddress] = field(default_factory=dict)
    #: What it said last before this epoch, and when that ended.
    before: tuple[Announcement | None, float] = (None, 0.0)
    #: What others see of it, made once for each change: every look-up asks for all peers.
    seen: Peer | None = None

    @property
    def proved(self) -> bool:
        return any(one.proved for one in self.addresses.values())

    @property
    def failed(self) -> bool:
        """Whether it can be connected to nowhere."""
        return all(one.failed_at is not None for one in self.addresses.values())

    @property
    def by_ipv6_alone(self) -> bool:
        return all(one.rank for one in self.addresses.values())

    def best(self) -> str:
        """Return the address to connect to."""
        return min(self.addresses, key=lambda one: self._goodness(self.addresses[one]))

    def _goodness(self, entry: KnownAddress) -> tuple[bool, bool, int, bool, tuple[bool, int]]:
        """Return how good an address is, the lowest first."""
        # Half a beat of grace: an address that missed just now is not given up at once.
        missed = self.last_heard - entry.last_heard > (entry.expires - entry.last_heard) / 2
        failed = entry.failed_at is not None
        return failed, missed, entry.standing, not entry.proved, entry.nearness

    def misses(self, address: str) -> bool:
        """Whether its newest datagram has not come from ``address``, or it may have moved."""
        entry = self.addresses[address]
        if entry.standing:
            return entry.doubted or entry.sequence < self.said.sequence
        return entry.doubted or entry.sequence != self.said.sequence

    def is_aside(self, address: str) -> bool:
        """Whether what is said at an address counts only once the peer is nowhere else."""
        return bool(self.addresses[address].standing) and self.best() != address

    def is_elsewhere(self, address: str) -> bool:
        """Whether it is at another address, as far as anybody knows."""
        best = self.best()
        return best != address and self.addresses[best].failed_at is None

    def has_failed_elsewhere(self, address: str) -> bool:
        others = (entry for one, entry in self.addresses.items() if one != address)
        return all(entry.failed_at is not None for entry in others)

    def doubt_elsewhere(self, address: str) -> None:
        """Wonder whether it is at another far address than this one any more."""
        for other, entry in self.addresses.items():
            entry.doubted = entry.far and other != address

    def refute(self, now: float) -> None:
        """Learn that it answered where it was, after others said that it is elsewhere."""
        best = self.best()
        for address, entry in self.addresses.items():
            if address != best and (entry.far or entry.standing):
                entry.standing, entry.refuted_at = Standing.REFUTED, now

    def settle(self, now: float) -> None:
        """Take what was said where it is now, as it is nowhere else."""
        entry = self.addresses[self.best()]
        entry.refuted_at = float("-inf")
        if entry.said is not None and entry.failed_at is None:
            self.said, self.said_at, entry.said = entry.said, entry.last_heard, None
            self.last_heard = max(self.last_heard, entry.last_heard)
            self.promise(now, self.said.beat)
            self.changed()

    def is_old(self, entry: KnownAddress | None, now: float, sequence: int) -> bool:
        """Whether a datagram was heard before, or came too late to tell anything."""
        if entry is None:
            return sequence < self.said.sequence and now < self.said_at + OVERTAKEN
        if sequence == entry.sequence:
            return True
        return sequence < entry.sequence and now < entry.last_heard + OVERTAKEN

    def leaps(self, now: float, said: Announcement) -> bool:
        """Whether its number is one that the peer cannot have got to."""
        most = self.said.sequence + LEAP + LEAP_RATE * max(0.0, now - self.said_at)
        return said.sequence > most

    def promise(self, now: float, beat: float) -> None:
        """Let it live for three of its beats; one that was promised longer keeps that.

        Anybody can announce a short beat in its name.
        """
        believed = beat if self.proved else min(beat, LONGEST_UNPROVED_BEAT)
        self.expires = max(self.expires, now + BEATS_TO_LIVE * believed)

    def view(self) -> Peer:
        """Return what others see of it."""
        if self.seen is None:
            self.seen = self._made()
        return self.seen

    def changed(self) -> None:
        """Have others see it anew."""
        self.seen = None

    def _made(self) -> Peer:
        said, address = self.said, self.best()
        return Peer(
            node=said.node,
            epoch=said.epoch,
            name=said.name,
            port=said.port,
            system=said.system,
            architectures=said.architectures,
            address=address,
            generation=said.generation,
            files=said.files,
            databases=said.databases,
            abilities=said.abilities,
            first_heard=self.first_heard,
            able_since=self.able_since,
            last_heard=self.last_heard,
            beat=said.beat,
            savings=said.savings,
            own=said.own,
            proved=self.proved,
            far=self.addresses[address].far,
            said=said,
        )


def rank(address: str) -> int:
    """Return how good an address is to connect to, the lowest first."""
    if ":" not in address:
        return 0
    return 2 if IPv6Address(address).is_link_local else 1
