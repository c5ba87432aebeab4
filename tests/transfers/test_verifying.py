"""Hashing a file in threads while it comes, and for whom."""

from __future__ import annotations

from unittest import mock

from flocon.errors import Broken, FloconError
from flocon.transfers import verifying as module
from flocon.transfers.subjects import Subject
from tests.fakes import FakeReactor
from tests.transfers.transfer_case import (
    DATA,
    MIRROR_A,
    NAME,
    PEER_A,
    Client,
    TransferTestCase,
    content,
)


class Hashed(TransferTestCase):
    def test_a_large_file_is_hashed_in_threads_while_it_comes(self) -> None:
        data = bytes(9 << 20)
        self.clock.held = True
        transfer = self.transfer(PEER_A, subject=Subject(NAME, content(data)))
        response = self.asked(PEER_A).head(len(data))
        for start in range(0, len(data), 1 << 16):
            response.send(data[start : start + (1 << 16)])
            if start % (5 << 20) == 0:
                self.clock.work()
        response.end()
        self.assertNoResult(transfer.finished.wait())
        self.clock.work()
        self.successResultOf(transfer.finished.wait())
        self.assertOver(transfer)

    def test_where_no_thread_can_be_begun_it_is_written_and_hashed_all_the_same(self) -> None:
        begin = mock.Mock(side_effect=RuntimeError("can't start new thread"))
        pool = self.clock.getThreadPool()
        pool.threads = []
        self.patch(pool, "callInThreadWithCallback", begin)
        data = bytes(9 << 20)
        for sent, is_right in ((data, True), (b"\1" * len(data), False)):
            transfer = self.transfer(PEER_A, subject=Subject(NAME, content(data)))
            response = self.asked(PEER_A).head(len(data))
            for start in range(0, len(data), 1 << 16):
                response.send(sent[start : start + (1 << 16)])
            response.end()
            if is_right:
                self.successResultOf(transfer.finished.wait())
            else:
                self.failureResultOf(transfer.finished.wait(), FloconError)
            self.assertOver(transfer)
        self.assertGreater(begin.call_count, 2)

    def test_what_only_strangers_wait_for_is_hashed_beside_what_pacman_waits_for(self) -> None:
        self.patch(module, "HASH_INLINE", 0)
        for begun_by in ("10.0.0.9", ""):
            self.tools.for_strangers = FakeReactor()
            self.tools.for_strangers.held = True
            transfer = self.transfer(MIRROR_A)
            transfer.terms.begun_by = begun_by
            Client(transfer, verifies=bool(begun_by))
            self.asked(MIRROR_A).whole(DATA)
            self.assertEqual(transfer.finished.known, not begun_by)

    def test_cancelling_while_it_is_hashed_leaves_nothing_behind(self) -> None:
        self.patch(module, "HASH_INLINE", 0)
        self.clock.held = True
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        self.asked(MIRROR_A).whole(DATA)
        transfer.cancel()
        self.failureResultOf(transfer.finished.wait(), Broken)
        self.assertOver(transfer, client)
        self.clock.work()
