"""What of the others' datagrams is believed, and what of their answers.

A sender's address is easily made up: what a datagram says is believed as far as anybody could say
it. The table of those who are there is ``peer_table``'s. What is sent in return, and when, is
decided in ``presence``; how many datagrams are read at all in ``earshot``.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from flocon.presence.claims import Claims
from flocon.presence.peer import (
    BEATS_TO_LIVE,
    LONGEST_UNPROVED_BEAT,
    OVERTAKEN,
    REFUTED_FOR,
    Known,
    Standing,
    rank,
)
from flocon.presence.peer_table import MOST_PEERS, MOST_PEERS_OF_AN_ADDRESS, PeerTable

if TYPE_CHECKING:
    from flocon.datagrams.messages import Announcement


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


class Peers(PeerTable):
    """Who is there, by what was heard and answered.

    What an address *answers* is not made up: ``answered`` and ``unanswered`` tell what was seen
    when one was connected to. One address and port then speak for one node, whose epoch, port and
    place no datagram changes any more: what contradicts them is CLAIMED, until they answer so.
    """

    def __init__(
        self,
        *,
        most: int = MOST_PEERS,
        most_of_an_address: int = MOST_PEERS_OF_AN_ADDRESS,
    ) -> None:
        super().__init__(most=most, most_of_an_address=most_of_an_address)
        self._claims = Claims()
        self._doubted: list[str] = []
        self._recalled: set[str] = set()

    def take_doubted(self) -> list[str]:
        """Return those that may have moved, and forget it: they were heard somewhere else."""
        doubted, self._doubted = self._doubted, []
        return doubted

    def is_missed(self, node: str) -> bool:
        """Whether the newest of a peer's datagrams has not come from its address (yet)."""
        known = self._known.get(node)
        return known is not None and known.misses(known.best())

    def elsewhere(self, node: str) -> list[str]:
        """Return from where the newest of a peer's datagrams came, besides its address."""
        known = self._known.get(node)
        if known is None:
            return []
        best = known.best()
        carried = [one for one in known.addresses if one != best and not known.misses(one)]
        return sorted(carried, key=rank)

    def has_moved(self, node: str) -> bool:
        """Whether a peer that is missed at its address answers where it was heard instead."""
        known = self._known.get(node)
        if known is None or not known.misses(known.best()):
            return False
        others = (known.addresses[one] for one in self.elsewhere(node))
        return any(one.proved and one.failed_at is None for one in others)

    def is_claimed(self, node: str) -> bool:
        """Whether a peer was led to its address by who was not known to tell the truth of it."""
        known = self._known.get(node)
        return known is not None and known.addresses[known.best()].standing > Standing.VOUCHED

    def has_answered(self, node: str, address: str) -> bool:
        """Whether what listens at an address has answered in a peer's name."""
        known = self._known.get(node)
        entry = None if known is None else known.addresses.get(address)
        return entry is not None and entry.proved

    def heard_at(self, node: str, address: str) -> tuple[int, float]:
        """Return the number of what a peer said last at an address, and when that was."""
        known = self._known.get(node)
        entry = None if known is None else known.addresses.get(address)
        return (-1, float("-inf")) if entry is None else (entry.sequence, entry.last_heard)

    def recall(self, address: str, said: Announcement) -> bool:
        """Take what a node said before this one was started; return whether that is to be proved.

        Its number may be an old one: the next may be any, as a newcomer's.
        """
        if said.node in self._known or any(self._places.at(address, said.port)):
            return False
        self._claims.keep(address, said)
        self._recalled.add(said.node)
        self._promising.append((address, said.port))
        return True

    # Hearing

    def hear(
        self, now: float, address: str, said: Announcement, *, vouched: bool = True
    ) -> Verdict:
        """Take a hello or a beat that came from ``address``.

        ``vouched``: whoever says that it is there is known to have told the truth of it before.
        """
        known = self._known.get(said.node)
        if known is None:
            return self._newcomer(now, address, said)
        if said.epoch == known.said.epoch:
            return self._again(known, now, address, said, self._standing(known, address, vouched))
        return self._another_epoch(known, now, address, said)

    def hear_bye(self, now: float, address: str, said: Announcement) -> Verdict:
        """Take a bye; it is believed from an address where that peer was heard."""
        known = self._known.get(said.node)
        if known is None:
            left = self._departed.get(said.node)
            same = left is not None and left.said(said)
            return Verdict.COPY if same else Verdict.UNKNOWN
        entry = known.addresses.get(address)
        if said.epoch != known.said.epoch or known.is_old(entry, now, said.sequence):
            return Verdict.REPLAYED
        if entry is None:
            return Verdict.UNKNOWN
        if known.leaps(now, said):
            return Verdict.LEAPT
        if said.port != known.said.port and known.proved:
            return Verdict.FORGED
        if (entry.far or entry.standing) and known.is_elsewhere(address):
            # Neighbours hear what is said in their name, and contradict it; those there do not.
            self._places.drop(known, address)
            self._promising.append((known.best(), known.said.port))
            return Verdict.COPY
        known.said, known.last_heard = replace(known.said, sequence=said.sequence), now
        known.changed()
        return Verdict.LEFT

    def _newcomer(self, now: float, address: str, said: Announcement) -> Verdict:
        left = self._departed.get(said.node)
        if left is not None and left.said_before(now, said):
            return Verdict.REPLAYED
        if any(self._places.at(address, said.port)):
            return self._claim(address, said)
        if self._places.count(address) >= self._most_of_an_address:
            return Verdict.CROWDED
        if not self._room_for_one(now, address):
            return Verdict.FULL
        self._admit(now, address, said)
        return Verdict.CAME

    def _standing(self, known: Known, address: str, vouched: bool) -> Standing:
        """Return what is to be thought of words that come from an address."""
        # A neighbour may say that one of another network is here, and answer as it.
        best = known.addresses[known.best()]
        comes_here = not self.is_far(address) and (best.far or best.standing)
        is_so = not known.proved or (vouched and not comes_here)
        return Standing.VOUCHED if is_so else Standing.TOLD

    def _again(
        self, known: Known, now: float, address: str, said: Announcement, standing: Standing
    ) -> Verdict:
        entry = known.addresses.get(address)
        newest = known.said.sequence
        # Whoever has led it away may have used up the numbers.
        is_better = standing < known.addresses[known.best()].standing
        if known.is_old(entry, now, said.sequence) and not is_better:
            return Verdict.REPLAYED
        if known.leaps(now, said):
            return self._contradicted(known, now, address, said, Verdict.LEAPT)
        if said.port != known.said.port and known.proved:
            return self._contradicted(known, now, address, said, Verdict.FORGED)
        if entry is None and not self._has_room(known, now, address, standing):
            return self._contradicted(known, now, address, said, Verdict.CROWDED)
        overtaken = now < known.said_at + OVERTAKEN
        self._note(known, now, address, said, standing)
        self._look_where_heard(known, now, address, is_new=entry is None)
        if known.is_aside(address):
            self._doubt(known, address)
            return Verdict.COPY
        is_copy = said.sequence == newest or (said.sequence < newest and overtaken)
        if is_copy and not is_better:
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

    def _look_where_heard(self, known: Known, now: float, address: str, *, is_new: bool) -> None:
        entry = known.addresses[address]
        if entry.standing and known.is_aside(address):
            if is_new or now >= entry.refuted_at + REFUTED_FOR:
                known.addresses[known.best()].doubted, entry.refuted_at = True, now
            entry.doubted = False
            if not entry.proved or entry.failed_at is not None:
                self._promising.append((address, known.said.port))
        elif is_new and known.proved:
            self._look_for_better(known)
            if entry.far:
                # Who tells of it may have told of the old one by these very words just before.
                known.doubt_elsewhere(address)
        elif entry.failed_at is not None and entry.rank <= rank(known.best()):
            # It may be back where it was.
            self._promising.append((address, known.said.port))
        elif is_new and known.has_failed_elsewhere(address):
            # Nobody saw it answer yet, and where that was awaited nobody is.
            self._promising.append((address, known.said.port))

    def _doubt(self, known: Known, address: str) -> None:
        """Wonder whether a peer has moved to ``address``: nothing came from its own with this."""
        if known.proved and (best := known.best()) != address and known.misses(best):
            self._doubted.append(known.said.node)

    def _another_epoch(self, known: Known, now: float, address: str, said: Announcement) -> Verdict:
        before, ended = known.before
        if before is not None and said.epoch == before.epoch and now < ended + OVERTAKEN:
            return Verdict.REPLAYED
        if address not in known.addresses:
            if not known.failed:
                self._doubted.append(said.node)
            return self._contradicted(known, now, address, said, Verdict.ELSEWHERE)
        if known.proved or any(one is not known for one in self._places.at(address, said.port)):
            return self._claim(address, said)
        self._restart(known, now, address, said)
        return Verdict.RESTARTED

    def _contradicted(
        self, known: Known, now: float, address: str, said: Announcement, verdict: Verdict
    ) -> Verdict:
        """Drop what another address says in a peer's name, unless nobody is at its own any more.

        Somebody may have been there in that name before it came, and have left.
        """
        if address in known.addresses:
            return verdict
        if known.failed:
            self._push_out(said.node)
            return self._newcomer(now, address, said)
        self._promising.append((known.best(), known.said.port))
        return verdict

    def _claim(self, address: str, said: Announcement) -> Verdict:
        """Keep what ``address`` says until it is known whether what listens there agrees."""
        if any(
            one.said.epoch == said.epoch and one.said.node != said.node
            for one in self._places.at(address, said.port)
        ):
            # An epoch is one node's: somebody speaks in the name of another.
            return Verdict.FORGED
        self._claims.keep(address, said)
        return Verdict.CLAIMED

    # What was seen when one was connected to

    def answered(
        self, now: float, address: str, port: int, epoch: str
    ) -> tuple[Verdict, Announcement] | None:
        """Note that what listens at ``address`` and ``port`` says that its epoch is this one.

        Return what became of a claim that this proves. Those who are not there any more are
        ``pushed out``.
        """
        claims = self._claims.take(address, port)
        claim = next((one for one in claims.values() if one.epoch == epoch), None)
        matched = False
        for known in list(self._places.at(address, port)):
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
            if claim.node in self._recalled:
                self._known[claim.node].said_at = float("-inf")
        else:
            self._restart(known, now, address, claim)
        self._prove(self._known[claim.node], now, address)
        return Verdict.CAME if known is None else Verdict.RESTARTED

    def _displace(self, known: Known, address: str) -> None:
        if len(known.addresses) > 1:
            self._places.drop(known, address)
        else:
            self._push_out(known.said.node)

    def unanswered(self, now: float, address: str, port: int) -> None:
        """Note that nobody could be connected to at ``address`` and ``port``."""
        self._claims.take(address, port)
        for known in list(self._places.at(address, port)):
            known.addresses[address].failed_at = now
            known.changed()
            if known.proved:
                self._look_for_better(known)
            elif not known.failed:
                self._promising.append((known.best(), port))
            known.settle(now)
            if known.failed:
                beat = min(known.said.beat, LONGEST_UNPROVED_BEAT)
                known.expires = min(known.expires, now + BEATS_TO_LIVE * beat)
                if known.expires < known.entry:
                    self._expiries.enter(known)
