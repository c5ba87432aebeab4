"""The transfers of a node: joined, signed, published."""

from __future__ import annotations

import os

from twisted.internet.defer import CancelledError, Deferred, succeed

from flocon.asking.source import Source
from flocon.errors import Broken, Refused, Unreachable
from flocon.transfers import transfers
from flocon.transfers.draft import Draft
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import GRACE, Transfer
from flocon.transfers.transfers import MOST_LEFT, Transfers
from tests.transfers.transfer_case import (
    DATA,
    MIRROR_A,
    MIRROR_B,
    NAME,
    PEER_A,
    WRONG,
    Client,
    TransferTestCase,
    content,
)


class Collection(TransferTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.signing: list[tuple[Transfer, Deferred[bytes | None]]] = []
        self.published: list[tuple[str, bytes | None]] = []
        self.transfers = Transfers(self.tools, sign=self.sign, publish=self.publish)
        self.addCleanup(self.transfers.stop)

    def sign(self, transfer: Transfer) -> Deferred[bytes | None]:
        self.signing.append((transfer, Deferred()))
        return self.signing[-1][1]

    def publish(self, transfer: Transfer, signature: bytes | None) -> Deferred[bool]:
        # Its file must be open still.
        data = os.pread(transfer.incoming.fileno(), len(DATA), 0)
        self.published.append((transfer.subject.file_name if data == DATA else "?", signature))
        return succeed(True)

    def join(self, *sources: Source, data: bytes = DATA) -> Transfer:
        return self.transfers.join(Subject(NAME, content(data)), self.chooser(*sources))

    def waiting(self) -> Deferred[bytes | None]:
        known = self.transfers.signature(NAME)
        assert known is not None
        return known[1]

    def test_who_asks_for_the_same_content_shares_one_fetch(self) -> None:
        first, second = self.join(MIRROR_A), self.join(MIRROR_B)
        self.assertIs(first, second)
        clients = [Client(first), Client(second)]
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual([client.data for client in clients], [DATA, DATA])
        self.assertFalse(self.was_asked(MIRROR_B))

    def test_what_nobody_waits_for_is_hurried_once_somebody_joins_who_does(self) -> None:
        def join(*, unhurried: bool) -> Transfer:
            subject, choose = Subject(NAME, content(DATA)), self.chooser(PEER_A)
            return self.transfers.join(subject, choose, unhurried=unhurried)

        transfer = join(unhurried=True)
        self.assertTrue(join(unhurried=True).unhurried)
        self.assertTrue(join(unhurried=False) is transfer and not transfer.unhurried)
        self.assertFalse(join(unhurried=True).unhurried)

    def test_another_content_of_the_same_name_is_another_transfer(self) -> None:
        self.assertIsNot(self.join(MIRROR_A), self.join(MIRROR_B, data=WRONG))

    def test_one_alone_is_shared_with_nobody(self) -> None:
        one, other = (
            self.transfers.alone(Subject("core.db"), self.chooser(MIRROR_A)) for _ in range(2)
        )
        self.assertIsNot(one, other)
        self.assertEqual(list(self.transfers), [*{one, other}])
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(len(list(self.transfers)), 1)
        self.assertEqual((self.signing, self.published), ([], []))

    def test_one_alone_ends_when_its_reader_leaves(self) -> None:
        transfer = self.transfers.alone(Subject("core.db"), self.chooser(MIRROR_A))
        response = self.asked(MIRROR_A).head(len(DATA))
        Client(transfer).leave()
        self.clock.advance(0)
        self.assertTrue(response.left)
        self.assertEqual(list(self.transfers), [])

    def test_one_alone_that_is_all_there_is_taken_to_its_end(self) -> None:
        transfer = self.transfers.alone(Subject("core.db"), self.chooser(MIRROR_A))
        client = Client(transfer)
        self.patch(Draft, "is_whole", lambda *_: True)
        response = self.asked(MIRROR_A).head(len(DATA))
        client.leave()
        self.clock.advance(GRACE - 0.1)
        self.assertFalse(response.left)
        self.clock.advance(0.1)
        self.assertTrue(response.left)

    def test_of_those_that_are_left_few_go_on(self) -> None:
        # Another content each.
        wanted = [DATA + bytes([number]) for number in range(MOST_LEFT + 4)]
        transfers = [self.join(MIRROR_A, data=data) for data in wanted]
        for transfer in transfers:
            Client(transfer).leave()
        followed = transfers[5]
        client = Client(followed)
        left = [one for one in transfers if not one.finished.known]
        self.assertEqual(left, transfers[4:])
        Client(self.join(MIRROR_A, data=WRONG)).leave()
        self.assertFalse(transfers[4].finished.known)
        client.leave()
        self.assertEqual(len(list(self.transfers)), MOST_LEFT)

    def test_it_can_be_joined_until_it_is_published(self) -> None:
        transfer = self.join(MIRROR_A)
        self.asked(MIRROR_A).whole(DATA)
        self.assertIs(self.transfers.find(NAME, content(DATA)), transfer)
        late = Client(transfer)
        self.assertEqual(late.data, DATA)
        late.leave()
        self.signing[0][1].callback(b"sig")
        self.assertIsNone(self.transfers.find(NAME, content(DATA)))
        self.assertEqual(self.published, [(NAME, b"sig")])
        self.assertOver(transfer)

    def test_the_signature_reaches_all_that_wait_and_later_ones(self) -> None:
        transfer = self.join(MIRROR_A)
        early = [self.waiting(), self.waiting()]
        self.asked(MIRROR_A).whole(DATA)
        late = self.waiting()
        self.signing[0][1].callback(b"sig")
        for one in (*early, late, self.waiting()):
            self.assertEqual(self.successResultOf(one), b"sig")
        self.assertEqual(len(self.signing), 1)
        self.assertEqual(len(self.published), 1)
        self.assertIs(self.signing[0][0], transfer)

    def test_one_without_signature_is_published_as_such(self) -> None:
        self.join(MIRROR_A)
        self.asked(MIRROR_A).whole(DATA)
        self.signing[0][1].callback(None)
        self.assertIsNone(self.successResultOf(self.waiting()))
        self.assertEqual(self.published, [(NAME, None)])

    def test_one_whose_signature_cannot_be_had_is_not_published(self) -> None:
        self.join(MIRROR_A)
        early = self.waiting()
        self.asked(MIRROR_A).whole(DATA)
        self.signing[0][1].errback(Unreachable("m", "gone"))
        self.failureResultOf(early, Unreachable)
        self.assertIsNone(self.transfers.signature(NAME))
        self.assertEqual(self.published, [])
        self.assertEqual(list(self.transfers), [])

    def test_who_waits_for_the_signature_of_a_failed_transfer_learns_it(self) -> None:
        self.join(MIRROR_A)
        early = self.waiting()
        self.asked(MIRROR_A).answer(404)
        self.failureResultOf(early, Refused)
        self.assertIsNone(self.transfers.signature(NAME))
        self.assertEqual((self.signing, list(self.transfers)), ([], []))

    def test_a_failed_transfer_is_begun_anew(self) -> None:
        first = self.join(MIRROR_A)
        self.asked(MIRROR_A).answer(404)
        second = self.join(MIRROR_B)
        self.assertIsNot(first, second)
        self.asked(MIRROR_B).whole(DATA)
        self.successResultOf(second.finished.wait())

    def test_a_second_content_of_a_name_leaves_none_waiting_for_the_first(self) -> None:
        self.join(MIRROR_A)
        first = self.waiting()
        self.join(MIRROR_B, data=WRONG)
        self.asked(MIRROR_A).whole(DATA)
        self.signing[0][1].callback(b"sig")
        self.assertEqual(self.successResultOf(first), b"sig")
        second = self.waiting()
        self.assertNoResult(second)
        second.cancel()
        self.failureResultOf(second, CancelledError)

    def test_an_unforeseen_error_leaves_none_waiting(self) -> None:
        self.join(MIRROR_A)
        early = self.waiting()
        self.asked(MIRROR_A).whole(DATA)
        self.signing[0][1].errback(ZeroDivisionError())
        self.failureResultOf(early, Broken)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(list(self.transfers), [])

    def test_no_more_signatures_are_remembered_than_asked_for_soon(self) -> None:
        self.patch(transfers, "MOST_SIGNATURES", 2)
        for name in ("a", "b", "c"):
            self.transfers.join(Subject(name, content(DATA)), self.chooser(MIRROR_A))
        self.assertIsNone(self.transfers.signature("a"))
        known = self.transfers.signature("c")
        assert known is not None
        known[1].cancel()
        self.failureResultOf(known[1], CancelledError)

    def test_stop_ends_all_and_leaves_nothing(self) -> None:
        running = self.join(MIRROR_A)
        client = Client(running)
        self.transfers.alone(Subject("core.db"), self.chooser(MIRROR_B))
        done = self.transfers.join(Subject("z", content(DATA)), self.chooser(PEER_A))
        self.asked(PEER_A).whole(DATA)
        self.transfers.stop()
        self.assertIsInstance(client.failure, Broken)
        self.assertEqual(list(self.transfers), [])
        self.assertEqual(self.published, [])
        done.retire()
        self.assertOver(running, client)
