"""One file from several holders: who is asked, who loses its part, and that nothing is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.extents import Extents
from flocon.core.sources import Origin, Source
from flocon.errors import Broken, SourceError, Stalled, StoreError, Unreachable
from flocon.net.fetch import Attempt, Enough, Head, Limits
from flocon.net.several import LOOK_AFTER, MOST_SOURCES, Several

MB = 1 << 20
TICK = 0.01


@dataclass
class Peer:
    """A holder: bytes per second, after how many bytes it stops, and how."""

    rate: float
    stops_after: float = float("inf")
    failure: Exception | None = None
    sent: int = 0
    asked: int = 0


@dataclass
class Fetch:
    """One range that is being sent."""

    attempt: Attempt
    position: int
    end: int
    sink: Any
    done: Deferred[None]


class FakeReceiver:
    """A transfer whose bytes come over a link of ``link`` bytes per second."""

    def __init__(self, clock: Clock, peers: dict[str, Peer], link: float = float("inf")) -> None:
        self.extents = Extents()
        self.fetches: list[Fetch] = []
        self.failures: list[tuple[str, SourceError]] = []
        self.refuse: Exception | None = None
        self.heads: list[str] = []
        self._clock = clock
        self._peers = peers
        self._link = link

    def begin(self, attempt: Attempt, head: Head) -> None:
        self.heads.append(attempt.source.key)

    def write(self, attempt: Attempt, position: int, data: bytes) -> None:
        if self.refuse:
            raise self.refuse
        self.extents.add(position, position + len(data))

    def fetch(self, attempt: Attempt, start: int, end: int, sink: Any) -> Deferred[None]:
        fetch = Fetch(attempt, start, end, sink, Deferred(lambda _: self.fetches.remove(fetch)))
        self.fetches.append(fetch)
        self._peers[attempt.source.key].asked += 1
        sink.begin(Head(206, start, None, None, None))
        return fetch.done

    def failed(self, attempt: Attempt, failure: SourceError) -> None:
        self.failures.append((attempt.source.key, failure))

    def tick(self) -> None:
        """Let every fetch send what it can in one tick."""
        share = self._link / max(1, len(self.fetches))
        for fetch in list(self.fetches):
            if fetch in self.fetches:
                self._send(fetch, self._peers[fetch.attempt.source.key], share)

    def _send(self, fetch: Fetch, peer: Peer, share: float) -> None:
        count = int(min(peer.rate, share) * TICK)
        count = int(min(count, fetch.end - fetch.position, peer.stops_after - peer.sent))
        try:
            if count:
                fetch.sink.write(fetch.position, bytes(count))
        except Enough:
            fetch.position = fetch.end
        except Exception as error:  # noqa: BLE001 - what a fetch does: it fails with it
            self._end(fetch, error)
            return
        peer.sent += count
        fetch.position += count
        if fetch.position >= fetch.end:
            self._end(fetch, None)
        elif peer.sent >= peer.stops_after and peer.failure:
            self._end(fetch, peer.failure)

    def _end(self, fetch: Fetch, failure: Exception | None) -> None:
        self.fetches.remove(fetch)
        if failure is None:
            fetch.done.callback(None)
        else:
            fetch.done.errback(failure)


class SeveralTestCase(SynchronousTestCase):
    def begin(
        self, size: int, peers: dict[str, Peer], *, link: float = float("inf")
    ) -> Deferred[None]:
        self.size = size
        self.clock = Clock()
        self.peers = peers
        self.receiver = FakeReceiver(self.clock, peers, link)
        first, *self.others = [
            Attempt(Source(Origin.PEER, key, key, f"http://{key}/x"), Limits(1, 1)) for key in peers
        ]
        self.running = Several(self.clock, self.receiver, size, first, self.more).run()
        return self.running

    def more(self, active: list[Attempt]) -> Attempt | None:
        return self.others.pop(0) if self.others else None

    def go(self, seconds: float) -> float:
        """Let up to so many seconds pass, until it ends; return how many it took."""
        passed = 0.0
        while passed < seconds and not self.running.called:
            passed += TICK
            self.clock.advance(TICK)
            self.receiver.tick()
        return passed

    def asked(self) -> list[str]:
        return [key for key, peer in self.peers.items() if peer.asked]

    def assertWhole(self) -> None:
        self.assertIsNone(self.successResultOf(self.running))
        self.assertEqual(self.receiver.extents.missing(0, self.size), [])
        self.assertNothingLeft()

    def assertNothingLeft(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.receiver.fetches, [])


class Adding(SeveralTestCase):
    def test_one_is_asked_at_first(self) -> None:
        self.begin(64 * MB, {"a": Peer(50 * MB), "b": Peer(50 * MB)})
        self.go(LOOK_AFTER / 2)
        self.assertEqual(self.asked(), ["a"])
        self.running.cancel()
        self.failureResultOf(self.running, CancelledError)

    def test_sources_are_added_while_each_brings_more(self) -> None:
        self.begin(256 * MB, {"a": Peer(50 * MB), "b": Peer(50 * MB), "c": Peer(50 * MB)})
        took = self.go(10)
        self.assertWhole()
        self.assertEqual(self.asked(), ["a", "b", "c"])
        self.assertLess(took, 0.5 * 256 / 50)

    def test_no_third_is_asked_where_the_own_link_is_the_limit(self) -> None:
        self.begin(256 * MB, {key: Peer(1e9) for key in "abcdef"}, link=100 * MB)
        self.go(10)
        self.assertWhole()
        self.assertEqual(self.asked(), ["a", "b"])

    def test_there_are_never_more_than_so_many(self) -> None:
        self.begin(2048 * MB, {key: Peer(50 * MB) for key in "abcdefghij"})
        most = 0
        while not self.running.called:
            self.go(TICK)
            most = max(most, len(self.receiver.fetches))
        self.assertWhole()
        self.assertEqual(most, MOST_SOURCES)

    def test_little_that_lacks_is_left_to_the_first(self) -> None:
        self.begin(10 * MB, {"a": Peer(50 * MB), "b": Peer(50 * MB)})
        self.go(10)
        self.assertWhole()
        self.assertEqual(self.asked(), ["a"])

    def test_hardly_a_byte_comes_twice(self) -> None:
        self.begin(256 * MB, {"a": Peer(90 * MB), "b": Peer(50 * MB), "c": Peer(20 * MB)})
        self.go(20)
        self.assertWhole()
        sent = sum(peer.sent for peer in self.peers.values())
        self.assertLess(sent, 1.02 * self.size)

    def test_all_end_at_about_the_same_time(self) -> None:
        self.begin(256 * MB, {"a": Peer(90 * MB), "b": Peer(30 * MB)})
        self.assertLess(self.go(20), 1.15 * 256 / 120 + LOOK_AFTER)
        self.assertWhole()

    def test_what_is_there_already_is_not_asked_for(self) -> None:
        self.begin(64 * MB, {"a": Peer(50 * MB), "b": Peer(50 * MB)})
        self.receiver.extents.add(16 * MB, 60 * MB)
        self.go(10)
        self.assertWhole()
        self.assertLess(sum(peer.sent for peer in self.peers.values()), 21 * MB)


class Failing(SeveralTestCase):
    def test_one_that_fails_loses_its_part_and_is_told(self) -> None:
        failure = Broken("b", "ended early")
        self.begin(128 * MB, {"a": Peer(50 * MB), "b": Peer(50 * MB, 5 * MB, failure)})
        self.go(10)
        self.assertWhole()
        self.assertEqual(self.receiver.failures, [("b", failure)])
        self.assertEqual(self.peers["b"].sent, 5 * MB)

    def test_another_is_asked_where_the_only_one_fails(self) -> None:
        self.begin(16 * MB, {"a": Peer(50 * MB, MB, Broken("a", "x")), "b": Peer(50 * MB)})
        self.go(10)
        self.assertWhole()
        self.assertEqual(self.asked(), ["a", "b"])

    def test_one_that_stalls_is_helped_out(self) -> None:
        self.begin(128 * MB, {"a": Peer(50 * MB), "b": Peer(50 * MB, 5 * MB)})
        self.go(10)
        self.assertWhole()

    def test_a_silent_first_is_helped_out(self) -> None:
        self.begin(64 * MB, {"a": Peer(0), "b": Peer(50 * MB)})
        self.assertLess(self.go(10), 3)
        self.assertWhole()

    def test_where_all_fail_the_last_failure_is_told(self) -> None:
        last = Stalled("b", "last")
        first = Peer(50 * MB, 20 * MB, Unreachable("a", "x"))
        self.begin(64 * MB, {"a": first, "b": Peer(25 * MB, 20 * MB, last)})
        self.go(10)
        self.assertIs(self.failureResultOf(self.running).value, last)
        self.assertNothingLeft()

    def test_one_that_fails_at_once_leaves_nothing(self) -> None:
        class Refusing(FakeReceiver):
            def fetch(self, attempt: Attempt, start: int, end: int, sink: Any) -> Deferred[None]:
                raise Unreachable("a", "x")

        clock = Clock()
        attempt = Attempt(Source(Origin.PEER, "a", "a", "http://a/x"), Limits(1, 1))
        running = Several(clock, Refusing(clock, {}), MB, attempt, lambda _: None).run()
        self.failureResultOf(running, Unreachable)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_a_disk_that_is_full_ends_it_for_all(self) -> None:
        self.begin(256 * MB, {"a": Peer(50 * MB), "b": Peer(50 * MB), "c": Peer(50 * MB)})
        self.go(0.2)
        self.receiver.refuse = StoreError("/store", "no room")
        self.go(1)
        self.failureResultOf(self.running, StoreError)
        self.assertEqual(self.asked(), ["a", "b"])
        self.assertNothingLeft()


class Leaving(SeveralTestCase):
    def test_cancelled_it_asks_nobody_else_and_leaves_nothing(self) -> None:
        self.begin(256 * MB, {"a": Peer(50 * MB), "b": Peer(50 * MB), "c": Peer(50 * MB)})
        self.go(0.2)
        self.assertEqual(self.asked(), ["a", "b"])
        self.running.cancel()
        self.failureResultOf(self.running, CancelledError)
        self.assertEqual(self.asked(), ["a", "b"])
        self.assertNothingLeft()

    def test_cancelled_while_one_waits_for_a_part_it_leaves_nothing(self) -> None:
        # The rest that a is to bring is too little for b to take over.
        self.begin(64 * MB, {"a": Peer(0), "b": Peer(50 * MB)})
        while self.receiver.extents.reach(2 * MB) < 64 * MB:
            self.go(TICK)
        self.running.cancel()
        self.failureResultOf(self.running, CancelledError)
        self.assertNothingLeft()

    def test_the_rest_of_a_part_that_was_taken_over_is_ended(self) -> None:
        self.begin(64 * MB, {"a": Peer(MB), "b": Peer(200 * MB), "c": Peer(1)})
        self.go(10)
        self.assertWhole()
        self.assertEqual(self.receiver.failures, [])


peers = st.builds(
    Peer,
    st.sampled_from([0, 1 * MB, 20 * MB, 80 * MB]),
    st.sampled_from([0.0, 1000.0, 3.0 * MB, float("inf"), float("inf")]),
    st.sampled_from([None, Broken("x", "broken"), Stalled("x", "stalled")]),
)


class Always(SeveralTestCase):
    @settings(max_examples=40, deadline=None)
    @given(st.lists(peers, min_size=1, max_size=5), st.integers(1, 40 * MB), st.floats(0.01, 2))
    def test_it_ends_whole_or_failed_or_cancelled_and_leaves_nothing(
        self, among: list[Peer], size: int, patience: float
    ) -> None:
        fresh = [Peer(one.rate, one.stops_after, one.failure) for one in among]
        self.begin(size, {f"p{at}": one for at, one in enumerate(fresh)})
        self.go(patience)
        ended = self.running.called
        if not ended:
            self.running.cancel()
        results: list[Any] = []
        self.running.addBoth(results.append)
        if results == [None]:
            self.assertEqual(self.receiver.extents.missing(0, size), [])
        else:
            self.assertTrue(results[0].check(SourceError if ended else CancelledError), results)
        self.assertNothingLeft()
