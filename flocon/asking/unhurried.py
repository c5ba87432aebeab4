"""What one source is asked for while nobody waits for it, until somebody does.

It stands still while something is hurried: nothing is read, and the source's own kernel then stops
it. Where that takes long the connection is left, and what lacks is asked for anew afterwards. A
peer that is asked so is told (``Priority``, RFC 9218) and may hold its answer back, so it is waited
for patiently, but not without end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred

from flocon.asking.source import FETCHING, Kind, Origin
from flocon.errors import Stalled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twisted.internet.interfaces import IDelayedCall

    from flocon.asking.answer import Head
    from flocon.asking.attempts import Attempt, Limits
    from flocon.asking.bodies import Sink
    from flocon.asking.fetch import Wanted
    from flocon.errors import SourceError
    from flocon.precedence import Precedence

#: Seconds in which a source must make a step, of so many bytes. An owner shares a WAN, and what it
#: has fetched is lost where it is left.
PATIENCE, PATIENCE_WITH_OWNERS = 60.0, 300.0
_STEP, _STEP_OF_A_WAN = 4 << 20, 1 << 20
#: Seconds for which nothing is read of a connection before it is left, or (of an owner) one piece
#: is: less than a connection is kept on which nothing moves.
LONGEST_STAND = 10.0
#: Seconds between two pieces that still tell how fast a source is: more, and it holds back.
FLOWING = 0.15


def _patient(attempt: Attempt) -> Limits:
    """Return how long a source may take while nobody waits."""
    kind = attempt.source.kind
    stall = PATIENCE_WITH_OWNERS if kind in FETCHING else PATIENCE
    step = _STEP if kind is Kind.HOLDER else _STEP_OF_A_WAN
    return replace(attempt.limits, stall=stall, step=step)


class Unhurried:
    """Bytes from ``start`` on, asked of one source by ``ask(position, sink)``.

    It is a sink itself, in front of the one that takes them.
    """

    def __init__(
        self,
        clock: Any,
        precedence: Precedence,
        attempt: Attempt,
        start: int,
        *,
        sink: Sink,
        ask: Callable[[int, Sink], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._precedence = precedence
        self._source = attempt.source
        #: How long the source may take while nobody waits.
        self.limits = _patient(attempt)
        self._position = start
        self._sink = sink
        self._ask = ask
        self.hurried = False
        #: Seconds of one answer in which bytes came, without those in which none could.
        self.flowed = 0.0
        self._came = 0.0
        self._asking: Deferred[None] | None = None
        #: Whether it is asked for anew once what is asked now has ended.
        self._anew = False
        #: What waits until nothing is hurried.
        self._standing: Deferred[None] | None = None
        self._longest: IDelayedCall | None = None

    async def run(self) -> None:
        """Have all of it sent; raises as a fetch does."""
        while True:
            await self._stood_still()
            self._came, self.flowed = self._clock.seconds(), 0.0
            self._anew = False
            self._asking = Deferred.fromCoroutine(self._ask_once())
            try:
                await self._asking
                return
            except CancelledError:
                if not self._anew:
                    raise
            finally:
                self._asking = None
                self._stand_no_more()

    async def _ask_once(self) -> None:
        await self._ask(self._position, self)

    def wanted(self, wanted: Wanted) -> Wanted:
        """Return what to ask for, so that a peer is told."""
        return replace(wanted, unhurried=self._source.origin is Origin.PEER)

    def hurry(self) -> None:
        """Go on at once: somebody waits for it from now on.

        A peer that may hold its answer back is asked anew for what lacks.
        """
        self.hurried = True
        if self._asking is not None and self._source.origin is Origin.PEER:
            self._ask_anew()
        else:
            self._go_on()

    @property
    def stands_still(self) -> bool:
        return self._standing is not None

    def held_back(self, failure: SourceError) -> bool:
        """Whether a failure is no more than a peer's right: somebody may have waited there.

        It is asked for nothing unhurried for a while.
        """
        if not isinstance(failure, Stalled) or self._source.origin is not Origin.PEER:
            return False
        self._precedence.was_silent(self._source.key)
        return True

    def begin(self, head: Head) -> None:
        self._sink.begin(head)

    def write(self, position: int, data: bytes) -> Deferred[None] | None:
        now = self._clock.seconds()
        self.flowed += min(now - self._came, FLOWING)
        self._came = now
        more = self._sink.write(position, data)
        self._position = max(self._position, position + len(data))
        return more if self.hurried or not self._stands() else self._standing

    # Standing still

    async def _stood_still(self) -> None:
        """Wait until nothing is hurried, before anything is asked."""
        if not self.hurried and self._stands() and self._standing is not None:
            try:
                await self._standing
            finally:
                self._stand_no_more()

    def _stands(self) -> bool:
        """Whether it stands still now; then ``_standing`` fires when it goes on."""
        if self._standing is not None:
            return True
        if not self._precedence.stands(self._look_again):
            return False
        self._standing = Deferred()
        if self._asking is not None:
            # What an owner fetches for nobody else it fetches no more when it is left; and one that
            # gives no parts would begin anew.
            stays = self._source.relayed or self._source.whole
            then = self._go_on if stays else self._ask_anew
            self._longest = self._clock.callLater(LONGEST_STAND, then)
        return True

    def _look_again(self) -> None:
        if not self._precedence.stands(self._look_again):
            self._go_on()

    def _go_on(self) -> None:
        standing = self._standing
        self._stand_no_more()
        if standing is not None:
            standing.callback(None)

    def _stand_no_more(self) -> None:
        self._precedence.forget(self._look_again)
        self._standing = None
        if self._longest is not None and self._longest.active():
            self._longest.cancel()
        self._longest = None

    def _ask_anew(self) -> None:
        if self._asking is not None:
            self._anew = True
            self._asking.cancel()
