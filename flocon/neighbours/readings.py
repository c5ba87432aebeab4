"""When a peer's inventory is read: what reading costs, counted over time and by address.

A datagram that says that somebody is somewhere has this node connect there. Its sender's address
is easily made up, and so are ids by the thousand; so the costs are those of the address, and of all
together, whatever the ids::

    readings.want(address, port, since)    somebody should be read
    readings.begin(now)                    who is to be read now; each is to be answered with
    readings.ended(now, ...)               how that went
    readings.deadline(now)                 when to call ``begin`` again

A place is an address and a port. One that has answered is *proved*: a node is there. Others are
tried seldom, since somebody may have named a third machine. How many are read at the same time, and
for how long, is ``turns``' affair for the proved, and here for the others.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto

#: Seconds to the next try at an address where no node has answered yet, and for how much longer
#: after each further one: after 15 s, 75 s, 5 min, 21 min, ... from the first on.
FIRST_WAIT, WAIT_GROWS, LONGEST_WAIT = 15.0, 4.0, 3_600.0
#: The same where one has: it may have been stopped, or moved, or be busy.
FIRST_PROVED_WAIT, LONGEST_PROVED_WAIT = 5.0, 60.0
#: Unproved places tried at the same time; and how many tries, of all, may fail per second and at
#: once, whatever the addresses.
MOST_TRIED = 16
FAILURES_RATE, FAILURES_BURST = 1.0, 128.0
#: Readings of one proved place, per second and at once: anybody can announce news in its name.
READINGS_RATE, READINGS_BURST = 0.5, 10.0
#: Bytes read from one address, and from all, per second and at once. A whole inventory of 16,000
#: files are 2 MB, and 1,000 nodes with 3,000 files each 400.
BYTES_RATE, BYTES_BURST = 128e3, 64e6
ALL_BYTES_RATE, ALL_BYTES_BURST = 4e6, 1e9
#: What an answer that was broken off, or is none, is taken to have cost.
BROKEN_COST = 4e6
#: Addresses and places remembered; the longest unused goes first.
MOST_REMEMBERED = 4_096
#: Places that wait; the one that waits the longest, of those not proved, goes first.
MOST_WAITING = 2_048


#: So many can be looked through each time that something happens.
CROWD = 64


class Outcome(Enum):
    """How a reading ended: well, with nobody to connect to, or otherwise badly."""

    READ = auto()
    GONE = auto()
    BROKEN = auto()


@dataclass(frozen=True, slots=True)
class Reading:
    """Ask ``address`` for what changed after ``since``, or (None) for everything."""

    address: str
    port: int
    since: int | None


class _Purse:
    """What may be spent: so much per second in the long run, so much at once, debts allowed."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = burst, float("-inf")

    def spend(self, now: float, amount: float) -> None:
        self._level = self._filled(now) - amount
        self._at = max(self._at, now)

    def open_at(self, now: float) -> float:
        """Return when there is something in it again; ``now`` where there is."""
        level = self._filled(now)
        return now if level > 0 else now + (1e-3 - level / self._rate)

    def _filled(self, now: float) -> float:
        return min(self._burst, self._level + max(0.0, now - self._at) * self._rate)


class _Tries:
    """The tries that failed in a row, and when the next one may be made."""

    __slots__ = ("failed", "next_at")

    def __init__(self) -> None:
        self.failed, self.next_at = 0, float("-inf")

    def fail(self, now: float, first: float, grows: float, longest: float) -> None:
        self.next_at = now + min(first * grows ** min(self.failed, 16), longest)
        self.failed += 1


class _Address:
    __slots__ = ("bytes", "tries")

    def __init__(self) -> None:
        self.tries = _Tries()
        self.bytes = _Purse(BYTES_RATE, BYTES_BURST)


class _Proved:
    __slots__ = ("readings", "tries")

    def __init__(self) -> None:
        self.tries = _Tries()
        self.readings = _Purse(READINGS_RATE, READINGS_BURST)


_Place = tuple[str, int]


