"""Folders on other machines: looked at, hashed and given beside others, and left when silent."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from twisted.internet.defer import Deferred

from flocon.errors import FolderCrowded, FolderSilent
from flocon.holdings import reading
from flocon.holdings.looking import POLL
from flocon.store import folder as disk
from flocon.store.folder import Opened
from flocon.store.lanes import LAST_WAIT, MOST_WAITING, PATIENCE, SILENT_AFTER
from tests.holdings.machine import SIGNATURE, A, B, C, HoldingsCase, content_of, put
from tests.store.test_lanes import Places


class FarCase(HoldingsCase):
    directories = 2

    def setUp(self) -> None:
        super().setUp()
        self.near, self.far = self.machine.directories
        self.patch(reading, "is_far", self.is_far)
        for folder, name, data in ((self.near, A, b"near"), (self.far, B, b"far")):
            put(folder, name, data)
            self.machine.listing[name] = [content_of(data)]
        self.pool = self.machine.reactor.pool

    def is_far(self, path: Path) -> bool:
        return path == self.far

    def wait(self, seconds: float) -> None:
        self.machine.reactor.advance(seconds)
        self.machine.settle()

    def held(self) -> list[str]:
        return sorted(self.machine.held())


class Looking(FarCase):
    def test_what_is_far_is_held_as_all_else(self) -> None:
        self.start()
        self.assertEqual(self.held(), [A, B])

    def test_it_is_not_followed_but_looked_at_each_minute(self) -> None:
        self.start()
        self.assertNotIn(self.far, self.machine.watch.followed)
        self.assertIn(self.near, self.machine.watch.followed)
        put(self.far, C, b"new")
        self.machine.listing[C] = [content_of(b"new")]
        self.wait(POLL)
        self.assertEqual(self.held(), sorted([A, B, C]))

    def test_one_that_was_mounted_over_a_folder_is_followed_no_longer(self) -> None:
        self.far, far = Path("/none"), self.far
        self.start()
        self.assertIn(far, self.machine.watch.followed)
        self.far = far
        self.machine.report(far, "")
        self.assertNotIn(far, self.machine.watch.followed)

    def test_one_that_hangs_holds_up_no_other_and_is_read_once_it_answers(self) -> None:
        self.pool.hold("identity", self.far)
        cache = self.start()
        self.assertEqual(self.held(), [A])
        put(self.near, C, b"new")
        self.machine.listing[C] = [content_of(b"new")]
        self.machine.report(self.near, C)
        self.assertEqual(self.held(), sorted([A, C]))
        self.assertNoResult(cache.ready)
        self.wait(SILENT_AFTER)
        self.assertEqual(self.machine.holdings.describe_silent()[0]["path"], str(self.far))
        self.successResultOf(cache.ready)
        for _ in range(9):
            self.wait(POLL)
        self.assertEqual(len(self.pool._waiting), 1)
        self.machine.resume()
        self.assertEqual(self.held(), sorted([A, B, C]))
        self.assertEqual(self.machine.holdings.describe_silent(), [])

    def test_while_it_is_silent_nothing_of_it_is_offered_and_then_all_again(self) -> None:
        self.start()
        self.pool.hold("identity", self.far)
        self.wait(POLL)
        self.assertEqual(self.held(), [A, B])
        self.wait(SILENT_AFTER)
        self.assertEqual(self.held(), [A])
        (path,) = self.warnings.paths()
        self.assertEqual(path, str(self.far))
        with mock.patch.object(disk, "digest") as digest:
            self.machine.resume()
        self.assertEqual((self.held(), digest.called), ([A, B], False))

    def test_another_that_is_mounted_in_its_place_is_read_instead(self) -> None:
        places = Places()
        self.machine.holdings.threads.lanes._mounts = places  # type: ignore[assignment]
        self.start()
        put(self.far, C, b"new")
        self.machine.listing[C] = [content_of(b"new")]
        for call, given in (("digest", [self.far]), ("identity", [self.far]), ("_read", [])):
            self.pool.hold(call, *given)
            self.wait(POLL)
            self.wait(SILENT_AFTER)
            self.assertEqual(self.held(), [A], call)
            self.pool.hold("")
            places.another = True
            self.wait(SILENT_AFTER)
            places.another = False
            self.assertEqual(self.held(), sorted([A, B, C]), call)
            self.assertEqual(self.machine.holdings.describe_silent(), [])

    def test_a_copy_in_the_store_stays_while_a_cache_is_silent(self) -> None:
        self.start()
        self.pool.hold("identity", self.far)
        self.wait(POLL)
        self.wait(SILENT_AFTER)
        self.machine.publish(B, b"far")
        self.assertEqual((self.held(), self.machine.stored()), ([A, B], {B, B + ".sig"}))
        self.assertEqual(self.machine.read(B), b"far")

    def test_a_store_that_is_slow_keeps_what_it_has(self) -> None:
        self.start()
        self.machine.listing[C] = [content_of(b"stored")]
        self.machine.publish(C, b"stored")
        self.pool.hold("identity", self.machine.packages)
        self.wait(POLL)
        self.wait(SILENT_AFTER)
        self.machine.cache.listing_changed()
        self.machine.settle()
        self.assertEqual(self.held(), sorted([A, B, C]))
        (told,) = self.machine.holdings.describe_silent()
        self.assertEqual(told["path"], str(self.machine.packages))
        self.machine.resume()

    def test_stopping_does_not_wait_for_it(self) -> None:
        for call in ("identity", "digest"):
            self.machine.make()
            self.machine.reactor.pool.hold(call, self.far)
            self.machine.start()
            stopped = self.machine.cache.stopService()
            self.machine.settle()
            self.assertNoResult(stopped)
            self.wait(LAST_WAIT)
            self.successResultOf(stopped)
            self.machine.reactor.pool.resume()
            self.machine.settle()
            self.assertEqual(self.machine.reactor.getDelayedCalls(), [])


class Hashing(FarCase):
    def test_one_that_hangs_in_the_middle_holds_up_no_other(self) -> None:
        self.pool.hold("digest", self.far)
        self.start()
        put(self.near, C, b"unlisted")
        self.machine.report(self.near, C)
        self.assertEqual(self.held(), sorted([A, B, C]))
        self.assertEqual(len(self.pool._waiting), 1)
        self.machine.resume()


class Giving(FarCase):
    def setUp(self) -> None:
        super().setUp()
        cache = self.start()
        held = cache.find(B)
        assert held is not None
        self.b = held

    def read(self, opened: Opened, position: int, count: int) -> Deferred[bytes]:
        async def read() -> bytes:
            assert opened.reads is not None
            return await opened.reads(position, count)

        return Deferred.fromCoroutine(read())

    def test_it_is_read_in_a_thread(self) -> None:
        opened = self.successResultOf(self.machine.cache.open(self.b))
        self.assertEqual(self.successResultOf(self.read(opened, 1, 9)), b"ar")
        opened.close()
        opened.close()

    def test_so_is_its_signature(self) -> None:
        self.assertEqual(self.machine.read(B, signature=True), SIGNATURE)

    def test_pacman_comes_before_strangers_and_too_many_of_those_are_refused(self) -> None:
        self.pool.hold("_open")
        order: list[str] = []

        def ask(name: str, *, own: bool) -> Deferred[Opened]:
            def note(opened: Opened) -> Opened:
                order.append(name)
                return opened

            return self.machine.cache.open(self.b, own=own).addCallback(note)

        asked = [ask("stranger", own=False) for _ in range(MOST_WAITING + 1)]
        self.failureResultOf(self.machine.cache.open(self.b, own=False), FolderCrowded)
        asked.append(ask("pacman", own=True))
        self.machine.resume()
        self.assertEqual(order[:3], ["stranger", "pacman", "stranger"])
        for one in asked:
            self.successResultOf(one).close()
        self.assertEqual(self.held(), [A, B])

    def test_one_that_hangs_is_given_up_soon_and_then_at_once(self) -> None:
        self.pool.hold("_open")
        asked = self.machine.cache.open(self.b)
        self.wait(PATIENCE - 0.1)
        self.assertNoResult(asked)
        self.wait(0.2)
        self.failureResultOf(asked, FolderSilent)
        self.failureResultOf(self.machine.cache.open(self.b, own=False), FolderSilent)
        self.assertEqual(len(self.pool._waiting), 1)
        # It may be there still.
        self.assertEqual(self.held(), [A, B])
        self.wait(SILENT_AFTER)
        self.assertEqual(self.held(), [A])
        self.machine.resume()
        self.assertEqual(self.held(), [A, B])
        self.assertEqual(self.machine.read(B), b"far")

    def test_reading_that_hangs_fails_soon(self) -> None:
        opened = self.successResultOf(self.machine.cache.open(self.b))
        self.pool.hold("pread")
        read = self.read(opened, 0, 3)
        self.wait(PATIENCE)
        self.failureResultOf(read, FolderSilent)
        opened.close()
        self.machine.resume()

    def test_closing_waits_in_a_thread(self) -> None:
        opened = self.successResultOf(self.machine.cache.open(self.b))
        descriptor = opened.fileno()
        self.pool.hold("close", descriptor)
        opened.close()
        self.assertEqual(len(self.pool._waiting), 1)
        self.machine.resume()

    def test_what_is_near_is_given_by_the_kernel_itself(self) -> None:
        held = self.machine.cache.find(A)
        assert held is not None
        opened = self.successResultOf(self.machine.cache.open(held))
        self.assertIsNone(opened.reads)
        opened.close()
