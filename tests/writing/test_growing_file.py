"""Growing files: no disk holds up the reactor, what waits is bounded, full disks are left."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import StoreError
from flocon.store.room import Own
from flocon.writing import growing_file
from flocon.writing.growing_file import GATHERING, GrowingFile, write_pieces
from flocon.writing.pieces import PIECE
from tests.fakes import FakeTools, Memory

NAME = "a-1-1-any.pkg.tar.zst"
#: What is bounded, small enough for tests.
OF_ONE, OF_ALL, BEFORE_STRANGERS_WAIT = 4_000, 8_000, 6_000
CHUNK = bytes(at % 251 for at in range(1_000 - PIECE))
COST = 1_000


class Follower(Own):
    """Whose files they are; remembers what it was told."""

    def __init__(self, *, own: bool = True) -> None:
        self.own = own
        self.written = 0
        self.losses: list[StoreError] = []

    def wrote(self) -> None:
        self.written += 1

    def lost(self, failure: StoreError) -> None:
        self.losses.append(failure)


class WritingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.tools = FakeTools()
        self.reactor = self.tools.reactor
        self.reactor.held = True
        self.follower = Follower()
        self.patch(growing_file, "MOST_OF_ONE", OF_ONE)
        self.patch(growing_file, "MOST_OF_ALL", OF_ALL)
        self.patch(growing_file, "MOST_BEFORE_STRANGERS_WAIT", BEFORE_STRANGERS_WAIT)
        #: Place and length of each call of the kernel.
        self.calls: list[tuple[int, int]] = []
        pwritev = os.pwritev

        def counted(descriptor: int, buffers: Any, position: int) -> int:
            count = pwritev(descriptor, buffers, position)
            self.calls.append((position, count))
            return count

        self.patch(os, "pwritev", counted)
        self.addCleanup(self.close_files)

    def close_files(self) -> None:
        for file in self.tools.files:
            if not file.closed:
                file.close()

    def file(self, follower: Follower | None = None) -> GrowingFile:
        return GrowingFile(self.tools, NAME, 100_000, follower or self.follower)

    def on_disk(self, file: GrowingFile, size: int, position: int = 0) -> bytes:
        return os.pread(file.fileno(), size, position)

    def fill(self, file: GrowingFile, count: int, position: int = 0) -> None:
        for at in range(count):
            file.write(position + at * len(CHUNK), CHUNK)


class Disks(WritingTestCase):
    def test_in_memory_it_is_written_at_once(self) -> None:
        self.tools.in_memory = True
        file = self.file()
        file.write(0, CHUNK)
        self.assertTrue(file.is_settled)
        self.assertEqual(self.on_disk(file, len(CHUNK)), CHUNK)
        self.assertEqual(self.tools.backlog.size, 0)

    def test_on_disk_it_is_written_in_a_thread(self) -> None:
        file = self.file()
        file.write(0, CHUNK)
        self.assertEqual(self.calls, [])
        self.assertFalse(file.is_settled)
        self.reactor.work()
        self.assertTrue(file.is_settled)
        self.assertEqual(self.on_disk(file, len(CHUNK)), CHUNK)
        self.assertEqual(self.follower.written, 1)

    def test_what_waits_is_read_as_if_it_were_there_but_not_passed_on(self) -> None:
        file = self.file()
        self.fill(file, 1)
        self.reactor.work()
        self.fill(file, 1, len(CHUNK))
        end = 2 * len(CHUNK)
        self.assertEqual(file.read(0, end), CHUNK + CHUNK)
        self.assertEqual(file.written(0, end), len(CHUNK))
        self.reactor.work()
        self.assertEqual(file.written(0, end), end)
        self.assertEqual(file.read(0, end), CHUNK + CHUNK)

    def test_what_came_meanwhile_is_written_at_once(self) -> None:
        file = self.file()
        self.fill(file, 4)
        self.reactor.work()
        self.assertEqual(self.calls, [(0, len(CHUNK)), (len(CHUNK), 3 * len(CHUNK))])
        self.assertEqual(self.follower.written, 2)

    def test_two_sources_write_each_its_part(self) -> None:
        file = self.file()
        parts = {0: b"a", 50_000: b"b"}
        for at in range(4):
            for start, letter in parts.items():
                file.write(start + at * 100, letter * 100)
        self.reactor.work()
        for start, letter in parts.items():
            self.assertEqual(self.on_disk(file, 400, start), letter * 400)
        self.assertLessEqual(len(self.calls), 3)

    def test_what_comes_later_lies_on_what_came_before(self) -> None:
        file = self.file()
        for letter in (b"a", b"b", b"c"):
            file.write(0, letter * 10)
        self.assertEqual(file.read(0, 10), b"c" * 10)
        self.reactor.work()
        self.assertEqual(self.on_disk(file, 10), b"c" * 10)

    def test_a_disk_that_takes_little_at_a_time_gets_all(self) -> None:
        pwritev = os.pwritev

        def little(descriptor: int, buffers: Any, position: int) -> int:
            return pwritev(descriptor, [bytes(buffers[0])[:7]], position)

        self.patch(os, "pwritev", little)
        file = self.file()
        self.fill(file, 3)
        self.reactor.work()
        self.assertEqual(self.on_disk(file, 3 * len(CHUNK)), 3 * CHUNK)

    def test_what_only_strangers_wait_for_is_written_beside_what_pacman_waits_for(self) -> None:
        pools: list[bool] = []

        def threads(own: bool) -> object:
            pools.append(own)
            return self.reactor

        self.patch(self.tools, "threads", threads)
        for own in (False, True):
            self.fill(self.file(Follower(own=own)), 1)
        self.assertEqual(pools, [False, True])


class Gathering(WritingTestCase):
    """A large file, of which each read of the network is not worth a thread's while."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(growing_file, "LARGE", 50_000)
        self.patch(growing_file, "AT_ONCE", 3 * COST)
        self.reactor.held = False

    def test_a_little_waits_for_more_but_not_for_long(self) -> None:
        file = self.file()
        self.fill(file, 2)
        self.reactor.advance(GATHERING / 2)
        self.assertEqual(self.calls, [])
        self.reactor.advance(GATHERING / 2)
        self.assertEqual(self.calls, [(0, 2 * len(CHUNK))])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_much_is_written_without_delay(self) -> None:
        file = self.file()
        self.fill(file, 3)
        self.assertEqual(self.calls, [(0, 3 * len(CHUNK))])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_the_last_is_written_without_delay(self) -> None:
        file = self.file()
        self.fill(file, 1)
        self.successResultOf(file.settled())
        self.assertEqual(self.on_disk(file, len(CHUNK)), CHUNK)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_little_that_came_while_much_was_written_waits_for_more_too(self) -> None:
        self.reactor.held = True
        file = self.file()
        self.fill(file, 3)
        self.fill(file, 1, 10_000)
        self.reactor.work()
        self.assertEqual(self.calls, [(0, 3 * len(CHUNK))])
        self.reactor.advance(GATHERING)
        self.reactor.work()
        self.assertEqual(self.calls[1:], [(10_000, len(CHUNK))])

    def test_what_was_given_up_is_waited_for_no_longer(self) -> None:
        file = self.file()
        self.fill(file, 1)
        file.close()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_full_disk_is_found_out_behind_the_senders_back(self) -> None:
        self.tools.room, self.tools.no_spare = 0, True
        self.reactor.held = True
        file = self.file()
        self.fill(file, 1)
        self.reactor.advance(GATHERING)
        self.reactor.work()
        self.assertEqual(len(self.follower.losses), 1)
        self.assertRaises(StoreError, file.write, 0, b"more")

    def test_what_may_have_no_more_room_is_told_behind_the_senders_back(self) -> None:
        def grow(memory: Memory, size: int) -> None:
            if memory.keep and size:
                raise OSError("no more for strangers")

        self.patch(Memory, "grow", grow)
        for self.tools.no_spare in (True, False):
            self.tools.spare_in_memory = True
            follower = Follower()
            file = self.file(follower)
            self.fill(file, 1)
            self.reactor.advance(GATHERING)
            if self.tools.no_spare:
                self.assertEqual((len(follower.losses), follower.written), (1, 0))
                self.assertRaises(StoreError, file.write, 0, b"more")
            else:
                self.assertEqual((len(follower.losses), follower.written), (0, 1))
                self.assertEqual(self.on_disk(file, len(CHUNK)), CHUNK)
            self.assertEqual(self.reactor.getDelayedCalls(), [])


