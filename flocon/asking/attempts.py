"""Whom a transfer has asked, what came of each, and who may be asked again.

Who is asked next is chosen elsewhere, by what is told here; nothing here asks anybody. No I/O;
``now`` is in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from flocon.asking.answer import BUSY
from flocon.asking.patience import COUNTING
from flocon.asking.source import Origin
from flocon.errors import Broken, Refused, Stalled, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.asking.source import Source
    from flocon.errors import SourceError


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds: for an answer's head, and for each ``step`` bytes of its body.

    A source that drips is as good as one that is silent: what it sends counts by whole steps.
    """

    first_byte: float
    stall: float
    step: int = 1


#: With what a source says that it lacks a file, and from where on a parent says nothing else.
NOT_FOUND, FAILING = 404, 500
#: Of a source that was asked already and is not asked again.
NO_LIMITS = Limits(first_byte=0.0, stall=0.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One source to be tried, and how patiently; ``failure`` is what came of it.

    ``heard`` is when, in the clock's seconds, bytes of the file came last that counted; 0: never.
    """

    source: Source
    limits: Limits
    failure: SourceError | None = None
    heard: float = 0.0


#: Returns the next best source beside those tried and those asked now, which have no failure yet.
Choose: TypeAlias = "Callable[[Sequence[Attempt]], Attempt | None]"
#: Returns the mirrors that may have a file, the best first.
Mirrors: TypeAlias = "Callable[[], Sequence[Source]]"


class Attempts:
    """What came of the sources that were asked for one file."""

    def __init__(self) -> None:
        #: Those that failed, and those that were so slow that others helped; oldest first.
        self.tried: list[Attempt] = []
        self.helped: list[Attempt] = []
        #: The keys of those that were slow.
        self._slow: set[str] = set()
        #: When bytes came last that count, and how many came since that do not yet.
        self._heard = 0.0
        self._uncounted = 0

    @property
    def mirror_statuses(self) -> list[int | None]:
        """What each mirror that failed had answered; None where it was no answer.

        Caches are left out: pacman asks them for what they may not have, and is silent about it.
        """
        return [
            getattr(attempt.failure, "status", None)
            for attempt in self.tried
            if attempt.source.origin is Origin.MIRROR and not attempt.source.is_cache
        ]

    def with_active(self, active: Sequence[Attempt]) -> list[Attempt]:
        """Return those that failed and those that are asked now: what is chosen by."""
        return [*self.tried, *(replace(attempt, heard=self._heard) for attempt in active)]

    def came(self, source: Source, size: int, now: float) -> None:
        """Learn that a source sent so many bytes that lacked."""
        self._uncounted += size
        if source.is_mirror or self._uncounted >= COUNTING:
            self._heard, self._uncounted = now, 0

    def failed(self, attempt: Attempt, failure: SourceError) -> None:
        self.tried.append(replace(attempt, failure=failure, heard=self._heard))

    def was_slow(self, attempt: Attempt) -> None:
        self._slow.add(attempt.source.key)
        slow = Stalled(attempt.source.label, "was so slow that another was asked too")
        self.helped.append(replace(attempt, failure=slow))

    def is_slow(self, source: Source) -> bool:
        return source.key in self._slow

    def forgive(self, mirror: Source) -> None:
        """Let a mirror that works be asked anew for the rest, whatever it did before.

        Else a peer that drips would have pacman for as long as the mirror keeps it patient.
        """
        self.tried = [
            one
            for one in self.tried
            if one.source != mirror or not isinstance(one.failure, (Stalled, Broken))
        ]

    def hurry(self) -> None:
        """Let those be asked anew that had nothing to give while nobody waited for it."""
        self.tried = [
            one
            for one in self.tried
            if not isinstance(one.failure, Stalled)
            and not (isinstance(one.failure, Refused) and one.failure.status in BUSY)
        ]

    def distrust(self, contributors: Sequence[Source], failure: SourceError) -> list[Source]:
        """Ask none of these again, but for the mirrors where others may have spoilt it.

        Returns those of whom that is news.
        """
        peers = [source for source in contributors if not source.is_mirror]
        tried = {attempt.source.key for attempt in self.tried}
        # A mirror may be asked again after it broke off, but not after this.
        news = [
            source
            for source in peers or contributors
            if source.origin is Origin.MIRROR or source.key not in tried
        ]
        for source in news:
            self.failed(Attempt(source, NO_LIMITS), failure)
        return news

    def verdict(self, file_name: str) -> SourceError:
        """Return why the file cannot be had."""
        last = self.tried[-1].failure if self.tried else None
        return last or Unreachable(file_name, "nobody to ask")


def lacking(source: Source, failure: SourceError) -> SourceError:
    """Return what a failure means: that a parent fails is how it says that it lacks a file."""
    fails = isinstance(failure, Refused) and failure.status >= FAILING
    return Refused(source.label, NOT_FOUND) if source.parent and fails else failure
