"""Files on their way in: begun where there is room for them, grown, made safe for the store.

A small one lies in memory until it is kept, a large one in the store's ``incoming/``; where the
store has no room for it, it lies on another disk or in memory and cannot be kept.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from flocon.errors import StoreError
from flocon.machine.beneath import write_all
from flocon.machine.mounts import free_bytes, is_in_memory, open_nameless, temporary_folders
from flocon.store.accounts import MARGIN
from flocon.store.room import OWN, Share
from flocon.store.store import Received

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.store.accounts import Accounts, Loan
    from flocon.store.room import Lessee
    from flocon.store.store import Store

#: Seconds after which the disk's room is looked at again where files begin; each that is kept does
#: so too.
MEASURE_AGAIN = 1.0
#: What a file of unknown size is taken for: most are smaller.
UNKNOWN_SIZE = 256 << 20
#: Files of up to so many bytes lie in memory until they are kept: no disk is waited for meanwhile.
LARGEST_IN_MEMORY = 1 << 20
#: Empty files made beforehand, so that large ones can begin without waiting for the disk: as many
#: as pacman asks for at once, mostly.
MOST_PREPARED = 5
#: What st_blocks counts, in bytes.
_BLOCK = 512
#: Bytes copied at once.
_STEP = 1 << 20


class Incoming:
    """A file being received; written and read by its descriptor, gone when closed unpublished.

    Whoever needs it beyond ``close`` calls ``retain`` first and ``release`` after; the disk is
    touched when the last one has.
    """

    def __init__(
        self, arrivals: Arrivals, fd: int, share: Share, name: str | None, *, keep: bool
    ) -> None:
        self._arrivals = arrivals
        self._fd = fd
        self._users = 1
        self._keep = keep
        self._closed = False
        #: Whether packages that were used lately stay when room is made for it.
        self.spares = False
        self.share = share
        #: Once it is a package of the store, it is open as any other of those.
        self.loan: Loan | None = None
        #: Its name in ``incoming/``; None once it has moved on, or where it lies elsewhere.
        self.name = name

    @property
    def keep(self) -> bool:
        """Whether it can be published."""
        return self._keep and not self._closed

    @property
    def in_memory(self) -> bool:
        return self.share.memory

    @property
    def is_passing(self) -> bool:
        """Whether it only passes through on its way to this machine's pacman."""
        return not self._keep and not self.share.memory and self.share.own

    @property
    def unwritten(self) -> int:
        """How many bytes of the disk it has yet to take."""
        return max(0, self.share.size - os.fstat(self._fd).st_blocks * _BLOCK)

    def fileno(self) -> int:
        return self._fd

    def grow(self, size: int) -> None:
        """Count that it is about to reach ``size``; raises OSError where there is no room."""
        if not self._arrivals.accounts.grow(self, size):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, position: int, data: bytes) -> None:
        """Write ``data`` at ``position``; raises OSError where there is no room for it."""
        self.grow(position + len(data))
        view = memoryview(data)
        while view:
            count = os.pwrite(self._fd, view, position)
            position += count
            view = view[count:]

    def retain(self) -> None:
        self._users += 1

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            if self.share.memory and self.name is None:
                os.close(self._fd)
            else:
                self._arrivals.discard(self._fd, self.name)
            self._fd, self.name = -1, None
            self._arrivals.returned(self)

    def close(self) -> None:
        """Give it up, and discard it if it was not published; again is no error."""
        if not self._closed:
            self._closed = True
            self.release()