class Bounds(WritingTestCase):
    def test_there_is_room_until_much_waits_and_again_when_it_is_written(self) -> None:
        file = self.file()
        self.fill(file, 3)
        self.assertIsNone(file.room())
        self.fill(file, 1, 3_000)
        room, another = file.room(), file.room()
        assert room is not None
        assert another is not None
        self.assertNoResult(room)
        self.reactor.work()
        self.successResultOf(room)
        self.successResultOf(another)
        self.assertIsNone(file.room())

    def test_all_together_are_bounded_but_none_is_left_with_nothing(self) -> None:
        files = [self.file() for _ in range(3)]
        self.fill(files[0], 3)
        self.fill(files[1], 3)
        self.assertIsNone(files[0].room())
        self.fill(files[2], 2)
        self.assertEqual(self.tools.backlog.size, OF_ALL)
        for file in files:
            self.assertIsNotNone(file.room())
        # Else it could never learn that there is room.
        self.assertIsNone(self.file().room())

    def test_strangers_wait_before_pacman_does(self) -> None:
        own, strangers = self.file(), self.file(Follower(own=False))
        self.fill(own, 3)
        self.fill(strangers, 2)
        self.assertIsNone(strangers.room())
        self.fill(strangers, 1, 5_000)
        self.assertIsNotNone(strangers.room())
        self.assertIsNone(own.room())

    def test_nothing_is_counted_any_more_once_all_is_written_or_given_up(self) -> None:
        for end in (GrowingFile.settled, GrowingFile.stop, GrowingFile.close):
            file = self.file()
            self.fill(file, 3)
            self.assertEqual(self.tools.backlog.size, 3 * COST)
            end(file)
            self.reactor.work()
            self.assertEqual(self.tools.backlog.size, 0, end)

    def test_single_bytes_are_bounded_too(self) -> None:
        file = self.file()
        for at in range(1 + OF_ONE // PIECE):
            file.write(at, b"a")
        self.assertIsNotNone(file.room())


class Settling(WritingTestCase):
    def test_it_is_settled_once_all_is_written(self) -> None:
        file = self.file()
        self.successResultOf(file.settled())
        self.fill(file, 2)
        settled = file.settled()
        self.assertNoResult(settled)
        self.reactor.work()
        self.successResultOf(settled)

    def test_who_no_longer_waits_is_left_alone(self) -> None:
        file = self.file()
        self.fill(file, 1)
        settled = file.settled()
        settled.cancel()
        self.failureResultOf(settled, CancelledError)
        self.reactor.work()


class GivingUp(WritingTestCase):
    def test_the_descriptor_stays_until_the_write_has_ended(self) -> None:
        file = self.file()
        self.fill(file, 3)
        memory = self.tools.files[0]
        file.close()
        self.assertEqual((memory.closed, memory.is_open), (1, True))
        self.reactor.work()
        self.assertFalse(memory.is_open)
        # Only what was handed to a thread already.
        self.assertEqual(self.calls, [(0, len(CHUNK))])
        self.assertEqual((self.follower.written, self.follower.losses), (0, []))

    def test_a_write_that_fails_afterwards_is_no_matter(self) -> None:
        self.tools.room = 100
        file = self.file()
        self.fill(file, 1)
        file.close()
        self.reactor.work()
        self.assertEqual(len(self.tools.files), 1)
        self.assertEqual(self.follower.losses, [])

    def test_who_waits_for_room_is_let_go(self) -> None:
        file = self.file()
        self.fill(file, 4)
        room = file.room()
        assert room is not None
        file.stop()
        self.successResultOf(room)


class FullDisks(WritingTestCase):
    def test_it_goes_on_elsewhere_with_what_was_written_and_what_waits(self) -> None:
        self.tools.room = 2 * len(CHUNK)
        file = self.file()
        self.fill(file, 2)
        self.reactor.work()
        self.fill(file, 2, 2 * len(CHUNK))
        self.assertTrue(file.incoming.keep)
        self.reactor.work()
        self.assertFalse(file.incoming.keep)
        self.assertFalse(self.tools.files[0].is_open)
        self.successResultOf(file.settled())
        self.assertEqual(self.on_disk(file, 4 * len(CHUNK)), 4 * CHUNK)
        self.assertEqual(self.tools.backlog.size, 0)

    def test_it_goes_on_in_memory_at_once(self) -> None:
        self.tools.room = 0
        self.tools.spare_in_memory = True
        file = self.file()
        self.fill(file, 4)
        room = file.room()
        assert room is not None
        self.reactor.work()
        self.successResultOf(room)
        self.assertEqual(self.on_disk(file, 4 * len(CHUNK)), 4 * CHUNK)
        file.write(5_000, b"more")
        self.assertTrue(file.is_settled)

    def test_who_may_have_no_more_room_goes_elsewhere_too(self) -> None:
        def grow(_: Memory, size: int) -> None:
            if size > 2 * len(CHUNK) and _.keep:
                raise OSError("no more for strangers")

        self.patch(Memory, "grow", grow)
        file = self.file()
        self.fill(file, 4)
        self.reactor.work()
        self.assertFalse(file.incoming.keep)
        self.assertEqual(self.on_disk(file, 4 * len(CHUNK)), 4 * CHUNK)

    def test_where_there_is_no_room_at_all_everybody_learns_it(self) -> None:
        for spoil in ("spare_room", "no_spare"):
            for in_memory in (False, True):
                self.tools = FakeTools()
                self.tools.reactor.held = True
                self.tools.room = 0
                self.tools.spare_in_memory = in_memory
                setattr(self.tools, spoil, 1)
                follower = Follower()
                file = self.file(follower)
                self.fill(file, 4)
                room, settled = file.room(), file.settled()
                assert room is not None
                self.tools.reactor.work()
                self.successResultOf(room)
                self.failureResultOf(settled, StoreError)
                self.assertEqual(len(follower.losses), 1, spoil)
                self.assertRaises(StoreError, file.write, 0, b"more")
                self.failureResultOf(file.settled(), StoreError)
                self.assertEqual(self.tools.backlog.size, 0)
                file.close()
                self.assertFalse(any(one.is_open for one in self.tools.files))

    def test_what_nobody_foresaw_is_logged_and_ends_it(self) -> None:
        def write_pieces(*_: object) -> None:
            raise RuntimeError

        self.patch(growing_file, "write_pieces", write_pieces)
        file = self.file()
        self.fill(file, 1)
        settled = file.settled()
        self.reactor.work()
        self.failureResultOf(settled, StoreError)
        self.assertEqual(len(self.follower.losses), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class Writes(SynchronousTestCase):
    def test_nothing_is_nothing(self) -> None:
        write_pieces(-1, [])
