"""How far what pacman would upgrade is here: numbers for others to show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readiness:
    """Packages that pacman would fetch for an upgrade now, and their bytes.

    Of ``wanted`` packages ``ready`` are here and ``coming`` are on their way, ``only_at_mirrors``
    nobody on the LAN has. ``arrived_bytes`` are here of those that are coming; ``left_out`` counts
    those for which there is no room.
    """

    wanted: int = 0
    ready: int = 0
    coming: int = 0
    only_at_mirrors: int = 0
    wanted_bytes: int = 0
    ready_bytes: int = 0
    arrived_bytes: int = 0
    left_out: int = 0
