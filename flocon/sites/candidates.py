"""Far nodes that were told of and are not proved: who is asked, when, how often. No I/O.

Somebody may have named a third machine. So an address is asked once, by one connection, what node
is there, and again only after ever longer pauses; tries that may fail are counted for each who
tells, and for all. Until it has answered in the epoch that was told, nobody else learns of it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.datagrams.messages import Announcement

#: Nodes that one introducer tells of at a time, and all of them: neighbours have the other places
#: of the table of peers.
MOST_OF_A_TELLER, MOST_TOLD = 256, 768
#: Addresses asked at the same time.
MOST_ASKED = 16
#: Tries that may fail, per second and at once: those of one who tells, and those of all.
TELLER_RATE, TELLER_BURST, MOST_TELLERS = 0.25, 32.0, 256
ALL_RATE, ALL_BURST = 1.0, 128.0
#: Seconds to the next try, and for how much longer after each further one.
FIRST_WAIT, WAIT_GROWS, LONGEST_WAIT = 2.0, 4.0, 3_600.0
#: Seconds after which one is forgotten that nobody tells of any more.
FORGOTTEN_AFTER = 600.0

Place = tuple[str, int]


class Allowance:
    """Tries that may fail: so many per second, and at once; one that succeeds costs nothing."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = burst, float("-inf")

    def open_at(self, now: float) -> float:
        """Return when there is one; ``now`` where there is."""
        self._fill(now)
        return now if self._level >= 1 else now + (1 - self._level) / self._rate

    def spend(self, now: float) -> None:
        self._fill(now)
        self._level -= 1

    def give_back(self) -> None:
        self._level = min(self._burst, self._level + 1)

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self._at) if self._at != float("-inf") else 0.0
        self._level = min(self._burst, self._level + passed * self._rate)
        self._at = max(self._at, now)


@dataclass(slots=True)
class Candidate:
    """What was told of a place last, by whom (by itself: ""), and when it is asked next."""

    place: Place
    said: Announcement
    heard_at: float
    due: float
    #: Who told of it by multicast, and who by unicast.
    by_group: set[str] = field(default_factory=set)
    by_unicast: set[str] = field(default_factory=set)
    failed: int = 0
    asked: bool = False

    @property
    def teller(self) -> str:
        """Who pays for the tries."""
        return min(self.by_group | self.by_unicast, default="")


class Candidates:
    """The places of which somebody told, at most 768."""

    def __init__(self) -> None:
        self._at: OrderedDict[Place, Candidate] = OrderedDict()
        self._addresses: dict[str, int] = {}
        self._tellers: OrderedDict[str, Allowance] = OrderedDict()
        self._all = Allowance(ALL_RATE, ALL_BURST)

    def __len__(self) -> int:
        return len(self._at)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._at.values())

    def has_address(self, address: str) -> bool:
        """Whether somebody told of an address."""
        return address in self._addresses

    def has_place(self, place: Place) -> bool:
        """Whether somebody told of an address and port."""
        return place in self._at

    def told_by(self, teller: str) -> int:
        """Return of how many places one told that have not proved themselves."""
        return sum(teller in one.by_group | one.by_unicast for one in self._at.values())

    def keep(
        self,
        now: float,
        place: Place,
        said: Announcement,
        teller: str,
        *,
        by_group: bool,
        pause: float,
    ) -> bool:
        """Keep what is told of a place; return whether there was room for it."""
        one = self._at.get(place)
        if one is None:
            if len(self._at) >= MOST_TOLD:
                return False
            one = self._at[place] = Candidate(place, said, now, now + pause)
            self._addresses[place[0]] = self._addresses.get(place[0], 0) + 1
        if one.said.node != said.node or one.said.epoch != said.epoch:
            # Another node, or a new start of it: whatever failed before tells nothing of this one
            # when it says so itself. Whom others say so of waits all the same.
            if not teller:
                one.failed, one.due = 0, now + pause
            one.said = said
        elif said.sequence > one.said.sequence:
            one.said = said
        one.heard_at = now
        (one.by_group if by_group else one.by_unicast).add(teller)
        return True

    def begin(self, now: float) -> list[Candidate]:
        """Return who is to be asked now; each is to be answered with ``ended``."""
        begun: list[Candidate] = []
        running = sum(one.asked for one in self._at.values())
        for one in self._at.values():
            if running + len(begun) >= MOST_ASKED:
                break
            if one.asked or one.due > now:
                continue
            if max(self._all.open_at(now), self._allowance(one.teller).open_at(now)) <= now:
                one.asked = True
                self._all.spend(now)
                self._allowance(one.teller).spend(now)
                begun.append(one)
        return begun

    def deadline(self, now: float) -> float | None:
        """Return when ``begin`` may find somebody; None where only an end can change that."""
        if sum(one.asked for one in self._at.values()) >= MOST_ASKED:
            return None
        soonest: float | None = None
        # What each who tells may spend is found out once: a thousand may wait.
        open_at: dict[str, float] = {}
        for one in self._at.values():
            if one.asked or (soonest is not None and one.due >= soonest):
                continue
            teller = one.teller
            if teller not in open_at:
                spent = self._all.open_at(now), self._allowance(teller).open_at(now)
                open_at[teller] = max(spent)
            due = max(one.due, open_at[teller])
            soonest = due if soonest is None else min(soonest, due)
        return soonest

    def _allowance(self, teller: str) -> Allowance:
        allowance = self._tellers.get(teller)
        if allowance is None:
            if len(self._tellers) >= MOST_TELLERS:
                self._tellers.popitem(last=False)
            allowance = self._tellers[teller] = Allowance(TELLER_RATE, TELLER_BURST)
        return allowance

    def ended(self, now: float, place: Place, epoch: str | None) -> Candidate | None:
        """Note in which epoch a place answered, None for not at all.

        Return the candidate that this proves; it is none any more.
        """
        one = self._at.get(place)
        if one is None or not one.asked:
            return None
        one.asked = False
        if epoch is not None and epoch == one.said.epoch:
            self._all.give_back()
            self._allowance(one.teller).give_back()
            self.drop(place)
            return one
        wait = min(FIRST_WAIT * WAIT_GROWS ** min(one.failed, 8), LONGEST_WAIT)
        one.failed, one.due = one.failed + 1, now + wait
        return None

    def drop(self, place: Place) -> None:
        """Forget what was told of a place."""
        if self._at.pop(place, None) is not None:
            left = self._addresses[place[0]] - 1
            if left:
                self._addresses[place[0]] = left
            else:
                del self._addresses[place[0]]

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
            one.by_group.discard(teller)
            one.by_unicast.discard(teller)
            if not one.by_group and not one.by_unicast and not one.asked and not one.failed:
                self.drop(place)
