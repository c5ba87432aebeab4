"""The bounded table of who is there: what each peer last said, and where it was heard from.

Everything a stranger can grow has its bound here. What is sent in return, and when, is decided in
``presence``; how many datagrams are read at all is ``presence``'s too.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from flocon.core.buckets import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flocon.core.messages import Announcement

#: One more than any LAN flocon is meant for; also the width of ``replicas.Holders``.
MOST_PEERS = 1_024
#: Several nodes on one machine are for tests and containers; a flood invents thousands.
MOST_PEERS_OF_AN_ADDRESS = 16
#: One of so many may be known by IPv6 alone: one machine has as many addresses there as it likes.
SHARE_BY_IPV6_ALONE = 4
#: IPv4 and IPv6, by cable and by radio.
MOST_ADDRESSES_OF_A_PEER = 4
#: Peers that left and whose datagrams are known to be old.
MOST_DEPARTED = 1_024
#: A peer that missed so many of its own beats is gone.
BEATS_TO_LIVE = 3
#: Beats as long as that are believed of whom nobody saw answer yet, and who cannot be connected to.
LONGEST_UNPROVED_BEAT = 60.0
#: Seconds in which a datagram can be overtaken by a later one, or come by another way. What is
#: older than the newest after that is true all the same: somebody else has used up the numbers.
OVERTAKEN = 2.0
#: Datagrams that a node may have sent unheard: so many, and so many per second since it was heard.
LEAP, LEAP_RATE = 64, 20.0
#: Newcomers per second and at once that may push others out of a full table.
PUSHING_RATE, PUSHING_BURST = 20.0, 64.0
#: Places of which somebody says what has to be looked up there first; for each, so many sayings.
MOST_CLAIMS, MOST_CLAIMS_OF_A_PLACE = 256, 4
#: Seconds after which an address that could not be connected to is as good as another, if heard.
FAILED_FOR = 300.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node as it was when last heard.

    ``address`` is the best of those it was heard from: one that can be connected to and still
    carries its beats, one that answered for it before others, then IPv4 before IPv6, link-local
    (with its ``%scope``) last. ``first_heard`` and ``last_heard`` are in
    seconds of the clock that ``presence`` is given, as is ``able_since``: when its abilities or
    databases last changed. ``beat`` is the silence it announced. ``proved``: some address of its
    has answered in its name, so that it is not made up.
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
    proved: bool = False


class Verdict(Enum):
    """What a datagram of somebody turned out to be."""

    CAME = "came"
    RESTARTED = "restarted"
    NEWS = "news"
    LEFT = "left"
    #: The same datagram on another way; only the address is noted.
    COPY = "copy"
    #: True only if what listens at its address and port says so too.
    CLAIMED = "claimed"
    #: A peer that restarted somewhere else, which waits until its former self is missed.
    ELSEWHERE = "elsewhere"
    # The rest is dropped; the value is the word it is counted under.
    REPLAYED = "replayed"
    LEAPT = "leapt"
    FORGED = "forged"
    UNKNOWN = "unknown"
    FULL = "full"
    CROWDED = "crowded"


ACCEPTED = frozenset({Verdict.CAME, Verdict.RESTARTED, Verdict.NEWS, Verdict.LEFT})
DROPPED = frozenset(
    {
        Verdict.REPLAYED,
        Verdict.LEAPT,
        Verdict.FORGED,
        Verdict.ELSEWHERE,
        Verdict.UNKNOWN,
        Verdict.FULL,
        Verdict.CROWDED,
    }
)


@dataclass(slots=True)
class _Address:
    sequence: int
    last_heard: float
    rank: int
    #: When three of the beats that came from here are missed; a shorter one does not cut it short.
    expires: float = 0.0
    #: What listens there has answered in this peer's name.
    proved: bool = False
    #: When nobody could be connected to there.
    failed_at: float | None = None


@dataclass(slots=True)
class _Known:
    said: Announcement
    #: When that came.
    said_at: float
    first_heard: float
    able_since: float
    last_heard: float
    expires: float
    #: The time of its one valid entry in the heap, never after ``expires``.
    entry: float
    addresses: dict[str, _Address] = field(default_factory=dict)
    #: What it said last before this epoch, and when that ended.
    before: tuple[Announcement | None, float] = (None, 0.0)
    #: What others see of it, made once for each change: every look-up asks for all peers.
    view: Peer | None = None

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


@dataclass(frozen=True, slots=True)
class _Departed:
    epoch: str
    sequence: int
    at: float
    #: Where it had answered.
    proved: frozenset[_Place] = frozenset()


_Place = tuple[str, int]


class Peers:
    """Who is there, by node; at most 1,024, and few of them at one address.

    What a datagram says is believed as far as anybody could say it: a sender's address is easily
    made up. What an address *answers* is not: ``answered`` and ``unanswered`` tell what was seen
    when one was connected to. One address and port then speak for one node, whose epoch, port and
    place no datagram changes any more: what contradicts them is CLAIMED, until they answer so.
    """

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
        self._at_address: dict[str, set[str]] = {}
        self._claims: OrderedDict[_Place, OrderedDict[str, Announcement]] = OrderedDict()
        self._pushing = Bucket(PUSHING_RATE, PUSHING_BURST)
        self._by_ipv6_alone = 0
        self._pushed_out: list[Peer] = []
        self._doubted: list[str] = []
        self._promising: list[_Place] = []
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

    def take_pushed_out(self) -> list[Peer]:
        """Return those that had to make room for others, and forget it."""
        out, self._pushed_out = self._pushed_out, []
        return out

    def take_doubted(self) -> list[str]:
        """Return those that may have moved, and forget it: they were heard somewhere else."""
        doubted, self._doubted = self._doubted, []
        return doubted

    def take_promising(self) -> list[_Place]:
        """Return where a peer may be reached better than where it answered, and forget it."""
        promising, self._promising = self._promising, []
        return promising

    def is_missed(self, node: str) -> bool:
        """Whether the newest of a peer's datagrams has not come from its address (yet)."""
        known = self._known.get(node)
        return known is not None and _misses(known, _best(known))

    def elsewhere(self, node: str) -> list[str]:
        """Return from where the newest of a peer's datagrams came, besides its address."""
        known = self._known.get(node)
        if known is None:
            return []
        best = _best(known)
        carried = [one for one in known.addresses if one != best and not _misses(known, one)]
        return sorted(carried, key=rank)

    def has_moved(self, node: str) -> bool:
        """Whether a peer that is missed at its address answers where it was heard instead."""
        known = self._known.get(node)
        if known is None or not _misses(known, _best(known)):
            return False
        others = (known.addresses[one] for one in self.elsewhere(node))
        return any(one.proved and one.failed_at is None for one in others)

    # Hearing

    def hear(self, now: float, address: str, said: Announcement) -> Verdict:
        """Take a hello or a beat that came from ``address``."""
        known = self._known.get(said.node)
        if known is None:
            return self._newcomer(now, address, said)
        if said.epoch == known.said.epoch:
            return self._again(known, now, address, said)
        return self._another_epoch(known, now, address, said)

    def hear_bye(self, now: float, address: str, said: Announcement) -> Verdict:
        """Take a bye; it is believed from an address where that peer was heard."""
        known = self._known.get(said.node)
        if known is None:
            left = self._departed.get(said.node)
            same = left is not None and (left.epoch, left.sequence) == (said.epoch, said.sequence)
            return Verdict.COPY if same else Verdict.UNKNOWN
        entry = known.addresses.get(address)
        if said.epoch != known.said.epoch or _is_old(known, entry, now, said.sequence):
            return Verdict.REPLAYED
        if entry is None:
            return Verdict.UNKNOWN
        if _leaps(known, now, said):
            return Verdict.LEAPT
        if said.port != known.said.port and known.proved:
            return Verdict.FORGED
        known.said, known.last_heard = replace(known.said, sequence=said.sequence), now
        known.view = None
        return Verdict.LEFT

    def _newcomer(self, now: float, address: str, said: Announcement) -> Verdict:
        left = self._departed.get(said.node)
        if (
            left is not None
            and now < left.at + OVERTAKEN
            and said.epoch == left.epoch
            and said.sequence <= left.sequence
        ):
            return Verdict.REPLAYED
        if any(self._at_place(address, said.port)):
            return self._claim(address, said)
        if self._nodes_at(address) >= self._most_of_an_address:
            return Verdict.CROWDED
        if not self._room_for_one(now, address):
            return Verdict.FULL
        self._admit(now, address, said)
        return Verdict.CAME

    def _admit(self, now: float, address: str, said: Announcement) -> None:
        left = self._departed.pop(said.node, None)
        known = self._known[said.node] = _Known(said, now, now, now, now, now, now)
        self._by_ipv6_alone += 1
        self._note(known, now, address, said)
        if left is not None and left.epoch == said.epoch and (address, said.port) in left.proved:
            # Somebody else may have sent the bye.
            self._prove(known, now, address)
        self._enter(known)

    def _again(self, known: _Known, now: float, address: str, said: Announcement) -> Verdict:
        entry = known.addresses.get(address)
        newest = known.said.sequence
        if _is_old(known, entry, now, said.sequence):
            return Verdict.REPLAYED
        if _leaps(known, now, said):
            return Verdict.LEAPT
        if said.port != known.said.port and known.proved:
            return Verdict.FORGED
        if entry is None and not self._has_room(known, now, address):
            return Verdict.CROWDED
        overtaken = now < known.said_at + OVERTAKEN
        self._note(known, now, address, said)
        self._look_where_heard(known, address, is_new=entry is None)
        if said.sequence == newest or (said.sequence < newest and overtaken):
            self._doubt(known, address)
            return Verdict.COPY
        before, known.said, known.said_at = known.said, said, now
        self._doubt(known, address)
        if said.port != before.port:
            # Nobody was at the other port; that tells nothing of this one.
            for one in known.addresses.values():
                one.failed_at = None
        if (said.databases, said.abilities) != (before.databases, before.abilities):
            known.able_since = now
        return Verdict.NEWS

    def _look_where_heard(self, known: _Known, address: str, *, is_new: bool) -> None:
        entry = known.addresses[address]
        if is_new and known.proved:
            self._look_for_better(known)
        elif entry.failed_at is not None and entry.rank < rank(_best(known)):
            # It may be back where it was.
            self._promising.append((address, known.said.port))

    def _doubt(self, known: _Known, address: str) -> None:
        """Wonder whether a peer has moved to ``address``: nothing came from its own with this."""
        if known.proved and (best := _best(known)) != address and _misses(known, best):
            self._doubted.append(known.said.node)

    def _another_epoch(
        self, known: _Known, now: float, address: str, said: Announcement
    ) -> Verdict:
        before, ended = known.before
        if before is not None and said.epoch == before.epoch and now < ended + OVERTAKEN:
            return Verdict.REPLAYED
        if address not in known.addresses:
            if not known.failed:
                self._doubted.append(said.node)
                return Verdict.ELSEWHERE
            self._push_out(said.node)
            return self._newcomer(now, address, said)
        if known.proved or any(one is not known for one in self._at_place(address, said.port)):
            return self._claim(address, said)
        self._restart(known, now, address, said)
        return Verdict.RESTARTED

    def _restart(self, known: _Known, now: float, address: str, said: Announcement) -> None:
        for one in set(known.addresses) - {address}:
            self._drop_address(known, one)
        known.before = known.said, now
        if address in known.addresses:
            known.addresses[address] = _Address(0, now, rank(address))
        known.said, known.said_at = said, now
        known.first_heard = known.able_since = now
        self._note(known, now, address, said)

    def _note(self, known: _Known, now: float, address: str, said: Announcement) -> None:
        known.view = None
        entry = known.addresses.get(address)
        if entry is None:
            was_alone = known.by_ipv6_alone
            known.addresses[address] = _Address(said.sequence, now, rank(address))
            self._at_address.setdefault(address, set()).add(said.node)
            self._by_ipv6_alone += known.by_ipv6_alone - was_alone
            entry = known.addresses[address]
        else:
            entry.sequence = said.sequence
            entry.last_heard = now
            if entry.failed_at is not None and now >= entry.failed_at + FAILED_FOR:
                entry.failed_at = None
        entry.expires = max(entry.expires, now + BEATS_TO_LIVE * said.beat)
        known.last_heard = now
        self._promise(known, now, said.beat)
        if len(known.addresses) > 1:
            self._drop_silent(known, now)

    def _promise(self, known: _Known, now: float, beat: float) -> None:
        """Let a peer live for three of its beats; one that was promised longer keeps that.

        Anybody can announce a short beat in its name.
        """
        believed = beat if known.proved else min(beat, LONGEST_UNPROVED_BEAT)
        known.expires = max(known.expires, now + BEATS_TO_LIVE * believed)

    def _has_room(self, known: _Known, now: float, address: str) -> bool:
        self._drop_silent(known, now)
        return (
            len(known.addresses) < MOST_ADDRESSES_OF_A_PEER
            and self._nodes_at(address) < self._most_of_an_address
        )

    def _nodes_at(self, address: str) -> int:
        return len(self._at_address.get(address, ()))

    def _at_place(self, address: str, port: int) -> Iterator[_Known]:
        """Yield those that are known at ``address`` and announce ``port``."""
        for node in self._at_address.get(address, ()):
            known = self._known[node]
            if known.said.port == port:
                yield known

    def _drop_silent(self, known: _Known, now: float) -> None:
        """Forget the addresses that a peer stopped using while it was heard on others."""
        proved = known.proved
        for address, entry in list(known.addresses.items()):
            if entry.expires < now and len(known.addresses) > 1:
                self._drop_address(known, address)
        self._prove_again(known, proved)

    def _prove_again(self, known: _Known, proved: bool) -> None:
        """Have one looked at who answered only where it is not known any more."""
        if proved and not known.proved:
            self._promising.append((_best(known), known.said.port))

    def _drop_address(self, known: _Known, address: str) -> None:
        was_alone = known.by_ipv6_alone
        del known.addresses[address]
        self._by_ipv6_alone += known.by_ipv6_alone - was_alone
        known.view = None
        self._at_address[address].discard(known.said.node)
        if not self._at_address[address]:
            del self._at_address[address]

    # Room

    def _room_for_one(self, now: float, address: str) -> bool:
        """Whether one from ``address`` may come in, if need be for another that goes.

        Whom nobody saw answer goes first, those of the most crowded address before others, and
        the longest silent one of them. Where all have answered, those that share an address go.
        """
        most_alone = max(1, self._most // SHARE_BY_IPV6_ALONE)
        alone = rank(address) > 0 and self._by_ipv6_alone >= most_alone
        if not alone and len(self._known) < self._most:
            return True
        if not self._pushing.take(now):
            return False
        share = self._nodes_at(address)

        def crowd(known: _Known) -> int:
            return max(self._nodes_at(one) for one in known.addresses)

        candidates = [
            (not known.proved, crowd(known), -known.last_heard, node)
            for node, known in self._known.items()
            if (known.by_ipv6_alone or not alone) and crowd(known) > share + known.proved
        ]
        if not candidates:
            return False
        self._push_out(max(candidates)[-1])
        return True

    def _push_out(self, node: str) -> None:
        gone = self.remove(node)
        if gone is not None:
            self._pushed_out.append(gone)

    # What was seen when one was connected to

    def _claim(self, address: str, said: Announcement) -> Verdict:
        """Keep what ``address`` says until it is known whether what listens there agrees."""
        if any(
            one.said.epoch == said.epoch and one.said.node != said.node
            for one in self._at_place(address, said.port)
        ):
            # An epoch is one node's: somebody speaks in the name of another.
            return Verdict.FORGED
        place = address, said.port
        claims = self._claims.setdefault(place, OrderedDict())
        claims[said.node] = said
        claims.move_to_end(said.node)
        if len(claims) > MOST_CLAIMS_OF_A_PLACE:
            claims.popitem(last=False)
        if len(self._claims) > MOST_CLAIMS:
            self._claims.popitem(last=False)
        return Verdict.CLAIMED

    def answered(
        self, now: float, address: str, port: int, epoch: str
    ) -> tuple[Verdict, Announcement] | None:
        """Note that what listens at ``address`` and ``port`` says that its epoch is this one.

        Return what became of a claim that this proves. Those who are not there any more are
        ``pushed out``.
        """
        claims: dict[str, Announcement] = self._claims.pop((address, port), OrderedDict())
        claim = next((one for one in claims.values() if one.epoch == epoch), None)
        matched = False
        for known in list(self._at_place(address, port)):
            if known.said.epoch == epoch:
                matched = True
                self._prove(known, now, address)
            elif claim is None and known.before[0] is not None and known.before[0].epoch == epoch:
                # It did not restart: somebody else said so.
                claim = known.before[0]
            elif claim is None or claim.node != known.said.node:
                self._displace(known, address)
        if matched or claim is None:
            return None
        return self._believe(now, address, claim), claim

    def _believe(self, now: float, address: str, claim: Announcement) -> Verdict:
        known = self._known.get(claim.node)
        if known is None:
            if not self._room_for_one(now, address):
                return Verdict.FULL
            self._admit(now, address, claim)
        else:
            self._restart(known, now, address, claim)
        self._prove(self._known[claim.node], now, address)
        return Verdict.CAME if known is None else Verdict.RESTARTED

    def _prove(self, known: _Known, now: float, address: str) -> None:
        entry = known.addresses[address]
        entry.proved, entry.failed_at = True, None
        known.view = None
        self._promise(known, now, known.said.beat)
        self._look_for_better(known)

    def _look_for_better(self, known: _Known) -> None:
        good = [one for one in known.addresses.values() if one.failed_at is None]
        best = min((one.rank for one in good if one.proved), default=3)
        for address, entry in known.addresses.items():
            if entry.rank < best and entry.failed_at is None:
                self._promising.append((address, known.said.port))

    def _displace(self, known: _Known, address: str) -> None:
        if len(known.addresses) > 1:
            self._drop_address(known, address)
        else:
            self._push_out(known.said.node)

    def unanswered(self, now: float, address: str, port: int) -> None:
        """Note that nobody could be connected to at ``address`` and ``port``."""
        self._claims.pop((address, port), None)
        for known in list(self._at_place(address, port)):
            known.addresses[address].failed_at = now
            known.view = None
            if known.proved:
                self._look_for_better(known)
            if known.failed:
                beat = min(known.said.beat, LONGEST_UNPROVED_BEAT)
                known.expires = min(known.expires, now + BEATS_TO_LIVE * beat)
                if known.expires < known.entry:
                    self._enter(known)

    def at_place(self, address: str, port: int) -> list[Peer]:
        """Return those that are known at ``address`` and announce ``port``."""
        return [_view(known) for known in self._at_place(address, port)]

    # Leaving

    def remove(self, node: str) -> Peer | None:
        """Forget ``node`` but for what tells its old datagrams; return what it last was."""
        known = self._known.pop(node, None)
        if known is None:
            return None
        peer = _view(known)
        proved = frozenset(
            (address, known.said.port) for address, one in known.addresses.items() if one.proved
        )
        for address in list(known.addresses):
            self._drop_address(known, address)
        self._by_ipv6_alone -= 1  # as is everybody who has no address at all
        self._departed[node] = _Departed(
            known.said.epoch, known.said.sequence, known.last_heard, proved
        )
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
                proved = known.proved
                for address in set(known.addresses).difference(near):
                    self._drop_address(known, address)
                self._prove_again(known, proved)


def rank(address: str) -> int:
    """Return how good an address is to connect to, the lowest first."""
    if ":" not in address:
        return 0
    return 2 if IPv6Address(address).is_link_local else 1


def _goodness(entry: _Address, last_heard: float) -> tuple[bool, bool, bool, int]:
    """Return how good an address is, the lowest first; the peer was ``last_heard`` on any."""
    # Half a beat of grace: an address that missed just now is not given up at once.
    missed = last_heard - entry.last_heard > (entry.expires - entry.last_heard) / 2
    return entry.failed_at is not None, missed, not entry.proved, entry.rank


def _is_old(known: _Known, entry: _Address | None, now: float, sequence: int) -> bool:
    """Whether a datagram was heard before, or came too late to tell anything."""
    if entry is None:
        return sequence < known.said.sequence and now < known.said_at + OVERTAKEN
    if sequence == entry.sequence:
        return True
    return sequence < entry.sequence and now < entry.last_heard + OVERTAKEN


def _leaps(known: _Known, now: float, said: Announcement) -> bool:
    """Whether its number is one that the peer cannot have got to."""
    return said.sequence > known.said.sequence + LEAP + LEAP_RATE * max(0.0, now - known.said_at)


def _best(known: _Known) -> str:
    addresses = known.addresses
    return min(addresses, key=lambda one: _goodness(addresses[one], known.last_heard))


def _misses(known: _Known, address: str) -> bool:
    """Whether the peer's newest datagram has not come from ``address``."""
    return known.addresses[address].sequence != known.said.sequence


def _view(known: _Known) -> Peer:
    if known.view is None:
        known.view = _made(known)
    return known.view


def _made(known: _Known) -> Peer:
    said = known.said
    address = _best(known)
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
        proved=known.proved,
    )
