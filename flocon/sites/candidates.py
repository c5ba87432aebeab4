"""Far nodes that were told of and are not proved: who is asked, when, how often. No I/O.

Somebody may have named a third machine. So an address is asked once, by one connection, what node
is there, and again only after ever longer pauses; tries that may fail are counted for each machine
that tells, and for all. Until it has answered in the epoch that was told, nobody else learns of it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from flocon.sites.addresses import asks_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flocon.datagrams.messages import Announcement

#: Nodes that one introducer tells of at a time, and all of them: neighbours have the other places
#: of the table of peers.
MOST_OF_A_TELLER, MOST_TOLD = 256, 768
#: Addresses asked at the same time, and those of one who tells.
MOST_ASKED, MOST_ASKED_OF_ONE = 16, 12
#: Machines whose words of one place are kept.
MOST_WITNESSES = 16
#: Tries that may fail, per second and at once: those of one who tells, and those of all.
TELLER_RATE, TELLER_BURST, MOST_TELLERS = 0.25, 32.0, 256
ALL_RATE, ALL_BURST = 1.0, 128.0
#: Seconds to the next try, and for how much longer after each further one.
FIRST_WAIT, WAIT_GROWS, LONGEST_WAIT = 2.0, 4.0, 3_600.0
#: The longest one while it writes itself: its operator may have opened the firewall meanwhile.
LONGEST_OWN_WAIT = 60.0
#: Seconds after which one is forgotten that nobody tells of any more.
FORGOTTEN_AFTER = 600.0

Place = tuple[str, int]


class Allowance:
    """Tries that may fail: so many per second, and at once; one that succeeds costs nothing."""

    __slots__ = ("_at", "_burst", "_level", "_rate", "spent_at")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = burst, float("-inf")
        #: When the last one was spent that has not succeeded.
        self.spent_at = float("-inf")

    def level(self, now: float) -> float:
        """Return how many there are."""
        self._fill(now)
        return self._level

    def open_at(self, now: float) -> float:
        """Return when there is one; ``now`` where there is."""
        self._fill(now)
        return now if self._level >= 1 else now + (1 - self._level) / self._rate

    def spend(self, now: float) -> None:
        self._fill(now)
        self._level -= 1
        self.spent_at = now

    def give_back(self) -> None:
        self._level = min(self._burst, self._level + 1)
        # Nor has whose try succeeded had a turn: those whose tries fail would use what it leaves.
        self.spent_at = float("-inf")

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self._at) if self._at != float("-inf") else 0.0
        self._level = min(self._burst, self._level + passed * self._rate)
        self._at = max(self._at, now)


@dataclass(slots=True)
class Word:
    """What one machine told of a place last, and which ids it told that by: "" is the node itself.

    By multicast, or by unicast.
    """

    said: Announcement
    by_group: set[str] = field(default_factory=set)
    by_unicast: set[str] = field(default_factory=set)

    def is_of(self, said: Announcement) -> bool:
        """Whether it tells of the same start of the same node."""
        return self.said.node == said.node and self.said.epoch == said.epoch


@dataclass(frozen=True, slots=True)
class Proof:
    """That what was told of a place is so: the newest that was, and who told it."""

    place: Place
    said: Announcement
    by_group: frozenset[str]
    by_unicast: frozenset[str]


@dataclass(slots=True)
class Candidate:
    """What was told of a place, and when it is asked next.

    ``words`` are by the address of the machine that told them, "" for a stranger of itself: what
    one says of a place undoes nothing of what another one says. ``payer`` is whose try the last one
    was.
    """

    place: Place
    heard_at: float
    due: float
    words: dict[str, Word] = field(default_factory=dict)
    failed: int = 0
    asked: bool = False
    payer: str = ""

    @property
    def generation(self) -> int:
        """What was told of its inventory."""
        return next((one.said.generation for one in self.words.values()), 0)

    @property
    def is_told(self) -> bool:
        """Whether others tell of it, who heard it, and it does not itself."""
        told = any(one.said.sequence for one in self.words.values())
        return told and not self.writes_itself

    @property
    def writes_itself(self) -> bool:
        """Whether it has written by unicast, as only those may that the operator named."""
        return any("" in one.by_unicast for one in self.words.values())

    def proof(self, epoch: str) -> Proof | None:
        """Return what is so if it is in this epoch: what it says itself, or most others do."""
        fitting = [one for one in self.words.values() if one.said.epoch == epoch]
        if not fitting:
            return None
        nodes = Counter(one.said.node for one in fitting)
        nodes.update({one.said.node: MOST_WITNESSES for one in fitting if "" in one.by_unicast})
        node, _ = nodes.most_common(1)[0]
        ones = [one for one in fitting if one.said.node == node]
        return Proof(
            self.place,
            max((one.said for one in ones), key=lambda said: said.sequence),
            frozenset().union(*(one.by_group for one in ones)),
            frozenset().union(*(one.by_unicast for one in ones)),
        )


class Candidates:
    """The places of which somebody told, at most 768."""

    def __init__(self) -> None:
        self._at: OrderedDict[Place, Candidate] = OrderedDict()
        self._askers: dict[str | bytes, int] = {}
        self._tellers: OrderedDict[str, Allowance] = OrderedDict()
        self._all = Allowance(ALL_RATE, ALL_BURST)

    def __len__(self) -> int:
        return len(self._at)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._at.values())

    def has_beside(self, address: str) -> bool:
        """Whether somebody told of an address or, by IPv6, of one on its link."""
        return asks_from(address) in self._askers

    def has_place(self, place: Place) -> bool:
        """Whether somebody told of an address and port."""
        return place in self._at

    def told_by(self, witness: str) -> int:
        """Return of how many places one machine told that have not proved themselves."""
        return sum(witness in one.words for one in self._at.values())

    def keep(
        self,
        now: float,
        place: Place,
        said: Announcement,
        teller: str,
        *,
        by_group: bool,
        witness: str,
        pause: float,
    ) -> bool:
        """Keep what a node ``teller`` at the address ``witness`` tells of a place.

        Return whether there was room for it.
        """
        one = self._at.get(place)
        if one is None:
            if len(self._at) >= MOST_TOLD and not self._make_room(witness):
                return False
            one = self._add(Candidate(place, now, now + pause))
        elif not teller and not any(word.is_of(said) for word in one.words.values()):
            # Another node, or a new start of it: whatever failed before tells nothing of this one
            # when it says so itself. Whom others say so of waits all the same.
            one.failed, one.due = 0, now + pause
        word = one.words.get(witness)
        if word is None and len(one.words) >= MOST_WITNESSES:
            if by_group:
                return False
            del one.words[next(iter(one.words))]
        if word is None and witness:
            self._supersede(said, witness)
        if word is None or not word.is_of(said):
            word = one.words[witness] = Word(said)
        elif said.sequence > word.said.sequence:
            word.said = said
        one.heard_at = now
        (word.by_group if by_group else word.by_unicast).add(teller)
        return True

    def _supersede(self, said: Announcement, witness: str) -> None:
        """Forget where somebody told that a node is who tells now that it is at another place.

        Where nobody was is remembered for its pause all the same: it would begin anew.
        """
        for one in list(self._at.values()):
            word = one.words.get(witness)
            if word is None or not word.is_of(said) or word.said.sequence >= said.sequence:
                continue
            if one.place[0] not in said.addresses and not one.asked:
                del one.words[witness]
                if not one.words and not one.failed:
                    self.drop(one.place)

    def _make_room(self, witness: str) -> bool:
        """Let a place go of which nobody tells any more, or who tells of most tells alone.

        That is for one who tells of fewer, the one that has failed most; return whether there was.
        """
        alone: dict[str, list[Candidate]] = {witness: []}
        for one in self._at.values():
            if not one.words and not one.asked:
                self.drop(one.place)
                return True
            if len(one.words) == 1 and not one.asked:
                alone.setdefault(next(iter(one.words)), []).append(one)
        most = max(alone.values(), key=len)
        if len(most) <= len(alone[witness]) + 1:
            return False
        self.drop(max(most, key=lambda one: one.failed).place)
        return True

    def _add(self, one: Candidate) -> Candidate:
        self._at[one.place] = one
        asks = asks_from(one.place[0])
        self._askers[asks] = self._askers.get(asks, 0) + 1
        return one

    def look_also(self, now: float, allows: Callable[[str], bool], place: Place) -> None:
        """Have the other addresses asked, too, that were told of a place where nobody answered.

        Those that may be, and as if each had been told alone.
        """
        one = self._at.get(place)
        for witness, word in one.words.items() if one is not None and one.failed else ():
            for address in word.said.addresses:
                other = address, word.said.port
                full = self.told_by(witness) >= MOST_OF_A_TELLER or len(self._at) >= MOST_TOLD
                if other not in self._at and not full and allows(address):
                    groups, unicasts = set(word.by_group), set(word.by_unicast)
                    told = replace(word, by_group=groups, by_unicast=unicasts)
                    self._add(Candidate(other, now, now, {witness: told}))

    def settle(self, said: Announcement) -> None:
        """Ask nowhere else any more where a node did not answer that has proved itself."""
        for one in list(self._at.values()):
            if (
                one.failed
                and not one.asked
                and all(word.is_of(said) for word in one.words.values())
            ):
                self.drop(one.place)

    def begin(self, now: float) -> list[Candidate]:
        """Return who is to be asked now; each is to be answered with ``ended``.

        Those who pay take turns: nobody keeps others' waiting by telling of many.
        """
        if self._all.open_at(now) > now:
            return []
        waiting: dict[str, list[Candidate]] = {}
        for one in self._at.values():
            if not one.asked and one.due <= now and one.words:
                waiting.setdefault(self._payer(now, one), []).append(one)
        running = self._running()
        begun: list[Candidate] = []
        turns = sorted(waiting, key=lambda payer: self._allowance(payer).spent_at)
        for row in zip_longest(*(waiting[payer] for payer in turns)):
            for payer, one in zip(turns, row, strict=True):
                if one is None or not self._may_ask(now, payer, running):
                    continue
                one.asked, one.payer = True, payer
                running[payer] += 1
                self._all.spend(now)
                self._allowance(payer).spend(now)
                begun.append(one)
        return begun

    def _running(self) -> Counter[str]:
        """Return how many are asked now at whose cost."""
        return Counter(one.payer for one in self._at.values() if one.asked)

    def _may_ask(self, now: float, payer: str, running: Counter[str]) -> bool:
        if running[payer] >= MOST_ASKED_OF_ONE or running.total() >= MOST_ASKED:
            return False
        return max(self._all.open_at(now), self._allowance(payer).open_at(now)) <= now

    def _payer(self, now: float, one: Candidate) -> str:
        """Return who pays for a try: of those who told of a place, who can best afford it."""
        if len(one.words) == 1:
            return next(iter(one.words))
        return max(one.words, key=lambda witness: self._allowance(witness).level(now))

    def deadline(self, now: float) -> float | None:
        """Return when ``begin`` may find somebody; None where only an end can change that."""
        running = self._running()
        if running.total() >= MOST_ASKED:
            return None
        soonest: float | None = None
        # What each who tells may spend is found out once: a thousand may wait.
        open_at: dict[str, float] = {}
        for one in self._at.values():
            if one.asked or not one.words or (soonest is not None and one.due >= soonest):
                continue
            payer = self._payer(now, one)
            if running[payer] >= MOST_ASKED_OF_ONE:
                continue
            if payer not in open_at:
                spent = self._all.open_at(now), self._allowance(payer).open_at(now)
                open_at[payer] = max(spent)
            due = max(one.due, open_at[payer])
            soonest = due if soonest is None else min(soonest, due)
        return soonest

    def _allowance(self, witness: str) -> Allowance:
        allowance = self._tellers.get(witness)
        if allowance is None:
            if len(self._tellers) >= MOST_TELLERS:
                self._tellers.popitem(last=False)
            allowance = self._tellers[witness] = Allowance(TELLER_RATE, TELLER_BURST)
        return allowance

    def ended(self, now: float, place: Place, epoch: str | None) -> Proof | None:
        """Note in which epoch a place answered, None for not at all.

        Return what this proves; it is no candidate any more then.
        """
        one = self._at.get(place)
        if one is None or not one.asked:
            return None
        one.asked = False
        proof = None if epoch is None else one.proof(epoch)
        if proof is not None:
            self._all.give_back()
            self._allowance(one.payer).give_back()
            self.drop(place)
            return proof
        longest = LONGEST_OWN_WAIT if one.writes_itself else LONGEST_WAIT
        wait = min(FIRST_WAIT * WAIT_GROWS ** min(one.failed, 8), longest)
        one.failed, one.due = one.failed + 1, now + wait
        return None

    def drop(self, place: Place) -> None:
        """Forget what was told of a place."""
        if self._at.pop(place, None) is not None:
            asks = asks_from(place[0])
            left = self._askers[asks] - 1
            if left:
                self._askers[asks] = left
            else:
                del self._askers[asks]

    def forget_old(self, now: float) -> None:
        """Forget those of whom nobody tells any more, but for what is being asked."""
        for place, one in list(self._at.items()):
            # One that failed often is remembered until its pause is over: it would begin anew.
            until = max(one.heard_at + FORGOTTEN_AFTER, one.due if one.failed else 0.0)
            if not one.asked and now >= until:
                self.drop(place)

    def forget_teller(self, teller: str) -> None:
        """Forget those of whom one told alone that is not there any more, and nobody has failed."""
        for place, one in list(self._at.items()):
            for witness, word in list(one.words.items()):
                word.by_group.discard(teller)
                word.by_unicast.discard(teller)
                if not word.by_group and not word.by_unicast:
                    del one.words[witness]
            if not one.words and not one.asked and not one.failed:
                self.drop(place)
