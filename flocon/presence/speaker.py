"""What this node says to the group: its datagrams, their numbers, and the length of its beat.

When it speaks is ``timetable``'s, what it says of itself ``own_announcement``'s.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.datagrams.buckets import Bucket
from flocon.datagrams.messages import LONGEST_BEAT, SHORTEST_BEAT, Kind, encode
from flocon.presence.peer import OVERTAKEN
from flocon.presence.timetable import JITTER, Due, Timetable, spread_for

if TYPE_CHECKING:
    import random
    from collections.abc import Sized

    from flocon.presence.own_announcement import OwnAnnouncement

#: Bits per second of all beats of a LAN together; the rest of 10 kbit/s is for newcomers.
BEATS_BUDGET = 9_000
#: Ethernet, IPv4 and UDP, then Ethernet, IPv6 and UDP: a beat goes out on both.
HEADERS = (14 + 20 + 8) + (14 + 40 + 8)
#: A longer beat is announced in tenths of a second, which keeps it short.
ROUNDED_ABOVE = 2.0
#: The newest of what this node sent; it comes back on each of its links, and is known unread.
SENT_REMEMBERED = 8
#: Numbers of datagrams, per second and at once, that this node skips where somebody else has used
#: them up: fewer than ``peer.LEAP_RATE`` and ``LEAP``, or nobody would believe the next one.
SKIPPED_RATE, SKIPPED_BURST = 10.0, 32.0
#: The length of a beat before one was sent.
_USUAL_LENGTH = 256


class Speaker:
    """Says what ``own`` is; ``beat`` is the seconds between two beats on a small LAN.

    ``peers`` are those who share the budget of the LAN.
    """

    def __init__(
        self, own: OwnAnnouncement, peers: Sized, *, beat: float, chance: random.Random
    ) -> None:
        self.own = own
        self._peers = peers
        self._beat = beat
        self._chance = chance
        self.times = Timetable(chance)
        #: Whether anybody can hear it.
        self.heard = False
        self.sequence = 0
        self._length = _USUAL_LENGTH
        self._datagrams: list[bytes] = []
        self._sent: deque[bytes] = deque(maxlen=SENT_REMEMBERED)
        self._skipped = Bucket(SKIPPED_RATE, SKIPPED_BURST)

    def take_datagrams(self) -> list[bytes]:
        """Return what is to be sent to the group on every link, and forget it."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    @property
    def last_said(self) -> bytes | None:
        """The newest datagram, None before the first."""
        return self._sent[-1] if self._sent else None

    def has_sent(self, data: bytes) -> bool:
        """Whether this is one of the newest datagrams of its own."""
        return data in self._sent

    def hello(self, now: float) -> None:
        """Say hello twice; now, or a moment later where one was said just before."""
        if self.times.hello(now):
            self._say_hello(now)

    def bye(self, now: float) -> None:
        """Say bye, and nothing more."""
        self._say(now, Kind.BYE)
        self.times.clear()

    def answer(self, now: float) -> None:
        """Answer a hello soon."""
        self.times.answer(now, self.spread())

    def contradict(self, now: float, sequence: int) -> None:
        """Somebody made up a datagram of this node: say soon what is true, in a later one."""
        ahead = sequence - self.sequence
        if ahead > 0 and self._skipped.take(now, ahead):
            self.sequence = sequence
            ahead = 0
        # A number that is lower than what they have heard, they believe a moment later.
        self.times.contradict(now + OVERTAKEN * 1.05 if ahead > 0 else now)

    def tick(self, now: float) -> None:
        """Say what is due."""
        match self.times.due(now):
            case Due.HELLO:
                self._say_hello(now)
            case Due.ANSWER:
                self._say(now, Kind.BEAT, in_chorus=True)
            case Due.TRUTH:
                self.times.truth_said(now)
                self._say(now, Kind.BEAT)
            case Due.BEAT:
                self._say(now, Kind.BEAT)

    def spread(self) -> float:
        """Return over how many seconds the answers to a hello are spread."""
        return spread_for(len(self._peers))

    def _say_hello(self, now: float) -> None:
        self.times.hello_said(now, heard=self.heard)
        self._say(now, Kind.HELLO, in_chorus=True)

    def _say(self, now: float, kind: Kind, *, in_chorus: bool = False) -> None:
        """Say what this node is now; ``in_chorus`` where many others speak at the same time."""
        self.sequence += 1
        interval = self._interval()
        said = replace(self.own.said, kind=kind, sequence=self.sequence, beat=interval)
        if kind is not Kind.BYE:
            # A chorus on a large LAN is not to beat as one from then on.
            early = in_chorus and interval > self._beat * (1 + JITTER)
            self.times.said(now, interval, early=early)
            said = self.own.with_changes(said)
            if said.changes:
                self.times.changes_said(now, more=self.own.has_more)
        self.own.end_gap()
        datagram = encode(said)
        if not said.changes:
            self._length = len(datagram)
        self._datagrams.append(datagram)
        self._sent.append(datagram)

    def _interval(self) -> float:
        """Return the seconds from this datagram to the next, so that all keep to the budget."""
        bits = 8 * (2 * self._length + HEADERS)
        fair = max(self._beat, bits * (len(self._peers) + 1) / BEATS_BUDGET)
        jittered = fair * self._chance.uniform(1 - JITTER, 1 + JITTER)
        within = min(max(jittered, SHORTEST_BEAT), LONGEST_BEAT)
        return round(within, 1 if within > ROUNDED_ABOVE else 3)
