"""The bounded table of who is there: what each peer last said, and where it was heard from.

Everything a stranger can grow has its bound here. What is sent in return, and when, is decided in
``presence``; how many datagrams are read at all is ``presence``'s too.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.core.messages import Announcement

#: One more than any LAN flocon is meant for; also the width of ``inventory.Holders``.
MOST_PEERS = 1_024
#: Several nodes on one machine are for tests and containers; a flood invents thousands.
MOST_PEERS_OF_AN_ADDRESS = 16
#: IPv4 and IPv6, by cable and by radio.
MOST_ADDRESSES_OF_A_PEER = 4
#: Earlier starts of a peer whose datagrams are known to be old.
PAST_EPOCHS = 4
#: Peers that left and whose datagrams are known to be old.
MOST_DEPARTED = 1_024
#: A peer that missed so many of its own beats is gone.
BEATS_TO_LIVE = 3


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node as it was when last heard.

    ``address`` is the best of those it was heard from: one that still carries its beats, IPv4
    before IPv6, link-local (with its ``%scope``) last. ``first_heard`` and ``last_heard`` are in
    seconds of the clock that ``presence`` is given, as is ``able_since``: when its abilities or
    databases last changed. ``beat`` is the silence it announced.
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


class Verdict(Enum):
    """What a datagram of somebody turned out to be."""

    CAME = "came"
    RESTARTED = "restarted"
    NEWS = "news"
    LEFT = "left"
    #: The same datagram on another way; only the address is noted.
    COPY = "copy"
    # The rest is dropped; the value is the word it is counted under.
    REPLAYED = "replayed"
    UNKNOWN = "unknown"
    FULL = "full"
    CROWDED = "crowded"


ACCEPTED = frozenset({Verdict.CAME, Verdict.RESTARTED, Verdict.NEWS, Verdict.LEFT})
DROPPED = frozenset({Verdict.REPLAYED, Verdict.UNKNOWN, Verdict.FULL, Verdict.CROWDED})


@dataclass(slots=True)
class _Address:
    sequence: int
    last_heard: float
    rank: int


@dataclass(slots=True)
class _Known:
    said: Announcement
    first_heard: float
    able_since: float
    last_heard: float
    expires: float
    #: The time of its one valid entry in the heap, never after ``expires``.
    entry: float
    addresses: dict[str, _Address] = field(default_factory=dict)
    past: deque[str] = field(default_factory=lambda: deque(maxlen=PAST_EPOCHS))
    #: What others see of it, made once for each change: every look-up asks for all peers.
    view: Peer | None = None


@dataclass(frozen=True, slots=True)
class _Departed:
    epoch: str
    sequence: int
    past: tuple[str, ...]


class Peers:
    """Who is there, by node; at most 1,024, and few of them at one address."""

    def __init__(
        self,
        *,
        most: int = MOST_PEERS,
        most_of_an_address: int = MOST_PEERS_OF_AN_ADDRESS,
    ) -> None:
        self._most = most
        self._most_of_an_address = most_of_an_address
        self._known: dict[str, _Known] = {}
        self._departed: OrderedDict[str, _Departed] = OrderedDict()
        self._at_address: Counter[str] = Counter()
        #: (when, node); an entry that is early is renewed only when it gets to the top, so that
        #: a datagram costs no search.
        self._expiries: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._known)

    def get(self, node: str) -> Peer | None:
        known = self._known.get(node)
        return None if known is None else _view(known)

    def all(self) -> list[Peer]:
        return [_view(known) for known in self._known.values()]

    def has_address(self, address: str) -> bool:
        """Whether some peer is known at ``address``."""
        return address in self._at_address

    # Hearing

    def hear(self, now: float, address: str, said: Announcement) -> Verdict:
        """Take a hello or a beat that came from ``address``."""
        known = self._known.get(said.node)
        if known is None:
            return self._newcomer(now, address, said)
        if said.epoch == known.said.epoch:
            return self._again(known, now, address, said)
        if said.epoch in known.past:
            return Verdict.REPLAYED
        return self._restarted(known, now, address, said)

    def hear_bye(self, address: str, said: Announcement) -> Verdict:
        """Take a bye; it is believed from an address where that peer was heard."""
        known = self._known.get(said.node)
        if known is None:
            left = self._departed.get(said.node)
            same = left is not None and (left.epoch, left.sequence) == (said.epoch, said.sequence)
            return Verdict.COPY if same else Verdict.UNKNOWN
        if said.epoch != known.said.epoch or said.sequence <= known.said.sequence:
            return Verdict.REPLAYED
        if address not in known.addresses:
            return Verdict.UNKNOWN
        known.said = said
        known.view = None
        return Verdict.LEFT

    def _newcomer(self, now: float, address: str, said: Announcement) -> Verdict:
        left = self._departed.get(said.node)
        if left is not None and (
            said.epoch in left.past or (said.epoch == left.epoch and said.sequence <= left.sequence)
        ):
            return Verdict.REPLAYED
        if len(self._known) >= self._most:
            return Verdict.FULL
        if self._at_address[address] >= self._most_of_an_address:
            return Verdict.CROWDED
        known = _Known(said, now, now, now, now, now)
        if left is not None:
            del self._departed[said.node]
            known.past.extend(left.past)
            if left.epoch != said.epoch:
                known.past.append(left.epoch)
        self._known[said.node] = known
        self._note(known, now, address, said)
        self._enter(known)
        return Verdict.CAME

    def _again(self, known: _Known, now: float, address: str, said: Announcement) -> Verdict:
        entry = known.addresses.get(address)
        newest = known.said.sequence
        if said.sequence <= (newest - 1 if entry is None else entry.sequence):
            return Verdict.REPLAYED
        if entry is None and not self._has_room(known, now, address):
            return Verdict.CROWDED
        self._note(known, now, address, said)
        if said.sequence <= newest:
            return Verdict.COPY
        before, known.said = known.said, said
        if (said.databases, said.abilities) != (before.databases, before.abilities):
            known.able_since = now
        return Verdict.NEWS

    def _restarted(self, known: _Known, now: float, address: str, said: Announcement) -> Verdict:
        if address not in known.addresses:
            # Whoever moves and restarts at once waits until its former self is missed.
            return Verdict.UNKNOWN
        for one in set(known.addresses) - {address}:
            self._drop_address(known, one)
        known.past.append(known.said.epoch)
        known.addresses[address].sequence = 0
        known.said = said
        known.first_heard = known.able_since = now
        self._note(known, now, address, said)
        return Verdict.RESTARTED

    def _note(self, known: _Known, now: float, address: str, said: Announcement) -> None:
        known.view = None
        entry = known.addresses.get(address)
        if entry is None:
            known.addresses[address] = _Address(said.sequence, now, rank(address))
            self._at_address[address] += 1
        else:
            entry.sequence = said.sequence
            entry.last_heard = now
        known.last_heard = now
        if said.epoch != known.said.epoch or said.sequence >= known.said.sequence:
            known.expires = now + BEATS_TO_LIVE * said.beat
            if known.expires < known.entry:
                # It beats faster now, and is missed sooner.
                self._enter(known)
        if len(known.addresses) > 1:
            self._drop_silent(known, now)

    def _has_room(self, known: _Known, now: float, address: str) -> bool:
        self._drop_silent(known, now)
        return (
            len(known.addresses) < MOST_ADDRESSES_OF_A_PEER
            and self._at_address[address] < self._most_of_an_address
        )

    def _drop_silent(self, known: _Known, now: float) -> None:
        """Forget the addresses that a peer stopped using while it was heard on others."""
        since = now - BEATS_TO_LIVE * known.said.beat
        for address, entry in list(known.addresses.items()):
            if entry.last_heard < since and len(known.addresses) > 1:
                self._drop_address(known, address)

    def _drop_address(self, known: _Known, address: str) -> None:
        del known.addresses[address]
        known.view = None
        self._at_address[address] -= 1
        if not self._at_address[address]:
            del self._at_address[address]

    # Leaving

    def remove(self, node: str) -> Peer | None:
        """Forget ``node`` but for what tells its old datagrams; return what it last was."""
        known = self._known.pop(node, None)
        if known is None:
            return None
        peer = _view(known)
        for address in list(known.addresses):
            self._drop_address(known, address)
        self._departed[node] = _Departed(known.said.epoch, known.said.sequence, tuple(known.past))
        self._departed.move_to_end(node)
        if len(self._departed) > MOST_DEPARTED:
            self._departed.popitem(last=False)
        return peer

    def _enter(self, known: _Known) -> None:
        known.entry = known.expires
        heapq.heappush(self._expiries, (known.entry, known.said.node))
        if len(self._expiries) > 2 * len(self._known) + 64:
            # A peer that announces now a long beat, now a short one, leaves entries behind.
            self._expiries = [(one.entry, node) for node, one in self._known.items()]
            heapq.heapify(self._expiries)

    def next_expiry(self) -> float | None:
        """Return when the next peer is missed if nothing is heard meanwhile."""
        while self._expiries:
            when, node = self._expiries[0]
            known = self._known.get(node)
            if known is None or known.entry != when:
                heapq.heappop(self._expiries)
            elif known.expires > when:
                known.entry = known.expires
                heapq.heapreplace(self._expiries, (known.entry, node))
            else:
                return when
        return None

    def expire(self, now: float) -> list[Peer]:
        """Remove and return the peers that were silent for three of their beats."""
        gone = []
        while (when := self.next_expiry()) is not None and when <= now:
            peer = self.remove(self._expiries[0][1])
            if peer is not None:
                gone.append(peer)
        return gone

    def spare_until(self, when: float) -> None:
        """Let nobody expire before ``when``: it was this node that did not listen."""
        for known in self._known.values():
            known.expires = max(known.expires, when)

    def networks_changed(self, reaches: Callable[[str], bool]) -> None:
        """Forget the addresses out of reach of peers that are known at another one."""
        for known in self._known.values():
            near = [address for address in known.addresses if reaches(address)]
            if near and len(near) < len(known.addresses):
                for address in set(known.addresses).difference(near):
                    self._drop_address(known, address)


def rank(address: str) -> int:
    """Return how good an address is to connect to, the lowest first."""
    if ":" not in address:
        return 0
    return 2 if IPv6Address(address).is_link_local else 1


def _view(known: _Known) -> Peer:
    if known.view is None:
        known.view = _made(known)
    return known.view


def _made(known: _Known) -> Peer:
    said = known.said
    # Half a beat of grace: an address that missed just now is not given up at once.
    since = known.last_heard - 1.5 * said.beat
    address = min(
        known.addresses,
        key=lambda one: (known.addresses[one].last_heard < since, known.addresses[one].rank),
    )
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
        first_heard=known.first_heard,
        able_since=known.able_since,
        last_heard=known.last_heard,
        beat=said.beat,
        savings=said.savings,
    )
