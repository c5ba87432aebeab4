"""The few bytes of a mirror's that keep pacman patient."""

from __future__ import annotations

import os
from collections.abc import Sequence

from twisted.web.client import ResponseFailed

from flocon.asking.attempts import Attempt
from flocon.asking.source import Source
from flocon.errors import Broken
from flocon.transfers import prefix as module
from flocon.transfers.prefix import PREFIX
from flocon.transfers.reader import Reader
from flocon.transfers.release import (
    KEEP_PATIENT_AFTER,
    LAST_RESORT,
    LONGEST_HOLD,
    TRICKLE_PERIOD,
    TRICKLE_STEP,
)
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from tests.transfers.transfer_case import (
    DATA,
    LIMITS,
    MIRROR_A,
    MIRROR_B,
    NAME,
    PEER_A,
    PEER_B,
    Client,
    TransferTestCase,
    content,
)


class KeptPatient(TransferTestCase):
    """While peers bring a file, only a mirror's bytes go to pacman."""

    def slow(self, first: bytes, *mirrors: Source) -> tuple[Transfer, Client]:
        """Return a transfer whose peer sent ``first`` and then nothing for a while."""
        subject = Subject(NAME, content(DATA))
        transfer = Transfer(
            self.tools, subject, self.chooser(PEER_A, PEER_B), lambda: list(mirrors)
        )
        self.addCleanup(transfer.cancel)
        transfer.start()
        client = Client(transfer)
        self.response = self.asked(PEER_A).head(len(DATA))
        self.response.send(first)
        self.clock.advance(KEEP_PATIENT_AFTER)
        return transfer, client

    def test_a_mirror_is_asked_for_a_few_bytes_and_they_trickle(self) -> None:
        transfer, client = self.slow(DATA[:-1], MIRROR_A)
        request = self.asked(MIRROR_A)
        self.assertEqual(request.header("Range"), f"bytes=0-{PREFIX - 1}")
        place = f"bytes 0-{PREFIX - 1}/{len(DATA)}"
        response = request.answer(206, Content_Range=place, Content_Length=str(PREFIX))
        response.send(DATA[:PREFIX])
        self.assertEqual(client.data, b"")
        self.clock.advance(LONGEST_HOLD - KEEP_PATIENT_AFTER)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])
        self.clock.advance(TRICKLE_PERIOD)
        self.assertEqual(client.data, DATA[: 2 * TRICKLE_STEP])
        self.assertEqual(self.tools.took_from, [("m", PREFIX)])
        self.assertOver(self.cancelled(transfer), client)

    def cancelled(self, transfer: Transfer) -> Transfer:
        transfer.cancel()
        return transfer

    def test_a_peer_that_differs_is_not_waited_for(self) -> None:
        transfer, client = self.slow(b"\xff" + DATA[1:-1], MIRROR_A)
        self.asked(MIRROR_A).answer(200, Content_Length=str(len(DATA))).send(DATA[:PREFIX])
        self.assertNotIn("a", transfer._asking)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertOver(transfer, client)

    def few(self, mirror: Source, data: bytes) -> None:
        """Have a mirror give the few bytes that it was asked for."""
        place = f"bytes 0-{PREFIX - 1}/{len(DATA)}"
        answer = self.asked(mirror).answer(206, Content_Range=place, Content_Length=str(PREFIX))
        answer.send(data[:PREFIX])

    def test_nothing_goes_on_of_a_mirror_that_differs_where_another_bears_the_peer_out(
        self,
    ) -> None:
        transfer, client = self.slow(DATA[:-1], MIRROR_A, MIRROR_B)
        self.few(MIRROR_A, b"\xff" * PREFIX)
        self.assertIn("a", transfer._asking)
        self.few(MIRROR_B, DATA)
        self.clock.advance(LONGEST_HOLD - KEEP_PATIENT_AFTER)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])
        self.response.send(DATA[-1:])
        self.response.end()
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["m"])])
        self.assertOver(transfer, client)

    def test_two_mirrors_that_agree_are_believed_before_a_peer(self) -> None:
        transfer, client = self.slow(b"\xff" + DATA[1:-1], MIRROR_A, MIRROR_B)
        self.few(MIRROR_A, DATA)
        self.few(MIRROR_B, DATA)
        self.assertNotIn("a", transfer._asking)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertOver(transfer, client)

    def test_one_that_says_it_twice_is_no_second(self) -> None:
        transfer, _ = self.slow(DATA[:-1], MIRROR_A, MIRROR_B)
        wrong = b"\xff" * PREFIX
        for _ in range(2):
            with self.assertRaises(Broken):
                transfer._patient._have_witnessed(MIRROR_A, 0, wrong)
        transfer._patient._have_witnessed(MIRROR_B, 0, wrong)

    def test_one_is_so_too_where_the_other_is_silent(self) -> None:
        transfer, client = self.slow(b"\xff" + DATA[1:-1], MIRROR_A, MIRROR_B)
        self.few(MIRROR_A, DATA)
        self.assertIn("a", transfer._asking)
        self.clock.advance(module.PREFIX_PATIENCE)
        self.assertNotIn("a", transfer._asking)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertOver(transfer, client)

    def test_the_only_mirror_that_differs_is_told_of_once_the_right_bytes_are_here(self) -> None:
        """It is believed first; what it gives when it is asked for all may be right."""
        subject = Subject(NAME, content(DATA))
        choose = self.chooser(PEER_A, PEER_B, MIRROR_A)
        transfer = Transfer(self.tools, subject, choose, lambda: [MIRROR_A])
        self.addCleanup(transfer.cancel)
        transfer.start()
        client = Client(transfer)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:-1])
        self.clock.advance(KEEP_PATIENT_AFTER)
        self.few(MIRROR_A, b"\xff" * PREFIX)
        self.assertNotIn("a", transfer._asking)
        self.asked(PEER_B).whole(DATA)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["m"])])
        self.assertOver(transfer, client)

    def test_what_does_not_say_its_length_is_not_put_among_a_peers_bytes(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:-1])
        self.clock.advance(2.0)
        self.asked(MIRROR_A).answer(200).send(b"<html>" * 1000)
        response.send(DATA[-1:])
        response.end()
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_what_is_not_as_long_as_the_file_is_not_taken_for_its_beginning(self) -> None:
        for length in ({}, {"Content_Length": "5000"}):
            transfer, client = self.slow(DATA[:-1], MIRROR_A, MIRROR_B)
            self.asked(MIRROR_A).answer(200, **length).send(b"<html>" * 1000)
            self.assertIn("a", transfer._asking)
            self.asked(MIRROR_B).answer(200, Content_Length=str(len(DATA))).send(DATA[:PREFIX])
            self.clock.advance(LONGEST_HOLD)
            self.assertTrue(client.data)
            self.assertEqual(client.data, DATA[: len(client.data)])

    def test_a_peer_that_comes_to_a_mirrors_bytes_does_not_overwrite_them(self) -> None:
        subject = Subject(NAME, content(DATA))
        transfer = Transfer(self.tools, subject, self.chooser(PEER_A), lambda: [MIRROR_A])
        self.addCleanup(transfer.cancel)
        transfer.start()
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:100])
        # For a reader that resumes there.
        transfer.keep_patient(5_000)
        answer = self.asked(MIRROR_A).answer(200, Content_Length=str(len(DATA)))
        answer.send(DATA[: 5_000 + PREFIX])
        response.send(bytes(9_000))
        found = os.pread(transfer.incoming.fileno(), PREFIX, 5_000)
        self.assertEqual(found, DATA[5_000 : 5_000 + PREFIX])

    def test_the_next_mirror_is_asked_beside_a_silent_one(self) -> None:
        _, client = self.slow(DATA[:-1], MIRROR_A, MIRROR_B)
        self.clock.advance(module.PREFIX_STAGGER)
        self.asked(MIRROR_B).answer(200, Content_Length=str(len(DATA))).send(DATA[:PREFIX])
        self.clock.advance(LONGEST_HOLD)
        self.assertTrue(client.data)
        self.assertEqual(client.data, DATA[: len(client.data)])

    def test_a_mirror_that_had_failed_and_answers_now_brings_the_rest(self) -> None:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            asked = [attempt.source for attempt in tried]
            left = [one for one in (MIRROR_A, PEER_A) if one not in asked]
            return Attempt(left[0], LIMITS) if left else None

        subject = Subject(NAME, content(DATA))
        transfer = Transfer(self.tools, subject, choose, lambda: [MIRROR_A])
        self.addCleanup(transfer.cancel)
        transfer.start()
        client = Client(transfer)
        self.asked(MIRROR_A).fail(ResponseFailed([]))
        self.asked(PEER_A).head(len(DATA)).send(DATA[:1])
        self.clock.advance(KEEP_PATIENT_AFTER)
        self.asked(MIRROR_A).answer(200, Content_Length=str(len(DATA))).send(DATA[:PREFIX])
        # Its own rate so far was none: it is taken to be as fast as mirrors are.
        for _ in range(8):
            self.clock.advance(0.25)
        response = self.asked(MIRROR_A).answer(
            206, Content_Range=f"bytes 1-{len(DATA) - 1}/{len(DATA)}"
        )
        response.send(DATA[1:])
        response.end()
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_where_no_mirror_answers_a_peers_bytes_are_the_last_resort(self) -> None:
        _, client = self.slow(DATA[:-1], MIRROR_A)
        self.clock.advance(LAST_RESORT - KEEP_PATIENT_AFTER - 0.1)
        self.assertEqual(client.data, b"")
        self.clock.advance(0.1)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])

    def test_one_that_resumes_is_kept_patient_from_where_it_stands(self) -> None:
        subject = Subject(NAME, content(DATA))
        transfer = Transfer(self.tools, subject, self.chooser(PEER_A), lambda: [MIRROR_A])
        self.addCleanup(transfer.cancel)
        transfer.start()
        reader = Reader(transfer, 0)
        reader.move(10_000)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:-1])
        self.clock.advance(KEEP_PATIENT_AFTER)
        self.assertEqual(self.asked(MIRROR_A).header("Range"), f"bytes=10000-{10_000 + PREFIX - 1}")
        reader.close()
