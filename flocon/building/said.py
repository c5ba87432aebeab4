"""What a job says, of which head and tail are kept. No I/O.

A job may say anything, without end: who reads it gets its beginning as it comes, and its last words
when it has ended.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections import deque

#: Bytes of each that are kept.
HEAD = TAIL = 8 << 20
#: Bytes of a piece of the tail: many small ones would weigh more than what they hold.
_PIECE = 64 << 10


class Said:
    """Takes what is said; gives what is told at once, and at the end the rest."""

    def __init__(self, head: int = HEAD, tail: int = TAIL) -> None:
        self._room = head
        self._most = tail
        self._tail: deque[bytearray] = deque()
        self._kept = 0
        self._left_out = 0
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def add(self, data: bytes) -> str:
        """Take what was said; return what of it is told at once, "" for nothing."""
        now, later = data[: self._room], data[self._room :]
        self._room -= len(now)
        if later:
            self._keep(later)
        return self._decoder.decode(now)

    def rest(self) -> str:
        """Return what is told at the end, with a line for what was left out between."""
        text = self._decoder.decode(b"", final=True)
        if self._left_out:
            text += f"\n... {self._left_out} bytes are left out here ...\n"
        text += b"".join(self._tail).decode("utf-8", "replace")
        self._tail.clear()
        self._kept = 0
        return text

    def _keep(self, data: bytes) -> None:
        if not self._tail or len(self._tail[-1]) + len(data) > _PIECE:
            self._tail.append(bytearray())
        self._tail[-1] += data
        self._kept += len(data)
        while self._kept - len(self._tail[0]) >= self._most:
            gone = len(self._tail.popleft())
            self._kept -= gone
            self._left_out += gone
