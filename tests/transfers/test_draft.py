"""Where the bytes of a transfer lie: disks that are full, or slow."""

from __future__ import annotations

import errno
import itertools
import os

from flocon.errors import Broken, StoreError
from flocon.transfers.prefix import PREFIX
from flocon.transfers.release import KEEP_PATIENT_AFTER, MIRROR_HOLD
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from flocon.writing import descriptors, growing_file
from tests.fakes import FakeTools, Memory
from tests.transfers.transfer_case import (
    DATA,
    MIRROR_A,
    MIRROR_B,
    NAME,
    PEER_A,
    PEER_B,
    WRONG,
    Client,
    TransferTestCase,
    content,
)


class Disks(TransferTestCase):
    def test_a_full_disk_moves_the_transfer_to_spare(self) -> None:
        self.tools.room = 8192
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:5_000])
        self.clock.advance(MIRROR_HOLD)
        self.assertTrue(transfer.incoming.keep)
        response.send(DATA[5_000:15_000])
        self.assertFalse(transfer.incoming.keep)
        self.assertEqual(self.tools.files[0].closed, 1)
        response.send(DATA[15_000:])
        response.end()
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_a_file_that_takes_long_to_move_is_given_up(self) -> None:
        self.patch(descriptors, "STEP", 1_000)
        self.tools.room = 8192
        transfer = self.transfer(MIRROR_A, MIRROR_B)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:5_000])
        now = self.clock.seconds
        looks = itertools.count()
        # Each step of copying takes a while.
        self.patch(
            self.clock, "seconds", lambda: now() + next(looks) * growing_file.MOVE_SECONDS / 3
        )
        response.send(DATA[5_000:15_000])
        self.assertTrue(response.left)
        self.assertIsInstance(client.failure, StoreError)
        self.assertLess(next(looks), 12)
        self.assertOver(transfer, client)

    def test_a_disk_that_takes_nothing_is_no_matter(self) -> None:
        self.tools.room = 0
        transfer = self.transfer(MIRROR_A)
        self.asked(MIRROR_A).whole(DATA)
        self.successResultOf(transfer.finished.wait())

    def test_no_room_anywhere_ends_it_with_a_clear_error(self) -> None:
        for spoil in ("spare_room", "no_spare"):
            self.tools = FakeTools()
            self.clock = self.tools.reactor
            self.tools.room = 4096
            if spoil == "spare_room":
                self.tools.spare_room = 8192
            else:
                self.tools.no_spare = True
            transfer = self.transfer(MIRROR_A, MIRROR_B)
            client = Client(transfer)
            response = self.asked(MIRROR_A).head(len(DATA))
            response.send(DATA[:3_000])
            response.send(DATA[3_000:9_000])
            response.send(DATA[9_000:])
            self.assertTrue(response.left)
            self.assertIsInstance(client.failure, StoreError)
            self.assertFalse(self.was_asked(MIRROR_B))
            self.assertOver(transfer, client)

    def test_a_file_that_cannot_be_made_ends_it_with_a_clear_error(self) -> None:
        def incoming(*_: object) -> Memory:
            raise StoreError("/store", os.strerror(errno.ENOSPC))

        self.patch(self.tools, "incoming", incoming)
        transfer = self.transfer(MIRROR_A)
        response = self.asked(MIRROR_A).head(len(DATA))
        self.assertTrue(response.left)
        self.failureResultOf(transfer.finished.wait(), StoreError)


