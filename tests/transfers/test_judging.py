"""Whether a file is right, and whose fault it is where it is not."""

from __future__ import annotations

import os

from flocon.asking.source import Source
from flocon.errors import Broken, Contradicted
from flocon.transfers.release import LAST_RESORT, MIRROR_HOLD, RESERVE, TRICKLE_AFTER, TRICKLE_STEP
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
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
)


class Contradictions(TransferTestCase):
    def test_wrong_bytes_are_replaced_unseen_and_reported(self) -> None:
        transfer = self.transfer(PEER_A, PEER_B)
        client = Client(transfer)
        self.asked(PEER_A).whole(WRONG)
        self.assertEqual(client.data, b"")
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertEqual(self.asked(PEER_B).start, 0)
        self.asked(PEER_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(str(transfer.source), "peer b")
        self.assertOver(transfer, client)

    def test_of_several_that_contributed_only_who_sent_wrong_bytes_is_reported(self) -> None:
        transfer = self.transfer(PEER_A, PEER_B, MIRROR_A)
        response = self.asked(PEER_A).head(len(DATA))
        response.send(DATA[:10])
        response.break_off()
        self.asked(PEER_B).whole(WRONG)
        self.assertEqual(self.tools.blamed, [])
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(self.tools.blamed, [(NAME, ["b"])])
        self.successResultOf(transfer.finished.wait())

    def test_a_mirrors_bytes_stay_where_a_peers_beside_them_were_wrong(self) -> None:
        transfer = self.transfer(MIRROR_A, PEER_A, MIRROR_B)
        client = Client(transfer)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(DATA[:7_000])
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(client.data, DATA[: 7_000 - RESERVE])
        response.break_off()
        self.asked(PEER_A).whole(WRONG)
        # Only the peer's are brought anew, and pacman is given the mirror's meanwhile.
        self.assertEqual(self.asked(MIRROR_B).start, 7_000)
        self.clock.advance(TRICKLE_AFTER)
        self.assertEqual(client.data, DATA[: 7_000 - RESERVE + TRICKLE_STEP])
        self.asked(MIRROR_B).whole(DATA)
        self.assertEqual((client.data, client.aborted), (DATA, False))
        self.assertEqual(self.tools.blamed, [(NAME, ["a"])])
        self.assertOver(transfer, client)

    def test_a_wrong_mirror_beside_an_honest_peer_is_not_the_peers_fault(self) -> None:
        transfer = self.transfer(MIRROR_A, PEER_A, *(MIRROR_B,) * 3)
        response = self.asked(MIRROR_A).head(len(DATA))
        response.send(b"\xff" + DATA[1:7_000])
        response.break_off()
        self.asked(PEER_A).whole(DATA)
        self.asked(MIRROR_B).whole(DATA)
        self.assertEqual(self.asked(MIRROR_B).start, 0)
        self.asked(MIRROR_B).whole(DATA)
        self.successResultOf(transfer.finished.wait())
        self.assertEqual([keys for _, keys in self.tools.blamed], [["m", "n"]])

    def test_wrong_bytes_from_everyone_end_in_an_error(self) -> None:
        transfer = self.transfer(PEER_A, MIRROR_A)
        client = Client(transfer)
        self.asked(PEER_A).whole(WRONG)
        self.asked(MIRROR_A).whole(WRONG)
        self.assertIsInstance(client.failure, Contradicted)
        self.assertEqual(client.data, b"")
        self.assertEqual([keys for _, keys in self.tools.blamed], [["a"], ["m"]])
        self.assertOver(transfer, client)


class LookedThrough(TransferTestCase):
    """Databases that a peer may give: looked through before anybody gets a byte of them."""

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[bytes] = []

    def find_problem(self, descriptor: int) -> str:
        data = os.pread(descriptor, 1 << 20, 0)
        self.seen.append(data)
        return "" if data.startswith(DATA[:100]) else "is no database"

    def database(self, *sources: Source, since: str | None = None) -> Transfer:
        subject = Subject("core.db", modified_since=since, find_problem=self.find_problem)
        return self.transfer(*sources, subject=subject)

    def test_a_peers_is_held_back_until_it_was_looked_through(self) -> None:
        transfer = self.database(PEER_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA), Last_Modified="v1")
        response.send(DATA[:-1])
        self.clock.advance(LAST_RESORT - 0.1)
        self.assertEqual(client.data, b"")
        response.send(DATA[-1:])
        response.end()
        self.assertEqual((client.data, self.seen), (DATA, [DATA]))
        self.assertOver(transfer, client)

    def test_a_slow_one_trickles(self) -> None:
        client = Client(self.database(PEER_A))
        self.asked(PEER_A).head(len(DATA), Last_Modified="v1").send(DATA[:-1])
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, DATA[:TRICKLE_STEP])

    def test_a_bad_one_is_replaced_unseen_and_its_peer_blamed(self) -> None:
        transfer = self.database(PEER_A, MIRROR_A)
        client = Client(transfer)
        self.asked(PEER_A).whole(b"garbage", Last_Modified="v9")
        self.assertEqual(client.data, b"")
        self.asked(MIRROR_A).whole(DATA, Last_Modified="v1")
        self.assertEqual((client.data, self.tools.blamed), (DATA, [("core.db", ["a"])]))
        self.assertOver(transfer, client)

    def test_a_bad_one_that_was_begun_is_not_continued_with_another_version(self) -> None:
        transfer = self.database(PEER_A, MIRROR_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA), Last_Modified="v9")
        response.send(bytes(len(DATA) - 1))
        self.clock.advance(LAST_RESORT)
        self.assertEqual(client.data, bytes(TRICKLE_STEP))
        response.send(b"x")
        response.end()
        self.asked(MIRROR_A).whole(DATA, Last_Modified="v1")
        self.assertEqual((client.data, client.aborted), (bytes(TRICKLE_STEP), True))
        self.failureResultOf(transfer.finished.wait(), Broken)

    def test_nobody_else_adds_to_what_a_peer_began(self) -> None:
        transfer = self.database(PEER_A, MIRROR_A)
        client = Client(transfer)
        response = self.asked(PEER_A).head(len(DATA), Last_Modified="v1")
        response.send(bytes(1000))
        response.break_off()
        request = self.asked(MIRROR_A)
        self.assertEqual(request.start, 0)
        request.whole(DATA, Last_Modified="v1")
        self.assertEqual(client.data, DATA)
        self.assertOver(transfer, client)

    def test_a_mirrors_is_believed_as_pacman_would(self) -> None:
        client = Client(self.database(MIRROR_A))
        self.asked(MIRROR_A).whole(b"anything", Last_Modified="v1")
        self.assertEqual((client.data, self.seen), (b"anything", []))

    def test_a_peer_sends_no_more_than_it_may(self) -> None:
        for announced in (len(DATA), None):
            subject = Subject("core.db", find_problem=self.find_problem, most=len(DATA) - 1)
            transfer = self.transfer(PEER_A, MIRROR_A, subject=subject)
            fields = {} if announced is None else {"Content_Length": str(announced)}
            self.asked(PEER_A).answer(200, **fields).send(DATA)
            self.asked(MIRROR_A).whole(DATA[:-1], Last_Modified="v1")
            self.successResultOf(transfer.finished.wait())
            self.assertEqual((transfer.size, self.seen), (len(DATA) - 1, []))

    def test_nothing_new_is_not_looked_through(self) -> None:
        transfer = self.database(PEER_A, since="yesterday")
        self.asked(PEER_A).answer(304, Last_Modified="v0")
        self.successResultOf(transfer.begun.wait())
        self.assertEqual((transfer.not_modified, self.seen), (True, []))
