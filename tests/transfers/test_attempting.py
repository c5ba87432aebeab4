"""Whom a transfer asks, and what is told of those that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet import error

from flocon.asking.attempts import Attempt
from flocon.asking.source import Came, Origin, Source
from flocon.errors import Refused, Unreachable
from tests.transfers.transfer_case import (
    DATA,
    LIMITS,
    MIRROR_A,
    NAME,
    PEER_A,
    Client,
    TransferTestCase,
)


class Followed(TransferTestCase):
    """Which transfers peers may follow: never two that wait for each other."""

    OWNER = Source(Origin.PEER, "o", "o", f"http://o/relay/core/any/{NAME}", relayed=True)

    def test_one_that_waits_for_another_owner_is_not_followed(self) -> None:
        transfer = self.transfer(self.OWNER)
        self.assertTrue(transfer.follows_a_relay)
        self.assertFalse(transfer.fetches_itself)
        self.assertIsNone(self.asked(self.OWNER).header("Cache-Control"))
        self.asked(self.OWNER).whole(DATA)
        self.assertFalse(transfer.follows_a_relay)
        self.assertTrue(transfer.fetches_itself)

    def test_one_that_looks_whether_it_is_on_its_way_elsewhere_will_fetch_itself(self) -> None:
        looked_at = replace(self.OWNER, only_if_cached=True)
        transfer = self.transfer(looked_at, MIRROR_A)
        self.assertEqual(self.asked(looked_at).header("Cache-Control"), "only-if-cached")
        self.assertFalse(transfer.follows_a_relay)
        # But whoever looks here meanwhile must not wait: it may be the one that is looked at.
        self.assertFalse(transfer.fetches_itself)
        self.asked(looked_at).answer(504)
        self.assertTrue(transfer.fetches_itself)
        self.asked(MIRROR_A).whole(DATA)
        self.successResultOf(transfer.finished.wait())


class Failures(TransferTestCase):
    def test_nobody_to_ask(self) -> None:
        transfer = self.transfer()
        client = Client(transfer)
        self.assertIsInstance(client.failure, Unreachable)
        self.failureResultOf(transfer.finished.wait(), Unreachable)
        self.assertOver(transfer, client)

    def test_the_last_failure_is_told_when_all_failed(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        client = Client(transfer)
        self.asked(PEER_A).fail(error.ConnectionRefusedError())
        self.asked(MIRROR_A).answer(404)
        self.assertIsInstance(client.failure, Refused)
        self.assertEqual(transfer.mirror_statuses, [404])
        self.assertOver(transfer, client)

    def test_one_that_was_helped_out_is_told_of(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        self.asked(PEER_A)
        self.clock.advance(2.0)
        self.asked(MIRROR_A).whole(DATA)
        self.successResultOf(transfer.finished.wait())
        [attempt] = transfer.tried
        self.assertEqual(attempt.source, PEER_A)
        self.assertIn("so slow", str(attempt.failure))
        self.assertEqual(self.tools.slow_ones, ["a"])

    def test_what_came_in_each_way_is_told_apart(self) -> None:
        owner = Source(Origin.PEER, "o", "10.0.0.9", f"http://o/relay/{NAME}", relayed=True)
        transfer = self.transfer(PEER_A, owner, MIRROR_A)
        for source, end in ((PEER_A, 3_000), (owner, 7_000)):
            response = self.asked(source).head(len(DATA))
            response.send(DATA[self.asked(source).start : end])
            response.break_off()
        self.asked(MIRROR_A).whole(DATA)
        wanted = {Came.PEER: 3_000, Came.OWNER: 4_000, Came.MIRROR: len(DATA) - 7_000}
        self.assertEqual(transfer.shares, wanted)
        self.assertEqual(str(owner), "peer 10.0.0.9 for us")


class Widened(TransferTestCase):
    """What was begun on narrower terms comes from all whom a new follower may ask."""

    def test_a_holder_that_the_follower_knows_of_is_asked_at_once(self) -> None:
        transfer = self.transfer(MIRROR_A)
        self.asked(MIRROR_A).head(len(DATA))

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            asked = [attempt.source for attempt in tried]
            left = [one for one in (PEER_A, MIRROR_A) if one not in asked]
            return Attempt(left[0], LIMITS) if left else None

        transfer.widen(choose, lambda: [MIRROR_A])
        client = Client(transfer)
        self.asked(PEER_A).whole(DATA)
        self.assertEqual(client.data, DATA)

    def test_it_does_not_fail_with_its_mirror(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.widen(self.chooser(MIRROR_A, PEER_A), lambda: [MIRROR_A])
        client = Client(transfer)
        self.asked(MIRROR_A).fail(error.ConnectionRefusedError())
        self.asked(PEER_A).whole(DATA)
        self.assertEqual(client.data, DATA)
