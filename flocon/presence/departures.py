"""What is remembered of peers that left, within a bound: enough to know their old datagrams."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.presence.peer import OVERTAKEN

if TYPE_CHECKING:
    from flocon.datagrams.messages import Announcement
    from flocon.presence.peer import Known

#: Peers that left and whose datagrams are known to be old.
MOST_DEPARTED = 1_024


@dataclass(frozen=True, slots=True)
class Departed:
    """One that left: what it said last and when, and the addresses and ports where it answered."""

    epoch: str
    sequence: int
    at: float
    proved: frozenset[tuple[str, int]] = frozenset()

    def said(self, said: Announcement) -> bool:
        """Whether this very datagram was its last."""
        return (self.epoch, self.sequence) == (said.epoch, said.sequence)

    def said_before(self, now: float, said: Announcement) -> bool:
        """Whether this comes from before it left, as far as that can be told for a moment."""
        return (
            now < self.at + OVERTAKEN
            and said.epoch == self.epoch
            and said.sequence <= self.sequence
        )

    def had_answered(self, address: str, said: Announcement) -> bool:
        """Whether it had answered there in this epoch: somebody else may have sent the bye."""
        return self.epoch == said.epoch and (address, said.port) in self.proved


class Departures:
    """Those who left last, by node."""

    def __init__(self) -> None:
        self._departed: OrderedDict[str, Departed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._departed)

    def get(self, node: str) -> Departed | None:
        return self._departed.get(node)

    def pop(self, node: str) -> Departed | None:
        return self._departed.pop(node, None)

    def remember(self, known: Known) -> None:
        said = known.said
        proved = frozenset(
            (address, said.port) for address, one in known.addresses.items() if one.proved
        )
        self._departed[said.node] = Departed(said.epoch, said.sequence, known.last_heard, proved)
        self._departed.move_to_end(said.node)
        if len(self._departed) > MOST_DEPARTED:
            self._departed.popitem(last=False)
