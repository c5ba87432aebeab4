"""How a body comes in, and that no silence and no excess of it lasts."""

from __future__ import annotations

import socket
from types import SimpleNamespace

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from flocon.asking.attempts import Limits
from flocon.asking.bodies import ANY_AHEAD, LITTLE_AHEAD, Body
from flocon.asking.fetch import Wanted, fetch
from flocon.errors import Broken, Stalled, StoreError
from tests.asking.fetch_case import LIMITS, URL, FetchTestCase, Kept, Slow


class Ends(FetchTestCase):
    def test_one_that_ends_early_is_broken(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200, Content_Length="5")
        response.send(b"abc")
        response.break_off()
        self.failureResultOf(coming, Broken)
        self.assertEqual(self.sink.data, b"abc")
        self.assertQuiet()

    def test_one_without_length_that_breaks_off_is_broken(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200)
        response.send(b"abc")
        response.break_off()
        self.failureResultOf(coming, Broken)

    def test_one_that_sends_too_much_is_broken_and_nothing_of_it_written(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200, Content_Length="5")
        response.send(b"abcdef")
        self.failureResultOf(coming, Broken)
        self.assertEqual(self.sink.writes, [])
        self.assertTrue(response.left)

    def test_a_sink_that_refuses_data_ends_it(self) -> None:
        for raised in (Broken("s", "too much"), StoreError("/x", "no room")):
            self.sink.refuse_data = raised
            coming = self.fetch()
            response = self.agent.last.answer(200, Content_Length="5")
            response.send(b"abc")
            self.assertIs(self.failureResultOf(coming).value, raised)
            self.assertTrue(response.left)
            self.assertQuiet()

    def test_amid_the_body(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200, Content_Length="5")
        response.send(b"ab")
        coming.cancel()
        self.failureResultOf(coming, CancelledError)
        self.assertTrue(response.left)
        self.assertQuiet()


class Silence(FetchTestCase):
    def test_a_body_that_stops_is_a_stall(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200, Content_Length="5")
        self.clock.advance(LIMITS.stall - 0.1)
        response.send(b"a")
        self.clock.advance(LIMITS.stall - 0.1)
        self.assertNoResult(coming)
        self.clock.advance(0.2)
        self.failureResultOf(coming, Stalled)
        self.assertTrue(response.left)
        self.assertQuiet()

    def test_a_slow_body_is_none(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200, Content_Length="100")
        for _ in range(100):
            response.send(b"a")
            self.clock.pump([0.5] * 7)
        response.end()
        self.successResultOf(coming)
        self.assertQuiet()

    def test_a_body_that_drips_less_than_a_step_is_a_stall(self) -> None:
        limits = Limits(first_byte=2.0, stall=4.0, step=10)
        wanted = Wanted(URL, "s")
        coming = ensureDeferred(fetch(self.agent, self.clock, wanted, self.sink, limits))  # type: ignore[arg-type]
        response = self.agent.last.answer(200, Content_Length="100")
        for _ in range(3):
            response.send(b"a" * 10)
            self.clock.advance(3.9)
        self.assertNoResult(coming)
        for _ in range(4):
            response.send(b"a")
            self.clock.advance(1)
        self.failureResultOf(coming, Stalled)
        self.assertQuiet()

    def test_one_timer_watches_however_many_chunks(self) -> None:
        self.fetch()
        response = self.agent.last.answer(200, Content_Length="100")
        for _ in range(50):
            response.send(b"a")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)


class Waiting(FetchTestCase):
    """A sink that can take no more for now."""

    sink: Slow

    def setUp(self) -> None:
        super().setUp()
        self.sink = Slow()

    def test_nothing_more_is_read_until_there_is_room(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200, Content_Length="5")
        response.send(b"abc")
        response.send(b"de")
        response.end()
        self.assertTrue(response.paused)
        self.assertEqual(self.sink.data, b"abc")
        self.sink.rooms[0].callback(None)
        self.assertEqual(self.sink.data, b"abcde")
        self.sink.rooms[1].callback(None)
        self.successResultOf(coming)
        self.assertQuiet()

    def test_what_is_not_read_is_no_stall(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200, Content_Length="5")
        response.send(b"abc")
        self.clock.pump([LIMITS.stall] * 5)
        self.assertNoResult(coming)
        self.sink.rooms[0].callback(None)
        self.clock.advance(LIMITS.stall - 0.1)
        self.assertNoResult(coming)
        self.clock.advance(0.2)
        self.failureResultOf(coming, Stalled)
        self.assertQuiet()

    def test_room_that_comes_after_the_end_is_no_matter(self) -> None:
        for end in (Deferred.cancel, None):
            coming = self.fetch()
            response = self.agent.last.answer(200, Content_Length="3")
            response.send(b"abc")
            if end is None:
                response.break_off()
                self.sink.rooms[-1].callback(None)
                self.successResultOf(coming)
            else:
                end(coming)
                self.failureResultOf(coming, CancelledError)
                self.assertTrue(response.left)
                self.sink.rooms[-1].callback(None)
            self.assertQuiet()


class Bound(SynchronousTestCase):
    """What the kernel is told of how much it may take ahead."""

    def setUp(self) -> None:
        self.told: list[int] = []
        self.paced = True
        clock, connection = Clock(), SimpleNamespace(setsockopt=self.set, bufferSize=0)
        connection.socket = connection
        self.body = Body(
            clock, "s", 0, 9, sink=Kept(), limits=LIMITS, little_ahead=lambda: self.paced
        )
        self.body.makeConnection(SimpleNamespace(_producer=connection, loseConnection=lambda: None))

    def set(self, level: int, option: int, size: int) -> None:
        self.assertEqual((level, option), (socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP))
        self.told.append(size)

    def test_it_takes_little_while_no_more_is_to_come_than_is_taken(self) -> None:
        self.assertEqual(self.told, [LITTLE_AHEAD])
        self.body.dataReceived(b"abc")
        # It would give itself more with each.
        self.assertEqual(self.told, [LITTLE_AHEAD] * 2)

    def test_it_takes_what_it_likes_as_soon_as_somebody_waits(self) -> None:
        self.paced = False
        self.body.dataReceived(b"abc")
        self.body.dataReceived(b"abc")
        self.assertEqual(self.told, [LITTLE_AHEAD, ANY_AHEAD])

    def test_and_for_another_file_on_the_same_connection(self) -> None:
        self.body.dataReceived(bytes(9))
        self.body.connectionLost(Failure(ResponseDone()))
        self.successResultOf(self.body.done)
        self.assertEqual(self.told[-1], ANY_AHEAD)
