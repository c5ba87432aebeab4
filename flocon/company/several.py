"""One file from whoever can bring it: one source at first, and others beside it where that helps.

Where the content is known each source brings other parts of it (``parted``); where it is not, the
first that answers brings it all (``race``). When the next one helps is ``helping``'s. Here sources
begin and end, until nothing lacks; how bytes come and where they go is the transfer's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.asking.source import Kind
from flocon.company.crew import Crew
from flocon.company.helping import Helping
from flocon.company.parted import Parted
from flocon.company.progress import Progress
from flocon.company.race import Race
from flocon.errors import Broken, SourceError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.asking.attempts import Attempt
    from flocon.company.crew import Plan, Receiver


class Several:
    """Brings what a plan is about from whom ``more`` names, until nothing lacks.

    ``more(active)`` returns the next best source beside those, or None. ``run`` raises the last
    SourceError where all have failed, and whatever else the receiver raised.
    """

    def __init__(
        self,
        clock: Any,
        receiver: Receiver,
        plan: Plan,
        more: Callable[[list[Attempt]], Attempt | None],
    ) -> None:
        self._clock = clock
        self._receiver = receiver
        self._crew = Crew(more)
        have, size = len(receiver.extents), plan.size
        progress = Progress(clock.seconds(), have, 0 if size is None else size - have)
        self._progress = progress
        self._way: Parted | Race
        if size is None:
            self._way = Race(clock, receiver, self._crew, progress, plan.stagger)
        else:
            self._way = Parted(clock, receiver, self._crew, progress, size=size, pace=plan.pace)
        self._helping = Helping(
            receiver,
            plan,
            crew=self._crew,
            progress=progress,
            way=self._way,
            begin=self._begin,
        )
        self._failure: SourceError | None = None
        self._done: Deferred[None] = defer.Deferred(lambda _: self._end())
        self._over = False
        self._look: IDelayedCall | None = None

    def run(self) -> Deferred[None]:
        first = self._crew.more([])
        if first is None:
            self._fail_all()
            return self._done
        self._schedule(self._helping.begin(first))
        return self._done

    def stop(self) -> None:
        """End now, as if nothing lacked: what came is of no use any more."""
        self._finish(None)

    def wake(self) -> None:
        """Look again who may be asked: somebody with other terms has joined."""
        if self._over or any(kind is not Kind.MIRROR for kind in self._crew.kinds()):
            return
        attempt = self._crew.next()
        if attempt is not None and attempt.source.kind is Kind.HOLDER:
            self._begin(attempt)

    def hurry(self) -> None:
        """Be impatient from now on: somebody waits."""
        self._progress.begin_anew(self._clock.seconds(), len(self._receiver.extents))
        self._crew.slow.clear()

    def _begin(self, attempt: Attempt) -> None:
        self._progress.joined = self._clock.seconds()
        worker = defer.Deferred.fromCoroutine(self._way.bring(attempt))
        if not worker.called:
            self._crew.add(attempt, worker)
        worker.addBoth(self._ended, attempt)

    def _ended(self, result: Any, attempt: Attempt) -> None:
        self._crew.remove(attempt)
        race = self._way if isinstance(self._way, Race) else None
        cancelled = result is not None and result.check(defer.CancelledError)
        if self._over or (cancelled and (race or len(self._crew) or self._lacks_nothing())):
            # Cancelled, since nothing more is wanted of it.
            return
        if result is not None and not cancelled:
            if not result.check(SourceError):
                self._finish(result)
                return
            self._failure = result.value
            self._receiver.failed(attempt, result.value)
        elif race is not None:
            if race.chosen is attempt:
                self._finish(None)
            return
        if race is not None:
            race.left(attempt)
        if self._lacks_nothing():
            self._finish(None)
        elif not len(self._crew) and not self._add():
            self._fail_all(attempt)

    def _lacks_nothing(self) -> bool:
        return isinstance(self._way, Parted) and self._way.lacks_nothing

    def _add(self) -> bool:
        attempt = self._crew.next()
        if attempt is None:
            return False
        self._begin(attempt)
        return True

    def _fail_all(self, last: Attempt | None = None) -> None:
        failure: SourceError
        if self._failure is not None:
            failure = self._failure
        elif last is not None:
            failure = Broken(last.source.label, "did not send all of it")
        else:
            failure = Unreachable("this file", "nobody to ask")
        self._finish(failure)

    def _finish(self, failure: Any) -> None:
        if self._over:
            return
        self._end()
        if failure is None:
            self._done.callback(None)
        else:
            self._done.errback(failure)

    def _end(self) -> None:
        """Leave nothing behind, and begin nothing more."""
        self._over = True
        if self._look is not None:
            self._look.cancel()
            self._look = None
        for attempt, worker in self._crew.active():
            if isinstance(self._way, Parted):
                self._way.note_rate(attempt)
            worker.cancel()

    def _schedule(self, seconds: float) -> None:
        if not self._over:
            self._look = self._clock.callLater(seconds, self._look_around)

    def _look_around(self) -> None:
        self._look = None
        self._schedule(self._helping.look(self._clock.seconds()))
