"""A node that is killed, restarted or frozen while real pacman downloads.

A few times each, with small packages; ``python -m tests.lan.restarts`` does it by the hundred.
"""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from tests.lan.lan import unavailable, wait_until
from tests.lan.on_request import seeds_of
from tests.lan.restarts import DISTURBANCES, REPLACED, Outcome, Scene
from tests.needs import leave_out

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Runs of each kind.
SEEDS = seeds_of(range(2), range(3))


class Restarts(SynchronousTestCase):
    def setUp(self) -> None:
        leave_out(_unavailable())
        self.scene = Scene(large=False)
        self.addCleanup(self.scene.close)

    def disturbed(self, name: str, seeds: Sequence[int] = SEEDS) -> list[Outcome]:
        self.scene.measure()
        outcomes = [self.scene.run(DISTURBANCES[name], f"{name} {seed}") for seed in seeds]
        self.assertEqual([outcome.problems for outcome in outcomes], [()] * len(seeds))
        return outcomes

    def test_a_node_that_is_killed_costs_pacman_no_more_than_error_lines(self) -> None:
        self.disturbed("kill")

    def test_nor_does_one_that_is_restarted(self) -> None:
        self.disturbed("restart")

    def test_one_that_hangs_is_replaced_before_pacman_gives_up(self) -> None:
        for outcome in self.disturbed("freeze", range(1)):
            self.assertLess(outcome.away, REPLACED)

    def test_who_held_a_package_before_a_restart_is_asked_for_it_at_once(self) -> None:
        scene = self.scene
        holder = scene.begin(by_peer=True)
        wait_until((scene.client.store / "neighbours.json").exists, 20, "the peer is remembered")
        package = scene.packages[0]
        path = f"/core/os/x86_64/{package.file_name}"
        before = scene.node_pid()
        holder.send(signal.SIGHUP)
        wait_until(lambda: scene.another_pid(before), 20, "another node is there")
        # What waits in the socket is answered as soon as it can be.
        answer = scene.client.request(path)
        self.assertEqual((answer.status, answer.body), (200, package.path.read_bytes()))
        self.assertEqual(answer.headers["flocon-source"], "peer 10.77.0.2")
        self.assertEqual(scene.mirror.packages(), [])


@functools.cache
def _unavailable() -> str:
    return unavailable()
