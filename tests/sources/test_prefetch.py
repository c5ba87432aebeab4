"""Packages are fetched ahead: when, one after the other, and not beyond the end."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import ToolError, Unreachable
from flocon.pacman.entries import Entry
from flocon.sources import prefetch as module
from flocon.sources.prefetch import DELAY, PAUSE, Prefetch

MOST = 1_000


def entry(name: str, size: int = 1) -> Entry:
    return Entry("core", f"{name}-1-1-any.pkg.tar.zst", name, "1-1", size, bytes(32))


class Fetching(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.needed = [entry("a"), entry("b")]
        self.looked = 0
        self.failure: Exception | None = None
        self.fetched: list[str] = []
        self.fetches: list[Deferred[None]] = []
        self.prefetch = Prefetch(self.clock, self.find, self.fetch, lambda low, _: low, MOST)
        self.prefetch.startService()
        self.addCleanup(self.finish)

    async def find(self) -> list[Entry]:
        self.looked += 1
        if self.failure:
            raise self.failure
        return self.needed

    async def fetch(self, one: Entry) -> None:
        self.fetched.append(one.name)
        self.fetches.append(Deferred())
        await self.fetches[-1]

    def finish(self) -> None:
        self.prefetch.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_looks_some_seconds_after_it_was_woken_and_once(self) -> None:
        self.prefetch.wake()
        self.clock.advance(DELAY - 1)
        self.prefetch.wake()
        self.clock.advance(DELAY - 1)
        self.assertEqual(self.looked, 0)
        self.clock.advance(1)
        self.assertEqual(self.looked, 1)

    def test_one_package_follows_the_other_after_a_pause(self) -> None:
        self.assertEqual(self.successResultOf(self.prefetch.now()), 2)
        self.assertEqual(self.fetched, ["a"])
        self.fetches[0].callback(None)
        self.assertEqual(self.fetched, ["a"])
        self.clock.advance(PAUSE)
        self.assertEqual(self.fetched, ["a", "b"])

    def test_no_more_is_fetched_than_there_is_room_for(self) -> None:
        self.needed = [entry("a", 600), entry("huge", 1 << 40), entry("b", 500), entry("c", 400)]
        self.assertEqual(self.successResultOf(self.prefetch.now()), 2)
        self.fetches[0].callback(None)
        self.clock.advance(PAUSE)
        self.assertEqual(self.fetched, ["a", "c"])

    def test_no_more_packages_are_fetched_than_a_machine_has(self) -> None:
        self.patch(module, "MOST_PACKAGES", 3)
        self.needed = [entry(name) for name in "abcdef"]
        self.assertEqual(self.successResultOf(self.prefetch.now()), 3)

    def test_it_tells_how_far_it_is(self) -> None:
        self.prefetch.now()
        self.assertEqual((self.prefetch.done, self.prefetch.total), (0, 2))
        self.assertTrue(self.prefetch.fetching)
        for at in range(2):
            self.fetches[at].callback(None)
            self.clock.advance(PAUSE)
        self.assertEqual((self.prefetch.done, self.prefetch.total), (2, 2))
        self.assertFalse(self.prefetch.fetching)

    def test_one_that_cannot_be_had_does_not_stop_the_others(self) -> None:
        self.prefetch.now()
        self.fetches[0].errback(Unreachable("m", "x"))
        self.clock.advance(PAUSE)
        self.assertEqual(self.fetched, ["a", "b"])

    def test_bytes_are_counted_as_packages_are(self) -> None:
        self.prefetch.now()
        self.assertEqual((self.prefetch.fetched_bytes, self.prefetch.total_bytes), (0, 2))
        self.fetches[0].callback(None)
        self.assertEqual((self.prefetch.fetched_bytes, self.prefetch.total_bytes), (1, 2))

    def test_it_is_not_done_twice_at_once(self) -> None:
        self.prefetch.now()
        self.prefetch.now()
        self.assertEqual(self.fetched, ["a"])

    def test_nothing_needed_is_nothing_done(self) -> None:
        self.needed = []
        self.assertEqual(self.successResultOf(self.prefetch.now()), 0)
        self.assertFalse(self.prefetch.fetching)

    def test_at_rest_it_fetches_nothing_more_unasked_until_it_is_woken(self) -> None:
        self.prefetch.wake()
        self.clock.advance(DELAY)
        self.prefetch.rest()
        self.assertFalse(self.prefetch.fetching)
        self.prefetch.wake()
        self.prefetch.rest()
        self.clock.advance(2 * DELAY)
        self.assertEqual((self.looked, self.fetched), (1, ["a"]))
        self.prefetch.wake()
        self.clock.advance(DELAY)
        self.assertEqual(self.fetched, ["a", "a"])

    def test_at_rest_it_does_what_it_was_asked_to(self) -> None:
        self.prefetch.now()
        self.prefetch.rest()
        self.fetches[0].callback(None)
        self.clock.advance(PAUSE)
        self.assertEqual(self.fetched, ["a", "b"])

    def test_at_rest_it_fetches_nothing_of_what_it_was_looking_for(self) -> None:
        found: Deferred[list[Entry]] = Deferred()

        async def late() -> list[Entry]:
            return await found

        prefetch = Prefetch(self.clock, late, self.fetch, lambda low, _: low, MOST)
        prefetch.startService()
        prefetch.wake()
        self.clock.advance(DELAY)
        prefetch.rest()
        found.callback(self.needed)
        self.assertEqual(self.fetched, [])
        prefetch.stopService()

    def test_stopping_ends_it(self) -> None:
        self.prefetch.now()
        self.prefetch.wake()
        self.prefetch.stopService()
        self.assertFalse(self.prefetch.fetching)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_stopped_it_is_not_woken(self) -> None:
        self.prefetch.stopService()
        self.prefetch.wake()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_asks_is_told_why_it_cannot_be_found_out(self) -> None:
        self.failure = ToolError("pacman -Qu", "x")
        self.failureResultOf(self.prefetch.now(), ToolError)

    def test_woken_by_itself_it_logs_what_failed(self) -> None:
        self.failure = ToolError("pacman -Qu", "x")
        self.prefetch.wake()
        self.clock.advance(DELAY)
        self.assertEqual(len(self.flushLoggedErrors(ToolError)), 1)

    def test_what_nobody_expected_is_logged(self) -> None:
        self.prefetch.now()
        self.fetches[0].errback(ZeroDivisionError())
        self.assertFalse(self.prefetch.fetching)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_found_after_the_end_it_fetches_nothing(self) -> None:
        found: Deferred[list[Entry]] = Deferred()

        async def late() -> list[Entry]:
            return await found

        prefetch = Prefetch(self.clock, late, self.fetch, lambda low, _: low, MOST)
        prefetch.startService()
        prefetch.now()
        prefetch.stopService()
        found.callback(self.needed)
        self.assertEqual(self.fetched, [])
