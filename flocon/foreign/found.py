"""What was asked for lately, and who has it: so that nobody is asked twice in a row. No I/O.

``now`` is in seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flocon.foreign.place import Place

#: Seconds for which it is known who has a file, and for which it is known that nobody has.
KNOWN_FOR = 60.0
NOBODY_FOR = 15.0
#: Seconds within which a file is still being asked for.
JUST = 1.0
#: Files remembered; the one looked for the longest ago goes first.
MOST_FILES = 1_024


class Found:
    """Who answered that they have a file, by its name and size."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[str, int], tuple[float, set[Place]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._files)

    def looked(self, name: str, size: int, now: float) -> None:
        """Learn that everybody is being asked for a file."""
        self._files.pop((name, size), None)
        self._files[name, size] = now, set()
        while len(self._files) > MOST_FILES:
            self._files.popitem(last=False)

    def has(self, name: str, size: int, place: Place) -> None:
        """Learn that a place has it, which was looked for."""
        known = self._files.get((name, size))
        if known is not None:
            known[1].add(place)

    def is_known(self, name: str, size: int, now: float) -> bool:
        """Whether everybody was asked so lately that nobody is asked again."""
        known = self._files.get((name, size))
        if known is None:
            return False
        return now - known[0] < (KNOWN_FOR if known[1] else NOBODY_FOR)

    def places(self, name: str, size: int, now: float) -> set[Place]:
        """Return who has it, as far as that is known still."""
        known = self._files.get((name, size))
        return known[1] if known is not None and now - known[0] < KNOWN_FOR else set()

    def forget(self, place: Place) -> None:
        """Learn that a place has failed, or has gone."""
        for _, places in self._files.values():
            places.discard(place)

    def doubt(self, now: float) -> None:
        """Learn that somebody new is there: what nobody has may be there, but for the newest."""
        for key, (at, places) in list(self._files.items()):
            if not places and now - at >= JUST:
                del self._files[key]

    def clear(self) -> None:
        self._files.clear()
