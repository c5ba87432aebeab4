"""What has come of a file that is not known to be right yet: its bytes, and who brought each.

The bytes lie in a growing file (``writing``), whose they are is ``contributions``'s, and what
of them is in doubt ``disputes``'s; here the three are kept in step. Who may be given any of it
is ``reader``'s to know, and what is right ``judging``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.company.contributions import Contributions
from flocon.errors import StoreError
from flocon.transfers.disputes import Disputes
from flocon.writing.descriptors import first_difference
from flocon.writing.growing_file import GrowingFile

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from flocon.asking.source import Source
    from flocon.extents import Extents
    from flocon.transfers.tools import InThread
    from flocon.writing.growing_file import Files, Follower, Incoming


class Draft:
    """The bytes of one file that are here."""

    def __init__(self, files: Files, file_name: str, follower: Follower) -> None:
        self._files = files
        self._name = file_name
        self._follower = follower
        self._file: GrowingFile | None = None
        #: A file that was begun anew, of which readers had some.
        self._superseded: GrowingFile | None = None
        self.contributions = Contributions()
        self.disputes = Disputes()
        #: Whether its first bytes are there and can be those of what was asked for.
        self.begins_well = False
        #: Whether it is whole and right.
        self.verified = False

    # Where it lies

    @property
    def growing(self) -> GrowingFile:
        if self._file is None:
            raise StoreError(self._name, "nothing has arrived")
        return self._file

    @property
    def incoming(self) -> Incoming:
        return self.growing.incoming

    @property
    def exists(self) -> bool:
        """Whether a file was made for it."""
        return self._file is not None

    @property
    def is_superseding(self) -> bool:
        """Whether readers had some of one before."""
        return self._superseded is not None

    @property
    def held_up(self) -> bool:
        """Whether it waits for this machine's disk, and for nobody who brings it."""
        return self._file is not None and self._file.is_full

    def room(self) -> Deferred[None] | None:
        """Return what fires once more may come; None where it may come now."""
        return None if self._file is None else self._file.room()

    def make(self, size: int | None) -> None:
        """Make a file for it, if there is none; raises StoreError where there is no room."""
        if self._file is None:
            self._file = GrowingFile(self._files, self._name, size, self._follower)

    async def settled(self) -> None:
        """Wait until all that came is written; raises StoreError where that cannot be."""
        if self._file is not None:
            await self._file.settled()

    def close(self) -> None:
        for file in (self._file, self._superseded):
            if file is not None:
                file.close()
        self._file = self._superseded = None

    # What is there

    def reach(self, extents: Extents, position: int) -> int:
        """Return how far bytes of those extents can be read back, from ``position`` on."""
        end = extents.reach(position)
        return end if self._file is None else self._file.written(position, end)

    def is_whole(self, start: int, size: int | None) -> bool:
        """Whether all is here from ``start`` on, of a file of ``size`` bytes (None: unknown)."""
        if self._file is None or size is None:
            return False
        return self.contributions.arrived.reach(start) >= size

    def differs(self, position: int, data: bytes) -> bool:
        """Return whether what arrived there already is something else."""
        if self._file is None:
            return False
        known = min(self.contributions.arrived.reach(position) - position, len(data))
        return self._file.read(position, known) != data[:known]

    def write(self, source: Source, position: int, data: bytes) -> int:
        """Put bytes where none are; return how many. Raises StoreError where there is no room.

        What is there stays: it may be a mirror's, and pacman may have it.
        """
        gaps = self.contributions.arrived.missing(position, position + len(data))
        for gap in gaps:
            self._fill(source, gap.start, data[gap.start - position : gap.end - position])
        return sum(len(gap) for gap in gaps)

    def _fill(self, source: Source, position: int, data: bytes) -> None:
        if self.disputes.any_doubted:
            old = self.growing.read(position, len(data))
            self.disputes.replaced(position, old, data)
        self.growing.write(position, data)
        self.contributions.add(source, position, position + len(data))

    # What is brought anew

    def drop_peers(self) -> None:
        """Have what peers sent brought anew; what a mirror sent stays, and may be with pacman."""
        for source, had in self.contributions.drop_peers().items():
            self.disputes.doubt(source, had)

    def set_aside(self, *, keep: bool) -> None:
        """Let a new file be made; ``keep`` the old one, if it is the first, to be compared."""
        if self._file is None:
            return
        if keep and self._superseded is None:
            self._file.stop()
            self._superseded = self._file
        else:
            self._file.close()
        self._file = None

    def clear(self) -> None:
        """Begin anew: nothing is here."""
        self.disputes.clear()
        self.contributions.clear()
        self.begins_well = False

    async def compare_with_superseded(self, in_thread: InThread, start: int, end: int) -> int:
        """Return how far both have the same between ``start`` and ``end``."""
        old, new = self._superseded, self._file
        if old is None or new is None:
            return end
        same: int = await in_thread(first_difference, old.fileno(), new.fileno(), start, end)
        return same

    def forget_superseded(self) -> None:
        if self._superseded is not None:
            self._superseded.close()
            self._superseded = None
