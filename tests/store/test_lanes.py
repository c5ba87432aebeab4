"""Lanes: one thing after the other, and nobody waits for a folder that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.errors import FolderSilent
from flocon.store.waiting import LAST_WAIT, PATIENCE, SILENT_AFTER, Lanes

FOLDER, OTHER = Path("/far"), Path("/other")


class Server:
    """Does what it is asked when it is told to, as threads of a folder do that may hang."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []

    def begin(self, work: Callable[..., Any], *arguments: object) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.asked.append(lambda: done.callback(work(*arguments)))
        return done

    def answer(self) -> None:
        self.asked.pop(0)()


class LanesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.callFromThread = lambda call, *given: call(*given)  # type: ignore[attr-defined]
        self.server = Server()
        self.lanes = Lanes(self.clock, self.server.begin)
        self.changed: list[tuple[Path, bool]] = []
        self.lanes.changed = lambda one: self.changed.append((one, self.lanes.silence(one) > 0))
        self.lane = self.lanes.lane(FOLDER, "looking")

    def ask(self, value: int = 1) -> Deferred[int]:
        return Deferred.fromCoroutine(self.lane.ask(lambda: value))

    def test_one_thing_is_done_after_the_other(self) -> None:
        first, second = self.lane.run(lambda: 1), self.lane.run(lambda: 2)
        self.assertEqual(len(self.server.asked), 1)
        self.server.answer()
        self.assertEqual(self.successResultOf(first), 1)
        self.server.answer()
        self.assertEqual(self.successResultOf(second), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_fails_is_told_and_the_next_is_done(self) -> None:
        def fail() -> None:
            raise ValueError

        lane = Lanes(self.clock, lambda work: work()).lane(FOLDER, "looking")
        self.failureResultOf(lane.run(fail), ValueError)
        self.lane.run(lambda: 1)
        self.assertEqual(len(self.server.asked), 1)

    def test_one_folder_does_not_wait_for_another_nor_one_use_for_another(self) -> None:
        self.lane.run(lambda: 1)
        self.lanes.lane(FOLDER, "giving").run(lambda: 2)
        self.lanes.lane(OTHER, "looking").run(lambda: 3)
        self.assertEqual(len(self.server.asked), 3)

    def test_a_folder_that_hangs_is_asked_once_and_never_again_however_many_want_it(self) -> None:
        waiting = [self.ask() for _ in range(9)]
        self.clock.advance(PATIENCE)
        for one in waiting:
            self.failureResultOf(one, FolderSilent)
        for _ in range(99):
            self.clock.advance(PATIENCE)
            self.failureResultOf(self.ask(), FolderSilent)
        self.assertEqual(len(self.server.asked), 1)
        self.server.answer()
        # Nobody wants the rest any more.
        self.assertEqual(self.server.asked, [])
        answered = self.ask(5)
        self.server.answer()
        self.assertEqual(self.successResultOf(answered), 5)

    def test_who_is_asked_for_what_can_be_had_elsewhere_gives_up_at_once_where_one_has(
        self,
    ) -> None:
        self.lane.run(lambda: 1)
        self.clock.advance(PATIENCE + 1)
        failure = self.failureResultOf(self.ask(), FolderSilent)
        self.assertEqual(str(failure.value), "/far has not answered for 4 s")

    def test_silence_is_told_once_and_so_is_its_end(self) -> None:
        self.lane.run(lambda: 1)
        self.clock.advance(SILENT_AFTER - 1)
        self.assertEqual((self.changed, self.lanes.silences()), ([], {}))
        self.clock.pump([1] * 30)
        self.assertEqual(self.changed, [(FOLDER, True)])
        self.assertEqual(self.lanes.silences(), {FOLDER: SILENT_AFTER + 29})
        self.server.answer()
        self.assertEqual(self.changed, [(FOLDER, True), (FOLDER, False)])
        self.assertEqual((self.lanes.silences(), self.clock.getDelayedCalls()), ({}, []))

    def test_long_work_that_goes_on_is_no_silence(self) -> None:
        self.lane.run(lambda: 1)
        go_on = self.lane.beating(lambda: False)
        for _ in range(20):
            self.clock.advance(SILENT_AFTER - 1)
            self.assertFalse(go_on())
        self.assertEqual(self.changed, [])
        self.clock.pump([1] * 20)
        self.assertEqual(self.changed, [(FOLDER, True)])

    def test_work_that_goes_on_after_a_silence_ends_it(self) -> None:
        self.lane.run(lambda: 1)
        self.clock.advance(SILENT_AFTER)
        self.lane.beat()
        self.clock.advance(SILENT_AFTER - 1)
        self.lane.beat()
        self.clock.advance(1)
        self.assertEqual(self.changed, [(FOLDER, True), (FOLDER, False)])

    def test_stopping_waits_a_moment_for_what_runs_and_for_nothing_that_hangs(self) -> None:
        hangs = self.lane.run(lambda: 1)
        self.clock.advance(SILENT_AFTER)
        runs = self.lanes.lane(OTHER, "looking").run(lambda: 1)
        waits = self.lanes.lane(OTHER, "looking").run(lambda: 2)
        self.lanes.stop()
        self.failureResultOf(hangs, FolderSilent)
        self.failureResultOf(waits, FolderSilent)
        self.assertNoResult(runs)
        self.clock.advance(LAST_WAIT)
        self.failureResultOf(runs, FolderSilent)
        self.failureResultOf(self.lane.run(lambda: 1), FolderSilent)
        self.failureResultOf(self.lanes.lane(FOLDER, "giving").run(lambda: 1), FolderSilent)
        for _ in range(2):
            self.server.answer()
        self.assertEqual((self.server.asked, self.clock.getDelayedCalls()), ([], []))

    def test_what_ends_while_stopping_is_told(self) -> None:
        runs = self.lane.run(lambda: 1)
        self.lanes.stop()
        self.server.answer()
        self.assertEqual(self.successResultOf(runs), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class InThreads(TestCase):
    def test_there_is_a_thread_only_while_something_is_done(self) -> Deferred[None]:
        lane = Lanes(reactor).lane(FOLDER, "looking")
        before = set(threading.enumerate())

        async def look() -> None:
            one = await lane.run(threading.current_thread)
            other = await lane.run(threading.current_thread)
            for thread in (one, other):
                self.assertTrue(thread.daemon)
                self.assertEqual(thread.name, "looking far")
                thread.join(5)
            self.assertLessEqual(set(threading.enumerate()), before)

        return Deferred.fromCoroutine(look())

    def test_hundreds_that_ask_a_folder_that_hangs_take_one_thread(self) -> Deferred[None]:
        lane, gate = Lanes(reactor).lane(FOLDER, "looking"), threading.Event()
        before = threading.active_count()
        asked = [lane.run(gate.wait, 60) for _ in range(300)]
        self.assertEqual(threading.active_count(), before + 1)
        gate.set()

        async def answered() -> None:
            for one in asked:
                self.assertTrue(await one)

        return Deferred.fromCoroutine(answered())
