"""Of which packages the mirrors have just said that they have no signature. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flocon.pacman.entries import Entry

#: Seconds for which mirrors are not asked again for a signature that they have just said they lack,
#: and how many such packages are remembered: pacman asks as soon as it has the package.
UNSIGNED = 60.0
MOST_UNSIGNED = 512


class Unsigned:
    """Remembers packages by their name and SHA-256; ``now`` is in seconds, of any clock."""

    def __init__(self) -> None:
        self._noted: dict[tuple[str, bytes], float] = {}

    def __len__(self) -> int:
        return len(self._noted)

    def note(self, entry: Entry, now: float) -> None:
        key = entry.file_name, entry.sha256
        self._noted.pop(key, None)
        self._noted[key] = now
        if len(self._noted) > MOST_UNSIGNED:
            del self._noted[next(iter(self._noted))]

    def knows(self, entry: Entry, now: float) -> bool:
        then = self._noted.get((entry.file_name, entry.sha256), float("-inf"))
        return now - then < UNSIGNED
