"""A peer is found where it has moved to, and nobody has it moved."""

from __future__ import annotations

from flocon.errors import Unreachable
from flocon.neighbours.inventory_text import InventoryReader, format_inventory
from flocon.neighbours.moved_peers import ALL_WAYS, SILENCE
from flocon.presence.peer import Peer
from flocon.presence.presence_events import Doubted
from tests.neighbours.fakes import EPOCH, NeighbourhoodTestCase, change, peer


class Moving(NeighbourhoodTestCase):
    def test_a_peer_heard_somewhere_else_is_looked_for_where_it_was(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.tell(Doubted(a))
        self.presence.missed.add("a")
        self.clock.advance(ALL_WAYS)
        self.clock.advance(0)
        self.assertEqual(self.client.asked[-1], (a.address, 5))
        self.presence.next["a"] = "10.0.9.9"
        self.client.answers[-1].errback(Unreachable("a", "no route"))
        self.clock.advance(0)
        self.assertEqual(self.presence.silent, [(a.address, a.port)])
        self.assertEqual(self.client.asked[-1], ("10.0.9.9", 5))

    def doubt(self) -> Peer:
        """Have a peer missed at its address, and asked there and where it was heard instead."""
        a = peer("a")
        self.known(a, 5, change(1))
        self.tell(Doubted(a))
        self.presence.missed.add("a")
        self.presence.next["a"] = "10.0.9.9"
        self.clock.advance(ALL_WAYS)
        self.clock.advance(0)
        asked = [address for address, _ in self.client.asked[1:]]
        self.assertCountEqual(asked, [a.address, "10.0.9.9"])
        return a

    def test_one_that_is_silent_there_is_found_where_it_answers(self) -> None:
        a = self.doubt()
        self.presence.moved.add("a")
        self.clock.advance(SILENCE)
        self.assertEqual(self.presence.silent, [(a.address, a.port)])
        self.assertEqual(self.client.cancelled, 1)
        found = self.neighbourhood.holding(change(1).file_name, change(1).content)
        self.assertEqual([one.address for one in found], ["10.0.9.9"])

    def test_one_that_answers_there_stays_there_whoever_claims_its_name(self) -> None:
        self.doubt()
        self.presence.moved.add("a")
        place = [address for address, _ in self.client.asked].index("10.0.0.97", 1)
        reader = InventoryReader()
        for line in format_inventory(EPOCH, 5, (), whole=False):
            reader.feed(line)
        self.client.answers[place].callback(reader)
        self.clock.advance(SILENCE)
        self.assertEqual(self.presence.silent, [])

    def test_so_does_one_that_answers_nowhere_yet(self) -> None:
        self.doubt()
        self.clock.advance(SILENCE)
        self.assertEqual(self.presence.silent, [])

    def test_one_that_is_heard_there_as_well_is_not(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.tell(Doubted(a))
        self.clock.advance(ALL_WAYS)
        self.clock.advance(0)
        self.assertEqual(len(self.client.asked), 1)