class Arrivals:
    """Makes the files into which packages are received.

    ``later`` is called with what waits for the disk, to be done in a thread.
    """

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        later: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._store = store
        self.accounts = accounts
        self._later = later
        self._measuring = False
        self._measured = float("-inf")
        self._prepared: list[tuple[int, str | None]] = []

    def close(self) -> None:
        """Discard what was prepared."""
        for descriptor, name in self._prepared:
            self._store.discard_file(descriptor, name)
        self._prepared.clear()

    # Where they begin

    def begin(self, size: int | None, lessee: Lessee = OWN) -> Incoming:
        """Return a new file for ``size`` bytes (None: unknown), kept if there is room for it.

        Raises StoreError where there is no room for what ``lessee`` may take.
        """
        needed = size or 0
        keep = not self._store.problem and self._has_room(needed, lessee)
        is_small = size is not None and size <= LARGEST_IN_MEMORY
        if is_small and self.accounts.room.has_memory(needed, own=lessee.own):
            return self._in_memory(needed, lessee, keep=keep)
        if not keep:
            return self.spare(size, lessee)
        try:
            descriptor, name = self._prepared.pop() if self._prepared else self._store.begin_file()
        except OSError:
            return self.spare(size, lessee)
        self._later(self.prepare)
        return self._admitted(descriptor, Share(needed, lessees=[lessee]), name, keep=True)

    def spare(self, size: int | None = None, lessee: Lessee = OWN) -> Incoming:
        """Return a file that will not be kept: on another disk where that has room, or in memory.

        Raises StoreError where not even that can be had.
        """
        needed = UNKNOWN_SIZE if size is None else size
        accounts = self.accounts
        may_pass = accounts.may_pass(needed) if lessee.own else accounts.fits(size or 0, lessee)
        if may_pass:
            needed += MARGIN + sum(one.unwritten for one in accounts.elsewhere())
            for directory in temporary_folders():
                try:
                    if is_in_memory(directory) or free_bytes(directory) < needed:
                        continue
                    descriptor = open_nameless(directory)
                except OSError:
                    continue
                return self._admitted(
                    descriptor, Share(size or 0, lessees=[lessee]), None, keep=False
                )
        if not self.accounts.room.has_memory(size or 0, own=lessee.own):
            reason = "no room for a file, neither on disk nor in memory"
            raise StoreError(str(self._store.path), reason)
        return self._in_memory(size or 0, lessee, keep=False)

    def _in_memory(self, size: int, lessee: Lessee, *, keep: bool) -> Incoming:
        try:
            descriptor = os.memfd_create("flocon", os.MFD_CLOEXEC)
        except OSError as error:
            reason = f"no room for a file ({error.strerror})"
            raise StoreError(str(self._store.path), reason) from None
        return self._admitted(
            descriptor, Share(size, memory=True, lessees=[lessee]), None, keep=keep
        )

    def _admitted(self, descriptor: int, share: Share, name: str | None, *, keep: bool) -> Incoming:
        incoming = Incoming(self, descriptor, share, name, keep=keep)
        self.accounts.admit(incoming)
        return incoming

    def can_keep(self, size: int) -> bool:
        """Return whether a file of this size would be kept, with nobody cut off for it."""
        return not self._store.problem and self.accounts.can_keep(size)

    def has_room_ahead(self, size: int) -> bool:
        """Return whether a file of this size would be kept that nobody waits for."""
        self._measure_now_and_then()
        return not self._store.problem and self.accounts.has_room_ahead(size)

    def _has_room(self, size: int, lessee: Lessee) -> bool:
        self._measure_now_and_then()
        return self.accounts.has_room(size, lessee)

    def _measure_now_and_then(self) -> None:
        now = time.monotonic()
        if not self._measuring and now - self._measured >= MEASURE_AGAIN:
            self._measuring, self._measured = True, now
            self._later(self._measure)

    def _measure(self) -> None:
        self._measuring = False
        self._store.measure()

    def prepare(self) -> None:
        """Make empty files beforehand; for a thread."""
        with suppress(OSError):
            while not self._store.problem and len(self._prepared) < MOST_PREPARED:
                self._prepared.append(self._store.begin_file())

    # What becomes of them

    def placed(self, incoming: Incoming, file_name: str) -> None:
        """Count a received file as the package it has become."""
        incoming.loan = self.accounts.placed(incoming, file_name)

    def returned(self, incoming: Incoming) -> None:
        """Count a file no longer that nobody has open."""
        self.accounts.release(incoming)
        if incoming.loan is not None:
            self.accounts.end(incoming.loan)

    def discard(self, descriptor: int, name: str | None) -> None:
        """Close a file, and remove ``name`` from ``incoming/``, when there is time for it."""
        self._later(lambda: self._store.discard_file(descriptor, name))

    def harden(self, incoming: Incoming, signature: bytes | None) -> Received:
        """Have the disk hold the received file and its signature; return their names.

        For a thread. Raises OSError.
        """
        package = incoming.name
        names: list[str] = []
        try:
            if incoming.in_memory:
                package = self._write_copy(incoming.fileno(), names)
            else:
                if package is None:
                    package = self._store.name_file(incoming.fileno())
                    names.append(package)
                os.fchmod(incoming.fileno(), 0o644)
                os.fsync(incoming.fileno())
            beside = None if signature is None else self._write(signature, names)
            self._store.measure()
        except OSError:
            self._store.remove_files(names)
            raise
        return Received(package, beside)

    def _write_copy(self, source: int, names: list[str]) -> str:
        """Write what lies in memory; add its name to ``names`` as soon as it has one."""
        descriptor, name = self._store.create_file("in")
        names.append(name)
        try:
            position = 0
            while data := os.pread(source, _STEP, position):
                write_all(descriptor, data)
                position += len(data)
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return name

    def _write(self, data: bytes, names: list[str]) -> str:
        descriptor, name = self._store.create_file("sig")
        names.append(name)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return name

    def dismiss(self, received: Received, still_used: str | None) -> None:
        """Remove what ``harden`` wrote and the store did not take; for a thread."""
        self._store.remove_files(name for name in received if name not in {None, still_used})
