"""What is believed of nodes of other networks, and of those who tell of them. No I/O.

Who tells must be a proved neighbour, or a proved correspondent; where somebody is said to be, an
address that may be asked at all. Presence learns of a node once that has answered in the epoch that
was told, and then of all that is said of it there.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flocon.datagrams.messages import Kind
from flocon.sites.addresses import Permitted, asks_from
from flocon.sites.candidates import MOST_OF_A_TELLER, MOST_TOLD, Candidates

if TYPE_CHECKING:
    import random

    from flocon.datagrams.introductions import Introduction
    from flocon.datagrams.messages import Announcement
    from flocon.presence.peer import Peer
    from flocon.presence.presence import Presence
    from flocon.sites.candidates import Proof
    from flocon.sites.correspondents import Correspondents, Place
    from flocon.sites.hints import Hint

#: Seconds after which a node that a neighbour told of is asked: by then it knows of this one, too.
PAUSE, LONGEST_PAUSE = 0.5, 1.5
#: The same where a correspondent told of it, which has told that node of this one beforehand.
SHORT_PAUSE, LONGEST_SHORT_PAUSE = 0.5, 0.8
#: Seconds for which what was heard already is not heard again, though its number is an older one.
AGAIN_WITHIN = 20.0
#: Seconds within which one that is near is heard by multicast, where others tell of it.
HEARD_HERE_WITHIN = 2.0
#: Seconds for which one must have told where a node is to be believed first that it has moved.
TRUTHFUL_FOR = 60.0
#: Seconds between two looks for those of whom nobody tells any more.
SWEEP = 60.0
#: Seconds for which somebody who told the group of a node counts as telling of it.
TELLS_FOR, TELLS_FOR_BEATS = 120.0, 4


#: What neighbours told that were not proved yet, in the seconds in which they will be if at all.
MOST_EARLY, EARLY_FOR = 256, 3.0


#: Who tells of those that are announced by mDNS; and how many of them are asked at a time.
MDNS = "mdns"
MOST_HINTED = 64


@dataclass(slots=True)
class Known:
    """A node that has proved itself at an address that was told, and since when who tells of it.

    By unicast: itself ("") or correspondents; by group: neighbours, and when they did last.
    """

    by_unicast: set[str] = field(default_factory=set)
    by_group: dict[str, float] = field(default_factory=dict)
    #: Since when each has told of it where it is, and of no other place.
    truthful: dict[str, float] = field(default_factory=dict)

    def vouches(self, now: float, tellers: set[str]) -> bool:
        """Whether one of those who tell where it is has told that of it for a while."""
        return any(now >= self.truthful.get(one, now) + TRUTHFUL_FOR for one in tellers)

    def tellers(self) -> set[str]:
        return self.by_unicast | self.by_group.keys()

    def note(self, now: float, teller: str, *, by_group: bool) -> None:
        if by_group:
            self.by_group[teller] = now
        else:
            self.by_unicast.add(teller)


class Believing:
    """Who is known, who is to prove itself, and what was dropped (``counters``)."""

    def __init__(
        self, presence: Presence, correspondents: Correspondents, *, chance: random.Random
    ) -> None:
        self._presence = presence
        self._correspondents = correspondents
        self._chance = chance
        self._candidates = Candidates()
        self._known: dict[str, Known] = {}
        self._early: OrderedDict[tuple[str, str], tuple[float, str, Introduction]] = OrderedDict()
        self._sweep_at: float | None = None
        self.permitted = Permitted()
        self.counters: Counter[str] = Counter()

    # What is known

    def __len__(self) -> int:
        return len(self._known)

    def known(self, node: str) -> Known | None:
        return self._known.get(node)

    def is_waiting(self) -> int:
        """Return how many have not proved themselves."""
        return len(self._candidates)

    def admits(self, address: str) -> bool:
        """Whether an address may ask the face for peers."""
        if not self._known or self._candidates.has_beside(address):
            return self._candidates.has_beside(address)
        return self._presence.has_address(address) or (":" in address and self._has_beside(address))

    def _has_beside(self, address: str) -> bool:
        """Whether a far node is known on the link of an IPv6 address."""
        asks = asks_from(address)
        peers = (self._presence.peer(node) for node in self._known)
        return any(one is not None and one.far and asks_from(one.address) == asks for one in peers)

    def introduced(self, teller: str) -> int:
        """Return how many nodes are known of whom one told."""
        return sum(teller in one.tellers() for one in self._known.values())

    def tells_instead(self, now: float, node: str) -> str | None:
        """Return who of the neighbours tells the group of ``node``: the first by id, if any."""
        known, peer = self._known.get(node), self._presence.peer(node)
        if known is None or peer is None:
            return None
        lasts = max(TELLS_FOR, TELLS_FOR_BEATS * peer.beat)
        return min((one for one, at in known.by_group.items() if now < at + lasts), default=None)

    # What is heard

    def is_at(self, said: Announcement, address: str) -> bool:
        """Whether presence knows a node at this very place."""
        return any(one.node == said.node for one in self._presence.at(address, said.port))

    def hear_itself(self, now: float, address: str, said: Announcement) -> None:
        """Take what a node says of itself by unicast."""
        # Strangers may have made up their addresses; those that are named pay for themselves.
        witness = address if address in self._correspondents else ""
        self._hear(now, address, said, "", witness=witness, by_group=False)

    def hear_told(self, now: float, address: str, told: Introduction, *, by_group: bool) -> bool:
        """Take what somebody at ``address`` tells of another node; return whether it may."""
        own = self._presence.node
        if told.teller == own:
            self.counters["own"] += 1
        elif not self._is_introducer(address, told.teller, by_group=by_group):
            self._tell_early(now, address, told, by_group=by_group)
        elif not self.permitted.allows(told.address):
            self.counters["told_elsewhere"] += 1
        elif told.said.node == own:
            # Two machines of one image may be in two networks.
            self._presence.hear_far(now, told.address, told.said, vouched=False)
        else:
            who = told.teller
            self._hear(now, told.address, told.said, who, witness=address, by_group=by_group)
            return True
        return False

    def _tell_early(self, now: float, address: str, told: Introduction, *, by_group: bool) -> None:
        """Keep for a moment what a neighbour tells of whom it may not be known yet that it is one.

        Who has just come hears of far nodes as soon as of the neighbour that tells of them.
        """
        peer = self._presence.peer(told.teller)
        if not by_group or (peer is not None and peer.proved):
            self.counters["told_by_nobody"] += 1
            return
        self._early[told.teller, told.said.node] = now, address, told
        if len(self._early) > MOST_EARLY:
            self._early.popitem(last=False)
            self.counters["told_by_nobody"] += 1

    def take_early(self, now: float, teller: str) -> list[tuple[str, Introduction]]:
        """Return, and forget, what one has told before it was proved."""
        keys = [key for key in self._early if key[0] == teller]
        early = [self._early.pop(key) for key in keys]
        return [(address, told) for when, address, told in early if now < when + EARLY_FOR]

    def _is_introducer(self, address: str, teller: str, *, by_group: bool) -> bool:
        """Whether it is a proved neighbour, or a proved correspondent, that tells."""
        peer = self._presence.peer(teller)
        if peer is None or not peer.proved:
            return False
        if by_group:
            return any(one.node == teller for one in self._presence.at(address, peer.port))
        return any(one.node == teller for one in self._correspondents.at(address))

    def _hear(
        self,
        now: float,
        address: str,
        said: Announcement,
        teller: str,
        *,
        witness: str,
        by_group: bool,
    ) -> None:
        peer = self._presence.peer(said.node)
        if teller and peer is not None and said.epoch == peer.epoch:
            # It may have proved itself at another one than that by which it is told of.
            # One on a link of this machine is nobody's to tell of: who is there is heard there.
            ones = [one for one in (address, *said.addresses) if not self.permitted.is_near(one)]
            address = next((one for one in ones if self.is_at(said, one)), address)
        if teller and peer is not None and not self._is_elsewhere(now, peer, said):
            self.counters["told_near"] += 1
        elif peer is not None and said.epoch == peer.epoch and self.is_at(said, address):
            known = self._known.setdefault(said.node, Known())
            if said.kind is Kind.BYE and teller not in known.tellers() | {""}:
                # Who has never told of it may not say that it is gone.
                self.counters["unknown"] += 1
                return
            known.note(now, teller, by_group=by_group)
            if peer.address == address:
                known.truthful.setdefault(teller, now)
            vouched = known.vouches(now, {teller} - {""})
            # At this very address: what somebody told of another one hushes nothing up.
            if self._presence.was_said(now, address, said, AGAIN_WITHIN):
                self.counters["again"] += 1
            else:
                self._presence.hear_far(now, address, said, vouched=vouched)
        elif said.kind is Kind.BYE:
            self.counters["unknown"] += 1
        else:
            place = address, said.port
            self._look_at(now, place, said, teller, witness=witness, by_group=by_group)

    def _is_elsewhere(self, now: float, peer: Peer, said: Announcement) -> bool:
        """Whether a peer is, or may be, in another network: it was heard there, and here no more.

        One that is here is heard here first, or a moment later.
        """
        newest = -1 if peer.said is None else peer.said.sequence
        is_news = said.epoch != peer.epoch or said.sequence > newest
        if peer.far or self._presence.is_claimed(peer.node):
            return True
        return is_news and self._presence.silence(now, peer) > HEARD_HERE_WITHIN

    def _look_at(
        self,
        now: float,
        place: Place,
        said: Announcement,
        teller: str,
        *,
        witness: str,
        by_group: bool,
    ) -> None:
        """Have a place asked whether that node is there."""
        is_new = said.node not in self._known and not self._candidates.has_place(place)
        if is_new and not self._may_tell(teller, witness):
            self.counters["told_too_many"] += 1
            return
        peer = self._presence.peer(said.node)
        knows = peer is not None and peer.epoch == said.epoch
        pause = 0.0 if knows else self._pause(teller, by_group=by_group)
        kept = self._candidates.keep(
            now, place, said, teller, by_group=by_group, witness=witness, pause=pause
        )
        self.counters["full"] += not kept
        self._candidates.look_also(now, self.permitted.allows, place)

    def hear_hint(self, now: float, hint: Hint) -> None:
        """Have one asked that is announced by mDNS, where nothing else has told of it."""
        known = self._presence.peer(hint.node) is not None or hint.node == self._presence.node
        if known or self._candidates.has_place(hint.place):
            return
        full = self._candidates.told_by(MDNS) >= MOST_HINTED
        if full or not self.permitted.allows_hint(hint.place[0]):
            self.counters["hinted_elsewhere"] += 1
            return
        pause = self._chance.uniform(PAUSE, LONGEST_PAUSE)
        self._candidates.keep(
            now, hint.place, hint.said(), MDNS, by_group=False, witness=MDNS, pause=pause
        )

    def _may_tell(self, teller: str, witness: str) -> bool:
        """Whether a machine may tell of one more, by whatever ids it tells of them."""
        told = self._candidates.told_by(witness)
        if not teller:
            return told < MOST_OF_A_TELLER
        if len(self._known) + len(self._candidates) >= MOST_TOLD:
            return False
        return self.introduced(teller) + told < MOST_OF_A_TELLER

    def _pause(self, teller: str, *, by_group: bool) -> float:
        if not teller:
            return 0.0
        if by_group:
            return self._chance.uniform(PAUSE, LONGEST_PAUSE)
        return self._chance.uniform(SHORT_PAUSE, LONGEST_SHORT_PAUSE)

    # Proofs

    def questions(self, now: float) -> list[tuple[Place, int]]:
        """Return which places are to be asked now, and the generation that was told of each."""
        if self._sweep_at is not None and self._sweep_at <= now:
            self._candidates.forget_old(now)
            self._sweep_at = None
        if self._sweep_at is None and len(self._candidates):
            self._sweep_at = now + SWEEP
        return [(one.place, one.generation) for one in self._candidates.begin(now)]

    def deadline(self, now: float) -> float | None:
        """Return when ``questions`` may have some."""
        times = self._candidates.deadline(now), self._sweep_at
        return min((time for time in times if time is not None), default=None)

    def answered(self, now: float, place: Place, epoch: str | None) -> Proof | None:
        """Take in which epoch a place says that it is; return what this proves.

        Presence knows that one then, unless it was only hinted at: it has said nothing yet.
        """
        one = self._candidates.ended(now, place, epoch)
        if one is None or epoch is None:
            self.counters["unproved"] += 1
            self._candidates.look_also(now, self.permitted.allows, place)
            return None
        if not one.said.sequence:
            return one
        known = self._known.setdefault(one.said.node, Known())
        known.by_unicast |= one.by_unicast - {MDNS}
        known.by_group.update(dict.fromkeys(one.by_group, now))
        vouched = self._is_vouched(now, place[0], one)
        self._presence.hear_far(now, place[0], one.said, vouched=vouched)
        self._presence.answered(now, *place, epoch)
        if self._presence.peer(one.said.node) is None:
            self._known.pop(one.said.node, None)
            return None
        self._candidates.settle(one.said)
        return one

    def _is_vouched(self, now: float, address: str, proof: Proof) -> bool:
        """Whether one tells where a node is who has told the truth of it; it is to do that anew."""
        known, tellers = self._known[proof.said.node], set(proof.by_group | proof.by_unicast)
        if self._presence.peer(proof.said.node) is None:
            known.truthful.update(dict.fromkeys(tellers, float("-inf")))
            return True
        if address not in self._correspondents:
            tellers.discard("")
        vouched = known.vouches(now, tellers) or ("" in tellers)
        for one in tellers:
            known.truthful.pop(one, None)
        return vouched

    # Leaving

    def left(self, node: str) -> None:
        """Learn that a node is not there any more: what it told of others is told by nobody."""
        self._known.pop(node, None)
        for known in self._known.values():
            known.by_unicast.discard(node)
            known.by_group.pop(node, None)
            known.truthful.pop(node, None)
        self._candidates.forget_teller(node)

    def networks_changed(self) -> None:
        """Ask none whom the links reach now: the group is heard there."""
        for one in list(self._candidates):
            if not one.asked and one.is_told and self.permitted.is_near(one.place[0]):
                self._candidates.drop(one.place)
