"""What is fetched for peers, and what it costs: who may have more begun, and whose is ended.

A stranger who asks and leaves, or asks and reads next to nothing, has the WAN carry bytes for
nobody. Those are a debt, of the asker's address and of all askers together, which time pays off at
a small part of the link's rate; who is in debt has nothing begun. What somebody took is no debt,
but is counted too, by the day. No clock: ``now`` is in seconds, ``rate`` the WAN's bytes a second.

An asker whose debt is large loses nothing but time: its node asks the next owner, or a mirror.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.machine.shares import network_of

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes per second where the WAN was not measured yet.
USUAL_RATE = 1_000_000.0
#: For nobody, at once, in seconds of the whole link: of one asker, and of all. Together with the
#: parts below, and with what is seen a moment too late, this is less than 5 % of a minute.
AT_ONCE, AT_ONCE_OF_ALL = 0.3, 0.4
#: But a fast LAN's askers may always let so many bytes go to waste.
LEAST_AT_ONCE = 256 << 10
#: Parts of the link that may carry bytes for nobody in the long run: of one asker, and of all.
PART, PART_OF_ALL = 0.0075, 0.01
#: Seconds of the link that leaving costs beside what had arrived: what was on its way.
LEAVING = 0.05
#: Bytes that an asker's machine takes by itself, whether anybody reads them or not.
BUFFERED = 96 << 10
#: What a link carries for each of several files, at least: more of them at once would only begin
#: later. However few there is room for.
LEAST_RATE = 96 << 10
LEAST_RELAYS = 4
#: What nobody waits for has this part of the places at most for one asker.
PLACES = 4
#: Seconds over which it is seen how fast one is taken that comes no faster: one that is slower than
#: a link's least rate makes room where all places are taken.
WINDOW = 10.0
#: Who takes less than one of so many bytes that arrive meanwhile only sips.
SIP = 8
#: All askers together have as much as so many of them in a day.
ASKERS_A_DAY = 4
DAY = 86_400.0
#: Askers whose debts are remembered; the smallest debt goes first.
MOST_ASKERS = 512


@dataclass(slots=True, eq=False)
class Relay:
    """One file that is fetched for peers: begun for ``asker``, ``arrived`` and ``taken`` bytes.

    ``paced`` while it comes no faster than it is taken, as nobody waits for it; ``shared`` once
    this machine's own pacman follows it too; ``sips`` while its readers take next to nothing
    of what comes, ``sipped`` if it was so at the last judgement, of what ``judged`` says.
    ``pace`` is at how many bytes a second a paced one was taken lately, None where nobody knows or
    it did not lie there for its readers all the time since ``measured``: when, and what was taken.
    ``fetching`` until it is over, whole or not, and ``left`` if that was because its last reader
    went, or sipped.
    """

    asker: str
    account: str
    arrived: int = 0
    taken: int = 0
    shared: bool = False
    paced: bool = False
    sips: bool = False
    sipped: bool = False
    judged: tuple[int, int] = (0, 0)
    pace: float | None = None
    measured: tuple[float, int] | None = None
    fetching: bool = True
    left: bool = False

    @property
    def lead(self) -> int:
        """Bytes that arrived and nobody took."""
        return max(0, self.arrived - self.taken)

    @property
    def unread(self) -> int:
        """Bytes that arrived and of which nobody can tell that they were read."""
        return self.arrived - max(0, self.taken - BUFFERED)


class Debts:
    """A level for each key, which sinks with time; only the ``most`` largest are remembered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._levels: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._levels)

    def level(self, key: str, now: float, rate: float) -> float:
        """Return what is left of the debt of ``key``, paid off at ``rate`` since the last look."""
        level, at = self._levels.get(key, (0.0, now))
        left = level - max(0.0, now - at) * rate
        if left <= 0:
            self._levels.pop(key, None)
            return 0.0
        self._levels[key] = left, now
        return left

    def add(self, key: str, amount: float, now: float, rate: float) -> None:
        if amount <= 0:
            return
        level = self.level(key, now, rate)
        if key not in self._levels and len(self._levels) >= self._most:
            del self._levels[min(self._levels, key=lambda one: self._levels[one][0])]
        self._levels[key] = level + amount, now


