"""Four networks of six nodes in virtual time: the small version of ``bench.simulate_sites``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.simulate_sites import Shape, Simulation

SHAPE = Shape(networks=4, nodes=24, fresh=20, rush=20.0)
WITH_OLD = Shape(networks=3, nodes=18, old=2)
#: Bits per second of all datagrams of a network at rest.
BUDGET = 10_000


class FourNetworks(SynchronousTestCase):
    def setUp(self) -> None:
        self.simulation = Simulation(SHAPE)
        self.simulation.run(self.simulation.start())

    def test_all_know_all_in_five_seconds_and_stay_within_the_budget_at_rest(self) -> None:
        self.assertLess(self.simulation.until_known(), 5)
        self.simulation.run(self.simulation.now + 120)
        self.simulation.measure(300)
        self.assertTrue(all(map(self.simulation.knows_all, self.simulation.stations)))
        for network, bits in self.simulation.bits.items():
            self.assertLess(bits / 300, BUDGET, network)

    def test_while_all_update_most_is_told_and_little_is_read(self) -> None:
        self.simulation.until_known()
        self.simulation.run(self.simulation.now + 60)
        self.simulation.update_all()
        changes = SHAPE.nodes * SHAPE.fresh * (SHAPE.nodes - 1)
        told = sum(len(one.delays) for one in self.simulation.stations)
        self.assertGreater(told, 0.9 * changes)
        dropped = sum(one.presence.counters["rate"] for one in self.simulation.stations)
        self.assertEqual(dropped, 0)

    def test_a_network_that_was_cut_off_is_known_again(self) -> None:
        self.simulation.until_known()
        self.simulation.cut.add(2)
        self.assertLess(self.simulation.until_known(200), 120)
        self.simulation.cut.discard(2)
        self.assertLess(self.simulation.until_known(200), 60)


class OldNodes(SynchronousTestCase):
    """Nodes of an older flocon, which know nothing of other networks."""

    def test_they_know_their_own_network_and_disturb_no_other(self) -> None:
        simulation = Simulation(WITH_OLD)
        simulation.run(simulation.start())
        self.assertLess(simulation.until_known(), 5)
        old = [one for one in simulation.stations if one.old]
        self.assertEqual(len(old), 6)
        for one in old:
            self.assertEqual(len(one.presence.peers()), 5)
