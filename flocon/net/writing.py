"""The file of a transfer while it grows: where its bytes lie, and where they go on if a disk fills.

Which bytes belong there, whose they are and who may have them is the transfer's to know.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

from flocon.core.extents import Extents
from flocon.errors import StoreError
from flocon.net.descriptors import copy, steps

if TYPE_CHECKING:
    from typing import Any

    from flocon.core.room import Lessee

#: Seconds that moving a file to another disk may take, in the reactor's thread.
MOVE_SECONDS = 0.04


class Incoming(Protocol):
    """A file being written: ``host.store`` makes it, on disk or in memory."""

    @property
    def keep(self) -> bool: ...

    def fileno(self) -> int: ...

    def write(self, position: int, data: bytes) -> None:
        """Write all of ``data``; raises OSError where there is no room for it."""

    def close(self) -> None: ...


class Files(Protocol):
    """Makes the files that transfers fill; both raise StoreError where there is no room."""

    reactor: Any

    def incoming(self, size: int | None, lessee: Lessee) -> Incoming: ...

    def spare(self, size: int | None, lessee: Lessee) -> Incoming: ...


class GrowingFile:
    """A file of ``size`` bytes (None: unknown) that comes in pieces, in any order."""

    def __init__(self, files: Files, name: str, size: int | None, lessee: Lessee) -> None:
        self._files = files
        self._name = name
        self._size = size
        self._lessee = lessee
        self._incoming = files.incoming(size, lessee)
        self._written = Extents()

    @property
    def incoming(self) -> Incoming:
        return self._incoming

    def fileno(self) -> int:
        return self._incoming.fileno()

    def read(self, position: int, size: int) -> bytes:
        """Return what was written there, as far as anything was."""
        return os.pread(self.fileno(), size, position)

    def write(self, position: int, data: bytes) -> None:
        """Write all of ``data``; raises StoreError where there is no room for it anywhere."""
        try:
            self._incoming.write(position, data)
        except OSError:
            # The disk is full, or worse: the transfer goes on without being kept. What was
            # written of these bytes stays behind, so all of them are written again.
            self._move_to_spare()
            try:
                self._incoming.write(position, data)
            except OSError as error:
                raise self._no_room(error) from None
        self._written.add(position, position + len(data))

    def close(self) -> None:
        self._incoming.close()

    def _no_room(self, error: OSError) -> StoreError:
        return StoreError(self._name, error.strerror or str(error))

    def _move_to_spare(self) -> None:
        """Go on in a file elsewhere; raise StoreError where there is no room, or no time.

        Copied here and now, since nothing may be written, read or hashed between two files. What
        takes longer than a moment (in memory, some hundred megabytes) is given up: its readers are
        cut off, and pacman asks its next server for the rest. Copying in a thread would save those
        few, at the price of a transfer that lies in two places; and a disk is seldom full in the
        middle of a file, since there was room for all of it when it was begun.
        """
        old = self._incoming
        if not old.keep:
            raise StoreError(self._name, "there is no room for it, not even in memory")
        new = self._files.spare(self._size, self._lessee)
        try:
            self._copy_to(new.fileno(), self._files.reactor.seconds() + MOVE_SECONDS)
        except OSError as error:
            new.close()
            raise self._no_room(error) from None
        self._incoming = new
        old.close()

    def _copy_to(self, new: int, until: float) -> None:
        """Copy what was written; raise OSError where it cannot be had, or takes too long."""
        for extent in self._written:
            for step in steps(extent):
                if self._files.reactor.seconds() > until:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                copy(self.fileno(), new, step)
