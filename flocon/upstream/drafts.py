"""A file of a mirror while it comes: written to disk as it comes, and looked at.

Nothing of it stays but what is taken into the archive afterwards.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from flocon.asking.answer import NOT_MODIFIED
from flocon.asking.bodies import Enough
from flocon.errors import Broken, FloconError, StoreError, SyncDatabaseError
from flocon.machine.mounts import open_nameless
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.database_files import BEGINNING, find_early_problem, load_sent
from flocon.states.generation import LARGEST_DATABASE

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.asking.answer import Head
    from flocon.states.generation import Where

#: Bytes of one file that wait for the disk. To stop a source for each piece would say of one that
#: drips that it was stopped.
MOST_BEHIND = 1 << 20


class Few:
    """A sink for the first ``most`` bytes of a file, whatever follows."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.data = b""

    def begin(self, head: Head) -> None:
        pass

    def write(self, position: int, data: bytes) -> None:
        self.data += data[: self._most - len(self.data)]
        if len(self.data) == self._most:
            raise Enough


class Draft:
    """A sink for a database, or a list of files, of ``source``, in a nameless file of ``folder``.

    ``close`` has to be awaited, whatever became of it.
    """

    def __init__(self, reactor: Any, source: str, folder: Path, descriptor: int) -> None:
        self._reactor = reactor
        self._source = source
        self._folder = folder
        self.descriptor = descriptor
        self.head: Head | None = None
        self._beginning = b""
        self._looked = False
        self._size = 0
        #: What is not written yet, whether a thread writes, and who waits until all is written.
        self._pieces: list[tuple[int, bytes]] = []
        self._behind = 0
        self._writing = False
        self._waiting: list[Deferred[None]] = []
        self._failure: FloconError | None = None

    def begin(self, head: Head) -> None:
        self.head = head
        if head.size is not None and head.size > LARGEST_DATABASE:
            raise Broken(self._source, f"has a database of {head.size} bytes: too large for pacman")

    @property
    def is_unchanged(self) -> bool:
        return self.head is not None and self.head.status == NOT_MODIFIED

    def write(self, position: int, data: bytes) -> Deferred[None] | None:
        """Take bytes; where the disk is behind the next are to come once it has them all."""
        self._demand_no_failure()
        self._size = position + len(data)
        if self._size > LARGEST_DATABASE:
            raise Broken(self._source, "has a database that is too large for pacman")
        self._look(data)
        self._behind += len(data)
        self._pieces.append((position, data))
        if not self._writing:
            self._write_on()
        return self._wait() if self._behind > MOST_BEHIND else None

    def _write_on(self) -> None:
        """Have one thread write what is there: the others are for what pacman waits for."""
        pieces, self._pieces = self._pieces, []
        self._writing = True
        writing = in_thread(self._reactor, _write, self.descriptor, pieces)
        writing.addBoth(self._written, sum(len(data) for _, data in pieces))

    def _written(self, result: Any, size: int) -> None:
        self._writing = False
        self._behind -= size
        if result is not None:
            error = result.value
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._failure = StoreError(str(self._folder), reason or str(error))
        if self._pieces:
            self._write_on()
        else:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    def _wait(self) -> Deferred[None]:
        """Return what fires once no thread writes; it can be cancelled, a thread's work cannot."""
        self._waiting.append(Deferred())
        return self._waiting[-1]

    async def _settled(self) -> None:
        while self._behind:
            await self._wait()

    def _look(self, data: bytes) -> None:
        if not self._looked:
            self._beginning += data[: BEGINNING - len(self._beginning)]
            self._judge(whole=False)

    def _judge(self, *, whole: bool) -> None:
        problem = find_early_problem(self._beginning, whole=whole)
        if problem:
            raise Broken(self._source, f"has no database under that name: it {problem}")
        if problem is not None:
            self._looked, self._beginning = True, b""

    def _demand_no_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def end(self) -> None:
        """Return once all of it is written; raises StoreError, or Broken where it is nothing."""
        await self._settled()
        self._demand_no_failure()
        if not self._looked:
            self._judge(whole=True)

    async def close(self) -> None:
        # A descriptor that is written to must not become another file's.
        await self._settled()
        os.close(self.descriptor)


def open_draft(folder: Path) -> int:
    """Return a descriptor of a new file; blocks, and raises StoreError."""
    try:
        return open_nameless(str(folder))
    except OSError as error:
        raise StoreError(str(folder), error.strerror or str(error)) from None


def open_with(data: bytes) -> int:
    """Return a descriptor of a file in memory; raises StoreError."""
    try:
        descriptor = os.memfd_create("flocon", os.MFD_CLOEXEC)
        os.write(descriptor, data)
    except OSError as error:
        raise StoreError("memory", error.strerror or str(error)) from None
    return descriptor


def _write(descriptor: int, pieces: list[tuple[int, bytes]]) -> None:
    for position, data in pieces:
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], position + written)


def find_problem(where: Where, descriptor: int) -> str:
    """Return why an open file cannot be this database, nothing where it can; blocks."""
    try:
        entries = load_sent(where.repository, descriptor, "").entries
    except (SyncDatabaseError, OSError, MemoryError) as error:
        return f"has a database that cannot be read: {error}"
    kinds = (name.rsplit("-", 1)[-1].partition(".")[0] for name in entries)
    others = ""
    for kind in kinds:
        # A repository for newer processors says so in the names: x86_64_v3.
        if kind == "any" or kind.startswith(where.architecture):
            return ""
        others = kind
    return f"has a database for {others}, not {where.architecture}" if others else ""
