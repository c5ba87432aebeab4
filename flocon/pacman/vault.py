"""A file without a name that keeps small texts out of memory, until nobody has it any more.

The signatures of a sync database are most of it, and are needed one at a time, when a package has
just been written to a disk. Written in a thread, read in any: a read takes microseconds where the
system still has the file in its own memory, which it may use for something better.
"""

from __future__ import annotations

import os

from flocon.machine.mounts import open_nameless, temporary_folders

#: Bytes written at once.
_BLOCK = 1 << 16


class FileVault:
    """Keeps bytes in order: one thread writes, and when it has flushed any may read.

    In memory where no folder takes a file; raises OSError where not even that can be had.
    """

    def __init__(self) -> None:
        self._descriptor = _open()
        self._written = 0
        self._block = bytearray()

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def keep(self, signature: bytes) -> int | None:
        """Return the place at which it is found again; None where the disk is full, or worse."""
        place = self._written + len(self._block)
        self._block += signature
        if len(self._block) < _BLOCK or self.flush():
            return place
        # What came before it stays in memory.
        del self._block[-len(signature) :]
        return None

    def flush(self) -> bool:
        """Write what has not been, and return whether that went well; the rest stays in memory."""
        try:
            while self._block:
                count = os.pwrite(self._descriptor, self._block, self._written)
                self._written += count
                del self._block[:count]
        except OSError:
            return False
        return True

    def read(self, place: int, length: int) -> bytes | None:
        """Return so many bytes from a place; None where they cannot be had any more."""
        data = b""
        if place < self._written:
            try:
                data = os.pread(self._descriptor, min(length, self._written - place), place)
            except OSError:
                return None
        start = max(0, place - self._written)
        data += self._block[start : start + length - len(data)]
        return data if len(data) == length else None


def _open() -> int:
    for folder in temporary_folders():
        try:
            return open_nameless(folder)
        except OSError:
            continue
    return os.memfd_create("flocon", os.MFD_CLOEXEC)
