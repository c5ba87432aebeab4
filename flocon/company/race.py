"""One file whose content is unknown: several may be asked, and the first that answers brings it.

Bytes of two sources must not be mixed. Who is asked beside one that is slow is the crew's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.asking.bodies import Enough
from flocon.asking.patience import USUAL_RATE, floor
from flocon.asking.source import Kind
from flocon.company.crew import Sink

if TYPE_CHECKING:
    from flocon.asking.answer import Head
    from flocon.asking.attempts import Attempt
    from flocon.company.crew import Crew, Receiver
    from flocon.company.progress import Progress

#: Seconds of silence after which another source is asked for what must come from one alone.
SILENCE = 2.5
#: Bytes of one that brings it alone that break its silence: less in that time is a drip, of which
#: the beginning of a database would not come in pacman's time. The slowest modem sends it at once.
BREAKS_SILENCE = 256


class Race:
    """Lets who answers first bring it all; ``stagger`` is seconds between two that are asked."""

    def __init__(
        self, clock: Any, receiver: Receiver, crew: Crew, progress: Progress, stagger: float
    ) -> None:
        self._clock = clock
        self._receiver = receiver
        self._crew = crew
        self._progress = progress
        self._stagger = stagger
        #: Who brings it, once one has answered.
        self.chosen: Attempt | None = None
        #: When its silence was broken last, and at which byte.
        self._broken = progress.began
        self._broken_at = 0

    async def bring(self, attempt: Attempt) -> None:
        sink = Sink(self, attempt)
        await self._receiver.fetch(attempt, self._receiver.begins_at(), None, sink)

    def begin(self, attempt: Attempt, head: Head) -> None:
        self._receiver.begin(attempt, head)
        if self.chosen is not attempt:
            # Set first: the others end at once.
            self.chosen = attempt
            self._broken, self._broken_at = self._clock.seconds(), head.start
            for other, worker in self._crew.active():
                if other is not attempt:
                    worker.cancel()

    def write(self, attempt: Attempt, position: int, data: bytes) -> None:
        if self.chosen is not attempt:
            raise Enough
        self._receiver.write(attempt, position, data)
        now = self._progress.heard = self._clock.seconds()
        end = position + len(data)
        if end - self._broken_at >= BREAKS_SILENCE:
            self._broken, self._broken_at = now, end

    def left(self, attempt: Attempt) -> None:
        """Learn that a source brings nothing more."""
        if self.chosen is attempt:
            self.chosen = None

    def held_up(self, now: float) -> None:
        self._broken = now

    def needs_another(self, now: float) -> bool:
        """Whether another source is to be asked for what must come from one alone."""
        progress = self._progress
        if self.chosen is None:
            return now - progress.joined >= self._stagger
        if now - max(progress.heard, progress.joined) >= SILENCE:
            return True
        # Whoever drips is bettered once: where all do, the last one is left running.
        dripping = now - max(self._broken, progress.joined) >= SILENCE
        if dripping and self.chosen.source.key not in self._crew.slow:
            return True
        # A peer that is slow: nothing of it goes to pacman before it is whole.
        expected = floor(Kind.HOLDER, USUAL_RATE) * (now - progress.began - SILENCE)
        return self.chosen.source.kind is not Kind.MIRROR and (
            len(self._receiver.extents) < expected
        )
