"""Whom the transfer of a database or its signature asks next, and how patiently.

In which order databases' sources come is ``sources.ranking``'s; who was tried, ``tried``'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.patience import PACMAN
from flocon.asking.source import Origin
from flocon.sources.choosing import LIMITS
from flocon.sources.tried import once_more, untried

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.asking.source import Source

#: What a peer has for its database, from its first byte to the last: the mirrors need the rest.
PEER_LIMITS = Limits(first_byte=1.0, stall=1.0, step=8 << 10)
#: Seconds that must be left of pacman's patience for a mirror to be asked.
LEAST_LEFT = 0.3


class DatabaseChooser:
    """Whom to ask for one file, one after the other, in one patience.

    ``order`` puts the mirrors and others into their order, by the seconds that were waited.
    """

    def __init__(
        self,
        clock: Any,
        mirrors: list[Source],
        began: float,
        order: Callable[[list[Source], float], list[Source]],
        *,
        patience: float = PACMAN,
    ) -> None:
        self._clock = clock
        self._mirrors = mirrors
        self._began = began
        self._order = order
        self._spent = PACMAN - patience

    def mirrors(self) -> Sequence[Source]:
        return self._mirrors

    def __call__(self, tried: Sequence[Attempt]) -> Attempt | None:
        # Once bytes came, pacman's patience is as it was when the last one did.
        since = max([self._began, *(attempt.heard for attempt in tried)])
        left = PACMAN - self._spent - (self._clock.seconds() - since)
        source = self._next(tried, left)
        if source is None:
            return None
        # Others are asked beside one that is slow, long before its time is over.
        limits = LIMITS if source.origin is Origin.MIRROR else PEER_LIMITS
        return Attempt(source, replace(limits, first_byte=min(limits.first_byte, left)))

    def _next(self, tried: Sequence[Attempt], left: float) -> Source | None:
        order = self._order(self._mirrors, PACMAN - left)
        if any(attempt.source.origin is Origin.PEER for attempt in tried):
            order = [one for one in order if one.origin is Origin.MIRROR]
        source = next(untried(order, tried), None)
        if source is not None:
            return source if left > LEAST_LEFT else None
        return once_more(order, tried, left)
