"""Which datagrams the library is given: those of neighbours that concern us, and not too many.

A LAN has printers and televisions that talk by mDNS all day, and the library remembers what it is
given. A name stands in a datagram in full at least once, so whatever concerns a service or a host
has a label of it; whether it does more than contain that label is the library's to find out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flocon.datagrams.buckets import Bucket, BucketTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flocon.machine.links import Link

#: RFC 6762, 17: no message is longer.
LONGEST = 9_000
HEADER = 12
#: Datagrams per second and at once: of one address, and of all.
SOURCE_RATE, SOURCE_BURST, MOST_SOURCES = 20.0, 300.0, 256
ALL_RATE, ALL_BURST = 200.0, 3_000.0
#: Records in them, which are remembered: of one address, and of all. A thousand take 0.8 MB.
SOURCE_RECORDS, SOURCE_RECORDS_BURST = 25.0, 1_000.0
ALL_RECORDS, ALL_RECORDS_BURST = 150.0, 5_000.0
#: Labels of hosts that are being looked up.
MOST_HOSTS = 32


class Sieve:
    """Admits datagrams; ``counters`` has how many it admitted and dropped, by reason.

    ``labels`` are those of types of service and of this node, ``links`` those it is present on.
    """

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self._labels: tuple[bytes, ...] = ()
        self._own: bytes | None = None
        self._own_addresses: frozenset[str] = frozenset()
        self._hosts: dict[bytes, None] = {}
        self._links: Sequence[Link] = ()
        self._near: dict[str, bool] = {}
        self._sources = BucketTable(SOURCE_RATE, SOURCE_BURST, MOST_SOURCES)
        self._records = BucketTable(SOURCE_RECORDS, SOURCE_RECORDS_BURST, MOST_SOURCES)
        self._all = Bucket(ALL_RATE, ALL_BURST)
        self._all_records = Bucket(ALL_RECORDS, ALL_RECORDS_BURST)
        self.counters: Counter[str] = Counter()
        self.set_labels(labels, None)

    def set_labels(self, labels: Iterable[str], own: str | None) -> None:
        """Have what concerns these labels admitted; ``own`` is the one of this node's host."""
        self._own = None if own is None else _as_sent(own)
        self._labels = tuple(_as_sent(one) for one in labels)
        if self._own is not None:
            self._labels += (self._own,)

    def set_links(self, links: Sequence[Link]) -> None:
        self._links = links
        self._near = {}
        self._own_addresses = frozenset(str(one.ip) for link in links for one in link.addresses)

    def expect(self, host: str) -> None:
        """Have the addresses of a host admitted, by its first label: it is being looked up."""
        if len(self._hosts) < MOST_HOSTS:
            self._hosts[_as_sent(host.partition(".")[0])] = None

    def forget_hosts(self) -> None:
        """Nothing is being looked up any more."""
        self._hosts.clear()

    def admits(self, now: float, host: str, data: bytes) -> bool:
        """Whether the library is to read a datagram that came from ``host``."""
        reason = self._reason(now, host, data)
        self.counters[reason or "read"] += 1
        return not reason

    def _reason(self, now: float, host: str, data: bytes) -> str:
        """Return why a datagram is not read, or nothing."""
        if not HEADER <= len(data) <= LONGEST:
            return "malformed"
        if not self._is_near(host):
            return "outside"
        text = data.lower()
        if self._own is not None and self._own in text and _bare(host) in self._own_addresses:
            self.counters["own"] += 1
        if not any(one in text for one in self._labels) and not any(
            one in text for one in self._hosts
        ):
            return "unrelated"
        records = sum(int.from_bytes(data[at : at + 2]) for at in (4, 6, 8, 10))
        if not self._sources.take(now, host) or not self._records.take(now, host, records):
            return "source_limited"
        if not self._all.take(now) or not self._all_records.take(now, records):
            return "limited"
        return ""

    def _is_near(self, host: str) -> bool:
        """Whether a neighbour can have sent it; remembered for a few, since it takes a while."""
        near = self._near.get(host)
        if near is None:
            near = _bare(host) in self._own_addresses or any(
                link.reaches(host) for link in self._links
            )
            if len(self._near) >= MOST_SOURCES:
                self._near.clear()
            self._near[host] = near
        return near


def _bare(host: str) -> str:
    return host.partition("%")[0]


def _as_sent(label: str) -> bytes:
    """Return a label as a datagram has it, in small letters: its length, then its bytes."""
    data = label.encode("utf-8", "replace")
    return bytes([min(len(data), 63)]) + data[:63].lower()
