"""Inventories over HTTP: whole ones only, within bounds of time and number."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import Broken, Refused, Stalled
from flocon.files import Content
from flocon.holdings.inventory import Change
from flocon.neighbours import inventories as module
from flocon.neighbours import turns
from flocon.neighbours.condensed import PIECE
from flocon.neighbours.inventories import (
    FAR_LIMITS,
    FAR_PATIENCE,
    LIMITS,
    PATIENCE,
    InventoryClient,
)
from flocon.neighbours.inventory_text import InventoryReader, format_inventory
from flocon.neighbours.turns import AT_ONCE, FAR_AT_ONCE, HASTE, MOST
from tests.fakes import FakeAgent, FakeReactor

CHANGES = [Change("a-1-1-any.pkg.tar.zst", Content(5, bytes(32)))]
WHOLE = b"".join(format_inventory("e", 7, CHANGES, whole=True))


class ReplicateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = FakeReactor()
        self.agent = FakeAgent()
        self.client = InventoryClient(self.clock, self.agent)  # type: ignore[arg-type]

    def read(
        self, address: str = "10.0.0.2", since: int | None = None
    ) -> Deferred[InventoryReader]:
        return ensureDeferred(self.client.read(address, 19432, since))

    def test_the_whole_is_asked_for_and_read(self) -> None:
        reading = self.read()
        self.assertEqual(self.agent.last.url, "http://10.0.0.2:19432/inventory")
        self.agent.last.whole(WHOLE)
        self.clock.advance(0)
        reader = self.successResultOf(reading)
        self.assertEqual((reader.whole, reader.generation, list(reader.take())), (True, 7, CHANGES))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_changed_since_is_asked_for_by_generation(self) -> None:
        self.read(since=5)
        self.assertEqual(self.agent.last.url, "http://10.0.0.2:19432/inventory?since=5")

    def test_a_peer_beyond_a_link_is_asked_by_its_zone(self) -> None:
        self.read("fe80::1%eth0")
        self.assertEqual(self.agent.last.url, "http://[fe80::1%25eth0]:19432/inventory")

    def test_one_that_ends_early_is_broken_though_its_length_is_right(self) -> None:
        reading = self.read()
        self.agent.last.whole(WHOLE[:-4])
        self.clock.advance(0)
        self.failureResultOf(reading, Broken)

    def test_what_is_no_inventory_is_broken_and_left(self) -> None:
        reading = self.read()
        response = self.agent.last.head(1_000_000)
        response.send(b"<html>\n")
        self.failureResultOf(reading, Broken)
        self.assertTrue(response.left)

    def test_what_only_begins_like_one_is_broken(self) -> None:
        reading = self.read()
        self.agent.last.whole(WHOLE[:-4] + b"<html>\n")
        self.clock.advance(0)
        self.failureResultOf(reading, Broken)

    def test_one_without_end_is_left_at_the_bound(self) -> None:
        self.patch(module, "LARGEST", 1_000)
        reading = self.read()
        response = self.agent.last.head(1_000_000)
        response.send(WHOLE[:-4])
        response.send(bytes(1_000))
        self.failureResultOf(reading, Broken)
        self.assertTrue(response.left)

    def test_a_large_one_is_read_in_several_turns(self) -> None:
        content = Content(5, bytes(32))
        changes = [Change(f"a{at}-1-1-any.pkg.tar.zst", content) for at in range(1_000)]
        reading = self.read()
        text = b"".join(format_inventory("e", 7, changes, whole=True))
        self.agent.last.whole(text)
        turns = 0
        while self.clock.getDelayedCalls():
            # Not advance(): it also runs what is due only after its first turn.
            call = self.clock.calls.pop(0)
            call.called = 1
            call.func(*call.args, **call.kw)
            turns += 1
        self.assertEqual(turns, len(text) // PIECE + 1)
        self.assertEqual(list(self.successResultOf(reading).take()), changes)

    def test_a_peer_without_one_refuses(self) -> None:
        reading = self.read()
        self.agent.last.answer(404)
        self.failureResultOf(reading, Refused)

    def test_one_that_comes_too_slowly_to_end_is_given_up(self) -> None:
        reading = self.read()
        response = self.agent.last.head(10_000_000)
        response.send(WHOLE[:-4])
        waited = 0.0
        while waited <= PATIENCE:
            response.send(bytes(LIMITS.step))
            self.clock.advance(LIMITS.stall / 2)
            waited += LIMITS.stall / 2
        self.failureResultOf(reading, Stalled)
        self.assertTrue(response.left)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_that_of_another_networks_node_may_take_longer_but_not_for_ever(self) -> None:
        self.client = InventoryClient(self.clock, self.agent, lambda one: one == "10.1.0.2")  # type: ignore[arg-type]
        reading = self.read("10.1.0.2")
        response = self.agent.last.head(10_000_000)
        response.send(WHOLE[:-4])
        waited = 0.0
        while waited <= FAR_PATIENCE:
            if PATIENCE < waited < FAR_PATIENCE:
                self.assertNoResult(reading)
            response.send(bytes(FAR_LIMITS.step))
            self.clock.advance(FAR_LIMITS.stall / 2)
            waited += FAR_LIMITS.stall / 2
        self.failureResultOf(reading, Stalled)
        self.assertTrue(response.left)

    def test_few_of_other_networks_nodes_are_read_at_once(self) -> None:
        self.client = InventoryClient(self.clock, self.agent, lambda one: one.startswith("10.1"))  # type: ignore[arg-type]
        for number in range(2 * FAR_AT_ONCE):
            self.read(f"10.1.0.{number}")
        self.assertEqual(len(self.agent.requests), FAR_AT_ONCE)

    def test_one_that_drips_is_given_up_soon(self) -> None:
        reading = self.read()
        response = self.agent.last.head(1_000_000)
        for drop in WHOLE[:4]:
            response.send(bytes([drop]))
            self.clock.advance(LIMITS.stall / 3)
        self.failureResultOf(reading, Stalled)
        self.assertTrue(response.left)

    def test_one_that_announces_too_much_is_left_at_once(self) -> None:
        reading = self.read()
        response = self.agent.last.head(module.LARGEST + 1)
        self.failureResultOf(reading, Broken)
        self.assertTrue(response.left)

    def test_sixteen_that_drip_keep_an_honest_one_waiting_for_moments(self) -> None:
        dripping = [self.read(f"10.0.1.{at}") for at in range(16)]
        honest = self.read("10.0.0.9")
        waited = 0.0
        while self.agent.last.url != "http://10.0.0.9:19432/inventory":
            for request in self.agent.requests:
                if not request.deferred.called:
                    request.head(1_000_000).send(WHOLE[:20])
            self.clock.advance(0.1)
            waited += 0.1
            self.assertLess(waited, 5 * HASTE)
        self.agent.last.whole(WHOLE)
        self.clock.advance(0)
        self.successResultOf(honest)
        # Those that had to go for others were the slow ones; the rest are being read beside them.
        gone = [one for one in dripping if one.called]
        self.assertGreaterEqual(len(gone), 16 - MOST)
        for one in gone:
            self.failureResultOf(one, Stalled)
        self.assertEqual(len([one for one in dripping if not one.called]), MOST - 1)

    def test_one_address_has_one_turn_however_many_nodes_speak_from_it(self) -> None:
        for _ in range(16):
            self.read("10.0.1.1")
        honest = self.read("10.0.0.9")
        self.assertEqual(len(self.agent.requests), 2)
        self.agent.last.whole(WHOLE)
        self.clock.advance(0)
        self.successResultOf(honest)

    def test_the_bytes_of_all_that_are_read_have_one_bound(self) -> None:
        self.patch(turns, "MOST_BYTES", 1_000)
        larger, smaller = self.read("10.0.0.1"), self.read("10.0.0.2")
        first, second = (request.head(10_000) for request in self.agent.requests)
        first.send(WHOLE[:40] + bytes(560))
        second.send(WHOLE[:40] + bytes(460))
        self.failureResultOf(larger, Stalled)
        self.assertTrue(first.left)
        self.assertNoResult(smaller)
        second.send(bytes(600))
        self.failureResultOf(smaller, Broken)

    def test_only_a_few_are_read_at_once_and_each_end_lets_one_in(self) -> None:
        readings = [self.read(f"10.0.0.{at}") for at in range(AT_ONCE + 2)]
        self.assertEqual(len(self.agent.requests), AT_ONCE)
        self.agent.requests[0].whole(WHOLE)
        self.agent.requests[1].answer(500)
        self.clock.advance(0)
        self.assertEqual(len(self.agent.requests), AT_ONCE + 2)
        self.successResultOf(readings[0])
        self.failureResultOf(readings[1], Refused)

    def test_one_that_is_cancelled_lets_the_next_in(self) -> None:
        readings = [self.read(f"10.0.0.{at}") for at in range(AT_ONCE + 1)]
        readings[0].cancel()
        self.failureResultOf(readings[0], CancelledError)
        self.assertEqual(len(self.agent.requests), AT_ONCE + 1)

    def test_one_that_is_cancelled_while_it_waits_takes_nobodys_turn(self) -> None:
        readings = [self.read(f"10.0.0.{at}") for at in range(AT_ONCE + 2)]
        readings[-2].cancel()
        self.failureResultOf(readings[-2], CancelledError)
        self.agent.requests[0].whole(WHOLE)
        self.clock.advance(0)
        self.assertEqual(len(self.agent.requests), AT_ONCE + 1)
