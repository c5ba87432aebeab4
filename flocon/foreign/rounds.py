"""Who has a file, asked of all at once: one round for each file, which many may wait for.

A round is over as soon as one has it, all have answered, or the patience is at its end; who answers
later is heard all the same, and who is silent is left alone from then on.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.asking.waiting import Outcome
from flocon.datagrams.buckets import Bucket
from flocon.errors import Refused, SourceError
from flocon.foreign.found import Found
from flocon.log import logger

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from flocon.foreign.asking import Asking
    from flocon.foreign.place import Place
    from flocon.foreign.places import Places

#: Seconds for which somebody may wait for a round.
PATIENCE = 0.5
#: Machines asked in one round, and rounds that run at a time: pacman has five files.
MOST_ASKED = 16
MOST_ROUNDS = 64
#: Seconds of all rounds together that may be waited in vain: at once, and more for each second that
#: passes; then seconds in which nobody waits. Who is silent is left alone, but there may be others.
BORNE, BORNE_AGAIN = 8.0, 0.05
NOT_WAITING = 10.0
#: Seconds that are no wait.
AT_ONCE = 0.05
#: Questions that wait for an answer, of all rounds together.
MOST_QUESTIONS = 256


class Rounds:
    """Asks, and remembers who has what."""

    _log = logger()

    def __init__(self, reactor: Any, places: Places, asking: Asking) -> None:
        self._reactor = reactor
        self._places = places
        self._asking = asking
        self.found = Found()
        self.counters: Counter[str] = Counter()
        self._running: dict[tuple[str, int], Outcome[None]] = {}
        self._questions: set[Deferred[None]] = set()
        self._borne = Bucket(BORNE_AGAIN, BORNE)
        #: Until when nobody waits, since too often somebody waited for nothing.
        self._no_wait_until = 0.0

    def holding(self, name: str, size: int) -> list[Place]:
        """Return who has a file, by what is known now: nobody is asked."""
        now = self._reactor.seconds()
        known = self.found.places(name, size, now)
        told = [
            one.place
            for one in map(self._places.get, known)
            if one is not None and self._places.may_be_asked(one, now)
        ]
        return [*told, *(one for one in self._places.listing(name, size, now) if one not in known)]

    def look(self, name: str, size: int) -> Deferred[None] | None:
        """Have all asked for a file; return what fires once it is known who has it.

        None where that is known already, or there is nobody to ask.
        """
        now = self._reactor.seconds()
        waits = now >= self._no_wait_until
        running = self._running.get((name, size))
        if running is not None:
            return running.wait() if waits else None
        listing = self._places.listing(name, size, now)
        if self.found.is_known(name, size, now) or self._places.is_there(listing, now):
            return None
        # Who has just said what it has is not asked for what it has not.
        asked = [one for one in self._places.askable(now) if not one.lists(now)]
        most = min(MOST_ASKED, MOST_QUESTIONS - len(self._questions))
        if not asked or most <= 0 or len(self._running) >= MOST_ROUNDS:
            return None
        asked = self._places.in_turn(asked)[:most]
        for one in asked:
            one.asked_at = now
        beginning = self._begin(name, size, [one.place for one in asked])
        return beginning.wait() if waits and not beginning.known else None

    def _begin(self, name: str, size: int, asked: list[Place]) -> Outcome[None]:
        key = name, size
        outcome: Outcome[None] = Outcome()
        self._running[key] = outcome
        self.counters["rounds"] += 1
        began = self._reactor.seconds()
        self.found.looked(name, size, began)
        left = set(asked)

        def over() -> None:
            if self._running.get(key) is outcome:
                del self._running[key]
                self._waited(began, name, size)
            outcome.succeed(None)

        def ended(_: Any, place: Place, question: Deferred[None]) -> None:
            self._questions.discard(question)
            left.discard(place)
            if not left or self.found.places(name, size, self._reactor.seconds()):
                over()

        for place in asked:
            question = defer.Deferred.fromCoroutine(self._ask(place, name, size))
            self._questions.add(question)
            question.addBoth(ended, place, question)
        if not outcome.known:
            # Behind what ends each question: who is silent is known for it when the others go on.
            patience = self._reactor.callLater(PATIENCE, over)
            outcome.wait().addCallback(lambda _: patience.cancel() if patience.active() else None)
        return outcome

    def _waited(self, began: float, name: str, size: int) -> None:
        """Learn that a round is over: after too many seconds in vain nobody waits for a while."""
        now = self._reactor.seconds()
        seconds = now - began
        if seconds < AT_ONCE or self.found.places(name, size, now):
            return
        if not self._borne.take(now, seconds):
            self.counters["too often in vain"] += 1
            self._no_wait_until = now + NOT_WAITING

    async def _ask(self, place: Place, name: str, size: int) -> None:
        self.counters["questions"] += 1
        try:
            told = await self._asking.has(place, name, size, self._knows)
        except defer.CancelledError:
            return
        except Refused as failure:
            # It is there, and has not this file: as pacredir, no reason to leave it alone.
            self._places.answered(place, self._reactor.seconds())
            self._tell(place, name, failure)
        except SourceError as failure:
            self.counters["failures"] += 1
            self.failed(place, failure.detail)
            self._tell(place, name, failure)
        except Exception:  # noqa: BLE001 - the others' answers are waited for all the same
            self.counters["failures"] += 1
            self.failed(place, "could not be asked")
            self._log.failure("asking {place} failed", place=str(place))
        else:
            self._places.answered(place, self._reactor.seconds())
            if told is not None:
                self.counters["found"] += 1
                self.found.has(name, size, told)

    def _knows(self, place: Place) -> bool:
        return self._places.get(place) is not None

    def _tell(self, place: Place, name: str, failure: SourceError) -> None:
        self._log.debug(
            "{name} at {place}: {failure}", name=name, place=str(place), failure=failure
        )

    def failed(self, place: Place, why: str) -> None:
        """Learn that a place could not be asked: it is left alone for a while."""
        self._places.failed(place, self._reactor.seconds(), why)
        self.found.forget(place)

    def stop(self) -> None:
        """Ask nobody any more; who waits is told that nobody has it."""
        for question in list(self._questions):
            question.cancel()