class Relays:
    """The files that are being fetched for peers, and what was wasted and taken before.

    ``a_day`` is what may be fetched for one asker in a day, in bytes; 0 for no bound.
    """

    def __init__(self, a_day: int = 0) -> None:
        self.a_day = a_day
        self._running: dict[Relay, Relay] = {}
        self._wasted = Debts(MOST_ASKERS)
        self._wasted_by_all = Debts(1)
        self._fetched = Debts(MOST_ASKERS)
        self._fetched_for_all = Debts(1)
        #: Bytes since the start: fetched for peers, and taken by nobody.
        self.fetched_bytes = 0
        self.wasted_bytes = 0
        #: What was not begun, or ended, by reason.
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._running)

    def admits(
        self, now: float, asker: str, most: int, rate: float, *, unhurried: bool = False
    ) -> bool:
        """Whether something may be begun for ``asker``, an address, where ``most`` may run.

        A slow link has fewer at once: each of them may turn out to be for nobody.
        """
        most = _places(most, rate)
        reason = self._objection(
            now, asker, most, rate or USUAL_RATE, self._askers(unhurried), unhurried=unhurried
        )
        if reason:
            self.counters[reason] += 1
        return not reason

    def in_the_way(self, now: float, asker: str, most: int, rate: float) -> Relay | None:
        """Return the slowest of what nobody waits for, if ``asker`` may begin such in its place.

        That is where all places are taken, and its readers leave what lies there for them.
        """
        most, askers = _places(most, rate), self._askers(unhurried=True)
        slow = [
            (one.pace, at, one)
            for at, one in enumerate(self._running)
            if one.fetching and one.paced and not one.shared
            if one.pace is not None and one.pace < LEAST_RATE
        ]
        if len(askers) < most or not slow:
            return None
        _, _, slowest = min(slow)
        askers.remove(slowest.account)
        reason = self._objection(now, asker, most, rate or USUAL_RATE, askers, unhurried=True)
        return None if reason else slowest

    def give_up(self, relay: Relay) -> None:
        """Count one as ended for another's sake."""
        relay.fetching, relay.left = False, True
        self.counters["relays too slow"] += 1

    def _askers(self, unhurried: bool) -> list[str]:
        """Return whose files take the places of such a one, by their accounts."""
        # What nobody waits for is not in the way of what somebody does.
        return [
            one.account for one in self._running if one.fetching and (unhurried or not one.paced)
        ]

    def _objection(
        self, now: float, asker: str, most: int, rate: float, askers: list[str], *, unhurried: bool
    ) -> str:
        account = _account(asker)
        # One asker leaves half of it to the others, and most of what nobody waits for.
        part = PLACES if unhurried else 2
        if len(askers) >= most or askers.count(account) >= (most + part - 1) // part:
            return "too many relays"
        if self._excess(now, account, rate) > 0 or self._excess_of_all(now, rate) > 0:
            return "relays for nobody"
        if self.a_day and self._is_spent(now, account):
            return "relays of a day"
        return ""

    def begin(self, asker: str) -> Relay:
        """Count a file as being fetched for ``asker``."""
        relay = Relay(asker, _account(asker))
        self._running[relay] = relay
        return relay

    def look(
        self, now: float, relay: Relay, arrived: int, taken: int, *, shared: bool = False
    ) -> None:
        """Take note of how a file stands; ``taken`` is what its furthest reader has of it."""
        came = arrived - relay.arrived
        if came < 0:
            # Begun anew, after wrong bytes.
            came = arrived
        relay.arrived, relay.taken = arrived, taken
        relay.shared = relay.shared or shared
        self.fetched_bytes += came
        self._fetched.add(relay.account, came, now, self._a_second)
        self._fetched_for_all.add("", came, now, self._a_second * ASKERS_A_DAY)

    def judge(self, relay: Relay) -> None:
        """Find out how a file is taken, by what came and went since the last judgement."""
        came, went = relay.arrived - relay.judged[0], relay.taken - relay.judged[1]
        relay.judged = relay.arrived, relay.taken
        sips = not relay.paced and relay.lead > 0 and went * SIP <= max(0, came)
        # Once is a pause, as any reader makes.
        relay.sips = relay.sipped and sips
        relay.sipped = sips

    def measure(self, now: float, relay: Relay, *, stands: bool) -> None:
        """Find out how fast a paced file is taken; not while it ``stands`` still for others."""
        if not relay.paced or stands or relay.lead <= 0:
            relay.pace = relay.measured = None
            return
        since, taken = relay.measured = relay.measured or (now, relay.taken)
        if now - since >= WINDOW:
            relay.pace = (relay.taken - taken) / (now - since)
            relay.measured = now, relay.taken

    def arrived(self, relay: Relay, *, left: bool) -> None:
        """Count a file as fetched, or given up; ``left`` if nobody read it any more."""
        relay.fetching = False
        relay.left = relay.left or left

    def excessive(self, now: float, rate: float) -> list[Relay]:
        """Return what to end now: the largest of those whose readers only sip, as far as needed."""
        rate = rate or USUAL_RATE
        sipped = sorted(
            (one for one in self._running if one.sips and one.fetching and not one.shared),
            key=lambda relay: -relay.unread,
        )
        ended: list[Relay] = []
        for account in dict.fromkeys(relay.account for relay in sipped):
            own = [relay for relay in sipped if relay.account == account]
            ended += _largest(own, self._excess(now, account, rate))
        spared = sum(relay.unread for relay in ended)
        left = [relay for relay in sipped if relay not in ended]
        ended += _largest(left, self._excess_of_all(now, rate) - spared)
        for relay in ended:
            relay.left = True
            self.counters["relays sipped"] += 1
        return ended

    def end(self, now: float, relay: Relay, rate: float) -> None:
        """Count a file as over and its last reader as gone."""
        if self._running.pop(relay, None) is None:
            return
        rate = rate or USUAL_RATE
        wasted = 0 if relay.shared else relay.unread if relay.sips else relay.lead
        self.wasted_bytes += wasted
        cost = wasted + (LEAVING * rate if relay.left else 0)
        self._wasted.add(relay.account, cost, now, rate * PART)
        self._wasted_by_all.add("", cost, now, rate * PART_OF_ALL)

    @property
    def _a_second(self) -> float:
        return self.a_day / DAY

    def _excess(self, now: float, account: str, rate: float) -> float:
        """Return an account's bytes for nobody beyond what it may have; below 0: it has room."""
        unread = sum(one.unread for one in self._running if one.account == account and one.sips)
        allowed = max(LEAST_AT_ONCE, rate * AT_ONCE)
        return self._wasted.level(account, now, rate * PART) + unread - allowed

    def _excess_of_all(self, now: float, rate: float) -> float:
        unread = sum(one.unread for one in self._running if one.sips)
        allowed = max(LEAST_AT_ONCE, rate * AT_ONCE_OF_ALL)
        return self._wasted_by_all.level("", now, rate * PART_OF_ALL) + unread - allowed

    def _is_spent(self, now: float, account: str) -> bool:
        rate = self._a_second
        return (
            self._fetched.level(account, now, rate) >= self.a_day
            or self._fetched_for_all.level("", now, rate * ASKERS_A_DAY)
            >= self.a_day * ASKERS_A_DAY
        )


def _places(most: int, rate: float) -> int:
    """Return how many of ``most`` may run at once over a link of so many bytes a second."""
    return min(most, max(LEAST_RELAYS, int(rate / LEAST_RATE))) if rate else most


def _account(asker: str) -> str:
    """Return what debts are counted by: an IPv4 address, or the network of an IPv6 one."""
    return network_of(asker) or asker


def _largest(relays: Iterable[Relay], excess: float) -> list[Relay]:
    """Return the first of ``relays`` that together make up for ``excess`` bytes."""
    chosen = []
    for relay in relays:
        if excess <= 0:
            break
        chosen.append(relay)
        excess -= relay.unread
    return chosen
