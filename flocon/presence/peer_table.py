"""The bounded table of who is there: each peer, where it was heard, and when it is missed.

Everything a stranger can grow has its bound here, in ``claims`` or in ``departures``. What is
believed of a datagram is ``peers``'s to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.datagrams.buckets import Bucket
from flocon.presence.departures import Departures
from flocon.presence.expiries import Expiries
from flocon.presence.peer import BEATS_TO_LIVE, Known, KnownAddress, Standing, rank
from flocon.presence.places import Places

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.datagrams.messages import Announcement
    from flocon.presence.peer import Peer
    from flocon.presence.peers import Peers

#: One more than any LAN flocon is meant for; also the width of ``replicas.Holders``.
MOST_PEERS = 1_024
#: Several nodes on one machine are for tests and containers; a flood invents thousands.
MOST_PEERS_OF_AN_ADDRESS = 16
#: One of so many may be known by IPv6 alone: one machine has as many addresses there as it likes.
SHARE_BY_IPV6_ALONE = 4
#: IPv4 and IPv6, by cable and by radio.
MOST_ADDRESSES_OF_A_PEER = 4
#: Newcomers per second and at once that may push others out of a full table.
PUSHING_RATE, PUSHING_BURST = 20.0, 64.0
#: Seconds after which an address that could not be connected to is as good as another, if heard.
FAILED_FOR = 300.0


class PeerTable:
    """Who is there, by node; at most 1,024, and few of them at one address."""

    def __init__(
        self,
        *,
        most: int = MOST_PEERS,
        most_of_an_address: int = MOST_PEERS_OF_AN_ADDRESS,
    ) -> None:
        self._most = most
        self._most_of_an_address = most_of_an_address
        #: Whether an address is on no link of this machine.
        self.is_far: Callable[[str], bool] = lambda _: False
        self._known: dict[str, Known] = {}
        self._places = Places()
        self._expiries = Expiries(self._known)
        self._departed = Departures()
        self._pushing = Bucket(PUSHING_RATE, PUSHING_BURST)
        self._pushed_out: list[Peer] = []
        self._promising: list[tuple[str, int]] = []

    def __len__(self) -> int:
        return len(self._known)

    def get(self, node: str) -> Peer | None:
        known = self._known.get(node)
        return None if known is None else known.view()

    def all(self) -> list[Peer]:
        return [known.view() for known in self._known.values()]

    def has_address(self, address: str) -> bool:
        """Whether some peer is known at ``address``."""
        return address in self._places

    def nodes_at(self, address: str) -> frozenset[str]:
        """Return the ids of those that are known at ``address``."""
        return frozenset(self._places.at_address.get(address, ()))

    def at_place(self, address: str, port: int) -> list[Peer]:
        """Return those that are known at ``address`` and announce ``port``."""
        return [known.view() for known in self._places.at(address, port)]

    def take_pushed_out(self) -> list[Peer]:
        """Return those that had to make room for others, and forget it."""
        out, self._pushed_out = self._pushed_out, []
        return out

    def take_promising(self) -> list[tuple[str, int]]:
        """Return where a peer may be reached better than where it answered, and forget it."""
        promising, self._promising = self._promising, []
        return promising

    # Coming, and being heard

    def _admit(self, now: float, address: str, said: Announcement) -> None:
        left = self._departed.pop(said.node)
        known = self._known[said.node] = Known(said, now, now, now, now, now, now)
        self._places.enter(known)
        self._note(known, now, address, said)
        if left is not None and left.had_answered(address, said):
            self._prove(known, now, address)
        self._expiries.enter(known)

    def _restart(self, known: Known, now: float, address: str, said: Announcement) -> None:
        for one in set(known.addresses) - {address}:
            self._places.drop(known, one)
        known.before = known.said, now
        if address in known.addresses:
            known.addresses[address] = self._entry(address, 0, now)
        known.said, known.said_at = said, now
        known.first_heard = known.able_since = now
        self._note(known, now, address, said)

    def _note(
        self,
        known: Known,
        now: float,
        address: str,
        said: Announcement,
        standing: Standing = Standing.VOUCHED,
    ) -> None:
        known.changed()
        entry = known.addresses.get(address)
        if entry is None:
            entry = self._entry(address, said.sequence, now)
            entry.standing = standing
            self._places.add(known, address, entry)
        else:
            entry.sequence = said.sequence
            entry.last_heard = now
            if entry.failed_at is not None and now >= entry.failed_at + FAILED_FOR:
                entry.failed_at = None
            if entry.standing is Standing.TOLD:
                entry.standing = standing
        entry.expires = max(entry.expires, now + BEATS_TO_LIVE * said.beat)
        if known.is_aside(address):
            entry.said = said
        else:
            entry.said, known.last_heard = None, now
            known.promise(now, said.beat)
        if len(known.addresses) > 1:
            self._drop_silent(known, now)

    def _entry(self, address: str, sequence: int, now: float) -> KnownAddress:
        return KnownAddress(sequence, now, rank(address), far=self.is_far(address))

    def _has_room(self, known: Known, now: float, address: str, standing: Standing) -> bool:
        self._drop_silent(known, now)
        self._drop_failed(known, standing)
        return (
            len(known.addresses) < MOST_ADDRESSES_OF_A_PEER
            and self._places.count(address) < self._most_of_an_address
        )

    def _drop_silent(self, known: Known, now: float) -> None:
        """Forget the addresses that a peer stopped using while it was heard on others."""
        proved = known.proved
        for address, entry in list(known.addresses.items()):
            if entry.expires < now and len(known.addresses) > 1:
                self._places.drop(known, address)
        self._prove_again(known, proved)

    def _drop_failed(self, known: Known, standing: Standing) -> None:
        """Make room for where a peer is now, if there is none.

        By the addresses where nobody is, or where it was said to be by who is believed less.
        """
        if len(known.addresses) < MOST_ADDRESSES_OF_A_PEER:
            return
        proved = known.proved
        for address, entry in list(known.addresses.items()):
            less = entry.standing is Standing.REFUTED or entry.standing > standing
            unwanted = entry.failed_at is not None or (less and known.is_aside(address))
            if unwanted and len(known.addresses) > 1:
                self._places.drop(known, address)
        self._prove_again(known, proved)

    def _prove_again(self, known: Known, proved: bool) -> None:
        """Have one looked at who answered only where it is not known any more."""
        if proved and not known.proved:
            self._promising.append((known.best(), known.said.port))

    def _prove(self, known: Known, now: float, address: str) -> None:
        entry = known.addresses[address]
        if entry.doubted and known.best() == address:
            known.refute(now)
        entry.proved, entry.failed_at, entry.doubted = True, None, False
        known.changed()
        # Who answers without a word of its own is not missed the later for it.
        known.promise(known.last_heard, known.said.beat)
        self._look_for_better(known)

    def _look_for_better(self, known: Known) -> None:
        good = [one for one in known.addresses.values() if one.failed_at is None]
        best = min((one.nearness for one in good if one.proved), default=(True, 3))
        for address, entry in known.addresses.items():
            wanted = entry.standing is not Standing.REFUTED and entry.failed_at is None
            if entry.nearness < best and wanted:
                self._promising.append((address, known.said.port))

    # Room

    def _room_for_one(self, now: float, address: str) -> bool:
        """Whether one from ``address`` may come in, if need be for another that goes.

        Whom nobody saw answer goes first, those of the most crowded address before others, and
        the longest silent one of them. Where all have answered, those that share an address go.
        """
        most_alone = max(1, self._most // SHARE_BY_IPV6_ALONE)
        alone = rank(address) > 0 and self._places.by_ipv6_alone >= most_alone
        if not alone and len(self._known) < self._most:
            return True
        if not self._pushing.take(now):
            return False
        node = self._to_push_out(self._places.count(address), alone=alone)
        if node is not None:
            self._push_out(node)
        return node is not None

    def _to_push_out(self, share: int, *, alone: bool) -> str | None:
        """Return who goes for one at whose address ``share`` are known, if anybody does."""
        first: tuple[bool, int, float, str] | None = None
        for node, known in self._known.items():
            # A thousand are looked at for each newcomer of a flood: most are no crowd.
            crowd = max(map(self._places.count, known.addresses))
            if crowd <= share or (alone and not known.by_ipv6_alone):
                continue
            proved = known.proved
            if crowd > share + proved:
                one = (not proved, crowd, -known.last_heard, node)
                first = one if first is None else max(first, one)
        return None if first is None else first[-1]

    def _push_out(self, node: str) -> None:
        gone = self.remove(node)
        if gone is not None:
            self._pushed_out.append(gone)

    # Leaving

    def remove(self, node: str) -> Peer | None:
        """Forget ``node`` but for what tells its old datagrams; return what it last was."""
        known = self._known.pop(node, None)
        if known is None:
            return None
        peer = known.view()
        self._departed.remember(known)
        self._places.leave(known)
        return peer

    def next_expiry(self) -> float | None:
        """Return when the next peer is missed if nothing is heard meanwhile."""
        first = self._expiries.first()
        return None if first is None else first[0]

    def expire(self, now: float) -> list[Peer]:
        """Remove and return the peers that were silent for three of their beats."""
        gone = []
        while (first := self._expiries.first()) is not None and first[0] <= now:
            peer = self.remove(first[1])
            if peer is not None:
                gone.append(peer)
        return gone

    def spare_until(self, when: float) -> None:
        """Let nobody expire before ``when``: it was this node that did not listen."""
        for known in self._known.values():
            known.expires = max(known.expires, when)

    def networks_changed(self, reaches: Callable[[str], bool]) -> None:
        """Learn which addresses are on a link now.

        Those that are not are forgotten of peers that are known at another one.
        """
        for known in self._known.values():
            for address, entry in known.addresses.items():
                if entry.far == reaches(address):
                    entry.far = not entry.far
                    known.changed()
            near = [address for address in known.addresses if reaches(address)]
            if near and len(near) < len(known.addresses):
                proved = known.proved
                for address in set(known.addresses).difference(near):
                    self._places.drop(known, address)
                self._prove_again(known, proved)


class LookedUp:
    """What others may ask about those who are there."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def peer(self, node: str) -> Peer | None:
        return self._peers.get(node)

    def peers(self) -> list[Peer]:
        return self._peers.all()

    def is_missed(self, node: str) -> bool:
        """Whether the newest of a peer's datagrams has not come from its address (yet)."""
        return self._peers.is_missed(node)

    def elsewhere(self, node: str) -> list[str]:
        """Return from where the newest of a peer's datagrams came, besides its address."""
        return self._peers.elsewhere(node)

    def has_moved(self, node: str) -> bool:
        """Whether a peer that is missed at its address answers where it was heard instead."""
        return self._peers.has_moved(node)

    def is_claimed(self, node: str) -> bool:
        """Whether a peer was led to its address by who was not known to tell the truth of it."""
        return self._peers.is_claimed(node)

    def has_address(self, address: str) -> bool:
        """Whether some peer is known at ``address``."""
        return self._peers.has_address(address)

    def nodes_at(self, address: str) -> frozenset[str]:
        """Return the ids of those that are known at ``address``."""
        return self._peers.nodes_at(address)

    def at(self, address: str, port: int) -> list[Peer]:
        """Return those that were heard from ``address`` and announce ``port``."""
        return self._peers.at_place(address, port)
