"""A signature that is not here is asked of the mirrors, once, and remembered within bounds."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import SourceError
from flocon.pacman.entries import Entry
from flocon.sources import client_signatures
from flocon.sources.client_signatures import ClientSignatures
from flocon.sources.unsigned import Unsigned
from tests.fakes import FakeAgent
from tests.sources.room import ENTRY, Room, asked


class Asking(SynchronousTestCase):
    def setUp(self) -> None:
        self.room, self.agent = Room(), FakeAgent()
        self.unsigned = Unsigned()
        self.signatures = ClientSignatures(
            self.room.clock,
            candidates=self.room.candidates,
            agents=mock.Mock(of=lambda _: self.agent),
            signatures=mock.Mock(
                unsigned=self.unsigned,
                is_unsigned=lambda entry: self.unsigned.knows(entry, self.room.clock.seconds()),
            ),
            traffic=self.room.traffic,
        )
        self.addCleanup(self.room.stop)

    def ask(self, entry: Entry = ENTRY) -> Deferred[bytes | None]:
        return Deferred.fromCoroutine(self.signatures.find(asked(), entry))

    def test_all_who_ask_are_given_one_answer(self) -> None:
        first, second = self.ask(), self.ask()
        self.assertEqual([one.url for one in self.agent.requests], [_url(self.agent)])
        self.agent.last.whole(b"a signature")
        self.assertEqual(self.successResultOf(first), b"a signature")
        self.assertEqual(self.successResultOf(second), b"a signature")
        self.assertEqual(self.successResultOf(self.ask()), b"a signature")
        self.assertEqual(len(self.agent.requests), 1)
        self.assertEqual(self.room.traffic.from_mirrors_bytes, len(b"a signature"))

    def test_who_leaves_takes_nothing_from_the_others(self) -> None:
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.agent.last.whole(b"a signature")
        self.assertEqual(self.successResultOf(second), b"a signature")

    def test_what_the_mirrors_lack_is_not_asked_for_again_at_once(self) -> None:
        first = self.ask()
        self.agent.last.answer(404)
        self.assertIsNone(self.successResultOf(first))
        self.assertIsNone(self.successResultOf(self.ask()))
        self.assertEqual(len(self.agent.requests), 1)

    def test_what_no_mirror_could_say_is_unknown(self) -> None:
        first = self.ask()
        self.agent.last.answer(503)
        self.failureResultOf(first, SourceError)
        self.ask().addErrback(lambda _: None)
        self.assertEqual(len(self.agent.requests), 2)
        self.signatures.stop()

    def test_no_more_than_so_many_are_asked_for_at_a_time(self) -> None:
        self.patch(client_signatures, "MOST_AT_A_TIME", 2)
        asking = [self.ask(replace(ENTRY, sha256=bytes([number]) * 32)) for number in range(3)]
        self.failureResultOf(asking[2], SourceError)
        self.signatures.stop()
        for one in asking[:2]:
            self.failureResultOf(one, SourceError)

    def test_no_more_than_so_many_bytes_are_remembered(self) -> None:
        self.patch(client_signatures, "MOST_BYTES", 10_000)
        for number in range(8):
            asking = self.ask(replace(ENTRY, sha256=bytes([number]) * 32))
            self.agent.last.whole(bytes(4_000))
            self.successResultOf(asking)
        self.assertLessEqual(self.signatures.remembered, 10_000)
        self.assertGreater(self.signatures.remembered, 0)


def _url(agent: FakeAgent) -> str:
    return agent.last.url
