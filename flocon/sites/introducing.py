"""What is told of other nodes, to whom, and how fast; what is believed is decided elsewhere.

Each listener, the own group or a correspondent, has a queue with the newest words of each node.
Of what is said faster than it may be told, the changes of an inventory get lost; who hears of the
next generation reads them, as after any datagram that was lost. No I/O.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.datagrams.messages import Kind
from flocon.datagrams.values import MOST_CHANGES

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from flocon.datagrams.messages import Announcement
    from flocon.sites.correspondents import Place

#: Datagrams per second and at once to one listener: fewer than it reads of one address.
RATE, BURST = 40.0, 64.0
#: Nodes that wait to be told of, for one listener.
MOST_QUEUED = 1_024
#: Seconds in which another node may tell the group the same first: one of them is enough.
OTHERS_FIRST = 0.1
#: Seconds between two times that one listener is told of everybody: so many, and for each node.
ALL_PAUSE, ALL_PAUSE_PER_NODE = 2.0, 0.1

Told = tuple[str, "Announcement"]


class _Queue:
    """What one listener is to be told."""

    __slots__ = ("_at", "_level", "all_at", "all_due", "due", "waiting")

    def __init__(self) -> None:
        self.waiting: OrderedDict[str, Told] = OrderedDict()
        self._level, self._at = BURST, float("-inf")
        #: When the first of those that wait may be told at the earliest.
        self.due = float("-inf")
        #: When everybody is told of next, and the earliest that this may be.
        self.all_due: float | None = None
        self.all_at = float("-inf")

    def open_at(self, now: float) -> float:
        if now > self._at:
            passed = now - self._at if self._at != float("-inf") else 0.0
            self._level = min(BURST, self._level + passed * RATE)
            self._at = now
        token = now if self._level >= 1 else now + (1 - self._level) / RATE
        return max(self.due, token)

    def spend(self) -> None:
        self._level -= 1


class Tellings:
    """What waits to be told; ``chance`` spreads what several would tell the group at once.

    ``everybody`` returns all of whom a listener, a correspondent's place or None for the group, is
    to know, with their addresses.
    """

    def __init__(
        self, chance: random.Random, everybody: Callable[[Place | None], Iterable[Told]]
    ) -> None:
        self._chance = chance
        self._everybody = everybody
        self._queues: dict[Place | None, _Queue] = {}

    def tell(self, now: float, listener: Place | None, address: str, said: Announcement) -> None:
        """Tell a listener soon of a node that is at ``address``."""
        queue = self._queues.setdefault(listener, _Queue())
        if not queue.waiting and listener is None:
            queue.due = now + self._chance.uniform(0, OTHERS_FIRST)
        before = queue.waiting.get(said.node)
        queue.waiting[said.node] = address, said if before is None else _joined(before[1], said)
        if len(queue.waiting) > MOST_QUEUED:
            queue.waiting.popitem(last=False)

    def tell_all(self, now: float, listener: Place | None, pause: float) -> None:
        """Tell a listener of everybody after ``pause``; not often, whoever asks for it."""
        queue = self._queues.setdefault(listener, _Queue())
        if queue.all_due is None:
            queue.all_due = max(now + pause, queue.all_at)

    def said_by_others(self, address: str, said: Announcement) -> None:
        """Learn that the group was told of a node by somebody else: once is enough.

        Of what others tell, no more is held back than that very thing: they may lie.
        """
        queue = self._queues.get(None)
        if queue is None:
            return
        if queue.waiting.get(said.node) == (address, said):
            del queue.waiting[said.node]

    def forget(self, listener: Place | None) -> None:
        """Tell a listener nothing more that waits."""
        self._queues.pop(listener, None)

    def take(self, now: float) -> list[tuple[Place | None, str, Announcement]]:
        """Return what is told now: to whom, where the node is, and what it says."""
        told = []
        for listener, queue in self._queues.items():
            if queue.all_due is not None and queue.all_due <= now:
                self._fill(now, listener, queue)
            while queue.waiting and queue.open_at(now) <= now:
                queue.spend()
                _, (address, said) = queue.waiting.popitem(last=False)
                told.append((listener, address, said))
        return told

    def _fill(self, now: float, listener: Place | None, queue: _Queue) -> None:
        count = 0
        for address, one in self._everybody(listener):
            count += 1
            said = replace(one, kind=Kind.BEAT, changes=())
            queue.waiting.setdefault(one.node, (address, said))
        queue.all_due = None
        queue.all_at = now + ALL_PAUSE + ALL_PAUSE_PER_NODE * count

    def deadline(self, now: float) -> float | None:
        """Return when something is to be told."""
        times = [queue.open_at(now) for queue in self._queues.values() if queue.waiting]
        times += [one.all_due for one in self._queues.values() if one.all_due is not None]
        return min(times, default=None)


def _joined(before: Announcement, said: Announcement) -> Announcement:
    """Return what a node says, with the changes of what it said just before where they follow."""
    follows = said.generation - len(said.changes) == before.generation
    if before.epoch != said.epoch or not follows or said.kind is Kind.BYE:
        return said
    return replace(said, changes=(*before.changes, *said.changes)[-MOST_CHANGES:])
