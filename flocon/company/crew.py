"""Who works at one file now: the sources that are asked, and who of the others comes next.

What is not decided here: whether another one is wanted (``helping``), and what each of them brings
(``parted``, ``race``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from flocon.asking.patience import MOST_PEERS
from flocon.asking.source import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from flocon.asking.answer import Head
    from flocon.asking.attempts import Attempt
    from flocon.asking.patience import Pace
    from flocon.errors import SourceError
    from flocon.extents import Extents

#: Sources at once.
MOST_SOURCES = 6


if TYPE_CHECKING:

    class Receiver(Protocol):
        """What takes the bytes: a transfer."""

        @property
        def extents(self) -> Extents: ...

        def begins_at(self) -> int:
            """Return from where on a source that brings all of it is to begin."""

        def begin(self, attempt: Attempt, head: Head) -> None: ...

        def write(self, attempt: Attempt, position: int, data: bytes) -> None: ...

        def fetch(
            self, attempt: Attempt, start: int, end: int | None, sink: Any
        ) -> Deferred[None]: ...

        def failed(self, attempt: Attempt, failure: SourceError) -> None: ...

        def slow(self, attempt: Attempt) -> None:
            """Learn that a source was so slow that another helps."""

        @property
        def unhurried(self) -> bool:
            """Whether nobody waits for it now."""

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


class Crew:
    """The sources that work at one file; ``more(active)`` returns the next best beside those."""

    def __init__(self, more: Callable[[list[Attempt]], Attempt | None]) -> None:
        self.more = more
        self._workers: dict[str, tuple[Attempt, Deferred[None]]] = {}
        #: Who was so slow that another helps, by key.
        self.slow: set[str] = set()
        self._dropped: list[Attempt] = []

    def __len__(self) -> int:
        return len(self._workers)

    def add(self, attempt: Attempt, worker: Deferred[None]) -> None:
        self._workers[attempt.source.key] = (attempt, worker)

    def remove(self, attempt: Attempt) -> None:
        self._workers.pop(attempt.source.key, None)

    def active(self) -> list[tuple[Attempt, Deferred[None]]]:
        return list(self._workers.values())

    def attempts(self) -> list[Attempt]:
        return [attempt for attempt, _ in self._workers.values()]

    def kinds(self) -> list[Kind]:
        return [attempt.source.kind for attempt, _ in self._workers.values()]

    def has(self, kind: Kind) -> bool:
        return kind in self.kinds()

    @property
    def is_full(self) -> bool:
        return len(self._workers) >= MOST_SOURCES

    def drop(self, attempt: Attempt) -> None:
        """End one that is no help; it is not asked again."""
        self._dropped.append(attempt)
        self._workers[attempt.source.key][1].cancel()

    def next(self) -> Attempt | None:
        """Return who is to be asked next; None where nobody is left."""
        attempt = self.more([*self.attempts(), *self._dropped])
        if attempt is None or attempt.source.key in self._workers:
            return None
        return attempt

    def next_mirror(self) -> Attempt | None:
        """Return the next best mirror, whichever peers come before it."""
        passed = [*self.attempts(), *self._dropped]
        for _ in range(MOST_PEERS + 1):
            attempt = self.more(passed)
            if attempt is None or attempt.source.key in self._workers:
                return None
            if attempt.source.kind is Kind.MIRROR:
                return attempt
            passed.append(attempt)
        return None


class Sink:
    """Takes what one source sends, for whoever makes the file of it."""

    def __init__(self, way: Any, attempt: Attempt) -> None:
        self._way = way
        self._attempt = attempt

    def begin(self, head: Head) -> None:
        self._way.begin(self._attempt, head)

    def write(self, position: int, data: bytes) -> None:
        self._way.write(self._attempt, position, data)
