"""What each address took from this node since it started: bounded, however many there are.

An address is what a taker cannot choose freely; a node id or a name it can. No sockets, no clock.
"""

from __future__ import annotations

#: Addresses told apart; of more than these, who took least counts among the others.
MOST = 256


class Takers:
    """Bytes by address; ``others_bytes`` is what those took that are not told apart any more."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._taken: dict[str, int] = {}
        self.others_bytes = 0

    def take(self, address: str, count: int) -> None:
        address = _plain(address)
        if address not in self._taken and len(self._taken) >= self._most:
            least = min(self._taken, key=self._taken.__getitem__)
            self.others_bytes += self._taken.pop(least)
        self._taken[address] = self._taken.get(address, 0) + count

    def of(self, address: str) -> int:
        """Return the bytes that an address took, as far as it is told apart."""
        return self._taken.get(_plain(address), 0)

    def most_first(self) -> list[tuple[str, int]]:
        """Return each address with its bytes, who took most first."""
        return sorted(self._taken.items(), key=lambda one: (-one[1], one[0]))


def _plain(address: str) -> str:
    """Leave out the zone of an IPv6 address, which has two spellings."""
    return address.partition("%")[0]
