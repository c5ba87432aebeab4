"""Nothing that can wait is done while packages come in."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.holdings.politeness import (
    KEEPING_PAUSE,
    LONGEST_KEEPING_PAUSE,
    LONGEST_PAUSE,
    PAUSE,
    Politeness,
)
from tests.holdings.machine import SIGNATURE, A, B, HoldingsCase, content_of, put, result_of


class PolitenessTests(SynchronousTestCase):
    """Alone, in virtual time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.politeness = Politeness(self.clock)

    def lull(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.politeness.lull())

    def test_it_is_quiet_while_nothing_comes(self) -> None:
        self.successResultOf(self.politeness.quiet())
        self.successResultOf(self.lull())

    def test_it_is_quiet_some_time_after_the_last_that_came(self) -> None:
        self.politeness.hold_back()
        quiet = self.politeness.quiet()
        self.clock.advance(PAUSE / 2)
        self.politeness.hold_back()
        self.clock.advance(PAUSE / 2)
        self.assertNoResult(quiet)
        self.clock.advance(PAUSE / 2)
        self.successResultOf(quiet)

    def test_where_they_keep_coming_what_can_wait_has_a_moment_each_such_pause(self) -> None:
        let_go = 0
        waiting = self.politeness.quiet()
        for _ in range(round(10 * (LONGEST_PAUSE + PAUSE))):
            self.politeness.hold_back()
            while waiting.called and let_go < 1_000:
                let_go += 1
                waiting = self.politeness.quiet()
            self.clock.advance(PAUSE / 10)
        # The first came before anything, one at the longest pause's end, one a pause later.
        self.assertEqual(let_go, 2)
        for _ in range(10):
            self.politeness.hold_back()
            self.clock.advance(PAUSE / 10)
        self.successResultOf(waiting)
        self.politeness.stop()

    def test_a_lull_is_shorter(self) -> None:
        self.politeness.hold_back()
        quiet, lull = self.politeness.quiet(), self.lull()
        self.clock.advance(KEEPING_PAUSE)
        self.successResultOf(lull)
        self.assertNoResult(quiet)
        self.politeness.stop()

    def test_who_waits_goes_on_when_it_stops_and_nobody_waits_after(self) -> None:
        self.politeness.hold_back()
        waiting = [self.politeness.quiet(), self.lull()]
        self.politeness.stop()
        for one in (*waiting, self.politeness.quiet(), self.lull()):
            self.successResultOf(one)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class PauseTests(HoldingsCase):
    def test_what_pacman_wrote_is_looked_at_once_it_is_quiet(self) -> None:
        self.start()
        incoming = self.machine.received(b"another")
        put(self.machine.folder, A, b"data")
        self.machine.watch.report(self.machine.folder, [A])
        self.machine.reactor.advance(PAUSE / 2)
        self.assertEqual(self.machine.held(), {})
        self.machine.reactor.advance(PAUSE / 2)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        incoming.close()

    def held_right_after_somebody_took(self, *, own: bool) -> set[str]:
        """Return what is held just after a package was taken, and another came to the cache."""
        put(self.machine.folder, A, b"data")
        held = self.start().find(A)
        assert held is not None
        result_of(self.cache.open(held, own=own)).close()
        put(self.machine.folder, B, b"more")
        self.machine.watch.report(self.machine.folder, [B])
        self.machine.reactor.advance(PAUSE / 2)
        self.machine.reactor.settle()
        return set(self.machine.held())

    def test_what_pacman_takes_from_here_is_looked_at_in_its_cache_once_it_is_quiet(self) -> None:
        self.assertEqual(self.held_right_after_somebody_took(own=True), {A})
        self.machine.reactor.advance(PAUSE / 2)
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {A, B})

    def test_what_a_peer_takes_from_here_puts_nothing_off(self) -> None:
        self.assertEqual(self.held_right_after_somebody_took(own=False), {A, B})

    def test_a_package_is_taken_in_once_it_is_quiet(self) -> None:
        cache = self.start()
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        work = cache.publish(incoming, A, content_of(b"data"), SIGNATURE)
        done: list[bool] = []
        Deferred.fromCoroutine(work).addCallback(done.append)
        self.machine.reactor.settle()
        self.assertEqual(done, [])
        self.machine.reactor.advance(KEEPING_PAUSE)
        self.machine.reactor.settle()
        self.assertEqual(done, [True])

    def test_packages_without_end_hold_up_what_came_for_a_moment_only(self) -> None:
        cache = self.start()
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        work = cache.publish(incoming, A, content_of(b"data"), SIGNATURE)
        done: list[bool] = []
        Deferred.fromCoroutine(work).addCallback(done.append)
        waited = 0.0
        while not done:
            self.assertLessEqual(waited, LONGEST_KEEPING_PAUSE)
            self.machine.received(b"another").close()
            self.machine.reactor.advance(KEEPING_PAUSE / 2)
            self.machine.reactor.settle()
            waited += KEEPING_PAUSE / 2
        self.assertGreater(waited, KEEPING_PAUSE)

    def test_packages_without_end_hold_it_up_for_some_seconds_only(self) -> None:
        self.start()
        self.machine.received(b"another").close()
        put(self.machine.folder, A, b"data")
        self.machine.watch.report(self.machine.folder, [A])
        waited = 0.0
        while not self.machine.held():
            self.assertLess(waited, LONGEST_PAUSE + PAUSE)
            self.machine.received(b"another").close()
            self.machine.reactor.advance(PAUSE / 4)
            waited += PAUSE / 4
        self.assertGreater(waited, PAUSE)

    def test_stopping_waits_for_no_quiet(self) -> None:
        self.start()
        incoming = self.machine.received(b"another")
        self.addCleanup(incoming.close)
        self.machine.watch.report(self.machine.folder, [A])
        self.machine.reactor.settle()
        began = self.machine.reactor.seconds()
        self.machine.stop()
        self.assertEqual(self.machine.reactor.seconds(), began)
