"""What a job takes is looked at where nothing waits for it."""

from __future__ import annotations

import threading
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocon.building import watching
from flocon.building.endings import TOO_MUCH_MEMORY, Ending
from flocon.building.orders import Bounds
from flocon.building.watching import Watch
from flocon.walls.taking import Taken


class Looking(TestCase):
    def setUp(self) -> None:
        self.patch(watching, "EVERY", 0.01)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.passed: Deferred[Ending] = Deferred()
        self.watch = Watch(
            reactor, self.folder, Bounds(1 << 30, 1 << 40, 99, 60), self.passed.callback
        )

    def have_taken(self, taken: Taken) -> None:
        """Have as much be taken, from the next look on."""

        def look(_: int) -> Taken:
            self.threads.append(threading.current_thread())
            return taken

        self.threads: list[threading.Thread] = []
        self.patch(watching, "taken_behind_walls", look)

    async def test_what_takes_time_is_in_no_thread_that_others_wait_for(self) -> None:
        self.have_taken(Taken(memory=1 << 60))
        self.watch.start()
        ending = await self.passed
        self.assertEqual(ending.result, TOO_MUCH_MEMORY)
        self.assertNotIn(threading.main_thread(), self.threads)
        await self.watch.stop()

    async def test_once_it_has_ended_nothing_is_said_of_it(self) -> None:
        begun, go_on = threading.Event(), threading.Event()
        looked: Deferred[None] = Deferred()

        def look(_: int) -> Taken:
            begun.set()
            go_on.wait(30)
            reactor.callFromThread(looked.callback, None)  # type: ignore[attr-defined]
            return Taken(memory=1 << 60)

        self.patch(watching, "taken_behind_walls", look)
        self.watch.start()
        while not begun.is_set():
            await _turn()
        await self.watch.stop()
        go_on.set()
        await looked
        await _turn()
        self.assertNoResult(self.passed)


async def _turn() -> None:
    turned: Deferred[None] = Deferred()
    reactor.callLater(0.05, turned.callback, None)
    await turned
