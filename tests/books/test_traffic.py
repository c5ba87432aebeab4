"""What is counted, in which direction."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.books.traffic import Traffic


class Counting(SynchronousTestCase):
    def test_bytes_add_up_by_direction(self) -> None:
        traffic = Traffic()
        traffic.to_pacman(3)
        traffic.to_peer("10.0.0.2", 5)
        traffic.to_pacman(4)
        self.assertEqual((traffic.to_pacman_bytes, traffic.to_peers_bytes), (7, 5))
        self.assertEqual(traffic.takers.of("10.0.0.2"), 5)
        self.assertEqual((traffic.from_peers_bytes, traffic.from_mirrors_bytes), (0, 0))

    def test_two_nodes_do_not_share_their_answers(self) -> None:
        first, second = Traffic(), Traffic()
        first.answers["held"] += 1
        self.assertEqual((first.answers["held"], second.answers["held"]), (1, 0))
