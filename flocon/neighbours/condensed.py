"""Text that waits to be read, kept small: what a peer sends is held in half of its bytes or less.

A SHA-256 in hexadecimal digits alone shrinks to half, and names are much alike. Each piece is
compressed by itself, so that what was taken out leaves no memory behind.
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes that are compressed together: about 1 ms, and as far as deflate looks back.
PIECE = 32 << 10
#: The fastest; the slowest makes it a tenth smaller.
_LEVEL = 1


class Condensed:
    """Bytes in their order, put in at the end and taken out from the beginning."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._condensed = 0
        # In one buffer: a peer can send byte by byte, and each as an object of its own takes forty.
        self._last = bytearray()

    @property
    def size(self) -> int:
        """The bytes of memory that it takes."""
        return self._condensed + len(self._last)

    def add(self, data: bytes) -> None:
        self._last += data
        while len(self._last) >= PIECE:
            piece = zlib.compress(memoryview(self._last)[:PIECE], _LEVEL)
            del self._last[:PIECE]
            self._pieces.append(piece)
            self._condensed += len(piece)

    def take(self) -> Iterator[bytes]:
        """Yield all of it, piece by piece; what was given is kept no longer."""
        while self._pieces:
            piece = self._pieces.popleft()
            self._condensed -= len(piece)
            yield zlib.decompress(piece)
        if self._last:
            last, self._last = bytes(self._last), bytearray()
            yield last
