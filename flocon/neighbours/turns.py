"""Whose turn it is to have its inventory read: a few at once, and who drips keeps nobody waiting.

An honest inventory comes in a moment. So whoever takes longer than that moment is read beside the
others, not instead of them, and of too many such the slowest one ends. One address has one turn at
a time, however many nodes speak from it, and one that failed lately comes after all others. Nodes
of other networks have turns of their own, few at once: what lies between may be slow, and all
machines here read over it.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Inventories whose reading has just begun, at once.
AT_ONCE = 4
#: Seconds after which a reading is a slow one: 16,000 files, 2.5 MB, take 0.3 s on a fast LAN.
HASTE = 0.5
#: Readings in all, with the slow ones.
MOST = 8
#: The same of other networks' nodes, which have all the time that they need.
FAR_AT_ONCE = 2
#: Bytes that all of them may have in memory: an inventory has 7 MiB at most.
MOST_BYTES = 16 << 20
#: Seconds for which an address that failed comes last, and how many such are remembered.
PENANCE = 60.0
MOST_FAILED = 1_024


@dataclass(slots=True, eq=False)
class Turn:
    """One reading, waiting or running; ``size`` bytes of it have come.

    ``far`` where it is of another network's node; ``safe`` once all of it is here: then it is not
    ended for being slow.
    """

    address: str
    far: bool = False
    began: float = 0.0
    size: int = 0
    safe: bool = False

    def rate(self, now: float) -> float:
        """Return bytes per second since it began."""
        return self.size / max(now - self.began, 0.001)


class Turns:
    """The turns of all readings."""

    def __init__(self) -> None:
        self._waiting: list[Turn] = []
        self._running: list[Turn] = []
        #: Addresses that failed, and until when they come last; the oldest first.
        self._failed: dict[str, float] = {}

    def wait(self, turn: Turn) -> None:
        self._waiting.append(turn)

    def give(self, now: float) -> tuple[list[Turn], list[Turn]]:
        """Return the turns that begin now, and those that have to end for them."""
        begun: list[Turn] = []
        ended: list[Turn] = []
        while len(self._young(now)) < AT_ONCE and (turn := self._next(now)) is not None:
            if len(self._of(far=False)) >= MOST:
                slowest = self._slowest(now)
                if slowest is None:
                    break
                self._running.remove(slowest)
                ended.append(slowest)
            begun.append(self._begin(turn, now))
        while len(self._of(far=True)) < FAR_AT_ONCE:
            turn = self._next(now, far=True)
            if turn is None:
                break
            begun.append(self._begin(turn, now))
        return begun, ended

    def _begin(self, turn: Turn, now: float) -> Turn:
        self._waiting.remove(turn)
        turn.began = now
        self._running.append(turn)
        return turn

    def due(self, now: float) -> float | None:
        """Return in how many seconds the next turn may be given; None where nobody waits for one.

        Who waits for another of the same address waits for its end alone.
        """
        young = self._young(now)
        if len(young) < AT_ONCE or self._next(now) is None:
            return None
        return max(0.0, min(turn.began for turn in young) + HASTE - now)

    def grew(self, turn: Turn, count: int) -> Turn | None:
        """Take note of ``count`` bytes more; return whose turn ends since there are too many."""
        turn.size += count
        if sum(one.size for one in self._running) <= MOST_BYTES:
            return None
        growing = (one for one in self._running if not one.safe)
        return max(growing, key=lambda one: one.size, default=None)

    def ended(self, turn: Turn, now: float, *, failed: bool) -> None:
        """Take a turn back, however far it came."""
        for turns in (self._waiting, self._running):
            if turn in turns:
                turns.remove(turn)
        self._failed.pop(turn.address, None)
        if failed:
            self._failed[turn.address] = now + PENANCE
            if len(self._failed) > MOST_FAILED:
                del self._failed[next(iter(self._failed))]

    def _of(self, *, far: bool) -> list[Turn]:
        return [turn for turn in self._running if turn.far is far]

    def _young(self, now: float) -> list[Turn]:
        return [turn for turn in self._of(far=False) if now - turn.began < HASTE]

    def _next(self, now: float, *, far: bool = False) -> Turn | None:
        busy = {turn.address for turn in self._running}
        free = (turn for turn in self._waiting if turn.far is far and turn.address not in busy)
        return min(free, key=lambda turn: self._failed.get(turn.address, 0.0) > now, default=None)

    def _slowest(self, now: float) -> Turn | None:
        slow = (one for one in self._of(far=False) if now - one.began >= HASTE and not one.safe)
        return min(slow, key=lambda one: one.rate(now), default=None)
