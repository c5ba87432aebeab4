"""Who goes first on this machine: what somebody waits for, and only then what nobody does.

Hurried is what this machine's pacman asks for, and what a peer asks for its own; unhurried what is
fetched ahead, here or for a peer. While anything hurried moves, and a moment longer, all that is
unhurried stands still: it is neither read nor sent.

This machine's pacman holds it back as long as it waits for this node, and while it takes what it is
given. A peer does so by what it is sent: who takes little holds back for little. All peers together
hold back for some seconds at once and no more than a part of the time, and so do, with them, this
machine's other users, of whom anybody can ask as pacman does. ``now`` is in seconds.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from twisted.internet.interfaces import IDelayedCall

#: The urgency of what nobody waits for: background (RFC 9218, 4.1).
BACKGROUND = "7"
#: Seconds after the last hurried byte: pacman's next request mostly comes within them.
QUIET = 0.3
#: Seconds for which pacman's request holds back after it took something, with more there for it.
TAKING = 1.0
#: Who pacman is, but for the user that it downloads as.
ROOT = 0
#: Bytes per second that a peer must take for its answer to hold back all the time.
LEAST_RATE = 256 << 10
#: Seconds for which peers may hold back at once, and the part of the time for which they may while
#: they go on asking. The rest is what they can be slowed by, and when a mirror's next state comes
#: however much it is asked.
MOST_AT_ONCE = 5.0
PART_AT_ONCE = 0.8
#: Seconds for which they may hold back so, and the part of the time in the long run: who asks
#: without end slows what others fetch ahead, and does not stop it.
MOST_FOR_PEERS = 120.0
PART_FOR_PEERS = 0.5
#: Seconds that must be left for them to hold back again once none were: moments are no use.
LEAST_FOR_PEERS = 10.0
#: Seconds for which a peer that was silent is asked for nothing that nobody waits for, and how many
#: such addresses are remembered.
REST = 300.0
MOST_RESTING = 256


class Asked:
    """Requests of this machine that are being answered, and in which it is the client's turn.

    A request is whatever tells it from others.
    """

    def __init__(self) -> None:
        self._waiting: set[object] = set()
        #: Until when each holds back unless it takes something; the last one the longest.
        self._taking: dict[object, float] = {}

    def waits(self, request: object) -> None:
        """Learn that a request waits for this node."""
        self._taking.pop(request, None)
        self._waiting.add(request)

    def may_take(self, request: object, now: float) -> None:
        """Learn that there is something for a request to take now, if there was not."""
        if request in self._waiting:
            self._waiting.discard(request)
            self._taking[request] = now + TAKING

    def took(self, request: object, now: float) -> None:
        """Learn that a request took something, and that there may be more."""
        self.ended(request)
        self._taking[request] = now + TAKING

    def ended(self, request: object) -> None:
        """Learn that a request is answered."""
        self._waiting.discard(request)
        self._taking.pop(request, None)

    def has(self, request: object) -> bool:
        return request in self._waiting or request in self._taking

    def until(self) -> float:
        """Return until when they hold back; infinite where nobody knows."""
        if self._waiting:
            return float("inf")
        return next(reversed(self._taking.values()), float("-inf"))


class Allowance:
    """Seconds that may be spent: ``most`` when none were for long, else a ``part`` of the time.

    Once they are spent there are none until ``least`` have come together.
    """

    def __init__(self, most: float, part: float, least: float) -> None:
        self._most, self._part, self._least = most, part, least
        self._left = most
        self._spent = False
        self._at = float("-inf")

    def has_some(self, now: float) -> bool:
        self._left = min(self._most, self._left + (now - self._at) * self._part)
        self._at = now
        self._spent = self._left < (self._least if self._spent else QUIET)
        return not self._spent

    def spend(self, seconds: float) -> None:
        self._left -= seconds


class Hurry:
    """Until when something is hurried."""

    def __init__(self) -> None:
        #: Requests of this machine's pacman, and of its other users.
        self.own, self.others = Asked(), Asked()
        self._own_until = self._peers_until = float("-inf")
        #: Seconds for which peers may hold back yet: for now, with the moment by which each request
        #: does so beforehand, and in the long run.
        at_once = MOST_AT_ONCE * (1 - PART_AT_ONCE) + QUIET * (1 + PART_AT_ONCE)
        self._allowances = (
            Allowance(at_once, PART_AT_ONCE, least=at_once),
            Allowance(MOST_FOR_PEERS, PART_FOR_PEERS, least=LEAST_FOR_PEERS),
        )

    def gave(self, now: float) -> None:
        """Learn that this machine's pacman was given something as it asked."""
        self._own_until = now + QUIET

    def ended(self, request: object, now: float) -> None:
        """Learn that one of this machine's requests is answered."""
        self.others.ended(request)
        if self.own.has(request):
            self.own.ended(request)
            self.gave(now)

    def asked(self, now: float) -> None:
        """Learn that a peer asks for something that is waited for."""
        self._hold(QUIET, now)

    def sent(self, size: int, now: float) -> None:
        """Learn of bytes that were sent to a peer which waits for them."""
        self._hold(size / LEAST_RATE, now)

    def _hold(self, seconds: float, now: float) -> None:
        begins = max(self._peers_until, now)
        held = min(begins + seconds, now + QUIET) - begins
        if held <= 0 or not all(one.has_some(now) for one in self._allowances):
            return
        for one in self._allowances:
            one.spend(held)
        self._peers_until = begins + held

    def left(self, now: float) -> float:
        """Return for how many seconds something is hurried yet; infinite where nobody knows."""
        others = self.others.until() - now
        if others > 0:
            # Theirs is counted as it holds back, a moment at a time.
            self._hold(min(others, QUIET), now)
        return max(self.own.until(), self._own_until, self._peers_until) - now


