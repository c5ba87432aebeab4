"""What is written of who comes and goes."""

from __future__ import annotations

from twisted.logger import formatEvent

from flocon.neighbours import coming_and_going
from tests.neighbours.fakes import NeighbourhoodTestCase, peer


class Arriving(NeighbourhoodTestCase):
    def test_peers_by_the_hundred_write_no_line_each(self) -> None:
        lines = self.log_lines()
        for at in range(5_000):
            who = peer(f"a{at}")
            self.come(who)
            self.leave(who)
        self.assertEqual(len(lines), coming_and_going.LINE_BURST)
        self.clock.advance(2 / coming_and_going.LINE_RATE)
        self.come(peer("b"))
        self.assertEqual(
            formatEvent(lines[-2]),
            f"{10_000 - coming_and_going.LINE_BURST} more peers came or left",
        )
        self.assertEqual(formatEvent(lines[-1]), "name-b at 10.0.0.98 is here")

    def test_so_they_do_for_as_long_as_they_come(self) -> None:
        lines = self.log_lines()
        for at in range(600):
            self.come(peer(f"a{at}"))
            self.clock.advance(0.1)
        self.assertLess(len(lines), 80)
        told = sum("more peers" in formatEvent(line) for line in lines)
        self.assertGreater(told, 3)