class Readings:
    """Who waits to be read, who is being read, and what that has cost."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[_Place, int | None] = OrderedDict()
        self._running: set[_Place] = set()
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._proved: OrderedDict[_Place, _Proved] = OrderedDict()
        self._failures = _Purse(FAILURES_RATE, FAILURES_BURST)
        self._bytes = _Purse(ALL_BYTES_RATE, ALL_BYTES_BURST)
        #: Wants that were given up because too many waited.
        self.overflowed = 0

    @property
    def busy(self) -> bool:
        """Whether anybody waits or is being read."""
        return bool(self._waiting or self._running)

    @property
    def crowded(self) -> bool:
        """Whether so many wait that to look them through takes its time."""
        return len(self._waiting) > CROWD

    def want(self, address: str, port: int, since: int | None) -> None:
        """Have a place read as soon as it may; one that is being read is read again afterwards."""
        place = address, port
        self._waiting[place] = since
        self._waiting.move_to_end(place)
        if len(self._waiting) > MOST_WAITING:
            self.overflowed += 1
            del self._waiting[
                next((one for one in self._waiting if one not in self._proved), place)
            ]

    def drop(self, address: str, port: int) -> None:
        """Nobody wants that place read any more."""
        self._waiting.pop((address, port), None)

    def begin(self, now: float) -> list[Reading]:
        """Return what is to be read now: the proved first, and of the others the newest."""
        begun = []
        newest_first = list(reversed(self._waiting))
        for place in sorted(newest_first, key=lambda one: one not in self._proved):
            if self._open_at(now, place) <= now:
                begun.append(Reading(*place, self._waiting.pop(place)))
                self._running.add(place)
                if place in self._proved:
                    self._proved[place].readings.spend(now, 1)
        return begun

    def deadline(self, now: float) -> float | None:
        """Return when ``begin`` may find something; None where only an end can change that."""
        times = [self._open_at(now, place) for place in self._waiting]
        soonest = min(times, default=float("inf"))
        return None if soonest == float("inf") else soonest

    def _open_at(self, now: float, place: _Place) -> float:
        """Return when a place may be read; infinity where something has to end first."""
        if place in self._running:
            return float("inf")
        address = self._addresses.get(place[0])
        times = [self._bytes.open_at(now)]
        if address is not None:
            times.append(address.bytes.open_at(now))
        proved = self._proved.get(place)
        if proved is not None:
            times += [proved.tries.next_at, proved.readings.open_at(now)]
        else:
            tried = [one for one in self._running if one not in self._proved]
            if len(tried) >= MOST_TRIED or any(one[0] == place[0] for one in tried):
                return float("inf")
            times.append(self._failures.open_at(now))
            if address is not None:
                times.append(address.tries.next_at)
        return max(times)

    def ended(self, now: float, address: str, port: int, outcome: Outcome, size: int = 0) -> None:
        """Note how a reading of so many bytes went."""
        place = address, port
        self._running.discard(place)
        known = self._remembered(address)
        cost = BROKEN_COST if outcome is Outcome.BROKEN else size
        known.bytes.spend(now, cost)
        self._bytes.spend(now, cost)
        proved = self._proved.get(place)
        if outcome is Outcome.READ:
            if proved is None:
                known.tries = _Tries()
            self._prove(place)
        elif proved is not None:
            proved.tries.fail(now, FIRST_PROVED_WAIT, 2, LONGEST_PROVED_WAIT)
        else:
            self._failures.spend(now, 1)
            known.tries.fail(now, FIRST_WAIT, WAIT_GROWS, LONGEST_WAIT)

    def cancelled(self, now: float, address: str, port: int) -> None:
        """Note that a reading was ended from here; where nobody answered yet it was a try too."""
        place = address, port
        if place in self._running and place not in self._proved:
            self.ended(now, address, port, Outcome.GONE)
        self._running.discard(place)

    def prove(self, address: str, port: int) -> None:
        """Learn that a node was at a place before this one was started."""
        self._prove((address, port))

    def _prove(self, place: _Place) -> None:
        proved = self._proved.setdefault(place, _Proved())
        proved.tries = _Tries()
        self._proved.move_to_end(place)
        if len(self._proved) > MOST_REMEMBERED:
            self._proved.popitem(last=False)

    def _remembered(self, address: str) -> _Address:
        known = self._addresses.setdefault(address, _Address())
        self._addresses.move_to_end(address)
        if len(self._addresses) > MOST_REMEMBERED:
            self._addresses.popitem(last=False)
        return known
