"""What this node holds: its own list, and what changed in it.

``Inventory`` has a generation number that grows by one with each change and a bounded log of the
newest changes. No file is opened here; ``offering`` feeds it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from flocon.errors import InventoryError
from flocon.files import DIGEST_SIZE, LARGEST_FILE, Content, is_package

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Changes remembered for ``?since=``; an Arch day brings some hundreds.
LOG_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Change:
    """One step of an inventory: ``content`` came under ``file_name``, or (``held`` False) left."""

    file_name: str
    content: Content
    held: bool = True


def check_change(change: Change) -> Change:
    """Return a stranger's ``change`` if all its parts are possible, else raise InventoryError."""
    if not is_package(change.file_name):
        raise InventoryError("name", "not a package's file name")
    if not 0 <= change.content.size <= LARGEST_FILE:
        raise InventoryError("size", "no package has such a size")
    if len(change.content.sha256) != DIGEST_SIZE:
        raise InventoryError("digest", "a SHA-256 has 32 bytes")
    return change


class Inventory:
    """What this node holds, by file name, with a generation and the log of its newest changes."""

    def __init__(self, log_length: int = LOG_LENGTH) -> None:
        self._contents: dict[str, Content] = {}
        self._log: deque[Change] = deque(maxlen=log_length)
        self.generation = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._contents)

    def get(self, file_name: str) -> Content | None:
        return self._contents.get(file_name)

    def names(self) -> Iterator[str]:
        return iter(self._contents)

    def put(self, file_name: str, content: Content) -> list[Change]:
        """Hold ``content`` under ``file_name``; return the changes this makes (none if known)."""
        if self._contents.get(file_name) == content:
            return []
        changes = self.remove(file_name)
        self._contents[file_name] = content
        self.bytes += content.size
        return [*changes, self._note(Change(file_name, content))]

    def remove(self, file_name: str) -> list[Change]:
        """Hold nothing under ``file_name`` any more; return the changes this makes."""
        content = self._contents.pop(file_name, None)
        if content is None:
            return []
        self.bytes -= content.size
        return [self._note(Change(file_name, content, held=False))]

    def missed(self, generation: int) -> int | None:
        """Return how many changes came after ``generation``, None where they are not known."""
        behind = self.generation - generation
        return behind if 0 <= behind <= len(self._log) else None

    def since(self, generation: int) -> list[Change] | None:
        """Return what changed after ``generation``, or None where only the whole list can tell."""
        missed = self.missed(generation)
        return None if missed is None else self.latest(missed)

    def latest(self, most: int) -> list[Change]:
        """Return the last changes that are known, ``most`` of them at most; the oldest first."""
        return list(islice(self._log, max(0, len(self._log) - most), None))

    def whole(self) -> list[Change]:
        return [Change(name, content) for name, content in self._contents.items()]

    def _note(self, change: Change) -> Change:
        self.generation += 1
        self._log.append(change)
        return change
