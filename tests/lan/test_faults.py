"""Nothing bad reaches pacman: a part of each long run, as much as CI has time for.

All of it: ``python -m tests.lan.matrix``, ``schedules``, ``hostile_seeds``, ``kills``,
``fuzz_http``, ``flood``.
"""

from __future__ import annotations

import atexit
import functools
import shutil

from twisted.trial.unittest import SynchronousTestCase

from tests.lan import flood, fuzz_http, hostile_seeds, kills, schedules
from tests.lan.lan import PacmanRun, unavailable, working_folder
from tests.lan.matrix import FEW, Goods, Lane, cells, line, run_cells
from tests.lan.on_request import seeds_of
from tests.needs import leave_out

LANES = 3
PLANS = seeds_of(range(1_000, 1_007), range(1_000, 1_010))
HOSTILE = seeds_of(range(2_000, 2_010), range(2_000, 2_015))
KILLS = seeds_of(range(6), range(8))


@functools.cache
def _goods() -> Goods:
    folder = working_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    goods = Goods(folder)
    atexit.register(goods.close)
    return goods


class FaultTestCase(SynchronousTestCase):
    """Skipped where there can be no LAN, but failed there in CI."""

    def setUp(self) -> None:
        leave_out(unavailable())
        self.goods = _goods()

    def lane(self) -> Lane:
        lane = Lane(self.goods)
        self.addCleanup(lane.close)
        return lane


class Matrix(FaultTestCase):
    """One fault each, of a peer, an owner or the first of two mirrors, with real pacman."""

    timeout = 600

    def test_no_fault_reaches_pacman(self) -> None:
        chosen = [cell for cell in cells() if cell.name in FEW]
        self.assertEqual(len(chosen), len(FEW))
        results = run_cells(self.goods, chosen, LANES, lambda result: print(line(result)))
        failed = [line(result) for result in results if result.problems]
        self.assertEqual((failed, len(results)), ([], len(FEW)))

    def test_a_fault_that_does_reach_pacman_is_seen(self) -> None:
        lane = self.lane()
        lane.measure()
        package = self.goods.packages[0]
        (lane.asker.cache / package.file_name).write_bytes(b"wrong")
        node = lane.asker.nodes[0]
        problems = lane.problems(PacmanRun(0, "error: something", 0.0), node)
        self.assertEqual(problems, ["error: something", f"{package.file_name} is another"])


class Schedules(FaultTestCase):
    timeout = 600

    def test_random_faults_over_time_reach_nobody_while_one_mirror_works(self) -> None:
        results = schedules.SEEDS.run(self.goods, PLANS, LANES)
        self.assertEqual(results, {seed: [] for seed in PLANS})

    def test_a_seed_stands_for_one_plan(self) -> None:
        self.assertEqual(schedules.plan(7), schedules.plan(7))
        self.assertGreater(len({schedules.plan(seed).roles for seed in range(50)}), 45)


class HostileSeeds(FaultTestCase):
    timeout = 600

    def test_a_random_hostile_peer_harms_nobody(self) -> None:
        results = hostile_seeds.SEEDS.run(self.goods, HOSTILE, LANES)
        self.assertEqual(results, {seed: [] for seed in HOSTILE})

    def test_a_seed_stands_for_one_plan(self) -> None:
        self.assertEqual(hostile_seeds.plan(7), hostile_seeds.plan(7))
        self.assertGreater(len({hostile_seeds.plan(seed).roles for seed in range(50)}), 45)


class Kills(FaultTestCase):
    timeout = 600

    def test_a_killed_node_offers_nothing_partial_or_wrong_afterwards(self) -> None:
        results = kills.run_kills(self.goods, KILLS, LANES)
        self.assertEqual(
            {seed: problems for seed, (problems, _) in results.items() if problems}, {}
        )
        self.assertEqual(set(results), set(KILLS))


class Strangers(FaultTestCase):
    timeout = 300

    def test_mutated_http_leaves_both_faces_as_they_were(self) -> None:
        lane = self.lane()
        node = fuzz_http.arrange(lane)
        for face in fuzz_http.FACES:
            self.assertEqual(fuzz_http.run(lane, node, face, 1, 1_500), [])

    def test_a_flood_at_most_doubles_a_downloads_time(self) -> None:
        quiet, flooded, problems = flood.compare(self.lane(), 3)
        self.assertEqual(problems, [])
        self.assertLessEqual(flooded, flood.MOST_SLOWER * quiet + flood.NOISE)
