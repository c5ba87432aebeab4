"""When this node says something next: hellos, answers, beats, changes, and what is true.

Silent rules stand beside their constants. What is said is ``speaker``'s.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

#: Nodes that started together do not stay in step.
JITTER = 0.1
#: A hello is said again once, and never more often than this.
HELLO_AGAIN = 1.0
#: Answers to a hello are spread over so many seconds, at least, and for each peer.
ANSWER_SPREAD = 0.3
ANSWER_SPREAD_PER_PEER = 0.01
#: One answer serves all newcomers of so many seconds: hellos cannot be used to amplify.
ANSWER_PAUSE = 1.0
#: A change waits so long for others, and a datagram with changes for the next one.
CHANGES_WAIT = 0.05
CHANGES_PAUSE = 0.1
#: What did not fit into that one goes sooner, though not as often as a listener allows.
CHANGES_RUSH = 0.025
#: What is due so soon is due now: adding and subtracting seconds rounds.
CLOCK_GRAIN = 1e-6


class Due(Enum):
    """What is to be said."""

    HELLO = "hello"
    #: Told to newcomers while others do so, too.
    ANSWER = "answer"
    #: What somebody else has said otherwise in this node's name.
    TRUTH = "truth"
    BEAT = "beat"


class Timetable:
    """The moments; ``chance`` spreads what should not come at once."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._beat_at: float | None = None
        self._hello_at: float | None = None
        self._answer_at: float | None = None
        self._changes_at: float | None = None
        #: When to say again what is true, as somebody else said something in this node's name.
        self._truth_at: float | None = None
        self._last_truth = float("-inf")
        self._hellos = 0
        self._last_hello = self._last_answer = self._last_changes = float("-inf")

    def first(self) -> float | None:
        """Return when the next of them is."""
        times = self._beat_at, self._hello_at, self._answer_at, self._truth_at, self._changes_at
        return min((time for time in times if time is not None), default=None)

    def due(self, now: float) -> Due | None:
        """Return what is due: one of them, as whatever is said serves the others too."""
        if _past(self._hello_at, now):
            return Due.HELLO
        if _past(self._answer_at, now):
            return Due.ANSWER
        if _past(self._truth_at, now):
            return Due.TRUTH
        if _past(self._changes_at, now) or _past(self._beat_at, now):
            return Due.BEAT
        return None

    def clear(self) -> None:
        self._beat_at = self._hello_at = self._answer_at = self._changes_at = None
        self._truth_at = None

    def catch_up(self, now: float) -> None:
        """Make what is overdue due now: lateness is noticed once."""
        self._beat_at = _not_before(self._beat_at, now)
        self._hello_at = _not_before(self._hello_at, now)
        self._answer_at = _not_before(self._answer_at, now)
        self._truth_at = _not_before(self._truth_at, now)
        self._changes_at = _not_before(self._changes_at, now)

    # Hellos

    def hello(self, now: float) -> bool:
        """Have hello said twice; return whether now, or a moment later as one was just before."""
        self._hellos = 2
        earliest = self._last_hello + HELLO_AGAIN
        if now >= earliest:
            return True
        self._hello_at = earliest
        return False

    def hello_said(self, now: float, *, heard: bool) -> None:
        """Note that one is said; what nobody could hear does not hold up the one that is heard."""
        self._hellos -= 1
        if heard:
            self._last_hello = now
        again = now + HELLO_AGAIN * self._chance.uniform(1 - JITTER, 1 + JITTER)
        self._hello_at = again if self._hellos > 0 else None

    # Beats and answers

    def said(self, now: float, interval: float, *, early: bool) -> None:
        """Note that something is said now, and something more after ``interval`` or earlier."""
        self._beat_at = now + interval * (self._chance.uniform(JITTER, 1) if early else 1)
        # Whatever is said answers every hello up to here.
        if self._answer_at is not None:
            self._last_answer = now
        self._answer_at = None
        if self._changes_at is not None:
            self._last_changes = now
        self._changes_at = None

    def answer(self, now: float, spread: float) -> None:
        """Have a hello answered within ``spread`` seconds, with those that came lately."""
        if self._answer_at is None:
            earliest = self._last_answer + max(ANSWER_PAUSE, spread)
            self._answer_at = max(now + self._chance.uniform(0, spread), earliest)

    # Changes

    def tell(self, now: float) -> None:
        """Have something new said soon."""
        if self._changes_at is None:
            self._changes_at = max(now + CHANGES_WAIT, self._last_changes + CHANGES_PAUSE)

    def changes_said(self, now: float, *, more: bool) -> None:
        """Note that changes are told, and whether there are ``more``."""
        if more:
            self._changes_at = now + CHANGES_RUSH
        self._last_changes = now

    # What is true

    def contradict(self, soonest: float) -> None:
        """Have said what is true, but not often."""
        if self._truth_at is None or self._truth_at < soonest:
            self._truth_at = max(soonest, self._last_truth + ANSWER_PAUSE)

    def truth_said(self, now: float) -> None:
        self._last_truth = now
        self._truth_at = None


def spread_for(peers: int) -> float:
    """Return over how many seconds the answers of so many are spread."""
    return max(ANSWER_SPREAD, ANSWER_SPREAD_PER_PEER * peers)


def _past(when: float | None, now: float) -> bool:
    return when is not None and when <= now + CLOCK_GRAIN


def _not_before(when: float | None, now: float) -> float | None:
    return None if when is None else max(when, now)
