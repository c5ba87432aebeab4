"""A mirror for the LAN that is killed while it reads, publishes and clears: it serves one state.

A few times; ``python -m tests.lan.mirror_kills`` does it by the hundred.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.lan.lan import unavailable
from tests.lan.mirror_kills import Place
from tests.lan.on_request import seeds_of
from tests.needs import leave_out

#: While it reads and gives out, takes a snapshot, takes in a folder, clears, reads, uses another.
SEEDS = seeds_of((0, 3, 4, 6, 9, 15), tuple(range(16)))


class Killed(SynchronousTestCase):
    def test_what_is_served_afterwards_is_one_whole_state(self) -> None:
        leave_out(unavailable())
        place = Place()
        self.addCleanup(place.close)
        problems = {seed: place.run(seed) for seed in SEEDS}
        self.assertEqual({seed: found for seed, found in problems.items() if found}, {})
