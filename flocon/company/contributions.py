"""Which bytes of a file are here, and who brought them.

Whether they are right, and where they lie, is not known here. No I/O; ``now`` is in seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.extents import Extents

if TYPE_CHECKING:
    from flocon.asking.source import Came, Source


class Contributions:
    """The bytes of one file by who brought them."""

    def __init__(self) -> None:
        #: When the mirror that sends now, or sent last, began.
        self.mirror_since = 0.0
        self.clear()

    def clear(self) -> None:
        """Begin anew: nothing is here."""
        self.arrived = Extents()
        self.from_mirrors = Extents()
        #: What each source brought.
        self.of: dict[Source, Extents] = {}
        #: The mirror that sends now.
        self._mirror: Source | None = None

    @property
    def are_a_peers(self) -> bool:
        """Whether any of it was brought by who is believed only once all is verified."""
        return any(not source.is_mirror for source in self.of)

    @property
    def shares(self) -> dict[Came, int]:
        """How many bytes came in which way."""
        told: dict[Came, int] = {}
        for source, extents in self.of.items():
            told[source.came] = told.get(source.came, 0) + len(extents)
        return told

    @property
    def by_source(self) -> dict[str, int]:
        """How many bytes each brought, the most first."""
        told: dict[str, int] = {}
        for source, extents in self.of.items():
            told[str(source)] = told.get(str(source), 0) + len(extents)
        return dict(sorted(told.items(), key=lambda one: -one[1]))

    def at(self, position: int) -> list[Source]:
        """Return who brought the byte there."""
        return [one for one, extents in self.of.items() if extents.reach(position) > position]

    def expect(self, source: Source) -> None:
        """Count a source among those that bring it, before its first byte."""
        self.of.setdefault(source, Extents())

    def add(self, source: Source, start: int, end: int) -> None:
        self.arrived.add(start, end)
        self.of[source].add(start, end)
        if source.is_mirror:
            self.from_mirrors.add(start, end)

    def sent(self, source: Source, now: float) -> None:
        """Learn that a source sent bytes that lacked."""
        if source.is_mirror and source is not self._mirror:
            self._mirror, self.mirror_since = source, now

    def drop_peers(self) -> dict[Source, Extents]:
        """Keep what mirrors brought alone; return what each peer had."""
        dropped = {one: had for one, had in self.of.items() if not one.is_mirror}
        for source in dropped:
            del self.of[source]
        self.arrived = Extents()
        for extent in self.from_mirrors:
            self.arrived.add(extent.start, extent.end)
        return dropped
