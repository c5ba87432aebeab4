"""One file from several holders: who is asked, who loses its part, and that nothing is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.answer import Head
from flocon.asking.attempts import Attempt, Limits
from flocon.asking.bodies import Enough
from flocon.asking.patience import PEERS, Pace
from flocon.asking.source import Origin, Source
from flocon.company.crew import MOST_SOURCES, Plan
from flocon.company.helping import LOOK_AFTER, UNHURRIED
from flocon.company.race import SILENCE
from flocon.company.several import Several
from flocon.errors import Broken, SourceError, Stalled, StoreError, Unreachable
from flocon.extents import Extents

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
    origin: Origin = Origin.PEER
    relayed: bool = False
    parent: str = ""
    whole: bool = False
    #: Seconds before it says anything at all.
    silent: float = 0.0


@dataclass
class Fetch:
    """One range that is being sent."""

    attempt: Attempt
    position: int
    end: int
    sink: Any
    done: Deferred[None]
    since: float
    begun: bool = False


class FakeReceiver:
    """A transfer whose bytes come over a link of ``link`` bytes per second."""

    def __init__(self, clock: Clock, peers: dict[str, Peer], link: float = float("inf")) -> None:
        self.extents = Extents()
        self.fetches: list[Fetch] = []
        self.failures: list[tuple[str, SourceError]] = []
        self.refuse: Exception | None = None
        self.heads: list[str] = []
        self.slow_ones: list[str] = []
        self.held_up = self.unhurried = False
        self.size = 0
        self._clock = clock
        self._peers = peers
        self._link = link

    def begins_at(self) -> int:
        return self.extents.reach(0)

    def slow(self, attempt: Attempt) -> None:
        self.slow_ones.append(attempt.source.key)

    def begin(self, attempt: Attempt, head: Head) -> None:
        self.heads.append(attempt.source.key)

    def write(self, attempt: Attempt, position: int, data: bytes) -> None:
        if self.refuse:
            raise self.refuse
        self.extents.add(position, position + len(data))

    def fetch(self, attempt: Attempt, start: int, end: int | None, sink: Any) -> Deferred[None]:
        end = self.size if end is None else end
        done: Deferred[None] = Deferred(lambda _: self.fetches.remove(fetch))
        fetch = Fetch(attempt, start, end, sink, done, self._clock.seconds())
        self.fetches.append(fetch)
        self._peers[attempt.source.key].asked += 1
        return fetch.done

    def failed(self, attempt: Attempt, failure: SourceError) -> None:
        self.failures.append((attempt.source.key, failure))

    def tick(self) -> None:
        """Let every fetch send what it can in one tick."""
        share = self._link / max(1, len(self.fetches))
        for fetch in list(self.fetches):
            peer = self._peers[fetch.attempt.source.key]
            if fetch in self.fetches and self._clock.seconds() - fetch.since >= peer.silent:
                if not fetch.begun:
                    fetch.begun = True
                    fetch.sink.begin(Head(206, fetch.position, None, None, None))
                self._send(fetch, peer, share)

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
        self,
        size: int,
        peers: dict[str, Peer],
        *,
        link: float = float("inf"),
        known: bool = True,
        pace: Pace | None = None,
        unhurried: bool = False,
    ) -> Deferred[None]:
        self.size = size
        self.clock = Clock()
        self.peers = peers
        self.receiver = FakeReceiver(self.clock, peers, link)
        self.receiver.size = size
        self.receiver.unhurried = unhurried
        self.attempts = [
            Attempt(
                Source(
                    peer.origin,
                    key,
                    key,
                    f"http://{key}/x",
                    relayed=peer.relayed,
                    parent=peer.parent,
                    whole=peer.whole,
                ),
                Limits(1, 1),
            )
            for key, peer in peers.items()
        ]
        plan = Plan(size if known else None, pace or Pace(), 1.0)
        self.several = Several(self.clock, self.receiver, plan, self.more)
        self.running = self.several.run()
        return self.running

    def more(self, active: list[Attempt]) -> Attempt | None:
        busy = [one.source.key for one in active] + [key for key, _ in self.receiver.failures]
        return next((one for one in self.attempts if one.source.key not in busy), None)

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

    def test_nobody_is_slow_while_this_machine_takes_no_more(self) -> None:
        self.begin(128 * MB, {"a": Peer(50 * MB, 5 * MB), "b": Peer(50 * MB)})
        self.receiver.held_up = True
        self.go(PEERS * 2)
        self.assertEqual((self.asked(), self.receiver.slow_ones), (["a"], []))
        self.receiver.held_up = False
        self.go(PEERS + 10)
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
            def fetch(
                self, attempt: Attempt, start: int, end: int | None, sink: Any
            ) -> Deferred[None]:
                raise Unreachable("a", "x")

        clock = Clock()
        attempts = [Attempt(Source(Origin.PEER, "a", "a", "http://a/x"), Limits(1, 1))]
        running = Several(
            clock,
            Refusing(clock, {}),
            Plan(MB, Pace(), 1.0),
            lambda _: attempts.pop() if attempts else None,
        ).run()
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


def mirror(rate: float, **more: Any) -> Peer:
    return Peer(rate, origin=Origin.MIRROR, **more)


class Helping(SeveralTestCase):
    """Whoever is slow gets company, and loses its parts."""

    def test_beside_a_quick_holder_no_mirror_is_asked(self) -> None:
        self.begin(64 * MB, {"a": Peer(20 * MB), "m": mirror(20 * MB)})
        self.go(10)
        self.assertWhole()
        self.assertEqual(self.asked(), ["a"])

    def test_a_mirror_helps_out_a_holder_that_drips(self) -> None:
        self.begin(4 * MB, {"a": Peer(3_700), "m": mirror(20 * MB)})
        self.assertLess(self.go(20), 1.8)
        self.assertWhole()
        self.assertEqual(self.receiver.slow_ones, ["a"])

    def test_however_many_are_silent_a_mirror_helps_before_peers_time_is_over(self) -> None:
        def more(active: list[Attempt]) -> Attempt | None:
            mirrors_first = self.clock.seconds() >= PEERS
            order = sorted(
                self.attempts, key=lambda one: mirrors_first and one.source.origin is Origin.PEER
            )
            busy = [one.source.key for one in active]
            return next((one for one in order if one.source.key not in busy), None)

        self.patch(self, "more", more)
        silent = {f"p{at}": Peer(0, silent=99.0) for at in range(16)}
        self.begin(4 * MB, {**silent, "m": mirror(20 * MB)})
        self.assertLess(self.go(20), PEERS + 0.6)
        self.assertWhole()

    def test_a_holder_helps_out_another_before_a_mirror_does(self) -> None:
        self.begin(4 * MB, {"a": Peer(3_700), "b": Peer(20 * MB), "m": mirror(20 * MB)})
        self.assertLess(self.go(20), 1.8)
        self.assertWhole()
        self.assertEqual(self.asked(), ["a", "b"])

    def test_one_that_turns_slow_at_the_end_is_helped_out(self) -> None:
        self.begin(4 * MB, {"a": Peer(40 * MB, 4 * MB - 1), "m": mirror(20 * MB)})
        self.assertLess(self.go(20), 2.0)
        self.assertWhole()
        self.assertLess(self.peers["m"].sent, MB)

    def test_a_mirror_beside_a_busy_owner_takes_little_and_finds_out_for_all(self) -> None:
        pace = Pace()
        self.begin(4 * MB, {"o": Peer(60_000, relayed=True), "m": mirror(60_000)}, pace=pace)
        self.go(90)
        self.assertWhole()
        self.assertLess(self.peers["m"].sent, 0.05 * self.size)
        self.assertTrue(pace.is_known(self.clock.seconds()))
        self.begin(4 * MB, {"o": Peer(60_000, relayed=True), "m": mirror(60_000)}, pace=pace)
        self.go(20)
        self.assertEqual(self.asked(), ["o"])
        self.running.cancel()
        self.failureResultOf(self.running, CancelledError)

    def test_a_parent_that_gives_no_parts_is_asked_once_and_for_all(self) -> None:
        for whole in (False, True):
            parent = Peer(4 * MB, origin=Origin.MIRROR, parent="flexo", whole=whole)
            self.begin(16 * MB, {"a": Peer(400_000), "p": parent})
            self.go(60)
            self.assertWhole()
            self.assertEqual(parent.asked > 1, not whole)

    def test_a_parent_that_is_far_slower_than_a_mirror_is_bettered_soon(self) -> None:
        for whole in (False, True):
            parent = Peer(100_000, origin=Origin.MIRROR, parent="flexo", whole=whole)
            self.begin(48 * MB, {"p": parent, "m": mirror(20 * MB)})
            self.assertLess(self.go(60), 48 / 20 + 4.0)
            self.assertWhole()

    def test_a_parent_that_is_just_fast_enough_is_found_out_though_nothing_is_known_yet(
        self,
    ) -> None:
        parent = Peer(700_000, origin=Origin.MIRROR, parent="pacoloco")
        self.begin(48 * MB, {"p": parent, "m": mirror(20 * MB)})
        self.assertLess(self.go(60), 3 * 48 / 20 + 3.0)
        self.assertWhole()

    def test_a_parent_costs_little_beside_a_mirror_that_is_far_faster(self) -> None:
        for rate in (500_000, 2 * MB, 5 * MB):
            for known in (False, True):
                pace = Pace()
                if known:
                    pace.measured(12 * MB, 1.0, self.clock.seconds())
                parent = Peer(rate, origin=Origin.MIRROR, parent="pacoloco")
                self.begin(48 * MB, {"p": parent, "m": mirror(12 * MB)}, pace=pace)
                self.assertLess(self.go(60), 48 / 12 + 1.5, (rate, known))
                self.assertWhole()

    def test_a_parent_of_half_a_mirrors_speed_is_left_to_bring_it_all(self) -> None:
        parent = Peer(7 * MB, origin=Origin.MIRROR, parent="pacoloco")
        self.begin(48 * MB, {"p": parent, "m": mirror(12 * MB)})
        self.go(60)
        self.assertWhole()
        self.assertLess(self.peers["m"].sent, 5 * MB)

    def test_a_mirror_beside_a_parent_that_fills_from_a_busy_wan_takes_little(self) -> None:
        parent = Peer(100_000, origin=Origin.MIRROR, parent="pacoloco")
        self.begin(8 * MB, {"p": parent, "m": mirror(150_000)})
        self.go(120)
        self.assertWhole()
        self.assertLess(self.peers["m"].sent, 0.05 * self.size)

    def test_an_owner_that_drips_is_helped_out(self) -> None:
        self.begin(4 * MB, {"o": Peer(850, relayed=True), "m": mirror(20 * MB)})
        self.assertLess(self.go(20), 2.5)
        self.assertWhole()

    def test_however_many_are_just_fast_enough_they_do_not_keep_a_mirror_out(self) -> None:
        peers = {f"p{at}": Peer(300_000) for at in range(8)}
        self.begin(48 * MB, {**peers, "m": mirror(20 * MB)})
        self.assertLess(self.go(60), 48 / 20 + 4.0)
        self.assertWhole()

    def test_one_that_is_just_fast_enough_is_found_out_though_nothing_is_known_yet(self) -> None:
        self.begin(48 * MB, {"a": Peer(300_000), "m": mirror(20 * MB)})
        self.assertLess(self.go(60), 48 / 20 + 4.0)
        self.assertWhole()

    def test_a_mirror_that_is_no_better_leaves_once_its_speed_is_known(self) -> None:
        self.begin(64 * MB, {"a": Peer(4 * MB), "m": mirror(MB)})
        self.go(60)
        self.assertWhole()
        self.assertEqual(self.peers["m"].sent, MB)

    def test_who_lost_its_part_before_it_answered_is_given_another(self) -> None:
        drip = Peer(20 * MB, stops_after=MB - 100_000)
        self.begin(MB, {"a": drip, "m": mirror(MB, silent=1.5)})
        for _ in range(40):
            self.go(0.25)
            drip.stops_after += 1
        self.assertWhole()

    def test_the_last_one_is_left_running(self) -> None:
        self.begin(MB, {"m": mirror(100_000, silent=6.0)})
        self.assertLess(self.go(30), 6.0 + 10.6)
        self.assertWhole()

    def test_a_holder_that_is_known_of_later_helps_a_mirror_at_once(self) -> None:
        self.begin(4 * MB, {"m": mirror(100_000)})
        self.go(0.1)
        self.peers["a"] = Peer(50 * MB)
        self.attempts.insert(0, Attempt(Source(Origin.PEER, "a", "a", "http://a/x"), Limits(1, 1)))
        self.several.wake()
        self.assertLess(self.go(20), 0.5)
        self.assertWhole()

    def test_one_that_is_known_of_later_helps_without_being_told_of_too(self) -> None:
        """As a holder that has another address now: its cable was pulled."""
        self.begin(64 * MB, {"a": Peer(20 * MB, 8 * MB), "m": mirror(2 * MB)})
        self.go(5)
        self.peers["b"] = Peer(20 * MB)
        self.attempts.insert(0, Attempt(Source(Origin.PEER, "b", "b", "http://b/x"), Limits(1, 1)))
        self.assertLess(self.go(60), 6.0)
        self.assertWhole()

    def test_for_little_that_lacks_no_holder_is_looked_for(self) -> None:
        self.begin(4 * MB, {"m": mirror(MB)})
        self.go(1)
        self.peers["b"] = Peer(20 * MB)
        self.attempts.insert(0, Attempt(Source(Origin.PEER, "b", "b", "http://b/x"), Limits(1, 1)))
        self.go(60)
        self.assertWhole()
        self.assertEqual(self.asked(), ["m"])


class Lost(SeveralTestCase):
    """A holder is lost in the middle: whoever is alone brings the rest in one answer."""

    def lose(self, holder: Peer) -> None:
        self.begin(64 * MB, {"a": holder, "m": mirror(4 * MB)})
        self.assertLess(self.go(60), 8 * MB / holder.rate + 1 + 56 / 4)
        self.assertWhole()

    def test_one_that_ends(self) -> None:
        self.lose(Peer(20 * MB, 8 * MB, Broken("a", "ended")))
        self.assertLessEqual(self.peers["m"].asked, 2)

    def test_one_that_falls_silent(self) -> None:
        self.lose(Peer(20 * MB, 8 * MB))
        self.assertLessEqual(self.peers["m"].asked, 3)

    def test_one_that_is_lost_while_a_mirror_helps_it(self) -> None:
        for failure in (Broken("a", "ended"), None):
            self.lose(Peer(3 * MB, 8 * MB, failure))
            self.assertLessEqual(self.peers["m"].asked, 4)

    def test_two_that_work_still_share_what_a_third_one_leaves(self) -> None:
        peers = {"a": Peer(20 * MB, 8 * MB, Broken("a", "ended")), "b": Peer(20 * MB)}
        self.begin(128 * MB, {**peers, "c": Peer(20 * MB)})
        self.assertLess(self.go(60), 128 / 40 + 1)
        self.assertWhole()
        self.assertGreater(min(self.peers[key].sent for key in "bc"), 40 * MB)


class Alone(SeveralTestCase):
    """What is not known beforehand comes from one, and several may be asked which one."""

    def assertArrived(self) -> None:
        self.assertIsNone(self.successResultOf(self.running))
        self.assertEqual(self.receiver.extents.missing(0, self.size), [])
        self.assertNothingLeft()

    def test_one_that_answers_soon_is_asked_alone(self) -> None:
        self.begin(MB, {"m": mirror(MB / 2), "n": mirror(MB)}, known=False)
        self.go(10)
        self.assertArrived()
        self.assertEqual(self.asked(), ["m"])

    def test_the_next_is_asked_beside_a_silent_one_and_brings_it_all(self) -> None:
        self.begin(MB, {"m": mirror(MB, silent=99.0), "n": mirror(MB)}, known=False)
        self.assertLess(self.go(10), 2.2)
        self.assertArrived()
        self.assertEqual(self.receiver.heads, ["n"])

    def test_a_silent_one_that_answers_first_after_all_brings_it(self) -> None:
        slow = {"m": mirror(MB, silent=3.0), "n": mirror(MB, silent=9.0)}
        self.begin(MB, slow, known=False)
        self.assertLess(self.go(10), 4.2)
        self.assertArrived()
        self.assertEqual(self.receiver.heads, ["m"])

    def test_nobody_is_silent_while_this_machine_takes_no_more(self) -> None:
        self.begin(MB, {"m": mirror(MB, stops_after=10_000), "n": mirror(MB)}, known=False)
        self.go(1)
        self.receiver.held_up = True
        self.go(SILENCE * 3)
        self.assertEqual(self.asked(), ["m"])
        self.receiver.held_up = False
        self.go(SILENCE + 2)
        self.assertArrived()

    def test_one_that_falls_silent_is_replaced_by_who_goes_on(self) -> None:
        self.begin(MB, {"m": mirror(MB, stops_after=10_000), "n": mirror(MB)}, known=False)
        self.assertLess(self.go(10), SILENCE + 2)
        self.assertArrived()
        self.assertEqual(self.peers["n"].sent, MB - 10_000)

    def test_one_that_drips_is_as_good_as_silent(self) -> None:
        for stream in (0, 10_000):
            dripping = mirror(MB, stops_after=stream)
            self.begin(MB, {"m": dripping, "n": mirror(MB)}, known=False)
            for _ in range(9):
                self.go(0.5)
                # A byte or so at a time.
                dripping.stops_after += 1
            self.go(10)
            self.assertArrived()
            self.assertGreaterEqual(self.peers["n"].sent, MB - 10_010)

    def test_where_all_drip_each_is_bettered_once(self) -> None:
        self.begin(20_000, {"m": mirror(100), "n": mirror(100)}, known=False)
        self.go(60)
        self.assertEqual([one.asked for one in self.peers.values()], [2, 1])
        self.assertEqual(len(self.receiver.fetches), 1)
        self.assertGreater(len(self.receiver.extents), 5_000)

    def test_one_that_fails_is_followed_by_the_next(self) -> None:
        failing = mirror(MB, stops_after=1000, failure=Broken("m", "x"))
        self.begin(MB, {"m": failing, "n": mirror(MB)}, known=False)
        self.go(10)
        self.assertArrived()

    def test_a_slow_one_is_left_running(self) -> None:
        self.begin(20_000, {"m": mirror(900), "n": mirror(MB)}, known=False)
        self.go(30)
        self.assertArrived()
        self.assertEqual(self.asked(), ["m"])

    def test_a_peer_that_drips_is_replaced(self) -> None:
        self.begin(MB, {"a": Peer(3_700), "m": mirror(MB)}, known=False)
        self.assertLess(self.go(30), 5.0)
        self.assertArrived()


peers = st.builds(
    Peer,
    st.sampled_from([0, 1 * MB, 20 * MB, 80 * MB]),
    st.sampled_from([0.0, 1000.0, 3.0 * MB, float("inf"), float("inf")]),
    st.sampled_from([None, Broken("x", "broken"), Stalled("x", "stalled")]),
    whole=st.booleans(),
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


class Unhurried(SeveralTestCase):
    """What nobody waits for, until somebody does."""

    def ahead(self, size: int, peers: dict[str, Peer]) -> None:
        self.begin(size, peers, unhurried=True)

    def test_one_that_is_held_back_for_a_while_gets_no_company(self) -> None:
        self.ahead(4 * MB, {"a": Peer(50 * MB, silent=UNHURRIED * 0.9), "b": Peer(50 * MB)})
        self.go(UNHURRIED)
        self.assertWhole()
        self.assertEqual((self.asked(), self.receiver.slow_ones), (["a"], []))

    def test_for_long_another_holder_helps_and_nobody_is_blamed(self) -> None:
        self.ahead(4 * MB, {"a": Peer(0), "b": Peer(50 * MB)})
        self.go(UNHURRIED * 2)
        self.assertWhole()
        self.assertEqual(self.asked(), ["a", "b"])
        self.assertEqual((self.receiver.slow_ones, self.receiver.failures), ([], []))

    def test_but_no_mirror_does(self) -> None:
        self.ahead(4 * MB, {"a": Peer(0), "m": Peer(50 * MB, origin=Origin.MIRROR)})
        self.go(UNHURRIED * 3)
        self.assertEqual(self.asked(), ["a"])
        self.running.cancel()
        self.failureResultOf(self.running, CancelledError)

    def test_once_somebody_waits_it_gets_company_as_soon_as_ever(self) -> None:
        self.ahead(4 * MB, {"a": Peer(0), "m": Peer(50 * MB, origin=Origin.MIRROR)})
        self.go(UNHURRIED * 3)
        self.receiver.unhurried = False
        self.several.hurry()
        self.assertLess(self.go(10), 2.5)
        self.assertWhole()
        self.assertEqual(self.receiver.slow_ones, ["a"])

    def test_several_holders_bring_a_large_one_all_the_same(self) -> None:
        self.ahead(256 * MB, {"a": Peer(50 * MB), "b": Peer(50 * MB), "c": Peer(50 * MB)})
        self.assertLess(self.go(10), 0.5 * 256 / 50)
        self.assertWhole()

    def test_a_mirrors_speed_is_not_told_by_what_yields_to_all_else(self) -> None:
        pace = Pace()
        for unhurried in (True, False):
            mirror = Peer(MB, origin=Origin.MIRROR)
            self.begin(4 * MB, {"m": mirror}, pace=pace, unhurried=unhurried)
            self.go(10)
            self.assertEqual(pace.is_known(self.clock.seconds()), not unhurried)
