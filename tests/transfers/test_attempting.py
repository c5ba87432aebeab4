"""Whom a transfer asks, and what is told of those that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from twisted.internet import error

from flocon.asking.attempts import Attempt
from flocon.asking.bodies import ANY_AHEAD, LITTLE_AHEAD
from flocon.asking.source import Came, Origin, Source
from flocon.asking.unhurried import PATIENCE
from flocon.errors import Refused, Unreachable
from flocon.precedence import QUIET
from flocon.transfers import readers
from flocon.transfers.reader import Reader
from flocon.transfers.subjects import Subject
from flocon.transfers.terms import GRACE
from flocon.transfers.transfer import Transfer
from tests.transfers.transfer_case import (
    DATA,
    LIMITS,
    MIRROR_A,
    NAME,
    PEER_A,
    PEER_B,
    WRONG,
    Client,
    TransferTestCase,
    content,
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


class Unhurried(TransferTestCase):
    """What nobody waits for, until somebody does."""

    def ahead(self, *sources: Source) -> Transfer:
        subject = Subject(NAME, content(DATA))
        transfer = Transfer(self.tools, subject, self.chooser(*sources), unhurried=True)
        self.addCleanup(transfer.cancel)
        transfer.begun.wait().addErrback(lambda _: None)
        transfer.finished.wait().addErrback(lambda _: None)
        transfer.start()
        return transfer

    def test_a_peer_is_told_that_nobody_waits_and_a_mirror_is_not(self) -> None:
        for source, told in ((PEER_A, "u=7"), (MIRROR_A, None)):
            self.assertTrue(self.ahead(source).unhurried)
            self.assertEqual(self.asked(source).header("Priority"), told)

    def test_what_pacman_waits_for_is_asked_for_as_ever(self) -> None:
        self.assertFalse(self.transfer(PEER_A).unhurried)
        self.assertIsNone(self.asked(PEER_A).header("Priority"))

    def test_pacman_follows_it_where_it_is_and_the_rest_is_hurried(self) -> None:
        transfer = self.ahead(PEER_A)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:5000])
        client = Client(transfer)
        self.assertFalse(transfer.unhurried)
        request = self.asked(PEER_A)
        self.assertEqual((request.start, request.header("Priority")), (5000, None))
        request.whole(DATA)
        self.assertEqual(client.data, DATA)
        client.leave()

    def test_so_it_is_where_a_peers_pacman_does(self) -> None:
        transfer = self.ahead(PEER_A)
        Reader(transfer, 0, verifies=True, hurried=False)
        self.assertTrue(transfer.unhurried)
        Reader(transfer, 0, verifies=True)
        self.assertFalse(transfer.unhurried)
        self.assertIsNone(self.asked(PEER_A).header("Priority"))

    def test_what_it_stood_still_for_does_not_hold_pacman_up(self) -> None:
        transfer = self.ahead(PEER_A)
        with self.tools.precedence.pacman():
            response = self.asked(PEER_A).head(len(DATA))
            response.send(DATA[:5000])
            self.assertTrue(response.paused)
            client = Client(transfer)
            self.asked(PEER_A).whole(DATA)
            self.assertEqual(client.data, DATA)
            client.leave()
        self.clock.advance(QUIET)

    def test_one_that_holds_back_is_neither_helped_out_nor_blamed(self) -> None:
        transfer = self.ahead(PEER_A, MIRROR_A)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:5000])
        self.clock.pump([0.25] * int(0.9 * PATIENCE / 0.25))
        self.assertFalse(self.was_asked(MIRROR_A))
        self.asked(PEER_A)
        self.clock.pump([0.25] * int(0.2 * PATIENCE / 0.25))
        self.assertEqual(self.tools.left_with, [("a", 5000)])
        self.assertEqual((self.tools.ended_with, self.tools.slow_ones), ([], []))
        self.asked(MIRROR_A).whole(DATA)
        self.assertTrue(transfer.verified)

    def test_one_that_was_silent_is_asked_no_more_for_a_while(self) -> None:
        self.tools.precedence.was_silent(PEER_A.key)
        self.ahead(PEER_A, PEER_B)
        self.assertFalse(self.was_asked(PEER_A))
        self.assertTrue(self.was_asked(PEER_B))
        # But pacman is given it.
        self.transfer(PEER_A)
        self.assertTrue(self.was_asked(PEER_A))

    def test_no_patience_is_at_an_end_while_nobody_waits(self) -> None:
        heard: list[list[float]] = []

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            heard.append([self.clock.seconds() - one.heard for one in tried])
            left = (PEER_A, PEER_B)[len(tried) :]
            return Attempt(left[0], LIMITS) if left else None

        transfer = Transfer(self.tools, Subject(NAME, content(DATA)), choose, unhurried=True)
        self.addCleanup(transfer.cancel)
        transfer.start()
        self.clock.advance(PATIENCE / 2)
        self.asked(PEER_A).answer(404)
        self.assertTrue(self.was_asked(PEER_B))
        self.assertEqual({seconds for one in heard for seconds in one}, {0.0})

    def test_one_that_had_no_room_for_it_is_asked_again_for_pacman(self) -> None:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            keys = {one.source.key for one in tried}
            left = [one for one in (PEER_A, PEER_B) if one.key not in keys]
            return Attempt(left[0], LIMITS) if left else None

        transfer = self.ahead()
        transfer.cancel()
        transfer = Transfer(self.tools, Subject(NAME, content(DATA)), choose, unhurried=True)
        self.addCleanup(transfer.cancel)
        transfer.start()
        self.asked(PEER_A).answer(503)
        self.assertTrue(self.was_asked(PEER_B))
        client = Client(transfer)
        self.asked(PEER_B).answer(404)
        self.assertEqual(len(self.tools.agent(PEER_A).requests), 2)
        self.asked(PEER_A).whole(DATA)
        self.assertEqual(client.data, DATA)
        client.leave()

    def test_it_is_nobodys_own_until_pacman_follows(self) -> None:
        transfer = self.ahead(PEER_A)
        Reader(transfer, 0, verifies=True)
        self.assertFalse(transfer.own)
        client = Client(transfer)
        self.assertTrue(transfer.own)
        client.leave()

    def test_a_peer_that_comes_and_goes_does_not_end_it(self) -> None:
        transfer = self.ahead(PEER_A)
        Reader(transfer, 0, verifies=True).close()
        self.clock.advance(GRACE + 1)
        self.asked(PEER_A).whole(DATA)
        self.assertTrue(transfer.verified)

    def test_one_that_is_paced_comes_no_faster_than_it_is_taken(self) -> None:
        self.patch(readers, "LEAD", 5000)
        transfer = self.ahead(MIRROR_A)
        transfer.terms.paced = True
        client = Client(transfer, verifies=True, hurried=False)
        response = self.asked(MIRROR_A).head(len(DATA))
        client.paused = True
        response.send(DATA[:5000])
        self.assertFalse(response.paused)
        response.send(DATA[5000:6000])
        self.assertTrue(response.paused)
        # Nobody is slow meanwhile.
        self.clock.pump([1.0] * 100)
        self.assertFalse(transfer.finished.known)
        client.resume()
        self.assertFalse(response.paused)
        response.send(DATA[6000:])
        response.end()
        client.poke()
        self.assertEqual(client.data, DATA)
        client.leave()

    def test_and_as_fast_as_it_can_once_somebody_waits(self) -> None:
        self.patch(readers, "LEAD", 5000)
        transfer = self.ahead(MIRROR_A)
        transfer.terms.paced = True
        reader = Reader(transfer, 0, verifies=True, hurried=False)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:6000])
        self.assertTrue(response.paused)
        client = Client(transfer)
        self.assertFalse(response.paused)
        response.send(DATA[6000:])
        response.end()
        self.assertEqual(client.data, DATA)
        client.leave()
        reader.close()

    def test_the_kernel_takes_little_of_it_ahead_until_somebody_waits(self) -> None:
        told: list[int] = []
        kernel = SimpleNamespace(setsockopt=lambda *given: told.append(given[-1]))
        transfer = self.ahead(MIRROR_A)
        transfer.terms.paced = True
        reader = Reader(transfer, 0, verifies=True, hurried=False)
        response = self.asked(MIRROR_A).head(len(DATA))
        transport: Any = response.transport
        transport._producer = SimpleNamespace(socket=kernel)
        response.send(DATA[:1000])
        self.assertEqual(set(told), {LITTLE_AHEAD})
        client = Client(transfer)
        response.send(DATA[1000:2000])
        self.assertEqual(told[-1], ANY_AHEAD)
        response.send(DATA[2000:])
        response.end()
        client.leave()
        reader.close()

    def test_begun_for_a_peer_that_goes_it_ends(self) -> None:
        transfer = self.ahead(PEER_A)
        transfer.terms.begun_by = "10.0.0.9"
        Reader(transfer, 0, verifies=True, hurried=False).close()
        self.clock.advance(0.1)
        self.assertTrue(transfer.finished.known)


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


class AnotherContent(TransferTestCase):
    """Of one name there are several contents, of which a peer may have one after the other."""

    OWNER = Source(Origin.PEER, "o", "o", f"http://o/relay/core/any/{NAME}", relayed=True)

    def test_a_peer_is_told_which_is_meant_and_a_mirror_has_no_such_name_for_it(self) -> None:
        meant = f'"{content(DATA).sha256.hex()}"'
        for source, told in ((PEER_A, meant), (self.OWNER, meant), (MIRROR_A, None)):
            self.transfer(source)
            self.assertEqual(self.asked(source).header("If-Match"), told)

    def test_who_says_that_it_has_another_by_now_is_neither_blamed_nor_called_failing(self) -> None:
        other = content(WRONG).sha256.hex()
        for source in (PEER_A, self.OWNER):
            for size in (len(DATA), len(DATA) - 7):
                transfer = self.transfer(source, MIRROR_A)
                self.asked(source).head(size, ETag=f'"{other}"')
                self.asked(MIRROR_A).whole(DATA)
                self.successResultOf(transfer.finished.wait())
                gone = [type(one.failure) for one in transfer.tried]
                self.assertEqual(gone, [Refused])
        self.assertEqual(self.tools.blamed, [])

    def test_who_says_that_it_has_the_right_one_and_sends_another_is_blamed(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        self.asked(PEER_A).whole(WRONG, ETag=f'"{content(DATA).sha256.hex()}"')
        self.asked(MIRROR_A).whole(DATA)
        self.successResultOf(transfer.finished.wait())
        self.assertEqual({key for _, keys in self.tools.blamed for key in keys}, {PEER_A.key})


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
