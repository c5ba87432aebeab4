"""The text of GET /inventory, written and read.

A head line, a line for each change, and a last line that tells a whole answer from one cut
short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.errors import InventoryError
from flocon.files import DIGEST_SIZE, Content
from flocon.holdings.inventory import Change, check_change
from flocon.neighbours.condensed import Condensed
from flocon.neighbours.replicas import MOST_FILES_OF_A_PEER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: ``+ SIZE SHA256 NAME``, each at its longest.
LONGEST_LINE = 2 + 13 + 1 + 64 + 1 + 255
#: What one inventory may have in memory until it is taken, condensed; 100,000 honest files, some
#: 12 MB of text, take 6.5.
MOST_CONDENSED = 7 << 20


# The text of GET /inventory: a head line, a line for each change, and a last line that tells a
# whole answer from one cut short.

#: How each begins.
INVENTORY_MAGIC = b"flocon-inventory 1 "


def format_inventory(
    epoch: str, generation: int, changes: Iterable[Change], *, whole: bool
) -> Iterator[bytes]:
    """Yield the lines of an answer to ``GET /inventory``."""
    kind = "whole" if whole else "changes"
    yield INVENTORY_MAGIC + f"{epoch} {generation} {kind}\n".encode("ascii")
    for change in changes:
        sign = "+" if change.held else "-"
        content = change.content
        yield f"{sign} {content.size} {content.sha256.hex()} {change.file_name}\n".encode("ascii")
    yield b"end\n"


class InventoryReader:
    """Reads an answer to ``GET /inventory`` as it arrives, line by line, within bounds.

    ``epoch``, ``generation`` and ``whole`` are set once the head was read, ``ended`` once the last
    line was; ``count`` changes were read. Raises InventoryError at the first impossible line.
    """

    def __init__(self, most_changes: int = MOST_FILES_OF_A_PEER) -> None:
        self._most_changes = most_changes
        self._rest = b""
        self._head_read = False
        self.epoch = ""
        self.generation = 0
        self.whole = False
        self.ended = False
        self.count = 0
        # Lines, as changes would take three times the memory of their text.
        self._lines = Condensed()

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        if self.ended and self._rest:
            raise InventoryError("tail", "more after the last line")
        if len(self._rest) > LONGEST_LINE:
            raise InventoryError("line", "longer than any line can be")
        if self._lines.size > MOST_CONDENSED:
            raise InventoryError("large", "more than is believed of one peer")

    def take(self) -> Iterator[Change]:
        """Yield the changes, once: what was given is kept no longer."""
        rest = b""
        for piece in self._lines.take():
            *lines, rest = (rest + piece).split(b"\n")
            yield from map(_change, lines)

    def _line(self, line: bytes) -> None:
        if self.ended:
            raise InventoryError("tail", "more after the last line")
        if len(line) > LONGEST_LINE or not line.isascii():
            raise InventoryError("line", "too long, or not ASCII")
        if not self._head_read:
            self._head(line.decode("ascii").split(" "))
        elif line == b"end":
            self.ended = True
        elif self.count >= self._most_changes:
            raise InventoryError("many", "more files than are believed of one peer")
        else:
            check_change(_change(line))
            self.count += 1
            self._lines.add(line + b"\n")

    def _head(self, words: list[str]) -> None:
        match words:
            case ["flocon-inventory", "1", epoch, generation, ("whole" | "changes") as kind]:
                self.epoch = epoch[:64]
                self.generation = _number(generation)
                self.whole = kind == "whole"
                self._head_read = True
            case _:
                raise InventoryError("head", "not an inventory")


def _change(line: bytes) -> Change:
    match line.decode("ascii").split(" "):
        case [("+" | "-") as sign, size, digest, name]:
            return Change(name, Content(_number(size), _raw(digest)), sign == "+")
        case _:
            raise InventoryError("line", "neither a file nor the end")


def _raw(digest: str) -> bytes:
    # fromhex() itself would pass over white space.
    if len(digest) != 2 * DIGEST_SIZE:
        raise InventoryError("digest", "a SHA-256 has 64 digits")
    try:
        return bytes.fromhex(digest)
    except ValueError:
        raise InventoryError("digest", "not hexadecimal") from None


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 15:  # noqa: PLR2004 - int() itself has no bound
        raise InventoryError("number", "not a number of a possible size")
    return int(text)
