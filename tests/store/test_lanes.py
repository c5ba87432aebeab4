"""Lanes: one thing after the other, and nobody waits for a folder that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.errors import FolderSilent
from flocon.machine import reactor_threads
from flocon.machine.limits import NoThread
from flocon.store.lanes import (
    AGAIN,
    LAST_WAIT,
    LONG_PATIENCE,
    MOST_LEFT,
    MOST_WAITING,
    PATIENCE,
    SILENT_AFTER,
    Lanes,
)

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


class LaneCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.callFromThread = lambda call, *given: call(*given)  # type: ignore[attr-defined]
        self.server = Server()
        self.lanes = Lanes(self.clock, self.server.begin)
        self.changed: list[tuple[Path, bool]] = []
        self.lanes.changed = lambda one: self.changed.append((one, self.lanes.silence(one) > 0))
        self.lane = self.lanes.lane(FOLDER, "looking")


class LanesTests(LaneCase):
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


class Turns(LaneCase):
    """Whose turn it is where many wait for a folder that answers, and how long that may take."""

    def want(self, name: str, *, own: bool = False) -> Deferred[str]:
        return Deferred.fromCoroutine(self.lane.ask(lambda: name, own=own))

    def answer(self, seconds: float = 0.0) -> None:
        self.clock.advance(seconds)
        self.server.answer()

    def test_pacman_comes_before_all_others(self) -> None:
        strangers = [self.want("stranger") for _ in range(300)]
        first, second = (self.want(name, own=True) for name in ("first", "second"))
        self.answer()
        self.answer()
        self.assertEqual(self.successResultOf(first), "first")
        self.answer()
        self.assertEqual(self.successResultOf(second), "second")
        self.assertEqual([one.called for one in strangers].count(True), 1)
        for _ in range(299):
            self.answer()
        self.assertEqual({self.successResultOf(one) for one in strangers}, {"stranger"})

    def test_patience_begins_when_it_is_ones_turn(self) -> None:
        before = self.want("before")
        wanted = self.want("wanted", own=True)
        self.answer(PATIENCE - 0.1)
        self.assertEqual(self.successResultOf(before), "before")
        self.answer(PATIENCE - 0.1)
        self.assertEqual(self.successResultOf(wanted), "wanted")

    def test_a_turn_is_waited_for_no_longer_than_that_may_take(self) -> None:
        pacmans = [self.want("own", own=True) for _ in range(9)]
        strangers = [self.want("other") for _ in range(9)]
        for _ in range(3):
            self.answer(LONG_PATIENCE / 3)
        given, refused = [*pacmans[:2], strangers[0]], [*pacmans[2:], *strangers[1:]]
        self.assertEqual([self.successResultOf(one) for one in given], ["own", "own", "other"])
        for one in refused:
            self.failureResultOf(one, FolderSilent)

    def test_nobody_waits_behind_what_hangs(self) -> None:
        hangs = self.lane.run(lambda: "looked")
        waiting = [self.want("own", own=True), self.want("other")]
        self.clock.advance(PATIENCE)
        for one in waiting:
            self.failureResultOf(one, FolderSilent)
        self.assertNoResult(hangs)
        self.answer()
        self.assertEqual((self.successResultOf(hangs), self.server.asked), ("looked", []))

    def test_there_is_an_end_to_who_may_begin(self) -> None:
        self.want("running")
        for _ in range(MOST_WAITING):
            self.assertFalse(self.lane.is_crowded)
            self.want("waiting")
        self.assertTrue(self.lane.is_crowded)
        self.answer()
        self.assertFalse(self.lane.is_crowded)

    def test_who_leaves_is_not_waited_for(self) -> None:
        self.want("running")
        left, other = self.want("left"), self.want("other")
        left.cancel()
        self.failureResultOf(left, CancelledError)
        self.answer()
        self.answer()
        self.assertEqual((self.successResultOf(other), self.server.asked), ("other", []))

    def test_thousands_that_end_at_once_are_done_in_a_loop(self) -> None:
        waiting = [self.lane.run(lambda: 1) for _ in range(5000)]
        self.lane._begin = lambda work: succeed(work())
        self.answer()
        self.assertEqual([self.successResultOf(one) for one in waiting], [1] * 5000)


class WithoutThreads(SynchronousTestCase):
    """No thread can be begun, for want of them or of memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.begun = 0
        self.some = False
        self.lanes = Lanes(self.clock, self.begin)
        self.changed: list[Path] = []
        self.lanes.changed = self.changed.append
        self.lane = self.lanes.lane(FOLDER, "looking")

    def begin(self, work: Callable[..., Any]) -> Deferred[Any]:
        self.begun += 1
        return succeed(work()) if self.some else fail(NoThread("there are enough"))

    def test_what_nobody_else_does_is_done_as_soon_as_there_are_some(self) -> None:
        waiting = [self.lane.run(lambda: 1) for _ in range(1000)]
        self.clock.pump([AGAIN] * 3)
        self.assertEqual([one for one in waiting if one.called], [])
        self.assertEqual(self.lanes.lack(FOLDER), "there are enough")
        self.some = True
        self.clock.advance(AGAIN)
        self.assertEqual([self.successResultOf(one) for one in waiting], [1] * 1000)
        self.assertEqual((self.lanes.lack(FOLDER), self.clock.getDelayedCalls()), ("", []))

    def test_who_can_have_it_elsewhere_is_told_at_once_and_may_come_again(self) -> None:
        for _ in range(1000):
            self.failureResultOf(Deferred.fromCoroutine(self.lane.ask(lambda: 1)), FolderSilent)
        self.some = True
        answered = Deferred.fromCoroutine(self.lane.ask(lambda: 1))
        self.assertEqual(self.successResultOf(answered), 1)
        self.assertEqual(self.begun, 1001)

    def test_it_is_told_as_a_silence_until_there_is_one(self) -> None:
        looked = self.lane.run(lambda: 1)
        self.clock.pump([AGAIN] * 12)
        self.assertEqual((self.changed, list(self.lanes.silences())), ([FOLDER], [FOLDER]))
        self.some = True
        self.clock.advance(AGAIN)
        self.assertEqual(self.successResultOf(looked), 1)
        self.assertEqual((len(self.changed), self.lanes.silences()), (2, {}))

    def test_stopping_does_not_wait_for_one(self) -> None:
        waiting = [self.lane.run(lambda: 1) for _ in range(3)]
        self.lanes.stop()
        for one in waiting:
            self.failureResultOf(one, FolderSilent)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Places:
    """Stands in for the table of mounts."""

    def __init__(self) -> None:
        self.another = False
        self.known: set[Path] = set()

    def knows(self, folder: Path) -> bool:
        return folder in self.known

    def forget(self, folder: Path) -> None:
        self.known.remove(folder)

    def note_and(self, folder: Path, work: Callable[..., Any], *arguments: object) -> Any:
        self.known.add(folder)
        return work(*arguments)

    def is_another(self, _: Path) -> bool:
        return self.another


