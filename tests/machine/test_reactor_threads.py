"""How threads leave the interpreter to the reactor."""

from __future__ import annotations

import sys
import threading
import time
from statistics import median

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.reactor_threads import take_short_turns


class ShortTurnTests(SynchronousTestCase):
    def test_who_gives_the_lock_up_often_has_it_back_sooner_than_by_default(self) -> None:
        """Beside a thread that only computes, in turns, as the machine may be busy."""
        before = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, before)
        ended = threading.Event()

        def compute() -> None:
            while not ended.is_set():
                sum(range(100))

        thread = threading.Thread(target=compute)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(ended.set)
        long, short = [], []
        for _ in range(9):
            sys.setswitchinterval(before)
            long.append(self._turn())
            take_short_turns()
            short.append(self._turn())
        self.assertLess(median(short), median(long) / 2)

    def _turn(self) -> float:
        began = time.perf_counter()
        for _ in range(10):
            time.sleep(0)
        return time.perf_counter() - began