class SlowDisks(TransferTestCase):
    """What comes waits for the disk, and a test says when that has written it."""

    def setUp(self) -> None:
        super().setUp()
        self.clock.held = True
        self.patch(growing_file, "MOST_OF_ONE", 6_000)

    def test_a_reader_gets_what_is_written(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer, verifies=True)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:5_000])
        self.assertEqual((client.begun, client.data), (False, b""))
        self.clock.work()
        self.assertEqual(client.data, DATA[:5_000])
        response.send(DATA[5_000:])
        response.end()
        self.assertEqual(client.data, DATA[:5_000])
        self.assertNoResult(transfer.finished.wait())
        self.clock.work()
        self.assertEqual(client.data, DATA)
        self.successResultOf(transfer.finished.wait())
        self.assertOver(transfer, client)

    def test_who_sends_waits_for_it_and_is_not_blamed(self) -> None:
        transfer = self.transfer(PEER_A, PEER_B)
        client = Client(transfer, verifies=True)
        response = self.asked(PEER_A).head(len(DATA))
        for start in range(0, len(DATA), 2_000):
            response.send(DATA[start : start + 2_000])
        response.end()
        self.assertTrue(response.paused)
        self.assertEqual(transfer.arrived, 6_000)
        self.clock.pump([1.0] * 60)
        self.assertFalse(self.was_asked(PEER_B))
        self.clock.work()
        self.successResultOf(transfer.finished.wait())
        self.assertEqual((client.data, self.tools.slow_ones), (DATA, []))
        self.assertEqual(self.tools.backlog.size, 0)
        self.assertOver(transfer, client)

    def test_what_was_ended_while_it_waited_leaves_nothing(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:4_000])
        response.send(DATA[4_000:9_000])
        transfer.cancel()
        self.assertTrue(response.left)
        self.assertOver(transfer, client)
        self.assertTrue(self.tools.files[0].is_open)
        self.clock.work()
        self.assertFalse(self.tools.files[0].is_open)
        self.assertEqual(self.tools.backlog.size, 0)

    def test_what_was_ended_while_its_last_bytes_waited_leaves_nothing(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        self.asked(MIRROR_A).whole(DATA)
        transfer.cancel()
        self.failureResultOf(transfer.finished.wait(), Broken)
        self.assertOver(transfer, client)
        self.clock.work()
        self.assertFalse(self.tools.files[0].is_open)

    def test_right_bytes_that_wait_are_compared_with_a_mirrors_as_if_they_were_written(
        self,
    ) -> None:
        subject = Subject(NAME, content(DATA))
        transfer = Transfer(self.tools, subject, self.chooser(PEER_A), lambda: [MIRROR_A])
        transfer.start()
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:1_000])
        response.send(DATA[1_000:5_000])
        self.clock.advance(KEEP_PATIENT_AFTER + 0.1)
        begin = self.asked(MIRROR_A)
        begin.answer(
            206, Content_Range=f"bytes 0-{PREFIX - 1}/{len(DATA)}", Content_Length=str(PREFIX)
        ).send(DATA[:PREFIX])
        self.assertFalse(response.left)
        response.send(DATA[5_000:])
        response.end()
        self.clock.work()
        self.successResultOf(transfer.finished.wait())
        self.assertEqual((client.data, self.tools.blamed), (DATA, []))
        self.assertOver(transfer, client)

    def test_what_waits_when_a_mirror_has_other_bytes_is_replaced_too(self) -> None:
        transfer = Transfer(
            self.tools,
            Subject(NAME, content(DATA)),
            self.chooser(PEER_A, MIRROR_A),
            lambda: [MIRROR_A],
        )
        transfer.start()
        client = Client(transfer)
        bad = self.asked(PEER_A).head(len(DATA))
        bad.send(WRONG[-3_000:])
        bad.send(b"\xff" * 2_000)
        self.clock.advance(KEEP_PATIENT_AFTER + 0.1)
        begin = self.asked(MIRROR_A)
        begin.answer(
            206, Content_Range=f"bytes 0-{PREFIX - 1}/{len(DATA)}", Content_Length=str(PREFIX)
        ).send(DATA[:PREFIX])
        self.assertTrue(bad.left)
        self.clock.held = False
        self.asked(MIRROR_A).whole(DATA)
        self.clock.work()
        self.clock.advance(1)
        self.successResultOf(transfer.finished.wait())
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_a_disk_that_turns_out_to_be_full_ends_it_where_there_is_no_spare(self) -> None:
        self.tools.room, self.tools.no_spare = 0, True
        transfer = self.transfer(MIRROR_A, MIRROR_B)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:7_000])
        self.assertTrue(response.paused)
        self.clock.work()
        self.assertTrue(response.left)
        self.assertIsInstance(client.failure, StoreError)
        self.assertFalse(self.was_asked(MIRROR_B))
        self.assertOver(transfer, client)

    def test_a_disk_that_turns_out_to_be_full_at_the_very_end_ends_it_too(self) -> None:
        self.tools.room, self.tools.no_spare = 0, True
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        self.asked(MIRROR_A).whole(DATA)
        self.assertFalse(transfer.finished.known)
        self.clock.work()
        self.assertIsInstance(client.failure, StoreError)
        self.assertOver(transfer, client)

    def test_a_disk_that_turns_out_to_be_full_is_left_for_a_spare(self) -> None:
        self.tools.room = 4_000
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        self.asked(MIRROR_A).whole(DATA)
        self.clock.work()
        self.assertFalse(transfer.incoming.keep)
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)
