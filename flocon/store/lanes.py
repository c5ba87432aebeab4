"""Lanes: how a folder that hangs holds up nobody else.

What is done with a folder goes by its lanes: one thing after the other in each, in a thread that is
there only meanwhile. So a folder that hangs, with the server that has it, holds as many threads as
it has lanes, however often it is asked, and nobody but those who want something of it. A thread
that hangs cannot be ended: it is left to itself, and ends with the process at the latest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from flocon.errors import FolderSilent
from flocon.machine.limits import NoThread
from flocon.machine.mounts import Mounts
from flocon.machine.reactor_threads import in_own_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_T = TypeVar("_T")
#: Seconds after which a folder that is asked something counts as silent.
SILENT_AFTER = 10.0
#: Seconds for which a folder is waited for where something else can be had, from when it is asked;
#: and for which pacman waits for its turn, and others.
PATIENCE, LONG_PATIENCE = 3.0, 6.0
#: Things that wait for their turns in a lane, beyond which nothing more is begun for strangers.
MOST_WAITING = 64
#: Seconds after which a thread is tried again that could not be had.
AGAIN = 1.0
#: Lanes that were left and hang: each is a thread until the process ends.
MOST_LEFT = 12
#: Seconds that are left to what still runs when the node stops.
LAST_WAIT = 1.0


@dataclass(eq=False, slots=True)
class _Call:
    work: Callable[..., Any]
    arguments: tuple[object, ...]
    #: Until when it waits for its turn where it can be had elsewhere.
    until: float | None = None
    #: Whether somebody waits for what comes of it.
    wanted: bool = True
    result: Deferred[Any] = field(init=False)

    @property
    def is_open(self) -> bool:
        return not self.result.called


class Lane:
    """Does one thing after the other in a thread; ``changed`` hears of its silence and its end.

    What this machine's own pacman waits for comes first. ``begin`` has something done in a thread.
    Work that goes on for long calls ``beat``. ``stuck`` is told now and then while it is silent.
    """

    def __init__(
        self,
        reactor: Any,
        path: Path,
        begin: Callable[..., Deferred[Any]],
        changed: Callable[[], None],
        stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._path = path
        self._begin = begin
        self._changed = changed
        self._stuck = stuck
        self._first: deque[_Call] = deque()
        self._calls: deque[_Call] = deque()
        self._running: _Call | None = None
        self._beat = 0.0
        self._due: Any = None
        self._retry: Any = None
        self._going_on = self._stopped = self._left = False
        self.silent = False
        #: Why no thread could be begun for what is to be done now.
        self.lack = ""

    def beat(self) -> None:
        """Note that the folder has answered; from any thread."""
        self._beat = self._reactor.seconds()

    def beating(self, stopped: Callable[[], bool]) -> Callable[[], bool]:
        """Return what is asked between two pieces of work whether to stop: each is an answer."""

        def ask() -> bool:
            self.beat()
            return stopped()

        return ask

    @property
    def waits(self) -> float:
        """Seconds for which the folder has not answered what it is asked now."""
        return 0.0 if self._running is None else max(0.0, self._reactor.seconds() - self._beat)

    @property
    def is_busy(self) -> bool:
        """Whether one thing runs, so that another has to wait."""
        return self._running is not None

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits that nobody else should begin to be given anything."""
        return len(self._calls) >= MOST_WAITING

    def run(self, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        """Do something, as soon as all before it is done. Fails with FolderSilent when stopped."""
        return self._add(_Call(work, arguments), self._calls)

    async def ask(self, work: Callable[..., _T], *arguments: object, own: bool = False) -> _T:
        """Do something that can be had elsewhere; raises FolderSilent where it takes too long.

        At once where the folder lets somebody wait for that long already. ``own`` if this machine's
        pacman waits for it.
        """
        if self.waits > PATIENCE:
            raise self._silence()
        until = self._reactor.seconds() + (PATIENCE if own else LONG_PATIENCE)
        call = _Call(work, arguments, until)
        result: _T = await self._add(call, self._first if own else self._calls)
        return result

    def _add(self, call: _Call, calls: deque[_Call]) -> Deferred[Any]:
        # Who leaves is not told; what has not begun is not begun then.
        call.result = Deferred(lambda _: calls.remove(call) if call in calls else None)
        result = call.result
        if self._stopped:
            result.errback(self._silence())
            return result
        calls.append(call)
        self._go_on()
        return result

    def afterwards(self, work: Callable[..., object], *arguments: object) -> None:
        """Have something done that nobody waits for; from any thread."""
        self._reactor.callFromThread(self._do, work, *arguments)

    def _do(self, work: Callable[..., object], *arguments: object) -> None:
        self._add(_Call(work, arguments, wanted=False), self._calls).addErrback(lambda _: None)

    def _silence(self) -> FolderSilent:
        return FolderSilent(str(self._path), self.waits)

    def _go_on(self) -> None:
        """Begin what is next; in a loop, for it may end at once, and so may thousands."""
        if self._going_on or self._stopped:
            return
        self._going_on = True
        while self._running is None and (call := self._next()) is not None:
            self._running = call
            self.beat()
            self._look_in(PATIENCE)
            self._try(call)
        self._going_on = False

    def _next(self) -> _Call | None:
        self._refuse_late()
        calls = self._first or self._calls
        return calls.popleft() if calls else None

    def _refuse_late(self) -> None:
        """Have those wait no longer for their turns who came first, and have waited for long."""
        now = self._reactor.seconds()
        for calls in (self._first, self._calls):
            while calls and calls[0].until is not None and calls[0].until <= now:
                calls.popleft().result.errback(self._silence())

    def _refuse(self, which: Callable[[_Call], bool]) -> None:
        waiting = (*self._first, *self._calls)
        self._first.clear()
        self._calls.clear()
        self._calls.extend(one for one in waiting if not which(one))
        for one in filter(which, waiting):
            # One that is told may have others leave.
            if one.is_open:
                one.result.errback(self._silence())

    def _try(self, call: _Call) -> None:
        self._retry = None
        maybeDeferred(self._begin, call.work, *call.arguments).addBoth(self._ended, call)

    def _ended(self, outcome: Any, call: _Call) -> None:
        lacks = isinstance(outcome, Failure) and outcome.check(NoThread) is not None
        self.lack = outcome.value.strerror if lacks else ""
        if lacks and call.until is None and not self._stopped:
            # Nobody else does it: as soon as there are threads again.
            self._retry = self._reactor.callLater(AGAIN, self._try, call)
            return
        self._running = None
        self._look_no_more()
        if self.silent:
            self.silent = False
            self._changed()
        # Else nobody waits any more.
        if call.is_open and lacks:
            call.result.errback(self._silence())
        elif call.is_open:
            (call.result.errback if isinstance(outcome, Failure) else call.result.callback)(outcome)
        self._go_on()

    def _look_in(self, seconds: float) -> None:
        if not self._stopped and not self._left:
            self._due = self._reactor.callLater(seconds, self._look)

    def _look_no_more(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _look(self) -> None:
        self._due = None
        waits = self.waits
        if waits >= PATIENCE:
            self._refuse(lambda one: one.until is not None)
            if self._running is not None and self._running.until is not None:
                self._abandon()
        self._refuse_late()
        silent = waits >= SILENT_AFTER
        if silent != self.silent:
            self.silent = silent
            self._changed()
        if silent and not self.lack:
            self._stuck()
        # It may go on by itself, and stop again.
        self._look_in(SILENT_AFTER if silent else PATIENCE)

    def leave(self) -> None:
        """Have nobody wait for what hangs; what is to be closed is, should it go on some day."""
        self._left = True
        self._changed = lambda: None
        self._look_no_more()
        self._refuse(lambda one: one.wanted)
        self._abandon()

    def stop(self) -> None:
        """Begin nothing any more, and have nobody wait for what does not end."""
        self._stopped = True
        self._look_no_more()
        self._refuse(lambda _: True)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
            self._abandon()
            self._running = None
        elif self._running is not None and self.silent:
            self._abandon()
        elif self._running is not None:
            self._due = self._reactor.callLater(LAST_WAIT, self._give_up)

    def _give_up(self) -> None:
        self._due = None
        self._abandon()

    def _abandon(self) -> None:
        """Have nobody wait for what runs."""
        if self._running is not None and self._running.is_open:
            self._running.result.errback(self._silence())


class Lanes:
    """The lanes of all folders, by the folder and what is done in one.

    ``changed`` is told of a folder that became silent, or answers again. One in whose place another
    can be seen by now, as after a server was given up and mounted anew, gets lanes that are new.
    """

    def __init__(
        self,
        reactor: Any,
        run: Callable[..., Deferred[Any]] | None = None,
        mounts: Mounts | None = None,
    ) -> None:
        self._reactor = reactor
        #: Takes the place of threads of their own, in a test.
        self._run = run
        self._mounts = Mounts() if run is None else mounts
        self._lanes: dict[Path, dict[str, Lane]] = {}
        #: Those that were left, and still hang.
        self._left: list[Lane] = []
        self._looks = self._stopped = False
        self.changed: Callable[[Path], None] = lambda _: None

    def lane(self, folder: Path, use: str) -> Lane:
        lanes = self._lanes.setdefault(folder, {})
        lane = lanes.get(use)
        if lane is None:
            lane = lanes[use] = Lane(
                self._reactor,
                folder,
                partial(self._begin, folder, use),
                lambda: self.changed(folder),
                lambda: self._look_for_another(folder),
            )
            if self._stopped:
                lane.stop()
        return lane

    def _begin(self, folder: Path, use: str, work: Callable[..., _T], *given: Any) -> Deferred[_T]:
        mounts = self._mounts
        if mounts is not None and not mounts.knows(folder):
            # The folder is not asked before it is known where it is.
            return self._in_thread(f"{use} {folder.name}", mounts.note_and, folder, work, *given)
        return self._in_thread(f"{use} {folder.name}", work, *given)

    def _in_thread(self, name: str, work: Callable[..., _T], *given: Any) -> Deferred[_T]:
        if self._run is not None:
            return self._run(work, *given)
        return in_own_thread(self._reactor, name, work, *given)

    def _look_for_another(self, folder: Path) -> None:
        """Find out whether something else can be seen in a folder's place than what hangs."""
        mounts = self._mounts
        if mounts is None or self._looks or self._stopped or not mounts.knows(folder):
            return
        self._looks = True
        looked = maybeDeferred(self._in_thread, "mounts", mounts.is_another, folder)
        looked.addCallback(self._looked, folder)
        # There is no thread now: it is looked again.
        looked.addErrback(lambda _: None)
        looked.addBoth(self._over)

    def _over(self, _: object) -> None:
        self._looks = False

    def _looked(self, is_another: bool, folder: Path) -> None:
        self._left = [one for one in self._left if one.is_busy]
        lanes = self._lanes.get(folder, {})
        hang = {use: one for use, one in lanes.items() if one.waits >= PATIENCE and not one.lack}
        if self._stopped or not is_another or not hang:
            return
        if len(self._left) + len(hang) > MOST_LEFT:
            return
        if self._mounts is not None:
            self._mounts.forget(folder)
        for use, lane in hang.items():
            del lanes[use]
            self._left.append(lane)
            lane.leave()
        self.changed(folder)

    def silence(self, folder: Path) -> float:
        """Return for how many seconds a folder has not answered, 0 where it does."""
        lanes = self._lanes.get(folder, {}).values()
        return max((lane.waits for lane in lanes if lane.silent), default=0.0)

    def silences(self) -> dict[Path, float]:
        """Return the folders that do not answer, and for how many seconds."""
        told = {folder: self.silence(folder) for folder in self._lanes}
        return {folder: seconds for folder, seconds in told.items() if seconds}

    def lack(self, folder: Path) -> str:
        """Return why no thread can be had for a folder."""
        return next((one.lack for one in self._lanes.get(folder, {}).values() if one.lack), "")

    def stop(self) -> None:
        self._stopped = True
        for lane in (*self._left, *(one for some in self._lanes.values() for one in some.values())):
            lane.stop()
