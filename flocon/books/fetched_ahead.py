"""What was fetched before pacman asked for it: what pacman then took, and what nobody ever did.

A package waits from the moment it was fetched ahead until pacman is given it. It was for nothing
where it leaves this machine before, or where a newer version of the package is fetched ahead.
"""

from __future__ import annotations

from collections import OrderedDict

from flocon.files import LARGEST_FILE, is_package, package_of

#: Packages remembered as fetched ahead; an upgrade has some hundred.
MOST_AHEAD = 4_096


class FetchedAhead:
    """``remembered`` is what ``dump`` gave, from a file that may be damaged.

    ``used_bytes`` and ``unused_bytes`` are since the node started.
    """

    def __init__(self, remembered: object = None) -> None:
        #: The packages that wait, with their bytes, by their file names; the oldest first.
        self._waiting: OrderedDict[str, int] = OrderedDict()
        #: The one file of each package's that waits.
        self._newest: dict[str, str] = {}
        #: What pacman was given in the transaction that runs: it may ask for a part, or again.
        self._given: set[str] = set()
        self.waiting_bytes = self.used_bytes = self.unused_bytes = 0
        for file_name, size in _rows(remembered):
            self._wait(file_name, size)
        self.unused_bytes = 0

    def came(self, file_name: str, size: int) -> None:
        """Remember that a package of ``size`` bytes is here because it was fetched ahead."""
        self._given.discard(file_name)
        self._wait(file_name, size)

    def _wait(self, file_name: str, size: int) -> None:
        name = package_of(file_name)
        self.gone(self._newest.get(name, file_name))
        self._waiting[file_name] = size
        self._newest[name] = file_name
        self.waiting_bytes += size
        if len(self._waiting) > MOST_AHEAD:
            self.gone(next(iter(self._waiting)))

    def gave(self, file_name: str) -> bool:
        """Take note that pacman was given a file that was here; return whether that was ahead."""
        size = self._forget(file_name)
        if size is not None:
            self.used_bytes += size
            self._given.add(file_name)
        return file_name in self._given

    def gone(self, file_name: str) -> None:
        """Take note that a file is here no more."""
        self.unused_bytes += self._forget(file_name) or 0

    def _forget(self, file_name: str) -> int | None:
        size = self._waiting.pop(file_name, None)
        if size is not None:
            self.waiting_bytes -= size
            del self._newest[package_of(file_name)]
        return size

    def close(self) -> None:
        """End the transaction: what pacman has had is held here from now on, as all else."""
        self._given.clear()

    def dump(self) -> dict[str, int]:
        """Return what is to be remembered by the next start."""
        return dict(self._waiting)

    def describe(self) -> dict[str, int]:
        """Return the bytes that pacman took, that were for nothing, and that wait for it."""
        return {
            "used_bytes": self.used_bytes,
            "unused_bytes": self.unused_bytes,
            "waiting_bytes": self.waiting_bytes,
        }


def _rows(remembered: object) -> list[tuple[str, int]]:
    rows = list(remembered.items())[-MOST_AHEAD:] if isinstance(remembered, dict) else []
    return [
        (name, size)
        for name, size in rows
        if is_package(name) and type(size) is int and 0 <= size <= LARGEST_FILE
    ]
