"""When it is looked for what pacman would fetch, and when that is fetched."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.ahead.prefetch import (
    BESIDE_AGAIN,
    BESIDE_FOR,
    BESIDE_PAUSE,
    COUNT_AGAIN,
    DELAY,
    LONGEST_SETTLE,
    NEWS_PAUSE,
    SETTLE,
    Prefetch,
)
from flocon.ahead.wishes import RETRY, SLICE, Once, Wishes
from flocon.errors import ToolError, Unreachable
from flocon.holdings.inventory import Change
from flocon.pacman.entries import Entry
from tests.ahead.wanting import FakeAround, entry

#: Seconds of a turn of the reactor.
TURN = 2**-10


class PrefetchCase(SynchronousTestCase):
    mode = "lan"
    make_clock: type[Clock] = Clock

    def setUp(self) -> None:
        self.clock = self.make_clock()
        self.around = FakeAround()
        self.wishes = Wishes(1_000, Once())
        self.prefetch = Prefetch(self.clock, self.around, self.wishes, lambda low, _: low)
        self.prefetch.startService()
        self.addCleanup(self.finish)
        self.around.wanted = [(entry("a", 2), False), (entry("b", 1), False)]
        self.around.at_peers = {"a", "b"}
        self.prefetch.allow(self.mode)

    def finish(self) -> None:
        if self.prefetch.running:
            self.prefetch.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Looking(PrefetchCase):
    def test_it_looks_once_the_databases_have_settled_and_fetches_at_once(self) -> None:
        self.clock.advance(SETTLE / 2)
        self.prefetch.wake()
        self.clock.advance(SETTLE * 0.9)
        self.assertEqual(self.around.looks, 0)
        self.clock.advance(SETTLE * 0.1)
        self.assertEqual(self.around.looks, 1)
        self.assertEqual(self.around.fetched, [("a", False, False), ("b", False, False)])

    def test_databases_that_change_all_the_time_are_looked_at_all_the_same(self) -> None:
        steps = int(LONGEST_SETTLE / SETTLE) + 2
        for _ in range(steps * 2):
            self.prefetch.wake()
            self.clock.advance(SETTLE / 2)
        self.assertGreaterEqual(self.around.looks, 1)

    def test_what_changes_while_it_looks_is_looked_at_afterwards(self) -> None:
        self.around.found = Deferred()
        self.clock.advance(SETTLE)
        self.prefetch.wake()
        self.clock.advance(SETTLE)
        self.assertEqual(self.around.looks, 1)
        self.around.found.callback(None)
        self.clock.advance(SETTLE)
        self.assertEqual(self.around.looks, 2)

    def test_where_nothing_has_changed_the_same_is_wanted(self) -> None:
        self.clock.advance(SETTLE)
        self.around.wanted = None
        self.prefetch.wake()
        self.clock.advance(SETTLE)
        self.assertEqual(self.prefetch.readiness().wanted, 2)
        self.assertEqual(self.around.names, ["a", "b"])

    def test_why_it_cannot_be_found_out_is_said_once_in_a_sentence(self) -> None:
        self.around.failure = ToolError("pacman -Qu", "x")
        for _ in range(3):
            self.prefetch.wake()
            self.clock.advance(SETTLE)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.around.failure = None
        self.prefetch.wake()
        self.clock.advance(SETTLE)
        self.assertEqual(self.around.names, ["a", "b"])

    def test_what_nobody_expected_is_logged(self) -> None:
        self.around.failure = ZeroDivisionError()
        self.clock.advance(SETTLE)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stopped_it_is_not_woken(self) -> None:
        self.prefetch.stopService()
        for call in (self.prefetch.wake, self.prefetch.news, lambda: self.prefetch.allow("all")):
            call()
        self.prefetch.asked(entry("z"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_ends_what_runs(self) -> None:
        self.clock.advance(SETTLE)
        self.prefetch.wake()
        self.prefetch.stopService()
        self.assertFalse(self.prefetch.bringing)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_found_after_the_end_it_fetches_nothing(self) -> None:
        self.around.found = Deferred(lambda _: None)
        self.clock.advance(SETTLE)
        self.prefetch.stopService()
        self.assertEqual(self.around.names, [])


class Coming(PrefetchCase):
    def test_what_a_peer_gets_later_comes_then(self) -> None:
        self.around.at_peers = {"a"}
        self.clock.advance(SETTLE)
        self.around.end("a")
        self.assertEqual(self.around.names, ["a"])
        self.around.at_peers = {"b"}
        for _ in range(5):
            self.prefetch.news()
        self.clock.advance(NEWS_PAUSE)
        self.assertEqual(self.around.names, ["a", "b"])
        self.assertEqual(self.around.looks, 1)

    def test_any_amount_of_news_is_one_look_at_what_is_wanted(self) -> None:
        self.clock.advance(SETTLE)
        self.prefetch.news()
        self.prefetch.news()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_what_nobody_holds_is_left_to_pacman(self) -> None:
        self.around.at_peers = {"a"}
        self.clock.advance(SETTLE)
        self.around.end("a")
        self.clock.advance(10 * DELAY)
        self.assertEqual(self.around.names, ["a"])
        self.assertEqual(self.prefetch.readiness().only_at_mirrors, 1)

    def test_what_failed_is_tried_again(self) -> None:
        self.clock.advance(SETTLE)
        self.around.fail("a", Unreachable("m", "x"))
        self.around.end("b")
        self.clock.advance(RETRY - 1)
        self.assertEqual(self.around.names, ["a", "b"])
        self.clock.advance(1)
        self.assertEqual(self.around.names, ["a", "b", "a"])

    def test_what_somebody_else_gave_up_is_tried_soon(self) -> None:
        self.clock.advance(SETTLE)
        self.around.fail("a", CancelledError())
        self.clock.advance(NEWS_PAUSE)
        self.assertEqual(self.around.names, ["a", "b", "a"])

    def test_and_so_is_what_a_person_asked_for_where_nothing_else_comes_ahead(self) -> None:
        self.prefetch.allow("off")
        self.prefetch.now()
        self.around.fail("a", CancelledError())
        self.clock.advance(NEWS_PAUSE)
        self.assertEqual(self.around.names[-3:], ["a", "b", "a"])

    def test_news_in_between_do_not_make_it_be_forgotten(self) -> None:
        self.clock.advance(SETTLE)
        self.around.fail("a", Unreachable("m", "x"))
        self.around.end("b")
        self.prefetch.news()
        self.clock.advance(NEWS_PAUSE)
        self.assertEqual(self.around.names, ["a", "b"])
        self.clock.advance(RETRY)
        self.assertEqual(self.around.names, ["a", "b", "a"])

    def test_news_are_not_put_off_until_what_failed_is_tried_again(self) -> None:
        self.around.at_peers = {"a"}
        self.clock.advance(SETTLE)
        self.around.fail("a", Unreachable("m", "x"))
        self.around.at_peers = {"a", "b"}
        self.prefetch.news()
        self.clock.advance(NEWS_PAUSE)
        self.assertEqual(self.around.names, ["a", "b"])

    def test_only_of_what_is_wanted_news_are_looked_at(self) -> None:
        self.around.at_peers = {"a"}
        self.clock.advance(SETTLE)
        other = [Change("z-1-1-any.pkg.tar.zst", entry("z").content)]
        another_build = [Change(entry("b").file_name, entry("z").content)]
        for changes in ([], other, another_build):
            self.prefetch.news(changes)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.around.at_peers = {"b"}
        self.prefetch.news([*other, Change(entry("b").file_name, entry("b", 1).content)])
        self.clock.advance(NEWS_PAUSE)
        self.assertEqual(self.around.names, ["a", "b"])


class TurnsClock(Clock):
    """One on which what is called at once is called in the next turn."""

    def callLater(self, delay: float, *args: Any, **kwargs: Any) -> IDelayedCall:  # noqa: N802
        return super().callLater(max(TURN, delay), *args, **kwargs)


class Thousands(PrefetchCase):
    """What is looked through for as many packages as a machine has gives the reactor back."""

    NUMBER = 10 * SLICE
    make_clock = TurnsClock

    def setUp(self) -> None:
        super().setUp()
        self.wishes = self.prefetch._wishes = Wishes(1 << 30, Once())
        self.prefetch.bringing._wishes = self.wishes
        names = [f"a{at}" for at in range(self.NUMBER)]
        self.around.wanted = [(entry(name, 10_000 - at), False) for at, name in enumerate(names)]
        self.around.at_peers = set(names)
        self.asked = 0
        self.has_room = self.around.has_room
        self.patch(self.around, "has_room", self.count)

    def count(self, one: Entry, *, asked: bool) -> bool:
        self.asked += 1
        return self.has_room(one, asked=asked)

    def turns(self) -> list[int]:
        """Go on to the end of a look; return of how many packages each turn asked."""
        found = [self.asked]
        while self.prefetch._planning:
            self.asked = 0
            self.clock.advance(TURN)
            found.append(self.asked)
        return found

    def test_it_looks_a_slice_a_turn(self) -> None:
        self.clock.advance(SETTLE)
        self.assertEqual(self.turns(), [SLICE] * 10)
        self.assertEqual(self.around.names, ["a0", "a1", "a2", "a3"])

    def test_one_look_runs_at_a_time_however_much_news_there_is(self) -> None:
        self.clock.advance(SETTLE)
        for _ in range(5):
            self.prefetch.news()
            self.clock.advance(NEWS_PAUSE)
        self.assertEqual(self.asked, 6 * SLICE)
        self.turns()
        self.assertEqual(len(self.around.names), 4)

    def test_what_comes_while_it_looks_is_not_fetched_again(self) -> None:
        self.clock.advance(SETTLE)
        self.turns()
        self.prefetch.news()
        self.clock.advance(NEWS_PAUSE)
        self.around.end("a0")
        self.turns()
        self.assertEqual(self.around.names, [f"a{at}" for at in range(5)])

    def test_no_longer_allowed_the_look_brings_nothing(self) -> None:
        self.clock.advance(SETTLE)
        self.prefetch.allow("off")
        self.turns()
        self.assertEqual(self.around.names, [])

    def test_who_asked_is_answered_when_it_has_looked(self) -> None:
        self.prefetch.allow("off")
        work = self.prefetch.now()
        self.assertNoResult(work)
        self.turns()
        self.assertEqual(self.successResultOf(work), self.NUMBER)

    def test_stopped_while_it_looks_it_leaves_nothing_behind(self) -> None:
        self.prefetch.allow("off")
        work = self.prefetch.now()
        self.prefetch.readiness()
        self.prefetch.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.successResultOf(work)
        self.assertEqual(self.around.names, [])

    def test_how_much_is_here_is_counted_once_a_second_and_a_slice_a_turn(self) -> None:
        self.clock.advance(SETTLE)
        self.turns()
        known = 0
        holds = self.around.holds

        def count(one: Entry) -> bool:
            nonlocal known
            known += 1
            return holds(one)

        self.patch(self.around, "holds", count)
        for _ in range(50):
            self.prefetch.readiness()
        self.assertEqual(known, SLICE)
        while self.prefetch._counting:
            self.clock.advance(TURN)
        for _ in range(50):
            self.assertEqual(self.prefetch.readiness().coming, self.NUMBER)
        self.assertEqual(known, self.NUMBER)
        self.clock.advance(COUNT_AGAIN)
        self.prefetch.readiness()
        self.assertEqual(known, self.NUMBER + SLICE)


class All(PrefetchCase):
    mode = "all"

    def test_what_peers_hold_comes_at_once_and_the_rest_when_machines_have_spread(self) -> None:
        self.around.at_peers = {"b"}
        self.clock.advance(SETTLE)
        self.assertEqual(self.around.fetched, [("b", False, False)])
        self.clock.advance(DELAY - 0.1)
        self.assertEqual(self.around.names, ["b"])
        self.clock.advance(0.1)
        self.assertEqual(self.around.fetched[1:], [("a", True, False)])

    def test_other_databases_are_another_moment_for_the_rest(self) -> None:
        self.around.at_peers = set()
        self.clock.advance(SETTLE + DELAY - 1)
        self.prefetch.wake()
        self.clock.advance(SETTLE)
        self.clock.advance(DELAY - 1)
        self.assertEqual(self.around.names, [])
        self.clock.advance(1)
        self.assertEqual(self.around.names, ["a", "b"])

    def test_no_longer_allowed_the_rest_does_not_come(self) -> None:
        self.around.at_peers = set()
        self.clock.advance(SETTLE)
        self.prefetch.allow("lan")
        self.clock.advance(2 * DELAY)
        self.assertEqual(self.around.names, [])


class Off(PrefetchCase):
    mode = "off"

    def test_it_neither_looks_nor_fetches(self) -> None:
        self.prefetch.wake()
        self.prefetch.news()
        self.prefetch.asked(entry("z"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_person_has_all_of_it_fetched_at_once(self) -> None:
        self.around.at_peers = set()
        self.around.wanted = [(entry(name), name == "here") for name in ("a", "b", "here")]
        self.assertEqual(self.successResultOf(self.prefetch.now()), 2)
        self.assertEqual(self.around.fetched, [("a", True, True), ("b", True, True)])
        self.assertEqual((self.prefetch.bringing.done, self.prefetch.bringing.total), (0, 2))
        self.around.end("a", "b")
        self.assertEqual((self.prefetch.bringing.fetched, self.prefetch.bringing.total), (2, 2))
        self.assertEqual(self.successResultOf(self.prefetch.now()), 0)
        self.assertEqual(self.prefetch.bringing.total, 0)

    def test_it_is_not_done_twice_at_once(self) -> None:
        self.prefetch.now()
        self.prefetch.now()
        self.assertEqual(self.around.names, ["a", "b"])

    def test_who_asks_is_told_why_it_cannot_be_found_out(self) -> None:
        self.around.failure = ToolError("pacman -Qu", "x")
        self.failureResultOf(self.prefetch.now(), ToolError)

    def test_from_then_on_nothing_comes_unasked(self) -> None:
        self.prefetch.allow("lan")
        self.clock.advance(SETTLE)
        self.around.wanted = [(entry(name), False) for name in "abc"]
        self.around.at_peers = set("abc")
        self.prefetch.wake()
        self.prefetch.allow("off")
        self.assertFalse(self.prefetch.bringing)
        self.clock.advance(2 * DELAY)
        self.assertEqual(self.around.names, ["a", "b"])
        self.prefetch.allow("lan")
        self.clock.advance(SETTLE)
        self.assertEqual(self.around.names[2:], ["a", "b", "c"])

    def test_found_after_that_it_fetches_nothing(self) -> None:
        self.prefetch.allow("lan")
        self.around.found = Deferred()
        self.clock.advance(SETTLE)
        self.prefetch.allow("off")
        self.around.found.callback(None)
        self.assertEqual(self.around.names, [])

    def test_what_a_person_asked_for_goes_on(self) -> None:
        self.prefetch.allow("lan")
        self.prefetch.now()
        self.prefetch.allow("off")
        self.assertTrue(self.prefetch.bringing)


class Beside(PrefetchCase):
    """pacman asks for a package that is no upgrade: what else it needs comes ahead."""

    def setUp(self) -> None:
        super().setUp()
        self.clock.advance(SETTLE)
        self.around.end("a", "b")
        self.around.needed = [entry("z", 3), entry("y", 2), entry("x", 1)]
        self.around.at_peers |= {"x", "y"}

    def test_what_it_needs_and_peers_hold_comes(self) -> None:
        self.prefetch.asked(entry("z", 3))
        self.clock.advance(BESIDE_PAUSE)
        self.assertEqual(self.around.asked_beside, ["z"])
        self.assertEqual(self.around.names[2:], ["y", "x"])

    def test_what_pacman_never_asked_for_is_not_wanted_any_more(self) -> None:
        self.prefetch.asked(entry("z", 3))
        self.clock.advance(BESIDE_PAUSE)
        self.around.end("x", "y")
        self.clock.advance(BESIDE_FOR)
        self.around.at_peers.add("z")
        self.prefetch.news()
        self.clock.advance(NEWS_PAUSE)
        self.assertEqual(self.around.names[2:], ["y", "x"])

    def test_for_an_upgrade_pacman_is_not_asked(self) -> None:
        self.prefetch.asked(entry("a", 2))
        self.clock.advance(BESIDE_PAUSE)
        self.assertEqual(self.around.asked_beside, [])

    def test_nor_where_all_is_there_by_then(self) -> None:
        self.around.busy = False
        self.prefetch.asked(entry("z", 3))
        self.clock.advance(BESIDE_PAUSE)
        self.assertEqual(self.around.asked_beside, [])

    def test_nor_for_what_was_needed(self) -> None:
        self.prefetch.asked(entry("z", 3))
        self.clock.advance(BESIDE_PAUSE + BESIDE_AGAIN)
        self.prefetch.asked(entry("y", 2))
        self.clock.advance(BESIDE_PAUSE)
        self.assertEqual(self.around.asked_beside, ["z"])

    def test_it_is_asked_seldom_however_many_packages_there_are(self) -> None:
        for at in range(50):
            self.prefetch.asked(entry(f"n{at}"))
            self.clock.advance(0.1)
        self.assertEqual(len(self.around.asked_beside), 1)
        self.clock.advance(BESIDE_AGAIN)
        self.prefetch.asked(entry("n0"))
        self.clock.advance(BESIDE_PAUSE)
        self.assertEqual(len(self.around.asked_beside), 2)

    def test_that_pacman_cannot_say_is_no_matter(self) -> None:
        self.around.failure = ToolError("pacman -Sp", "x")
        self.prefetch.asked(entry("z", 3))
        self.clock.advance(BESIDE_PAUSE)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(len(self.around.names), 2)
