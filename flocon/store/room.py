"""Who may take how much room with files that are not simply packages of the store.

Three kinds take room beside those: files on their way in, files that have no name any more but are
still read by somebody, and files in memory. Each is counted until the last who has it open has
closed it. What a stranger asks for has to fit; for what this machine's own pacman asks for,
strangers are cut off. Nothing is freed here: who is cut off gives its share back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    class Lessee(Protocol):
        """Who has a file open; ``own`` if this machine's pacman waits for it."""

        @property
        def own(self) -> bool: ...

        def cut(self) -> None:
            """Give the file up now."""


#: Bytes on disk beyond the store's bound, for what is being written or deleted at the moment.
SLACK = 64 << 20
#: Bytes of files in memory, and those of them that strangers may take. With what is being closed at
#: the moment it stays below 256 MB.
MOST_MEMORY = 192 << 20
MOST_MEMORY_OF_STRANGERS = 96 << 20


class Own:
    """What is never cut off."""

    own = True

    def cut(self) -> None:
        """Stay."""


OWN = Own()


@dataclass(slots=True, eq=False)
class Share:
    """The bytes that one file takes, and who has it open; ``nameless`` if it was deleted."""

    size: int
    memory: bool = False
    nameless: bool = False
    lessees: list[Lessee] = field(default_factory=list)

    @property
    def own(self) -> bool:
        return any(lessee.own for lessee in self.lessees)


class Room:
    """The shares that are taken; ``disk`` and ``memory`` are their sums in bytes.

    ``nameless`` is what is part of ``disk`` and was deleted.
    """

    def __init__(self) -> None:
        self.disk = 0
        self.memory = 0
        self.nameless = 0
        self._shares: dict[Share, None] = {}

    def __iter__(self) -> Iterator[Share]:
        return iter(self._shares)

    def take(self, share: Share) -> None:
        """Count a share, whatever there is left."""
        if share not in self._shares:
            self._shares[share] = None
            self._count(share, share.size)

    def give(self, share: Share) -> None:
        """Count a share no longer; again is no error."""
        if share in self._shares:
            del self._shares[share]
            self._count(share, -share.size)

    def resize(self, share: Share, size: int) -> None:
        if share in self._shares:
            self._count(share, size - share.size)
        share.size = size

    def has_memory(self, size: int, *, own: bool) -> bool:
        """Return whether so many bytes more fit into memory, once strangers made room."""
        if own:
            self._cut(size - (MOST_MEMORY - self.memory), lambda share: share.memory)
        else:
            taken = sum(share.size for share in self if share.memory and not share.own)
            if taken + size > MOST_MEMORY_OF_STRANGERS:
                return False
        return self.memory + size <= MOST_MEMORY

    def clear_disk(self, needed: int, *, own: bool) -> None:
        """Cut off strangers until so many bytes of disk are free, as far as that goes.

        For another stranger those alone that read what was deleted already.
        """
        self._cut(needed, lambda share: not share.memory and (own or share.nameless))

    def _cut(self, needed: int, which: Callable[[Share], bool]) -> None:
        """Cut off those whose shares are the largest, until so many bytes are free."""
        if needed <= 0:
            return
        going = [share for share in self if which(share) and not share.own]
        for share in sorted(going, key=lambda share: share.size, reverse=True):
            for lessee in list(share.lessees):
                lessee.cut()
            needed -= share.size
            if needed <= 0:
                return

    def _count(self, share: Share, size: int) -> None:
        if share.memory:
            self.memory += size
        else:
            self.disk += size
            if share.nameless:
                self.nameless += size