class Replaced(SynchronousTestCase):
    """Something else is mounted in the place of a folder that hangs."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.callFromThread = lambda call, *given: call(*given)  # type: ignore[attr-defined]
        self.hanging: list[Deferred[Any]] = []
        self.hangs = False
        self.places = Places()
        self.lanes = Lanes(self.clock, self.begin, self.places)  # type: ignore[arg-type]
        self.changed: list[float] = []
        self.lanes.changed = lambda folder: self.changed.append(self.lanes.silence(folder))
        self.use("looking")

    def begin(self, work: Callable[..., Any], *arguments: object) -> Deferred[Any]:
        if not self.hangs or work == self.places.is_another:
            return succeed(work(*arguments))
        if work == self.places.note_and:
            # That of what is where it is named does not hang.
            self.places.note_and(FOLDER, lambda: None)
        self.hanging.append(Deferred())
        return self.hanging[-1]

    def use(self, use: str) -> Deferred[int]:
        return self.lanes.lane(FOLDER, use).run(lambda: 1)

    def wait(self) -> None:
        self.clock.pump([1] * 21)

    def test_what_hangs_is_left_and_the_other_is_asked(self) -> None:
        self.hangs = True
        first, second = self.use("looking"), self.use("looking")
        self.wait()
        self.assertNoResult(first)
        self.places.another, self.hangs = True, False
        self.wait()
        for one in (first, second):
            self.failureResultOf(one, FolderSilent)
        self.assertEqual((self.changed[1:], self.lanes.silences()), ([0.0], {}))
        self.assertEqual(self.successResultOf(self.use("looking")), 1)
        self.assertEqual(self.places.known, {FOLDER})

    def test_nothing_is_left_while_the_same_is_there(self) -> None:
        self.hangs = True
        hangs = self.use("looking")
        for _ in range(9):
            self.wait()
        self.assertNoResult(hangs)
        self.assertEqual(len(self.hanging), 1)

    def test_what_is_to_be_closed_is_when_it_goes_on(self) -> None:
        closed: list[int] = []
        self.hangs = True
        self.use("looking").addErrback(lambda _: None)
        self.lanes.lane(FOLDER, "looking").afterwards(closed.append, 5)
        self.wait()
        self.places.another = True
        self.hangs = False
        self.wait()
        self.assertEqual(closed, [])
        self.hanging[0].callback(None)
        self.assertEqual((closed, self.clock.getDelayedCalls()), ([5], []))

    def test_there_is_an_end_to_what_is_left(self) -> None:
        self.hangs = True
        for _ in range(3 * MOST_LEFT):
            self.use("looking").addErrback(lambda _: None)
            self.wait()
            self.places.another = True
            self.wait()
            self.places.another = False
        self.assertEqual(len(self.hanging), MOST_LEFT + 1)
        self.hanging[0].callback(None)
        self.places.another = True
        self.wait()
        self.use("looking").addErrback(lambda _: None)
        self.assertEqual(len(self.hanging), MOST_LEFT + 2)
        self.lanes.stop()
        self.clock.advance(LAST_WAIT)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class InThreads(TestCase):
    def test_one_that_cannot_be_begun_fails(self) -> None:
        for error in (RuntimeError("can't start new thread"), MemoryError()):
            self.patch(threading.Thread, "start", mock.Mock(side_effect=error))
            done = reactor_threads.in_own_thread(reactor, "one", lambda: 1)  # type: ignore[arg-type]
            self.failureResultOf(done, NoThread)

    def test_a_pool_without_one_fails_and_stops_all_the_same(self) -> None:
        pool = ThreadPool(0, 1)
        pool.start()
        self.patch(threading.Thread, "start", mock.Mock(side_effect=RuntimeError("enough")))
        self.failureResultOf(reactor_threads.in_pool(reactor, pool, lambda: 1), NoThread)
        pool.stop()

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
