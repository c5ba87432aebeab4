"""One file whose content is known: each source brings other parts of it, and whoever is slow loses.

Which bytes from whom is ``parts``'s; who is asked besides, ``helping``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.asking.bodies import Enough
from flocon.asking.patience import is_worth_it
from flocon.asking.source import FETCHING, Kind
from flocon.company.crew import Sink
from flocon.company.parts import Parts, part_size
from flocon.errors import Broken, SourceError

if TYPE_CHECKING:
    from flocon.asking.answer import Head
    from flocon.asking.attempts import Attempt
    from flocon.asking.patience import Pace
    from flocon.company.crew import Crew, Receiver
    from flocon.company.progress import Progress
    from flocon.extents import Extent

#: Seconds between two looks of an idle source for a part to take over.
IDLE_LOOK = 0.1
#: Bytes per second of one that is left nothing but what it brings.
ALL = 1e15
#: Bytes that a mirror is asked for at first, beside a holder or an owner, and the most beside a
#: proxy: what that brings in a second, as fewer tell more of the way to the mirror than of it.
FIRST_OF_MIRROR = 1 << 20
FIRST_BESIDE_OWNER = 128 << 10
MOST_BESIDE_PARENT = 4 << 20


class Parted:
    """Has each source bring parts of a file of ``size`` bytes."""

    def __init__(
        self,
        clock: Any,
        receiver: Receiver,
        crew: Crew,
        progress: Progress,
        *,
        size: int,
        pace: Pace,
    ) -> None:
        self._clock = clock
        self._receiver = receiver
        self._crew = crew
        self._progress = progress
        self._size = size
        self._pace = pace
        self._parts = Parts(size)
        self._rates: dict[str, float] = {}
        #: The mirror whose speed is being found out, which then leaves.
        self.probing: Attempt | None = None
        #: Whether further holders are tried for speed alone: then parts are small at first.
        self.spreads = False

    @property
    def lacks_nothing(self) -> bool:
        return not self._receiver.extents.missing(0, self._size)

    async def bring(self, attempt: Attempt) -> None:
        while True:
            if self._take(attempt) is not None:
                # One that gives no parts would begin anew for each.
                if not await self._bring_part(attempt) or attempt.source.whole:
                    return
            elif self._receiver.extents.missing(0, self._size):
                # All is being brought; one that turns slow is helped out.
                await task.deferLater(self._clock, IDLE_LOOK)
            else:
                return

    def _take(self, attempt: Attempt) -> Extent | None:
        """Give a source its next part, as large as what is known of it allows."""
        key, now = attempt.source.key, self._clock.seconds()
        if attempt.source.whole:
            # It sends all from the beginning, so it is given all that it can be.
            return self._parts.take(key, self._receiver.extents, ALL, now, self._size)
        rate = self._rates.get(key)
        first = part_size(rate) if rate else self._first_part(attempt)
        if not self.spreads and self._parts.is_alone(key, now):
            # Part by part it would wait for as many answers; who joins it takes the end from it.
            first = self._size
        expected = self._pace.reference(now) if rate is None else rate
        if key in self._crew.slow:
            # It takes nothing back from who helps it out and has not answered yet.
            expected = 0.0
        return self._parts.take(key, self._receiver.extents, expected, now, first)

    async def _bring_part(self, attempt: Attempt) -> bool:
        """Bring the part that a source has just got; return whether it is to go on."""
        key, parts = attempt.source.key, self._parts
        part = parts.part(key)
        assert part is not None  # noqa: S101 - it was just taken
        end = None if part.end == self._size else part.end
        # What yields to all else tells of no speed.
        unhurried = self._receiver.unhurried
        try:
            await self._receiver.fetch(attempt, part.start, end, Sink(self, attempt))
            self._rates[key] = part.average(self._clock.seconds())
        except SourceError:
            # Asked once more it may do better.
            self._rates.pop(key, None)
            raise
        finally:
            if not unhurried:
                self._measure(attempt, part.position - part.start, part.since)
            parts.done(key)
        if self._receiver.extents.missing(part.start, part.end):
            raise Broken(attempt.source.label, "did not send all of it")
        if attempt is self.probing:
            self.probing = None
            if len(self._crew) > 1 and not self._crew.has(Kind.PARENT):
                return False
        if not self._is_worth_it(attempt):
            return False
        if not self._rates[key]:
            # Others had brought it all when it answered; at that rate it would get no part.
            del self._rates[key]
            await task.deferLater(self._clock, IDLE_LOOK)
        return True

    def _is_worth_it(self, attempt: Attempt) -> bool:
        """Whether a mirror brings so much more than who may ask one too that it is to go on."""
        if attempt.source.kind is not Kind.MIRROR:
            return True
        now = self._clock.seconds()
        parts = [
            self._parts.part(one.source.key)
            for one in self._crew.attempts()
            if one.source.kind in FETCHING
        ]
        owners = max((part.average(now) for part in parts if part is not None), default=0.0)
        return is_worth_it(self._rates[attempt.source.key], owners)

    def _first_part(self, attempt: Attempt) -> int:
        """Return the most bytes to ask of a source that is not known yet."""
        others = [one.source.kind for one in self._crew.attempts() if one is not attempt]
        if attempt.source.kind is Kind.MIRROR and others and set(others) != {Kind.MIRROR}:
            if FETCHING.isdisjoint(others):
                return FIRST_OF_MIRROR
            return FIRST_BESIDE_OWNER if Kind.OWNER in others else self._first_beside_parent()
        return part_size(0.0) if self.spreads else self._size

    def _first_beside_parent(self) -> int:
        now = self._clock.seconds()
        rate = sum(self.rate(one, now) for one in self._crew.attempts())
        return min(max(FIRST_BESIDE_OWNER, int(rate)), MOST_BESIDE_PARENT)

    def _measure(self, attempt: Attempt, size: int, since: float) -> None:
        if attempt.source.kind is Kind.MIRROR:
            now = self._clock.seconds()
            self._pace.measured(size, now - since, now)

    def begin(self, attempt: Attempt, head: Head) -> None:
        self._receiver.begin(attempt, head)

    def write(self, attempt: Attempt, position: int, data: bytes) -> None:
        end = position + len(data)
        before = len(self._receiver.extents)
        self._receiver.write(attempt, position, data)
        now = self._progress.heard = self._clock.seconds()
        if attempt.source.kind is Kind.MIRROR and len(self._receiver.extents) > before:
            self._progress.counted = now
        key = attempt.source.key
        if not self._parts.moved(key, end, now):
            part = self._parts.part(key)
            if part is not None and end > part.end:
                raise Enough

    def moves(self, attempt: Attempt, now: float) -> bool:
        return self._parts.moves(attempt.source.key, now)

    def rate(self, attempt: Attempt, now: float) -> float:
        """Return how fast a source brings its part, in bytes per second."""
        part = self._parts.part(attempt.source.key)
        return part.rate(now) if part else 0.0

    def note_rate(self, attempt: Attempt) -> None:
        """Learn what a mirror gives that is not asked for more."""
        part = self._parts.part(attempt.source.key)
        if part is not None and not self._receiver.unhurried:
            self._measure(attempt, part.position - part.start, part.since)
