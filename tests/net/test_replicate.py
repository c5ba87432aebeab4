"""Inventories over HTTP: whole ones only, within bounds of time and number."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.inventory import Change, Content, InventoryReader, format_inventory
from flocon.errors import Broken, Refused, Stalled
from flocon.net import replicate as module
from flocon.net.replicate import AT_ONCE, LIMITS, PATIENCE, InventoryClient
from tests.net.fakes import FakeAgent, FakeReactor

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
        self.assertEqual((reader.whole, reader.generation, reader.changes), (True, 7, CHANGES))
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
        self.assertEqual(turns, len(text) // module.SLICE + 1)
        self.assertEqual(self.successResultOf(reading).changes, changes)

    def test_a_peer_without_one_refuses(self) -> None:
        reading = self.read()
        self.agent.last.answer(404)
        self.failureResultOf(reading, Refused)

    def test_one_that_drips_is_given_up(self) -> None:
        reading = self.read()
        response = self.agent.last.head(1_000_000)
        drops = iter(WHOLE)
        waited = 0.0
        while waited <= PATIENCE:
            response.send(bytes([next(drops)]))
            self.clock.advance(LIMITS.stall / 2)
            waited += LIMITS.stall / 2
        self.failureResultOf(reading, Stalled)
        self.assertTrue(response.left)
        self.assertEqual(self.clock.getDelayedCalls(), [])

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
        readings = [self.read() for _ in range(AT_ONCE + 1)]
        readings[0].cancel()
        self.failureResultOf(readings[0], CancelledError)
        self.assertEqual(len(self.agent.requests), AT_ONCE + 1)

    def test_one_that_is_cancelled_while_it_waits_takes_nobodys_turn(self) -> None:
        readings = [self.read() for _ in range(AT_ONCE + 2)]
        readings[-2].cancel()
        self.failureResultOf(readings[-2], CancelledError)
        self.agent.requests[0].whole(WHOLE)
        self.clock.advance(0)
        self.assertEqual(len(self.agent.requests), AT_ONCE + 1)
