"""What readers of a growing file are given, and when."""

from __future__ import annotations

from flocon.transfers.release import LAST_RESORT, MIRROR_HOLD, RESERVE, TRICKLE_PERIOD, TRICKLE_STEP
from tests.transfers.transfer_case import DATA, MIRROR_A, PEER_A, Client, TransferTestCase


class Given(TransferTestCase):
    def test_a_reader_of_a_peers_file_gets_nothing_before_it_is_verified(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:-1])
        self.clock.advance(LAST_RESORT - 0.1)
        self.assertEqual((client.data, client.begun), (b"", False))
        response.send(DATA[-1:])
        response.end()
        self.assertEqual(client.data, DATA)

    def test_a_peers_file_trickles_when_it_takes_long(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:-1])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])
        self.clock.advance(TRICKLE_PERIOD)
        self.assertEqual(client.data, DATA[: 2 * TRICKLE_STEP])

    def test_a_resumed_download_trickles_from_where_it_resumes(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer, start=10_000)
        self.asked(PEER_A).head(len(DATA)).send(DATA[:-1])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, DATA[10_000 : 10_000 + TRICKLE_STEP])

    def test_a_mirrors_file_goes_on_as_it_comes_after_a_moment_but_for_a_reserve(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[: RESERVE + 1000])
        self.clock.advance(MIRROR_HOLD - 0.1)
        self.assertEqual(client.data, b"")
        self.clock.advance(0.1)
        self.assertEqual(client.data, DATA[:1000])
        response.send(DATA[RESERVE + 1000 :])
        self.assertEqual(client.data, DATA[:-RESERVE])
        response.end()
        self.assertEqual(client.data, DATA)

    def test_one_that_verifies_for_itself_gets_all_as_it_comes(self) -> None:
        transfer = self.transfer(MIRROR_A)
        client = Client(transfer, verifies=True)
        self.asked(MIRROR_A).head(len(DATA)).send(DATA[:1000])
        self.assertEqual(client.data, DATA[:1000])

    def test_readers_at_different_places_each_get_their_part(self) -> None:
        transfer = self.transfer(PEER_A)
        clients = [Client(transfer, start) for start in (0, 5, 12_345, len(DATA) - 1)]
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:100])
        clients.append(Client(transfer, 50))
        response.send(DATA[100:])
        response.end()
        clients.append(Client(transfer, 7))
        for client, start in zip(clients, (0, 5, 12_345, len(DATA) - 1, 50, 7), strict=True):
            self.assertEqual(client.data, DATA[start:])
        self.assertOver(transfer, *clients)

    def test_a_listed_file_without_announced_length_still_trickles(self) -> None:
        transfer = self.transfer(PEER_A)
        client = Client(transfer)
        self.asked(PEER_A).answer(200).send(DATA[:1000])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(transfer.size, len(DATA))
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])
