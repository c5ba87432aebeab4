"""What nobody waits for: it stands still for all else, is asked for anew, and becomes hurried."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.fetch import Wanted, fetch
from flocon.asking.source import Origin, Source
from flocon.asking.unhurried import (
    FLOWING,
    LONGEST_STAND,
    PATIENCE,
    PATIENCE_WITH_OWNERS,
    Unhurried,
)
from flocon.errors import Stalled
from flocon.precedence import QUIET, Precedence
from tests.fakes import FakeAgent, FakeReactor, FakeResponse

DATA = bytes(at % 251 for at in range(3000))
PEER = Source(Origin.PEER, "p", "p", "http://p/pkg/a")
OWNER = Source(Origin.PEER, "o", "o", "http://o/relay/a", relayed=True)
MIRROR = Source(Origin.MIRROR, "m", "m", "http://m/a")
LIMITS = Limits(first_byte=9.0, stall=9.0)


class Taker:
    """A sink that keeps what comes."""

    def __init__(self) -> None:
        self.data = bytearray(len(DATA))

    def begin(self, head: object) -> None:
        """Every head will do."""

    def write(self, position: int, data: bytes) -> None:
        self.data[position : position + len(data)] = data


class UnhurriedTestCase(SynchronousTestCase):
    source = PEER

    def setUp(self) -> None:
        self.clock = FakeReactor()
        self.precedence = Precedence(self.clock)
        self.agent = FakeAgent()
        self.taker = Taker()
        self.hurried_asks: list[bool] = []

    def begin(self, source: Source = PEER) -> Unhurried:
        attempt = Attempt(source, LIMITS)

        async def ask(position: int, sink: Any) -> None:
            self.hurried_asks.append(one.hurried)
            wanted = Wanted(source.url, source.label, position)
            if not one.hurried:
                wanted = one.wanted(wanted)
            limits = LIMITS if one.hurried else one.limits
            agent: Any = self.agent
            await fetch(agent, self.clock, wanted, sink, limits)

        one = Unhurried(self.clock, self.precedence, attempt, 0, sink=self.taker, ask=ask)
        self.running = Deferred.fromCoroutine(one.run())
        return one

    def send(self, count: int) -> FakeResponse:
        """Answer the last request, and send so much of it."""
        request = self.agent.last
        response = request.head(len(DATA))
        response.send(DATA[request.start : request.start + count])
        return response

    def assertWhole(self) -> None:
        self.successResultOf(self.running)
        self.assertEqual(bytes(self.taker.data), DATA)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Asking(UnhurriedTestCase):
    def test_it_says_that_nobody_waits(self) -> None:
        self.begin()
        self.assertEqual(self.agent.last.header("Priority"), "u=7")
        self.agent.last.whole(DATA)
        self.assertWhole()

    def test_nothing_is_asked_while_pacman_is(self) -> None:
        with self.precedence.pacman():
            self.begin()
        self.assertEqual(self.agent.requests, [])
        self.clock.advance(QUIET)
        self.agent.last.whole(DATA)
        self.assertWhole()

    def test_a_silent_peer_has_longer_than_one_that_pacman_waits_for(self) -> None:
        one = self.begin()
        self.send(1000)
        self.clock.advance(PATIENCE * 0.9)
        self.assertNoResult(self.running)
        self.clock.advance(PATIENCE * 0.2)
        failure = self.failureResultOf(self.running, Stalled).value
        self.assertFalse(self.precedence.rests(PEER.key))
        self.assertTrue(one.held_back(failure))
        self.assertTrue(self.precedence.rests(PEER.key))

    def test_a_mirror_is_told_nothing_and_holds_nothing_back(self) -> None:
        self.assertFalse(self.begin(MIRROR).held_back(Stalled("m", "silent")))
        self.assertIsNone(self.agent.last.header("Priority"))
        self.running.addErrback(lambda failure: failure.trap(CancelledError))
        self.running.cancel()

    def test_the_time_of_silence_is_none_of_its_speed(self) -> None:
        one = self.begin()
        response = self.send(1000)
        for start in (1000, 2000):
            self.clock.advance(20)
            response.send(DATA[start : start + 1000])
        response.end()
        self.assertWhole()
        self.assertLessEqual(one.flowed, 2 * FLOWING)

    def test_cancelled_it_leaves_nothing(self) -> None:
        for begins in (lambda: None, lambda: self.send(1000)):
            with self.precedence.pacman():
                self.begin()
                self.running.addErrback(lambda failure: failure.trap(CancelledError))
                self.running.cancel()
            self.clock.advance(QUIET)
            self.begin()
            begins()
            self.running.addErrback(lambda failure: failure.trap(CancelledError))
            self.running.cancel()
            self.assertEqual(self.clock.getDelayedCalls(), [])


class Standing(UnhurriedTestCase):
    def test_it_reads_no_more_while_pacman_asks_and_goes_on_afterwards(self) -> None:
        one = self.begin()
        response = self.send(0)
        with self.precedence.pacman():
            response.send(DATA[:1000])
            self.assertTrue(response.paused)
            self.assertTrue(one.stands_still)
            response.send(DATA[1000:])
            response.end()
        self.assertEqual(bytes(self.taker.data[1000:]), bytes(2000))
        self.clock.advance(QUIET)
        self.assertWhole()
        self.assertEqual(len(self.agent.requests), 1)

    def test_for_long_it_leaves_the_connection_and_asks_for_the_rest_afterwards(self) -> None:
        self.begin()
        with self.precedence.pacman():
            response = self.send(1000)
            self.clock.advance(LONGEST_STAND)
            self.assertTrue(response.left)
            self.clock.advance(3600)
            self.assertEqual(len(self.agent.requests), 1)
        self.clock.advance(QUIET)
        self.assertEqual(self.agent.last.start, 1000)
        self.assertEqual(self.agent.last.header("Priority"), "u=7")
        self.agent.last.whole(DATA)
        self.assertWhole()

    def test_an_owner_is_not_left_but_read_a_little_now_and_then(self) -> None:
        self.begin(OWNER)
        with self.precedence.pacman():
            response = self.send(1000)
            for start in (1000, 2000):
                response.send(DATA[start : start + 1000])
                self.assertEqual(self.taker.data[start], 0)
                self.clock.advance(LONGEST_STAND)
                self.assertEqual(self.taker.data[start], DATA[start])
            self.assertEqual(len(self.agent.requests), 1)
            self.clock.advance(LONGEST_STAND)
        response.end()
        self.clock.advance(QUIET)
        self.assertWhole()

    def test_an_owner_has_longer_since_what_it_fetched_is_lost_where_it_is_left(self) -> None:
        self.begin(OWNER)
        self.send(1000)
        self.clock.advance(PATIENCE_WITH_OWNERS * 0.9)
        self.assertNoResult(self.running)
        self.clock.advance(PATIENCE_WITH_OWNERS * 0.2)
        self.failureResultOf(self.running, Stalled)

    def test_a_pause_of_ours_is_no_silence_of_the_sources(self) -> None:
        self.begin()
        response = self.send(0)
        for start in (0, 1000, 2000):
            with self.precedence.pacman():
                response.send(DATA[start : start + 1000])
                self.clock.advance(LONGEST_STAND * 0.9)
            self.clock.advance(PATIENCE * 0.9)
        response.end()
        self.assertWhole()


class Hurrying(UnhurriedTestCase):
    def test_a_peer_is_left_and_asked_anew_for_what_lacks(self) -> None:
        one = self.begin()
        response = self.send(1000)
        one.hurry()
        self.assertTrue(response.left)
        self.assertEqual(self.agent.last.start, 1000)
        self.assertIsNone(self.agent.last.header("Priority"))
        self.agent.last.whole(DATA)
        self.assertWhole()

    def test_one_that_has_not_answered_yet_too(self) -> None:
        one = self.begin()
        one.hurry()
        self.assertEqual(self.hurried_asks, [False, True])
        self.agent.last.whole(DATA)
        self.assertWhole()

    def test_a_mirror_knows_no_precedence_and_is_not_left(self) -> None:
        one = self.begin(MIRROR)
        response = self.send(1000)
        one.hurry()
        response.send(DATA[1000:])
        response.end()
        self.assertWhole()
        self.assertEqual(len(self.agent.requests), 1)

    def test_what_stands_still_goes_on_at_once(self) -> None:
        for source in (PEER, MIRROR):
            with self.precedence.pacman():
                self.agent.requests.clear()
                one = self.begin(source)
                self.assertEqual(self.agent.requests, [])
                one.hurry()
                self.agent.last.whole(DATA)
                self.assertWhole()
            self.clock.advance(QUIET)

    def test_a_mirror_of_which_nothing_was_read_is_read_again(self) -> None:
        one = self.begin(MIRROR)
        with self.precedence.pacman():
            response = self.send(1000)
            self.assertTrue(response.paused)
            one.hurry()
            response.send(DATA[1000:])
            response.end()
            self.assertWhole()

    def test_hurried_it_stands_still_for_nobody(self) -> None:
        one = self.begin()
        one.hurry()
        with self.precedence.pacman():
            self.agent.last.whole(DATA)
            self.assertWhole()
