"""A node that is killed, restarted or frozen while real pacman downloads.

A few times each, with small packages; ``python -m tests.lan.restarts`` does it by the hundred.
"""

from __future__ import annotations

import functools

from twisted.trial.unittest import SynchronousTestCase

from tests.lan.lan import unavailable
from tests.lan.restarts import DISTURBANCES, REPLACED, Outcome, Scene
from tests.needs import leave_out

#: Runs of each kind.
RUNS = 3


class Restarts(SynchronousTestCase):
    def setUp(self) -> None:
        leave_out(_unavailable())
        self.scene = Scene(large=False)
        self.addCleanup(self.scene.close)
        self.scene.measure()

    def disturbed(self, name: str, runs: int = RUNS) -> list[Outcome]:
        outcomes = [self.scene.run(DISTURBANCES[name], f"{name} {seed}") for seed in range(runs)]
        self.assertEqual([outcome.problems for outcome in outcomes], [()] * runs)
        return outcomes

    def test_a_node_that_is_killed_costs_pacman_no_more_than_error_lines(self) -> None:
        self.disturbed("kill")

    def test_nor_does_one_that_is_restarted(self) -> None:
        self.disturbed("restart")

    def test_one_that_hangs_is_replaced_before_pacman_gives_up(self) -> None:
        for outcome in self.disturbed("freeze", 1):
            self.assertLess(outcome.away, REPLACED)


@functools.cache
def _unavailable() -> str:
    return unavailable()
