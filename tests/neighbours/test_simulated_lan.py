"""A LAN of 100 nodes in virtual time: the small version of ``bench.simulate_lan``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.simulate_lan import Shape, Simulation

SHAPE = Shape(nodes=100, files=50, pool=200, fresh=20, rush=20.0, rest=300.0)


class HundredNodes(SynchronousTestCase):
    def setUp(self) -> None:
        self.simulation = Simulation(SHAPE)
        self.simulation.introduce()

    def test_at_rest_all_datagrams_stay_within_the_budget(self) -> None:
        load = self.simulation.rest()
        self.assertGreater(load.datagrams, SHAPE.nodes)
        self.assertLess(load.bit_rate, 10_000)

    def test_a_new_package_is_known_to_all_within_a_second(self) -> None:
        self.assertLess(self.simulation.one_package(), 1)

    def test_while_all_update_everything_is_known_within_a_second_and_nothing_is_read(self) -> None:
        load = self.simulation.update_all()
        self.simulation.settle()
        clean, _ = self.simulation.observers
        self.assertEqual(len(clean.delays), (SHAPE.nodes - 1) * SHAPE.fresh)
        self.assertLess(max(clean.delays), 1)
        self.assertEqual(clean.reads, {})
        self.assertEqual(clean.station.presence.counters["rate"], 0)
        # Not more than one for each package, on each IP version, and the beats.
        self.assertLess(load.datagrams, 2 * SHAPE.nodes * (SHAPE.fresh + 2))

    def test_whoever_misses_datagrams_reads_what_they_told_and_knows_all_in_the_end(self) -> None:
        self.simulation.update_all()
        self.simulation.settle()
        self.assertEqual(self.simulation.missing(), 0)
        _, lossy = self.simulation.observers
        self.assertGreater(lossy.reads["changes"], 0)
        self.assertEqual(lossy.reads["whole"], 0)

    def test_the_same_lan_goes_the_same_way_twice(self) -> None:
        again = Simulation(SHAPE)
        again.introduce()
        self.assertEqual(self.simulation.update_all(), again.update_all())
        self.assertEqual(self.simulation.observers[1].delays, again.observers[1].delays)
