"""When the next peer is missed, found without a search for each datagram, and by which time."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flocon.presence.peer import Known


class Expiries:
    """The moments at which those who are ``known`` expire if nothing is heard of them."""

    def __init__(self, known: Mapping[str, Known]) -> None:
        self._known = known
        #: (when, node); an entry that is early is renewed only when it gets to the top, so that
        #: a datagram costs no search.
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def enter(self, known: Known) -> None:
        """Take one up that is new here, or expires earlier than before."""
        known.entry = known.expires
        heapq.heappush(self._heap, (known.entry, known.said.node))
        if len(self._heap) > 2 * len(self._known) + 64:
            # A peer that announces now a long beat, now a short one, leaves entries behind.
            self._heap = [(one.entry, node) for node, one in self._known.items()]
            heapq.heapify(self._heap)

    def first(self) -> tuple[float, str] | None:
        """Return who is missed next, and when."""
        while self._heap:
            when, node = self._heap[0]
            known = self._known.get(node)
            if known is None or known.entry != when:
                heapq.heappop(self._heap)
            elif known.expires > when:
                known.entry = known.expires
                heapq.heapreplace(self._heap, (known.entry, node))
            else:
                return when, node
        return None


class SteadyClock:
    """A time that never goes back: it adds to ``now`` what that once went back by."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._latest = float("-inf")

    def advance(self, now: float) -> float:
        """Return the moment that it is, no earlier than the one before."""
        moment = now + self.offset
        if moment < self._latest:
            self.offset += self._latest - moment
            moment = self._latest
        self._latest = moment
        return moment
