"""Wrong bytes for which a peer need not be to blame, counted by address until it must be.

An owner passes on what a mirror sent, as it comes, and finds out with everybody else that it was
wrong; of several that brought a file together it can stay unknown who it was. Once is bad luck, and
who is always there when it happens is no longer given the benefit of the doubt. No I/O; ``now`` is
in seconds.
"""

from __future__ import annotations

from collections import OrderedDict

#: Seconds for which a doubt counts, and how many in that time make an offence.
LASTING = 3_600.0
MOST_DOUBTS = 3
#: Addresses remembered; the one in doubt the longest ago goes first.
MOST_ADDRESSES = 1_024


class Doubts:
    """When each address was in doubt lately."""

    def __init__(self) -> None:
        self._moments: OrderedDict[str, tuple[float, ...]] = OrderedDict()

    def note(self, address: str, now: float) -> bool:
        """Note a doubt about ``address``; return whether they are too many now."""
        recent = (*(one for one in self._moments.get(address, ()) if now - one < LASTING), now)
        if len(recent) >= MOST_DOUBTS:
            self._moments.pop(address, None)
            return True
        self._moments[address] = recent
        self._moments.move_to_end(address)
        if len(self._moments) > MOST_ADDRESSES:
            self._moments.popitem(last=False)
        return False
