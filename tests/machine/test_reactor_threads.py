"""How threads leave the interpreter to the reactor."""

from __future__ import annotations

import sys
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.reactor_threads import take_short_turns

#: Turns that are taken together, and how often.
TURNS, TIMES = 10, 9


class _Computing(threading.Thread):
    """Only computes, and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()
        self.rounds = 0

    def run(self) -> None:
        while not self.ended.is_set():
            sum(range(100))
            self.rounds += 1


class ShortTurnTests(SynchronousTestCase):
    def test_who_gives_the_lock_up_often_has_it_back_sooner_than_by_default(self) -> None:
        """What another thread computes meanwhile is counted: clocks run on a busy machine, too."""
        before = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, before)
        other = _Computing()
        other.start()
        self.addCleanup(other.join)
        self.addCleanup(other.ended.set)
        long = short = 0
        for _ in range(TIMES):
            sys.setswitchinterval(before)
            long += self._rounds_meanwhile(other)
            take_short_turns()
            short += self._rounds_meanwhile(other)
        self.assertLess(short, long / 2)

    def _rounds_meanwhile(self, other: _Computing) -> int:
        """Return how often the other one computes while the lock is given up some times."""
        began = other.rounds
        for _ in range(TURNS):
            time.sleep(0)
        return other.rounds - began
