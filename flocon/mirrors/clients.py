"""Who asks without a node: what each was sent, and what crossed the WAN for it. No I/O.

``now`` is in seconds since 1970. Whom nobody has heard of for the longest goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Addresses that are remembered.
MOST_CLIENTS = 1_024


@dataclass(slots=True)
class Client:
    """What one address asked for: ``sent`` bytes, of which ``fetched`` crossed the WAN for it."""

    address: str
    requests: int = 0
    packages: int = 0
    sent: int = 0
    fetched: int = 0
    first: int = 0
    last: int = 0

    @property
    def saved(self) -> int:
        """Bytes that it would have fetched itself."""
        return max(0, self.sent - self.fetched)


class Clients:
    """The clients of a mirror, and ``all`` of them together since the start."""

    def __init__(self, most: int = MOST_CLIENTS) -> None:
        self._most = most
        self._known: OrderedDict[str, Client] = OrderedDict()
        self.all = Client("")
        #: Tells what was refused, by reason.
        self.refusals: Callable[[], Mapping[str, int]] = dict

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Client]:
        """Yield them, who asked last first."""
        return reversed(self._known.values())

    def asked(self, address: str, now: float, *, package: bool) -> None:
        """Count a request for a file that is there."""
        for one in (self._of(address, now), self.all):
            one.requests += 1
            one.packages += package
            one.last = int(now)

    def sent(self, address: str, count: int, now: float) -> None:
        for one in (self._of(address, now), self.all):
            one.sent += count

    def fetched(self, address: str, count: int, now: float) -> None:
        """Count bytes that crossed the WAN for who asked first."""
        for one in (self._of(address, now), self.all):
            one.fetched += count

    def _of(self, address: str, now: float) -> Client:
        found = self._known.get(address)
        if found is None:
            found = self._known[address] = Client(address, first=int(now))
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        self._known.move_to_end(address)
        return found

    def describe(self, most: int = 100) -> dict[str, Any]:
        """Return what a person is told: all together, and the last of them to ask."""
        latest = [_described(one) for one, _ in zip(self, range(most), strict=False)]
        told = {"known": len(self), "refused": dict(self.refusals()), "latest": latest}
        return {**_described(self.all), **told}


def _described(client: Client) -> dict[str, Any]:
    return {
        **({"address": client.address} if client.address else {}),
        "requests": client.requests,
        "packages": client.packages,
        "sent_bytes": client.sent,
        "fetched_bytes": client.fetched,
        "saved_bytes": client.saved,
        "last": client.last,
    }
