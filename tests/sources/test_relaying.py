"""What is fetched for peers is ended once nobody takes it, and remembered of who asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.source import Origin, Source
from flocon.errors import Broken
from flocon.files import Content
from flocon.sources.relaying import LOOK, Relaying
from flocon.sources.relays import WINDOW, Relays
from flocon.transfers.reader import Reader
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from flocon.transfers.transfers import Transfers
from tests.fakes import FakeResponse, FakeTools, Request

MIRROR = Source(Origin.MIRROR, "m", "m", "http://m/x")
DATA = bytes(5 << 20)
CONTENT = Content(len(DATA), hashlib.sha256(DATA).digest())
ASKER = "10.0.0.9"
MOST = 16
#: At which a twentieth of a second is next to nothing, and half a second is a bound of 1 MiB.
RATE = 1_000_000.0


class RelayingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tools = FakeTools()
        self.clock = self.tools.reactor
        self.transfers = Transfers(self.tools, sign=self.sign, publish=self.publish)
        self.relays = Relays()
        self.relaying = Relaying(self.clock, self.relays, lambda: RATE)
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.transfers.stop()
        self.relaying.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def sign(self, _: Transfer) -> Deferred[bytes | None]:
        return succeed(None)

    def publish(self, _: Transfer, __: bytes | None) -> Deferred[bool]:
        return succeed(True)

    def begin(self, name: str = "a", asker: str = ASKER, *, unhurried: bool = False) -> Transfer:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            return None if tried else Attempt(MIRROR, Limits(600.0, 600.0))

        transfer = self.transfers.join(Subject(name, CONTENT), choose, unhurried=unhurried)
        transfer.terms.paced = unhurried
        self.relaying.begin(transfer, asker)
        return transfer

    @property
    def asked(self) -> Request:
        last: Request = self.tools.agent(MIRROR).last
        return last

    def arrive(self, size: int) -> FakeResponse:
        response = self.asked.head(len(DATA))
        response.send(DATA[:size])
        return response

    def test_what_stands_still_while_nobody_waits_for_it_is_owed_by_nobody(self) -> None:
        transfer = self.begin(unhurried=True)
        reader = Reader(transfer, 0, verifies=True, hurried=False)
        response = self.asked.head(len(DATA))
        # As much as one read brings, and no more until it is taken.
        response.send(DATA[: 256 << 10])
        self.assertTrue(response.paused)
        self.clock.pump([LOOK] * 200)
        self.assertFalse(transfer.finished.known)
        reader.sent(256 << 10)
        self.assertFalse(response.paused)
        reader.close()
        self.clock.pump([LOOK] * 2)
        self.assertTrue(self.relaying.admits(ASKER, MOST))

    def test_what_is_taken_to_its_end_costs_nothing(self) -> None:
        transfer = self.begin()
        reader = Reader(transfer, 0, verifies=True)
        self.asked.whole(DATA)
        reader.sent(len(DATA))
        reader.close()
        self.clock.advance(LOOK)
        self.assertEqual((len(self.relays), self.relays.wasted_bytes), (0, 0))
        self.assertEqual(self.relays.fetched_bytes, len(DATA))
        self.assertTrue(self.relaying.admits(ASKER, MOST))

    def test_who_leaves_ends_it_and_owes_what_had_arrived(self) -> None:
        transfer = self.begin()
        reader = Reader(transfer, 0, verifies=True)
        response = self.arrive(4 << 20)
        reader.sent(100)
        reader.close()
        self.clock.advance(0)
        self.assertTrue(response.left)
        self.failureResultOf(transfer.finished.wait(), Broken)
        self.clock.advance(LOOK)
        self.assertEqual(self.relays.wasted_bytes, (4 << 20) - 100)
        self.assertFalse(self.relaying.admits(ASKER, MOST))

    def test_of_two_readers_the_one_that_stays_gets_it_and_nobody_owes(self) -> None:
        transfer = self.begin()
        leaving, staying = (Reader(transfer, 0, verifies=True) for _ in range(2))
        response = self.arrive(4 << 20)
        staying.sent(4 << 20)
        leaving.close()
        self.clock.pump([LOOK] * 3)
        self.assertFalse(response.left)
        response.send(DATA[4 << 20 :])
        response.end()
        staying.sent(1 << 20)
        staying.close()
        self.clock.advance(LOOK)
        self.assertEqual(self.relays.wasted_bytes, 0)
        self.assertTrue(self.relaying.admits(ASKER, MOST))

    def test_who_takes_nothing_of_what_comes_is_cut_off(self) -> None:
        transfer = self.begin()
        reader = Reader(transfer, 0, verifies=True)
        response = self.arrive(3 << 20)
        reader.sent(10)
        self.clock.pump([LOOK] * 2)
        self.assertTrue(response.left)
        reader.close()
        self.clock.advance(LOOK)
        self.assertEqual(self.relays.counters["relays sipped"], 1)
        self.assertFalse(self.relaying.admits(ASKER, MOST))

    def test_unless_this_machines_pacman_follows_it_too(self) -> None:
        transfer = self.begin()
        stranger, own = Reader(transfer, 0, verifies=True), Reader(transfer, 0)
        response = self.arrive(3 << 20)
        self.clock.pump([LOOK] * 3)
        self.assertFalse(response.left)
        stranger.close()
        own.close()
        self.transfers.stop()
        self.clock.advance(LOOK)
        self.assertEqual(self.relays.wasted_bytes, 0)

    def test_one_that_arrived_makes_room_at_once_though_it_is_still_read(self) -> None:
        readers = []
        for at in range(MOST):
            self.assertTrue(self.relaying.admits(ASKER, MOST))
            transfer = self.begin(f"a{at}")
            readers.append(Reader(transfer, 0, verifies=True))
            self.asked.whole(DATA)
        for reader in readers:
            reader.sent(len(DATA))
            reader.close()
        self.clock.advance(LOOK)
        self.assertEqual(len(self.relays), 0)

    def test_what_is_sipped_ahead_makes_room_where_all_places_are_taken(self) -> None:
        places, readers, responses = 4, [], []
        for at in range(places):
            transfer = self.begin(f"a{at}", f"10.0.1.{at}", unhurried=True)
            readers.append(Reader(transfer, 0, verifies=True, hurried=False))
            responses.append(self.arrive(256 << 10))
        self.assertFalse(self.relaying.admits(ASKER, places, unhurried=True))
        for _ in range(round((WINDOW + 1) / LOOK)):
            for reader, size in zip(readers, (30 << 10, 30 << 10, 100, 30 << 10), strict=True):
                reader.sent(size // 8)
            self.clock.advance(LOOK)
        self.assertFalse(any(response.left for response in responses))
        self.assertTrue(self.relaying.admits(ASKER, places, unhurried=True))
        self.assertEqual([one.left for one in responses], [False, False, True, False])
        for reader in readers:
            reader.close()
        self.clock.pump([LOOK] * 2)

    def test_nothing_ticks_while_nothing_is_fetched(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        reader = Reader(self.begin(), 0, verifies=True)
        self.asked.answer(404)
        reader.close()
        self.clock.advance(LOOK)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(self.relaying.admits(ASKER, MOST))
