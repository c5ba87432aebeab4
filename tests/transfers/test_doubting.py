"""What becomes of an answer that had bytes which proved wrong."""

from __future__ import annotations

from flocon.transfers.release import LAST_RESORT, MIRROR_HOLD, RESERVE, TRICKLE_PERIOD, TRICKLE_STEP
from flocon.transfers.transfer import Transfer
from tests.transfers.transfer_case import (
    DATA,
    MIRROR_A,
    MIRROR_B,
    PEER_A,
    PEER_B,
    WRONG,
    Client,
    TransferTestCase,
)


class Released(TransferTestCase):
    def trickled(self, wrong: bytes) -> tuple[Transfer, Client]:
        """Return a transfer that gave a client the first bytes of ``wrong``, and found it out."""
        transfer = self.transfer(PEER_A, PEER_B)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(wrong[:-1])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, wrong[:TRICKLE_STEP])
        response.send(wrong[-1:])
        response.end()
        return transfer, client

    def test_an_answer_that_had_only_right_bytes_so_far_goes_on(self) -> None:
        transfer, client = self.trickled(WRONG)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertOver(transfer, client)

    def test_an_answer_that_had_a_wrong_byte_is_cut(self) -> None:
        transfer, client = self.trickled(b"\xff" + DATA[1:])
        other = Client(transfer)
        self.asked(PEER_B).whole(DATA)
        self.assertTrue(client.aborted)
        self.assertEqual(len(client.data), TRICKLE_STEP)
        self.assertEqual((other.data, other.aborted), (DATA, False))
        self.assertOver(transfer, client, other)

    def test_once_found_out_nothing_goes_before_the_next_is_verified(self) -> None:
        _, client = self.trickled(WRONG)
        response = self.asked(PEER_B).head(len(DATA))
        response.send(DATA[:-1])
        self.clock.advance(60)
        self.assertEqual(len(client.data), TRICKLE_STEP)

    def test_nothing_goes_while_what_went_is_compared(self) -> None:
        transfer, client = self.trickled(b"\xff" + DATA[1:])
        self.clock.held = True
        self.asked(PEER_B).whole(DATA)
        client.poke()
        self.clock.advance(TRICKLE_PERIOD)
        self.assertEqual(len(client.data), TRICKLE_STEP)
        self.clock.work()
        self.assertTrue(client.aborted)
        self.successResultOf(transfer.finished.wait())

    def test_a_client_that_pauses_is_compared_by_what_it_took(self) -> None:
        transfer = self.transfer(MIRROR_A, MIRROR_B)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        wrong = DATA[:5000] + b"\xff" + DATA[5001:]
        response.send(wrong[:4500])
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(client.data, DATA[: 4500 - RESERVE])
        client.paused = True
        response.send(wrong[4500:])
        response.end()
        self.asked(MIRROR_B).whole(DATA)
        client.resume()
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertOver(transfer, client)

    def test_a_reader_behind_the_wrong_byte_is_cut_too_if_another_had_it(self) -> None:
        """Both were sent from one wrong file; the second is not trusted to be right by luck."""
        transfer = self.transfer(MIRROR_A, MIRROR_B)
        clients = [Client(transfer), Client(transfer, 100)]
        response = self.asked(MIRROR_A).head(len(DATA))
        wrong = b"\xff" + DATA[1:]
        response.send(wrong[:-1])
        self.clock.advance(MIRROR_HOLD)
        response.send(wrong[-1:])
        response.end()
        self.asked(MIRROR_B).whole(DATA)
        self.assertEqual([client.aborted for client in clients], [True, True])
