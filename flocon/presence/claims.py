"""What somebody says of a place that has to be looked up there first, within bounds."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flocon.datagrams.messages import Announcement

#: Places of which somebody says what has to be looked up there first; for each, so many sayings.
MOST_CLAIMS, MOST_CLAIMS_OF_A_PLACE = 256, 4


class Claims:
    """The newest sayings of each address and port, by the node that is said to be there."""

    def __init__(self) -> None:
        self._at: OrderedDict[tuple[str, int], OrderedDict[str, Announcement]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._at)

    def keep(self, address: str, said: Announcement) -> None:
        """Keep what ``address`` says until it is known whether what listens there agrees."""
        claims = self._at.setdefault((address, said.port), OrderedDict())
        claims[said.node] = said
        claims.move_to_end(said.node)
        if len(claims) > MOST_CLAIMS_OF_A_PLACE:
            claims.popitem(last=False)
        if len(self._at) > MOST_CLAIMS:
            self._at.popitem(last=False)

    def take(self, address: str, port: int) -> Mapping[str, Announcement]:
        """Return what was said of a place, by node, and forget it."""
        return self._at.pop((address, port), OrderedDict())
