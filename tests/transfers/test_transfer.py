"""A transfer from beginning to end: what it brings, for whom, and that it leaves nothing."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed

from flocon.asking.attempts import Attempt
from flocon.errors import Broken
from flocon.transfers import transfer as module
from flocon.transfers import verifying
from flocon.transfers.release import MIRROR_HOLD, RESERVE
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import GRACE, Transfer
from tests.fakes import FakeReactor
from tests.transfers.transfer_case import (
    DATA,
    MIRROR_A,
    MIRROR_B,
    NAME,
    PEER_A,
    Client,
    TransferTestCase,
    content,
)


class FromOne(TransferTestCase):
    def test_a_right_file_reaches_its_reader_at_once(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer)
        self.asked(PEER_A).whole(DATA)
        self.assertEqual(client.data, DATA)
        self.successResultOf(transfer.finished.wait())
        self.assertTrue(transfer.verified)
        self.assertEqual(self.tools.ended_with, [("a", len(DATA), None)])
        self.assertOver(transfer, client)

    def test_the_rest_of_a_file_is_asked_for_and_given(self) -> None:
        transfer = self.transfer(MIRROR_A, subject=Subject(NAME, start=15_000))
        client = Client(transfer, 15_000)
        self.assertEqual(self.asked(MIRROR_A).start, 15_000)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA[15_000:])
        self.assertEqual(transfer.size, len(DATA))

    def test_an_empty_file_is_whole_at_once(self) -> None:
        transfer = self.transfer(MIRROR_A, subject=Subject(NAME, content(b"")))
        self.asked(MIRROR_A).whole(b"")
        self.successResultOf(transfer.finished.wait())


class Rooms(TransferTestCase):
    """For whom a transfer takes room, and how it gives that back."""

    def test_what_pacman_asked_for_is_its_own(self) -> None:
        transfer = self.transfer(MIRROR_A)
        self.assertTrue(transfer.own)

    def test_what_a_peer_asked_for_is_a_strangers_until_pacman_follows(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by = "10.0.0.9"
        Client(transfer, verifies=True)
        self.assertFalse(transfer.own)
        own = Client(transfer)
        self.assertTrue(transfer.own)
        own.reader.close()
        self.assertFalse(transfer.own)

    def test_what_only_a_peer_still_reads_is_a_strangers(self) -> None:
        transfer = self.transfer(MIRROR_A)
        own, peer = Client(transfer), Client(transfer, verifies=True)
        self.asked(MIRROR_A).whole(DATA)
        own.reader.close()
        self.assertTrue(transfer.finished.known)
        self.assertFalse(transfer.own)
        peer.reader.close()

    def test_cut_on_its_way_it_ends_and_gives_its_file_back(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by = "10.0.0.9"
        client = Client(transfer, verifies=True)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:1_000])
        transfer.cut()
        self.assertTrue(response.left)
        self.assertTrue(client.aborted)
        client.reader.close()
        self.assertOver(transfer, client)

    def test_cut_when_it_is_whole_it_lets_go_of_who_still_reads(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer, verifies=True)
        self.asked(MIRROR_A).whole(DATA)
        transfer.cut()
        self.assertTrue(client.aborted)
        self.assertTrue(transfer.verified)


class Ends(TransferTestCase):
    def test_cancelling_leaves_nothing_behind(self) -> None:
        for received in (None, 0, 1000):
            transfer = self.transfer(MIRROR_A, MIRROR_B)
            client = Client(transfer)
            if received is not None:
                response = self.asked(MIRROR_A).head(len(DATA))
                response.send(DATA[:received])
            transfer.cancel()
            self.assertIsInstance(client.failure, Broken)
            self.assertFalse(self.was_asked(MIRROR_B))
            self.assertOver(transfer, client)

    def test_a_begun_answer_is_cut_when_no_source_is_left(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[: RESERVE + 1000])
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(len(client.data), 1000)
        response.break_off()
        self.assertTrue(client.aborted)
        self.assertOver(transfer, client)

    def test_who_joins_when_nobody_is_left_is_asked_for_all_the_same(self) -> None:
        transfer = self.transfer(PEER_A)
        settled: Deferred[None] = Deferred()
        self.patch(transfer._draft, "settled", lambda: settled)
        self.asked(PEER_A).answer(404)
        transfer.widen(self.chooser(PEER_A, MIRROR_A), lambda: [MIRROR_A])
        settled.callback(None)
        self.patch(transfer._draft, "settled", lambda: succeed(None))
        client = Client(transfer)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA)
        self.assertTrue(transfer.verified)
        self.assertOver(transfer, client)

    def test_it_goes_on_for_a_while_when_nobody_follows(self) -> None:
        transfer = self.transfer(MIRROR_A)
        Client(transfer).leave()
        self.clock.advance(GRACE - 0.1)
        self.assertFalse(transfer.finished.known)
        self.clock.advance(0.2)
        self.failureResultOf(transfer.finished.wait(), Broken)
        self.assertOver(transfer)

    def test_begun_for_a_peer_it_ends_soon_after_the_peer_has_left(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by = "10.0.0.9"
        client = Client(transfer)
        client.reader.verifies = True
        response = self.asked(MIRROR_A).head(len(DATA))
        client.reader.close()
        self.clock.advance(module.GRACE_FOR_PEERS)
        self.assertTrue(response.left)
        self.failureResultOf(transfer.finished.wait(), Broken)

    def test_begun_for_a_peer_that_has_all_of_it_it_is_looked_through_and_kept(self) -> None:
        looked_through: Deferred[None] = Deferred()
        transfer = self.transfer(MIRROR_A)
        self.patch(transfer._judging, "judge", lambda: looked_through)
        transfer.begun_by = "10.0.0.9"
        client = Client(transfer, verifies=True)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA)
        client.leave()
        self.clock.advance(GRACE - 0.1)
        looked_through.callback(None)
        self.successResultOf(transfer.finished.wait())
        self.assertOver(transfer)

    def test_begun_for_a_peer_it_goes_on_without_where_this_machine_wants_it_ahead(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by, transfer.wanted_here = "10.0.0.9", True
        client = Client(transfer)
        client.reader.verifies = True
        response = self.asked(MIRROR_A).head(len(DATA))
        client.reader.close()
        self.clock.advance(GRACE + 0.1)
        self.assertFalse(response.left)

    def test_begun_for_a_peer_that_left_with_all_of_it_it_is_verified_all_the_same(self) -> None:
        self.patch(verifying, "HASH_INLINE", 0)
        self.tools.for_strangers = FakeReactor()
        self.tools.for_strangers.held = True
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by = "10.0.0.9"
        client = Client(transfer, verifies=True)
        self.asked(MIRROR_A).whole(DATA)
        client.reader.close()
        self.clock.advance(module.GRACE_FOR_PEERS)
        self.assertNoResult(transfer.finished.wait())
        self.tools.for_strangers.work()
        self.successResultOf(transfer.finished.wait())

    def test_begun_for_a_peer_it_waits_for_this_machines_pacman_all_the_same(self) -> None:
        transfer = self.transfer(MIRROR_A)
        transfer.begun_by = "10.0.0.9"
        response = self.asked(MIRROR_A).head(len(DATA))
        Client(transfer).leave()
        self.clock.advance(GRACE - 0.1)
        self.assertFalse(response.left)

    def test_one_that_comes_back_in_time_finds_it_running(self) -> None:
        transfer = self.transfer(MIRROR_A)
        Client(transfer).leave()
        self.clock.advance(GRACE - 0.1)
        client = Client(transfer)
        self.clock.advance(GRACE)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(client.data, DATA)

    def test_the_file_stays_open_for_a_slow_reader(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        client.paused = True
        self.asked(MIRROR_A).whole(DATA)
        transfer.retire()
        client.resume()
        self.assertEqual(client.data, DATA)
        client.leave()
        self.assertEqual(self.tools.files[0].closed, 1)

    def test_what_no_error_was_foreseen_for_is_logged_and_ends_it(self) -> None:
        def choose(_: Sequence[Attempt]) -> Attempt | None:
            raise ZeroDivisionError

        transfer = Transfer(self.tools, Subject(NAME, content(DATA)), choose)
        transfer.start()
        self.failureResultOf(transfer.finished.wait(), Broken)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