class Taking:
    """How the answer to one request of this machine goes."""

    def __init__(self, asked: Asked, clock: Any, changed: Callable[[], None]) -> None:
        self._asked = asked
        self._clock = clock
        self._changed = changed

    def offered(self, available: bool) -> None:
        """Learn whether there is something to take now."""
        if available:
            self._asked.may_take(self, self._clock.seconds())
            self._changed()
        else:
            self._asked.waits(self)

    def took(self) -> None:
        """Learn that the kernel has taken something for the client."""
        self._asked.took(self, self._clock.seconds())
        self._changed()


class Resting:
    """Peers, by address, that were silent for so long that they are left alone for a while."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, key: str, now: float) -> None:
        self._until.pop(key, None)
        self._until[key] = now + REST
        if len(self._until) > MOST_RESTING:
            del self._until[next(iter(self._until))]

    def has(self, key: str, now: float) -> bool:
        return self._until.get(key, now) > now


class Precedence:
    """Has what is unhurried stand still, and wakes it; one for a whole node."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._hurry = Hurry()
        self._users = frozenset({ROOT})
        self._resting = Resting()
        self._standing: dict[Callable[[], None], None] = {}
        self._call: IDelayedCall | None = None

    def set_users(self, users: Collection[int]) -> None:
        """Take these for pacman's: the numeric users whose requests are not counted as others'."""
        self._users = frozenset(users)

    def is_pacman(self, user: int | None) -> bool:
        """Whether a local user is one that pacman downloads as; where none is known it is."""
        return user is None or user in self._users

    def gave(self) -> None:
        """Hold back as after a request of this machine's pacman that was answered as it came."""
        self._hurry.gave(self._clock.seconds())
        self._look()

    @contextmanager
    def pacman(self, user: int | None = None) -> Iterator[Taking]:
        """Hold all back that is unhurried while a request of this machine's pacman is answered.

        What is given tells how that goes. Where no ``user`` is known it is taken for pacman's.
        """
        hurry = self._hurry
        asked = hurry.own if self.is_pacman(user) else hurry.others
        one = Taking(asked, self._clock, self._look)
        asked.waits(one)
        try:
            yield one
        finally:
            hurry.ended(one, self._clock.seconds())
            self._look()

    def asked(self) -> None:
        """Learn that a peer asks for something that is waited for."""
        self._hurry.asked(self._clock.seconds())

    def sent(self, size: int) -> None:
        """Learn of bytes that were sent to a peer which waits for them."""
        self._hurry.sent(size, self._clock.seconds())

    @property
    def holds_back(self) -> bool:
        """Whether the unhurried stands still now."""
        return self._hurry.left(self._clock.seconds()) > 0

    def stands(self, wake: Callable[[], None]) -> bool:
        """Return whether the unhurried stands still now; then ``wake`` is called when it may go on.

        It may stand again by then.
        """
        if not self.holds_back:
            return False
        self._standing[wake] = None
        self._look()
        return True

    def forget(self, wake: Callable[[], None]) -> None:
        """Wake somebody no more; again is no error."""
        self._standing.pop(wake, None)
        if not self._standing and self._call is not None:
            self._call.cancel()
            self._call = None

    def was_silent(self, key: str) -> None:
        """Learn that a peer, by its key, was silent for longer than anything unhurried waits."""
        self._resting.add(key, self._clock.seconds())

    def rests(self, key: str) -> bool:
        """Whether nothing unhurried is asked of a peer now."""
        return self._resting.has(key, self._clock.seconds())

    def _look(self) -> None:
        """Wake those that stand still where they need not, or look again once that may be."""
        if self._call is not None or not self._standing:
            return
        left = self._hurry.left(self._clock.seconds())
        if left == float("inf"):
            return
        self._call = self._clock.callLater(max(0.0, left), self._due)

    def _due(self) -> None:
        self._call = None
        if self._hurry.left(self._clock.seconds()) > 0:
            self._look()
            return
        standing, self._standing = self._standing, {}
        for wake in standing:
            wake()
