"""One file from whoever can bring it: one source at first, and others beside it where that helps.

Where the content is known each source brings other parts of it, and one that is slow loses its own
to the others. Where it is not, bytes of two sources must not be mixed: then several may be asked,
and the first that answers brings it all. Which bytes from whom is ``core.parts``'s, when the next
one helps ``core.patience``'s; how bytes come and where they go is the transfer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import defer, task

from flocon.core.parts import Parts, part_size
from flocon.core.patience import (
    MOST_PEERS,
    PEERS,
    USUAL_RATE,
    Course,
    Kind,
    floor,
    is_slow,
    is_worth_it,
    is_worth_probing,
)
from flocon.errors import Broken, SourceError, Unreachable
from flocon.net.bodies import Enough

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.core.attempts import Attempt
    from flocon.core.extents import Extent, Extents
    from flocon.core.heads import Head
    from flocon.core.patience import Pace

#: Bytes that must lack for a second holder to be worth its while, and for a further one.
LEAST_FILE = 8 << 20
LEAST_LEFT = 4 << 20
#: Seconds after which it is seen what one more holder has brought.
LOOK_AFTER = 0.15
#: Seconds between two looks at how it goes, the first one not before the soonest help.
LOOK_AGAIN = 0.25
#: Seconds between two looks of an idle source for a part to take over.
IDLE_LOOK = 0.1
#: Seconds over which it is seen how fast it comes.
WINDOW = 0.75
#: What a further holder must bring altogether; less, and this node's own link is the limit.
WORTH_MORE = 1.15
#: Sources at once, and peers among them before a mirror helps rather than a further peer.
MOST_SOURCES = 6
MOST_PEERS_BEFORE = 2
#: Bytes that a mirror is asked for at first, beside a holder or beside an owner.
FIRST_OF_MIRROR = 1 << 20
FIRST_BESIDE_OWNER = 128 << 10
#: Seconds of silence after which another source is asked for what must come from one alone.
SILENCE = 2.5
#: Bytes of one that brings it alone that break its silence: less in that time is a drip, of which
#: the beginning of a database would not come in pacman's time. The slowest modem sends it at once.
BREAKS_SILENCE = 256


class Receiver(Protocol):
    """What takes the bytes: a transfer."""

    @property
    def extents(self) -> Extents: ...

    def begins_at(self) -> int:
        """Return from where on a source that brings all of it is to begin."""

    def begin(self, attempt: Attempt, head: Head) -> None: ...

    def write(self, attempt: Attempt, position: int, data: bytes) -> None: ...

    def fetch(self, attempt: Attempt, start: int, end: int | None, sink: Any) -> Deferred[None]: ...

    def failed(self, attempt: Attempt, failure: SourceError) -> None: ...

    def slow(self, attempt: Attempt) -> None:
        """Learn that a source was so slow that another helps."""

    @property
    def held_up(self) -> bool:
        """Whether it can take no more now: then nobody is slow."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known beforehand.

    ``size`` is None where no content is known: then one source alone brings the file. ``stagger``
    is seconds between two mirrors that are asked for the same.
    """

    size: int | None
    pace: Pace
    stagger: float


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
        self._plan = plan
        self._more = more
        self._parts = None if plan.size is None else Parts(plan.size)
        self._rates: dict[str, float] = {}
        self._workers: dict[str, tuple[Attempt, Deferred[None]]] = {}
        #: Who brings a file that must come from one source, once it has answered.
        self._chosen: Attempt | None = None
        self._failure: SourceError | None = None
        self._done: Deferred[None] = defer.Deferred(lambda _: self._end())
        self._over = False
        self._look: IDelayedCall | None = None
        self._slow: set[str] = set()
        self._dropped: list[Attempt] = []
        #: The mirror whose speed is being found out, which then leaves.
        self._probing: Attempt | None = None
        now = clock.seconds()
        self._began = self._joined = self._heard = now
        #: When the silence of one that brings it alone was broken last, and at which byte.
        self._broken = now
        self._broken_at = 0
        self._counted = now
        self._lacked = 0 if plan.size is None else plan.size - len(receiver.extents)
        #: How it came: moments and bytes, over the last seconds.
        self._samples: list[tuple[float, int]] = [(now, len(receiver.extents))]
        #: Whether further holders are tried for speed alone, and what they brought before.
        self._spreads = False
        self._before = 0.0

    def run(self) -> Deferred[None]:
        first = self._more([])
        if first is None:
            self._fail_all()
            return self._done
        self._spreads = self._is_worth_spreading(first)
        self._begin(first)
        self._schedule(LOOK_AFTER if self._spreads else self._first_look())
        return self._done

    def stop(self) -> None:
        """End now, as if nothing lacked: what came is of no use any more."""
        self._finish(None)

    def wake(self) -> None:
        """Look again who may be asked: somebody with other terms has joined."""
        if self._over or any(one.source.kind is not Kind.MIRROR for one, _ in self._active()):
            return
        attempt = self._next()
        if attempt is not None and attempt.source.kind is Kind.HOLDER:
            self._begin(attempt)

    # Who brings what

    def _begin(self, attempt: Attempt) -> None:
        key = attempt.source.key
        self._joined = self._clock.seconds()
        work = self._bring_parts(attempt) if self._parts else self._bring_all(attempt)
        worker = defer.Deferred.fromCoroutine(work)
        if not worker.called:
            self._workers[key] = (attempt, worker)
        worker.addBoth(self._ended, attempt)

    async def _bring_all(self, attempt: Attempt) -> None:
        sink = _Sink(self, attempt)
        await self._receiver.fetch(attempt, self._receiver.begins_at(), None, sink)

    async def _bring_parts(self, attempt: Attempt) -> None:
        parts, size = self._parts, self._plan.size
        assert parts is not None  # noqa: S101 - only called where there are
        assert size is not None  # noqa: S101
        while True:
            if self._take(attempt, parts) is not None:
                if not await self._bring_part(attempt, parts, size):
                    return
            elif self._receiver.extents.missing(0, size):
                # All is being brought; one that turns slow is helped out.
                await task.deferLater(self._clock, IDLE_LOOK)
            else:
                return

    def _take(self, attempt: Attempt, parts: Parts) -> Extent | None:
        """Give a source its next part, as large as what is known of it allows."""
        key, now = attempt.source.key, self._clock.seconds()
        rate = self._rates.get(key)
        first = part_size(rate) if rate else self._first_part(attempt)
        expected = self._plan.pace.reference(now) if rate is None else rate
        if key in self._slow:
            # It takes nothing back from who helps it out and has not answered yet.
            expected = 0.0
        return parts.take(key, self._receiver.extents, expected, now, first)

    async def _bring_part(self, attempt: Attempt, parts: Parts, size: int) -> bool:
        """Bring the part that a source has just got; return whether it is to go on."""
        key = attempt.source.key
        part = parts.part(key)
        assert part is not None  # noqa: S101 - it was just taken
        end = None if part.end == size else part.end
        try:
            await self._receiver.fetch(attempt, part.start, end, _Sink(self, attempt))
            self._rates[key] = part.average(self._clock.seconds())
        except SourceError:
            # Asked once more it may do better.
            self._rates.pop(key, None)
            raise
        finally:
            self._measure(attempt, part.position - part.start, part.since)
            parts.done(key)
        if self._receiver.extents.missing(part.start, part.end):
            raise Broken(attempt.source.label, "did not send all of it")
        if attempt is self._probing:
            self._probing = None
            if len(self._workers) > 1:
                return False
        if not self._is_worth_it(attempt):
            return False
        if not self._rates[key]:
            # Others had brought it all when it answered; at that rate it would get no part.
            del self._rates[key]
            await task.deferLater(self._clock, IDLE_LOOK)
        return True

    def _is_worth_it(self, attempt: Attempt) -> bool:
        """Whether a mirror beside an owner brings so much more that it is to go on."""
        if attempt.source.kind is not Kind.MIRROR or self._parts is None:
            return True
        now = self._clock.seconds()
        parts = [
            self._parts.part(one.source.key)
            for one, _ in self._active()
            if one.source.kind is Kind.OWNER
        ]
        owners = max((part.average(now) for part in parts if part is not None), default=0.0)
        return is_worth_it(self._rates[attempt.source.key], owners)

    def _first_part(self, attempt: Attempt) -> int:
        """Return the most bytes to ask of a source that is not known yet."""
        assert self._plan.size is not None  # noqa: S101 - as in _bring_parts
        others = [one.source.kind for one, _ in self._active() if one is not attempt]
        if attempt.source.kind is Kind.MIRROR and others and set(others) != {Kind.MIRROR}:
            return FIRST_BESIDE_OWNER if Kind.OWNER in others else FIRST_OF_MIRROR
        return part_size(0.0) if self._spreads else self._plan.size

    def _measure(self, attempt: Attempt, size: int, since: float) -> None:
        if attempt.source.kind is Kind.MIRROR:
            now = self._clock.seconds()
            self._plan.pace.measured(size, now - since, now)

    def begin(self, attempt: Attempt, head: Head) -> None:
        self._receiver.begin(attempt, head)
        if self._parts is None and self._chosen is not attempt:
            # Set first: the others end at once.
            self._chosen = attempt
            self._broken, self._broken_at = self._clock.seconds(), head.start
            for other, worker in self._active():
                if other is not attempt:
                    worker.cancel()

    def write(self, attempt: Attempt, position: int, data: bytes) -> None:
        if self._parts is None and self._chosen is not attempt:
            raise Enough
        end = position + len(data)
        before = len(self._receiver.extents)
        self._receiver.write(attempt, position, data)
        self._heard = self._clock.seconds()
        if attempt.source.kind is Kind.MIRROR and len(self._receiver.extents) > before:
            self._counted = self._heard
        if self._parts is None:
            if end - self._broken_at >= BREAKS_SILENCE:
                self._broken, self._broken_at = self._heard, end
            return
        key = attempt.source.key
        if not self._parts.moved(key, end, self._heard):
            part = self._parts.part(key)
            if part is not None and end > part.end:
                raise Enough

    def _ended(self, result: Any, attempt: Attempt) -> None:
        self._workers.pop(attempt.source.key, None)
        cancelled = result is not None and result.check(defer.CancelledError)
        if self._over or (cancelled and self._is_whole_or_busy()):
            # Cancelled, since nothing more is wanted of it.
            return
        if result is not None and not cancelled:
            if not result.check(SourceError):
                self._finish(result)
                return
            self._failure = result.value
            self._receiver.failed(attempt, result.value)
        elif self._parts is None:
            if self._chosen is attempt:
                self._finish(None)
            return
        if self._chosen is attempt:
            self._chosen = None
        if self._lacks_nothing():
            self._finish(None)
        elif not self._workers and not self._add():
            self._fail_all(attempt)

    def _is_whole_or_busy(self) -> bool:
        return bool(self._workers) or self._lacks_nothing() or self._parts is None

    def _lacks_nothing(self) -> bool:
        size = self._plan.size
        return size is not None and not self._receiver.extents.missing(0, size)

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
        for attempt, worker in self._active():
            self._note_rate(attempt)
            worker.cancel()

    def _note_rate(self, attempt: Attempt) -> None:
        part = self._parts.part(attempt.source.key) if self._parts else None
        if part is not None:
            self._measure(attempt, part.position - part.start, part.since)

    def _active(self) -> list[tuple[Attempt, Deferred[None]]]:
        return list(self._workers.values())

    # When others help

    def _schedule(self, seconds: float) -> None:
        if not self._over:
            self._look = self._clock.callLater(seconds, self._look_around)

    def _first_look(self) -> float:
        return min(self._plan.stagger, 1.0)

    def _look_around(self) -> None:
        self._look = None
        now = self._clock.seconds()
        if self._receiver.held_up:
            self._heard = self._broken = self._counted = now
            self._samples = [(now, len(self._receiver.extents))]
            self._schedule(LOOK_AGAIN)
            return
        if self._parts is None:
            needs = self._needs_another(now)
        else:
            recent = self._recent(now)
            if self._spreads and self._spread(now, recent):
                return
            needs = self._needs_help(now, recent)
            if not needs:
                self._probe(now, recent)
        if needs:
            self._help(now)
        self._schedule(LOOK_AGAIN)

    def _recent(self, now: float) -> float:
        """Return bytes per second over the last moments."""
        have = len(self._receiver.extents)
        samples = self._samples
        samples.append((now, have))
        while len(samples) > 2 and now - samples[1][0] >= WINDOW:  # noqa: PLR2004 - a first and a last
            samples.pop(0)
        then, had = samples[0]
        return (have - had) / max(now - then, 1e-3)

    def _is_worth_spreading(self, first: Attempt) -> bool:
        """Whether it is large, and another holder is the next best source."""
        if self._lacked < LEAST_FILE or first.source.kind is not Kind.HOLDER:
            return False
        second = self._more([first])
        return second is not None and second.source.kind is Kind.HOLDER

    def _spread(self, now: float, recent: float) -> bool:
        """Add a holder where the last one made the whole faster; return whether to look again."""
        left = self._lacked - len(self._receiver.extents)
        worth = recent >= WORTH_MORE * self._before
        worth = worth and left > max(LEAST_LEFT, 2 * LOOK_AFTER * recent)
        self._before = max(recent, self._before)
        self._samples = [(now, len(self._receiver.extents))]
        attempt = self._next() if worth and len(self._workers) < MOST_SOURCES else None
        if attempt is None or attempt.source.kind is not Kind.HOLDER:
            self._spreads = False
            return False
        self._begin(attempt)
        self._schedule(LOOK_AFTER)
        return True

    def _course(self, now: float, recent: float) -> Course | None:
        kinds = [one.source.kind for one, _ in self._active()]
        for kind in (Kind.MIRROR, Kind.OWNER, Kind.HOLDER):
            if kind in kinds:
                since, began = now - self._joined, now - self._began
                return Course(kind, len(kinds), since, began, recent, self._lacked)
        return None

    def _needs_help(self, now: float, recent: float) -> bool:
        course = self._course(now, recent)
        if course is None:
            return False
        reference = self._plan.pace.reference(now)
        if recent >= floor(course.kind, reference):
            self._counted = now
        if course.kind is not Kind.MIRROR and now - self._counted >= PEERS:
            return True
        return is_slow(course, reference, self._plan.stagger)

    def _probe(self, now: float, recent: float) -> None:
        """Find out what a mirror gives, where holders may be slower than that."""
        pace, course = self._plan.pace, self._course(now, recent)
        left = self._lacked - len(self._receiver.extents)
        if course is None or pace.is_known(now) or not is_worth_probing(course, left):
            return
        mirror = self._next_mirror()
        if mirror is None or not pace.probe(now):
            return
        if len(self._workers) >= MOST_SOURCES:
            self._drop_slowest(now, any_of=True)
        self._probing = mirror
        self._begin(mirror)

    def _needs_another(self, now: float) -> bool:
        """Whether another source is to be asked for what must come from one alone."""
        if self._chosen is None:
            return bool(now - self._joined >= self._plan.stagger)
        if now - max(self._heard, self._joined) >= SILENCE:
            return True
        # Whoever drips is bettered once: where all do, the last one is left running.
        dripping = now - max(self._broken, self._joined) >= SILENCE
        if dripping and self._chosen.source.key not in self._slow:
            return True
        # A peer that is slow: nothing of it goes to pacman before it is whole.
        expected = floor(Kind.HOLDER, USUAL_RATE) * (now - self._began - SILENCE)
        return self._chosen.source.kind is not Kind.MIRROR and (
            len(self._receiver.extents) < expected
        )

    def _help(self, now: float) -> None:
        """Ask the next source beside those that are slow."""
        attempt = self._helper()
        if attempt is None:
            # Nobody can better those that are asked: they are left running.
            return
        if attempt.source.kind is Kind.MIRROR and not self._may_ask_mirror(now):
            return
        self._tell_slow(now)
        # Peers, however many and however just fast enough, do not keep a mirror out.
        crowded = attempt.source.kind is Kind.MIRROR and not self._has_mirror()
        if len(self._workers) >= MOST_SOURCES and not self._drop_slowest(now, any_of=crowded):
            return
        self._begin(attempt)

    def _may_ask_mirror(self, now: float) -> bool:
        owners = any(one.source.kind is Kind.OWNER for one, _ in self._active())
        return not owners or now - self._heard >= PEERS / 2 or self._plan.pace.probe(now)

    def _tell_slow(self, now: float) -> None:
        reference = self._plan.pace.reference(now)
        for attempt, _ in self._active():
            source = attempt.source
            part = self._parts.part(source.key) if self._parts else None
            rate = part.rate(now) if part else 0.0
            if source.key not in self._slow and rate < floor(source.kind, reference):
                self._slow.add(source.key)
                self._receiver.slow(attempt)

    def _drop_slowest(self, now: float, *, any_of: bool) -> bool:
        """End the slowest of those that are no help, or of all; return whether there was one."""

        def rate(one: tuple[Attempt, Deferred[None]]) -> float:
            part = self._parts.part(one[0].source.key) if self._parts else None
            return part.rate(now) if part else 0.0

        candidates = [one for one in self._active() if any_of or one[0].source.key in self._slow]
        slowest = min(candidates, key=rate, default=None)
        if slowest is None:
            return False
        self._dropped.append(slowest[0])
        slowest[1].cancel()
        return True

    def _has_mirror(self) -> bool:
        return any(one.source.kind is Kind.MIRROR for one, _ in self._active())

    def _helper(self) -> Attempt | None:
        """Return who is to help: a mirror, once some peers together were too slow."""
        peers = len(self._workers)
        if self._parts is None or peers < MOST_PEERS_BEFORE or self._has_mirror():
            return self._next()
        return self._next_mirror() or self._next()

    def _next_mirror(self) -> Attempt | None:
        """Return the next best mirror, whichever peers come before it."""
        passed = [*(one for one, _ in self._active()), *self._dropped]
        for _ in range(MOST_PEERS + 1):
            attempt = self._more(passed)
            if attempt is None or attempt.source.key in self._workers:
                return None
            if attempt.source.kind is Kind.MIRROR:
                return attempt
            passed.append(attempt)
        return None

    def _next(self) -> Attempt | None:
        attempt = self._more([*(one for one, _ in self._active()), *self._dropped])
        if attempt is None or attempt.source.key in self._workers:
            return None
        return attempt

    def _add(self) -> bool:
        attempt = self._next()
        if attempt is None:
            return False
        self._begin(attempt)
        return True


class _Sink:
    def __init__(self, several: Several, attempt: Attempt) -> None:
        self._several = several
        self._attempt = attempt

    def begin(self, head: Head) -> None:
        self._several.begin(self._attempt, head)

    def write(self, position: int, data: bytes) -> None:
        self._several.write(self._attempt, position, data)
