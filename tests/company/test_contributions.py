"""Whose bytes are here, and what stays when peers' go."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Came, Origin, Source
from flocon.company.contributions import Contributions
from flocon.extents import Extent

PEER = Source(Origin.PEER, "a", "a", "http://a/x")
OWNER = Source(Origin.PEER, "o", "o", "http://o/x", relayed=True)
MIRROR, OTHER = (Source(Origin.MIRROR, key, key, f"http://{key}/x") for key in "mn")


class ContributionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.contributions = Contributions()

    def add(self, source: Source, start: int, end: int) -> None:
        self.contributions.expect(source)
        self.contributions.add(source, start, end)

    def test_bytes_are_told_apart_by_the_way_they_came(self) -> None:
        self.add(MIRROR, 0, 10)
        self.add(PEER, 10, 30)
        self.add(OWNER, 30, 60)
        shares = {Came.MIRROR: 10, Came.PEER: 20, Came.OWNER: 30}
        self.assertEqual(self.contributions.shares, shares)
        brought = {str(OWNER): 30, str(PEER): 20, str(MIRROR): 10}
        self.assertEqual(list(self.contributions.by_source.items()), list(brought.items()))
        self.assertEqual(self.contributions.at(29), [PEER])
        self.assertEqual(self.contributions.at(60), [])

    def test_a_peer_is_among_them_before_its_first_byte(self) -> None:
        self.contributions.expect(MIRROR)
        self.assertFalse(self.contributions.are_a_peers)
        self.contributions.expect(PEER)
        self.assertTrue(self.contributions.are_a_peers)

    def test_what_mirrors_brought_stays_when_peers_bytes_go(self) -> None:
        self.add(MIRROR, 0, 10)
        self.add(PEER, 10, 30)
        self.add(MIRROR, 30, 40)
        dropped = self.contributions.drop_peers()
        self.assertEqual([list(had) for had in dropped.values()], [[Extent(10, 30)]])
        self.assertEqual(list(self.contributions.arrived), [Extent(0, 10), Extent(30, 40)])
        self.assertFalse(self.contributions.are_a_peers)
        # What comes then is no mirror's.
        self.add(PEER, 10, 20)
        self.assertEqual(self.contributions.from_mirrors.reach(0), 10)

    def test_each_mirror_that_comes_to_send_has_a_time_of_its_own(self) -> None:
        for source, now in ((MIRROR, 1.0), (PEER, 2.0), (MIRROR, 3.0)):
            self.contributions.sent(source, now)
        self.assertEqual(self.contributions.mirror_since, 1.0)
        self.contributions.sent(OTHER, 4.0)
        self.assertEqual(self.contributions.mirror_since, 4.0)

    def test_begun_anew_the_same_mirror_has_its_time_again(self) -> None:
        self.add(MIRROR, 0, 10)
        self.contributions.sent(MIRROR, 1.0)
        self.contributions.clear()
        self.assertEqual((len(self.contributions.arrived), self.contributions.of), (0, {}))
        self.contributions.sent(MIRROR, 5.0)
        self.assertEqual(self.contributions.mirror_since, 5.0)
