"""When another source helps those that bring a file, who it is, and who leaves for it.

What is slow is ``asking.patience``'s to say; here it is looked at, now and then, and followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.asking.patience import PEERS, floor, is_slow
from flocon.asking.source import FETCHING, Kind
from flocon.company.parted import Parted
from flocon.company.progress import is_worth_probing

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.asking.attempts import Attempt
    from flocon.asking.patience import Course
    from flocon.company.crew import Crew, Plan, Receiver
    from flocon.company.progress import Progress
    from flocon.company.race import Race

#: Bytes that must lack for a second holder to be worth its while, and for a further one.
LEAST_FILE = 8 << 20
LEAST_LEFT = 4 << 20
#: Seconds after which it is seen what one more holder has brought.
LOOK_AFTER = 0.15
#: Seconds between two looks at how it goes, the first one not before the soonest help.
LOOK_AGAIN = 0.25
#: Seconds after which another holder helps with what nobody waits for.
UNHURRIED = 5.0
#: Seconds between two looks for a holder that is known anew, while mirrors bring it alone.
WELCOME_AFTER = 1.0
#: What a further holder must bring altogether; less, and this node's own link is the limit.
WORTH_MORE = 1.15
#: Peers at once before a mirror helps rather than a further peer.
MOST_PEERS_BEFORE = 2


class Helping:
    """Looks at how a file comes; ``begin`` has one more source asked."""

    def __init__(
        self,
        receiver: Receiver,
        plan: Plan,
        *,
        crew: Crew,
        progress: Progress,
        way: Parted | Race,
        begin: Callable[[Attempt], None],
    ) -> None:
        self._receiver = receiver
        self._plan = plan
        self._crew = crew
        self._progress = progress
        self._way = way
        self._begin = begin
        #: What came, in bytes per second, before the last holder was added for speed alone.
        self._before = 0.0
        #: When it was last looked for a holder that is known anew.
        self._welcomed = 0.0

    def begin(self, first: Attempt) -> float:
        """Ask the first source; return the seconds until the first look."""
        spreads = self._is_worth_spreading(first)
        if isinstance(self._way, Parted):
            self._way.spreads = spreads
        self._begin(first)
        return LOOK_AFTER if spreads else min(self._plan.stagger, 1.0)

    def look(self, now: float) -> float:
        """Have another source help where that is needed; return the seconds until the next look."""
        have = len(self._receiver.extents)
        if self._receiver.held_up:
            self._progress.heard = self._progress.counted = now
            self._progress.see_anew(now, have)
            if not isinstance(self._way, Parted):
                self._way.held_up(now)
            return LOOK_AGAIN
        if not isinstance(self._way, Parted):
            needs = self._way.needs_another(now)
        else:
            recent = self._progress.recent(now, have)
            if self._way.spreads and self._spread(self._way, now, recent):
                return LOOK_AFTER
            if self._receiver.unhurried:
                self._help_unhurried(now, recent)
                return LOOK_AGAIN
            needs = self._needs_help(now, recent)
            if not needs:
                self._probe(self._way, now, recent)
                self._welcome(self._way, now, recent)
        if needs:
            self._help(now)
        return LOOK_AGAIN

    def _is_worth_spreading(self, first: Attempt) -> bool:
        """Whether it is large, and another holder is the next best source."""
        if self._progress.lacked < LEAST_FILE or first.source.kind is not Kind.HOLDER:
            return False
        second = self._crew.more([first])
        return second is not None and second.source.kind is Kind.HOLDER

    def _spread(self, way: Parted, now: float, recent: float) -> bool:
        """Add a holder where the last one made the whole faster; return whether one was added."""
        have = len(self._receiver.extents)
        left = self._progress.left(have)
        worth = recent >= WORTH_MORE * self._before
        worth = worth and left > max(LEAST_LEFT, 2 * LOOK_AFTER * recent)
        self._before = max(recent, self._before)
        self._progress.see_anew(now, have)
        attempt = self._crew.next() if worth and not self._crew.is_full else None
        if attempt is None or attempt.source.kind is not Kind.HOLDER:
            way.spreads = False
            return False
        self._begin(attempt)
        return True

    def _course(self, now: float, recent: float) -> Course | None:
        have = len(self._receiver.extents)
        return self._progress.course(now, recent, have, self._crew.kinds())

    def _needs_help(self, now: float, recent: float) -> bool:
        course = self._course(now, recent)
        if course is None:
            return False
        reference = self._plan.pace.reference(now)
        if recent >= floor(course.kind, reference):
            self._progress.counted = now
        if course.kind is not Kind.MIRROR and now - self._progress.counted >= PEERS:
            return True
        return is_slow(course, reference, self._plan.stagger)

    def _probe(self, way: Parted, now: float, recent: float) -> None:
        """Find out what a mirror gives, where holders may be slower than that."""
        pace = self._plan.pace
        course = self._course(now, recent)
        if course is None or pace.is_known(now) or not is_worth_probing(course):
            return
        mirror = self._crew.next_mirror()
        if mirror is None or not pace.probe(now):
            return
        if self._crew.is_full:
            self._drop_slowest(now, any_of=True)
        way.probing = mirror
        self._begin(mirror)

    def _welcome(self, way: Parted, now: float, recent: float) -> None:
        """Ask a holder that has come, or has another address now, beside mirrors alone.

        Not where these are slow: who joins puts off the next mirror that helps.
        """
        crew = self._crew
        if now - self._welcomed < WELCOME_AFTER or crew.is_full:
            return
        if recent < floor(Kind.MIRROR, self._plan.pace.reference(now)):
            return
        working = {one.source.kind for one in crew.attempts() if way.moves(one, now)}
        if working != {Kind.MIRROR} or self._left < LEAST_LEFT:
            return
        self._welcomed = now
        attempt = crew.next()
        if attempt is not None and attempt.source.kind is Kind.HOLDER:
            self._begin(attempt)

    @property
    def _left(self) -> int:
        return self._progress.left(len(self._receiver.extents))

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
        crowded = attempt.source.kind is Kind.MIRROR and not self._crew.has(Kind.MIRROR)
        if self._crew.is_full and not self._drop_slowest(now, any_of=crowded):
            return
        self._begin(attempt)

    def _help_unhurried(self, now: float, recent: float) -> None:
        """Ask one more holder where little has come for long, and hold it against nobody.

        A holder whose own machine's pacman downloads, or a third one's, holds back.
        """
        least = floor(Kind.HOLDER, self._plan.pace.reference(now))
        patient = now - self._progress.joined < UNHURRIED
        attempt = None if patient or recent >= least or self._crew.is_full else self._crew.next()
        if attempt is not None and attempt.source.kind is Kind.HOLDER:
            self._crew.slow.update(one.source.key for one in self._crew.attempts())
            self._begin(attempt)

    def _helper(self) -> Attempt | None:
        """Return who is to help: a mirror, once some peers together were too slow."""
        crew = self._crew
        together = isinstance(self._way, Parted) and len(crew) >= MOST_PEERS_BEFORE
        if not together or crew.has(Kind.MIRROR):
            return crew.next()
        return crew.next_mirror() or crew.next()

    def _may_ask_mirror(self, now: float) -> bool:
        alone = FETCHING.isdisjoint(self._crew.kinds())
        return alone or now - self._progress.heard >= PEERS / 2 or self._plan.pace.probe(now)

    def _tell_slow(self, now: float) -> None:
        reference = self._plan.pace.reference(now)
        for attempt in self._crew.attempts():
            source = attempt.source
            slow = self._rate(attempt, now) < floor(source.kind, reference)
            if source.key not in self._crew.slow and slow:
                self._crew.slow.add(source.key)
                self._receiver.slow(attempt)

    def _drop_slowest(self, now: float, *, any_of: bool) -> bool:
        """End the slowest of those that are no help, or of all; return whether there was one."""
        slow = self._crew.slow
        candidates = [one for one in self._crew.attempts() if any_of or one.source.key in slow]
        slowest = min(candidates, key=lambda one: self._rate(one, now), default=None)
        if slowest is None:
            return False
        self._crew.drop(slowest)
        return True

    def _rate(self, attempt: Attempt, now: float) -> float:
        return self._way.rate(attempt, now) if isinstance(self._way, Parted) else 0.0
