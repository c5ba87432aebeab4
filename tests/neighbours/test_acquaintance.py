"""What is waited for before others are asked."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from flocon.neighbours.acquaintance import HEARING, READING
from tests.neighbours.fakes import NeighbourhoodTestCase, change, peer


class Acquaintance(NeighbourhoodTestCase):
    """What is asked in a node's first moments waits until it knows who is there."""

    def acquainted(self) -> Deferred[None]:
        """Wait for who holds what nobody does."""
        return self.neighbourhood.holder_known(change(99).file_name, change(99).content)

    def test_without_peers_it_takes_the_moment_in_which_they_would_have_answered(self) -> None:
        self.neighbourhood.start()
        waiting = self.acquainted()
        self.clock.advance(HEARING - 0.01)
        self.assertNoResult(waiting)
        self.assertFalse(self.neighbourhood.is_acquainted)
        self.clock.advance(0.01)
        self.successResultOf(waiting)
        self.successResultOf(self.acquainted())

    def test_the_inventories_of_those_who_answered_are_waited_for(self) -> None:
        self.neighbourhood.start()
        self.come(peer("a"))
        self.hear(peer("a"), 1, 1)
        self.clock.advance(HEARING)
        waiting = self.acquainted()
        self.assertNoResult(waiting)
        self.client.answer(1, change(1), whole=True)
        self.clock.pump([0.02] * 3)
        self.successResultOf(waiting)
        self.assertHolding(change(1), "a")

    def test_one_whose_inventory_does_not_come_holds_up_nobody_for_long(self) -> None:
        self.neighbourhood.start()
        self.come(peer("a"))
        self.hear(peer("a"), 1, 1)
        self.clock.pump([HEARING, *[0.02] * round(READING / 0.02 + 1)])
        self.successResultOf(self.acquainted())

    def test_who_waits_when_the_node_stops_is_let_go(self) -> None:
        self.neighbourhood.start()
        waiting = self.acquainted()
        self.neighbourhood.stop()
        self.successResultOf(waiting)

    def test_who_left_meanwhile_is_not_called(self) -> None:
        self.neighbourhood.start()
        waiting = self.acquainted()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.clock.advance(HEARING)
