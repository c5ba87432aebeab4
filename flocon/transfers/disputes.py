"""Bytes of a file of which sources said different things, and who of them was wrong.

After a wrong hash all that peers brought is doubted: it lies in the file until other bytes replace
it, and whoever had something else there is blamed once those prove right. A mirror that has other
bytes than a peer is believed once a second one bears it out, or none says anything. Here it is only
noted and decided; dropping, reporting and letting go of readers is done elsewhere. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.extents import Extents

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from flocon.asking.source import Source


class Disputes:
    """What is doubted of one file, what was spoilt, and who is to be blamed for it."""

    def __init__(self) -> None:
        #: What each peer had brought, which lies in the file until it is replaced; what was
        #: replaced by other bytes, and who had brought any of that.
        self._doubted: dict[Source, Extents] = {}
        self._spoilt = Extents()
        self._liars: set[Source] = set()
        #: What mirrors said stands at a place where peers had something else.
        self.contested: dict[Source, tuple[int, bytes]] = {}

    def clear(self) -> None:
        """Begin anew: nothing of what was doubted lies in the file any more."""
        self._doubted = {}
        self._spoilt = Extents()

    @property
    def any_doubted(self) -> bool:
        return bool(self._doubted)

    def doubt(self, source: Source, had: Extents) -> None:
        doubted = self._doubted.setdefault(source, Extents())
        for extent in had:
            doubted.add(extent.start, extent.end)

    def replaced(self, position: int, old: bytes, new: bytes) -> None:
        """Note who had brought something else where ``new`` comes into the place of ``old``."""
        for source, extents in self._doubted.items():
            for extent in extents.within(position, position + len(new)):
                first, last = extent.start - position, extent.end - position
                same = alike(old[first:last], new[first:last])
                if first + same < last:
                    self._spoilt.add(extent.start + same, extent.end)
                    self._liars.add(source)

    def any_spoilt(self, start: int, end: int) -> bool:
        """Return whether any byte between was found to be wrong."""
        return bool(self._spoilt.within(start, end))

    def contest(self, mirror: Source, position: int, data: bytes) -> bool:
        """Note what a mirror has where peers have something else.

        Returns whether another mirror has said the same: one of them has wrong ones, and what has
        gone to pacman cannot be taken back.
        """
        others = [said for one, said in self.contested.items() if one != mirror]
        self.contested[mirror] = position, data
        return (position, data) in others

    def concern(self, contributors: Collection[Source]) -> bool:
        """Return whether one of these is a mirror that has said what peers had otherwise."""
        return any(source in self.contested for source in contributors)

    def to_blame(self, contributors: Sequence[Source]) -> list[Source]:
        """Return who sent the wrong bytes of a file that these brought, as far as it is known.

        Who of them it was shows else once the right bytes are here.
        """
        if self.concern(contributors) and len(contributors) > 1:
            return []
        liars, self._liars = self._liars, set()
        peers = [source for source in contributors if not source.is_mirror]
        if not peers or len(contributors) == 1:
            return list(contributors)
        # What replaced the liars' bytes may have been what was wrong.
        return list(dict.fromkeys([*peers, *liars])) if liars else []

    def to_blame_at_last(self, differs: Callable[[int, bytes], bool]) -> list[Source]:
        """Return who was wrong, now that the right bytes are here: ``differs`` tells from what."""
        mirrors = [one for one, (at, data) in self.contested.items() if differs(at, data)]
        # It was by a wrong mirror's bytes that peers differed.
        return mirrors or list(self._liars)


def alike(one: bytes, other: bytes) -> int:
    """Return how many bytes two of the same length begin with that are the same."""
    least, most = 0, len(one)
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least
