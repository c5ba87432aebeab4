"""What a node can say of itself in numbers, for ``/metrics``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flocon.books.spans import Spans


@dataclass(frozen=True, slots=True)
class Figures:
    """Plain numbers by plain words; all counts are since the node started.

    ``requests`` are by kind of file, source and result; ``bytes`` by direction; ``peers`` by state;
    ``transfer_seconds`` by kind of source. ``longest_hold_seconds`` is None where nothing measures
    it.
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
    seconds_saved: float
    wan_bytes_per_second: float
    look_up_seconds: Spans
    transfer_seconds: Mapping[str, Spans]
