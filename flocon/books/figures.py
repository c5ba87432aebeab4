"""What a node can say of itself in numbers, for ``/metrics``."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Spans:
    """How long things took: counts of seconds by upper bound, with their sum.

    The last count is for all above. So a thousand of them cost no memory.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += max(0.0, seconds)

    def cumulative(self) -> list[tuple[float, int]]:
        """Return how many took at most each bound, infinity last."""
        total = 0
        rows = []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows


@dataclass(frozen=True, slots=True)
class Figures:
    """Plain numbers by plain words; all counts are since the node started.

    ``requests`` are by kind of file, source and result; ``bytes`` by direction; ``peers`` by state;
    ``transfer_seconds`` by kind of source. ``longest_hold_seconds`` is None where nothing measures
    it. ``ahead_bytes`` are those fetched before pacman asked, by whether it took them;
    ``upgrade_packages`` and ``upgrade_bytes`` are those of the next upgrade, by how far they are.
    """

    version: str
    uptime_seconds: float
    requests: Mapping[tuple[str, str, str], int]
    bytes: Mapping[str, int]
    transfers: int
    peers: Mapping[str, int]
    quarantined: int
    files: int
    files_bytes: int
    longest_hold_seconds: float | None
    long_holds: int
    dropped_datagrams: Mapping[str, int]
    lan_answers: Mapping[str, int]
    lan_refusals: Mapping[str, int]
    ahead_bytes: Mapping[str, int]
    ahead_waiting_bytes: int
    upgrade_packages: Mapping[str, int]
    upgrade_bytes: Mapping[str, int]
    seconds_saved: float
    wan_bytes_per_second: float
    look_up_seconds: Spans
    transfer_seconds: Mapping[str, Spans]
    #: Of a mirror for the LAN, by words of its own; empty where this is none.
    mirror: Mapping[str, float] = field(default_factory=dict)
    #: Of builds, by words of its own; empty where this node builds nothing.
    builds: Mapping[str, float] = field(default_factory=dict)
    #: Of each own repository, by its name and words of its own.
    own: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    #: Of each face in another tool's place, by that one's name: answers and refusals, by kind.
    standins: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    #: What happened with other tools' machines, by words; empty where there are none.
    foreign: Mapping[str, int] = field(default_factory=dict)
    #: Bytes that came from each of them, by tool and address.
    foreign_bytes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: Nodes of other networks that are known, None where none can be; the operator's names of them
    #: by state; and the datagrams that told of them, or were sent to them, by to whom.
    far_peers: int | None = None
    far_names: Mapping[str, int] = field(default_factory=dict)
    far_datagrams: Mapping[str, int] = field(default_factory=dict)
    #: Datagrams of mDNS, by what became of them; empty where nothing is heard by it.
    mdns_datagrams: Mapping[str, int] = field(default_factory=dict)
    #: Folders that do not answer, each with the seconds for which it has not.
    silent_folders: Mapping[str, float] = field(default_factory=dict)
    #: Of each caching proxy of the LAN, by its place and words of its own.
    parents: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
