"""The file of a transfer while it grows: where its bytes lie, and where they go on if a disk fills.

No disk is waited for in the reactor's thread. What came is written in another one, as much at a
time as has come meanwhile; until then it is kept here, and whoever brings more is told to wait
where that is much. Which bytes belong there, whose they are and who may have them is the
transfer's to know.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from flocon.errors import StoreError
from flocon.extents import Extents
from flocon.log import logger
from flocon.machine.limits import NoThread
from flocon.machine.reactor_threads import in_pool
from flocon.writing.descriptors import copy, steps
from flocon.writing.pieces import Piece, Pieces, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.threadpool import ThreadPool

    from flocon.store.room import Lessee

#: Seconds that moving a file to another disk may take, in the reactor's thread.
MOVE_SECONDS = 0.04
#: Bytes that came and wait for a disk: of one file, of all, and of all before strangers wait. Each
#: of a file's sources may add one read to that, since it is asked to wait only after one.
MOST_OF_ONE = 2 << 20
MOST_OF_ALL = 8 << 20
MOST_BEFORE_STRANGERS_WAIT = 4 << 20
#: A file of so many bytes is written so many at a time, or what came in so many seconds: handing
#: each read of a fast network to a thread takes more time than writing it.
LARGE = 8 << 20
AT_ONCE = 1 << 20
GATHERING = 0.005


if TYPE_CHECKING:

    class Incoming(Protocol):
        """A file being written: ``store.store`` makes it, on disk or in memory."""

        @property
        def keep(self) -> bool: ...

        @property
        def in_memory(self) -> bool: ...

        def fileno(self) -> int: ...

        def grow(self, size: int) -> None:
            """Count that it is about to reach ``size``; raises OSError where there is no room."""

        def write(self, position: int, data: bytes) -> None:
            """Write all of ``data``, here and now; raises OSError where there is no room for it."""

        def retain(self) -> None:
            """Keep its descriptor open beyond ``close``, until ``release``."""

        def release(self) -> None: ...

        def close(self) -> None: ...


class Backlog:
    """The bytes that wait for a disk, of all files together."""

    def __init__(self) -> None:
        self.size = 0

    def is_full(self, *, own: bool) -> bool:
        """Whether more has to wait, which this machine's pacman waits for (``own``) or others."""
        return self.size >= (MOST_OF_ALL if own else MOST_BEFORE_STRANGERS_WAIT)


if TYPE_CHECKING:

    class Files(Protocol):
        """Makes the files that transfers fill; both raise StoreError where there is no room."""

        reactor: Any
        backlog: Backlog

        def threads(self, own: bool) -> ThreadPool:
            """Return those for what pacman here waits for (``own``), or only strangers."""

        def incoming(self, size: int | None, lessee: Lessee) -> Incoming: ...

        def spare(self, size: int | None, lessee: Lessee) -> Incoming: ...

    class Follower(Protocol):
        """Whose file it is; ``own`` if this machine's pacman waits for it."""

        @property
        def own(self) -> bool: ...

        def cut(self) -> None: ...

        def wrote(self) -> None:
            """Learn that more can be read back."""

        def lost(self, failure: StoreError) -> None:
            """Learn that there is no room for what came, and nothing more is written."""


class GrowingFile:
    """A file of ``size`` bytes (None: unknown) that comes in pieces, in any order."""

    _log = logger()

    def __init__(self, files: Files, name: str, size: int | None, follower: Follower) -> None:
        self._files = files
        self._name = name
        self._size = size
        self._follower = follower
        self._incoming = files.incoming(size, follower)
        self._written = Extents()
        self._pieces = Pieces()
        self._counted = 0
        #: Whether a thread is writing.
        self._busy = False
        #: Has what came written though it is little.
        self._timer: IDelayedCall | None = None
        self._failure: StoreError | None = None
        self._stopped = False
        self._wanting_room: list[Deferred[None]] = []
        self._wanting_all: list[Deferred[None]] = []

    @property
    def incoming(self) -> Incoming:
        return self._incoming

    @property
    def is_settled(self) -> bool:
        """Whether all that came is written."""
        return not self._pieces

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the disk that no more is to come."""
        if not self._pieces:
            return False
        return self._pieces.cost >= MOST_OF_ONE or self._files.backlog.is_full(
            own=self._follower.own
        )

    def fileno(self) -> int:
        return self._incoming.fileno()

    def written(self, start: int, end: int) -> int:
        """Return how far what came between ``start`` and ``end`` can be read back."""
        return self._pieces.first(start, end) if self._pieces else end

    def read(self, position: int, size: int) -> bytes:
        """Return what came there, written or not, as far as anything did."""
        data = os.pread(self.fileno(), size, position)
        return self._pieces.lay_over(position, size, data) if self._pieces else data

    def write(self, position: int, data: bytes) -> None:
        """Take ``data`` to be written; raises StoreError where there is no room for it anywhere."""
        if self._failure is None:
            self._pieces.add(Piece(position, data))
            self._go_on(self._write)
        if self._failure is not None:
            raise self._failure

    def room(self) -> Deferred[None] | None:
        """Return what fires once more may come; None where it may come now."""
        if not self.is_full:
            return None
        room: Deferred[None] = Deferred()
        self._wanting_room.append(room)
        return room

    def settled(self) -> Deferred[None]:
        """Fire once all that came is written; fails with StoreError where that cannot be."""
        settled: Deferred[None] = Deferred(self._wanting_all.remove)
        self._wanting_all.append(settled)
        self._hurry()
        self._tell()
        return settled

    def stop(self) -> None:
        """Write nothing more of what came: it is of no use."""
        self._stopped = True
        self._end_gathering()
        self._pieces.drop()
        self._count()
        self._tell()

    def close(self) -> None:
        self.stop()
        self._incoming.close()

    def _go_on(self, write: Callable[[], None]) -> None:
        """Write what waits, or have it written; where there is no room, go elsewhere for it."""
        try:
            write()
        except OSError:
            self._go_elsewhere()
        self._count()

    def _write(self) -> None:
        """Raise OSError where there is no room."""
        if self._incoming.in_memory:
            self._write_now()
        elif not (self._busy or self._stopped or self._gathers()):
            self._begin()

    def _gathers(self) -> bool:
        """Whether more is waited for, so that it is worth a thread's while."""
        if (self._size or 0) < LARGE or self._pieces.cost >= AT_ONCE or self._wanting_all:
            return False
        if self._timer is None and self._pieces:
            self._timer = self._files.reactor.callLater(GATHERING, self._due)
        return True

    def _due(self) -> None:
        self._hurry()
        if not self._busy:
            # It could not be begun, and lies elsewhere or nowhere.
            self._report()

    def _hurry(self) -> None:
        """Have written what there is."""
        self._end_gathering()
        if self._pieces and not (self._busy or self._stopped):
            self._go_on(self._begin)

    def _end_gathering(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _write_now(self) -> None:
        pieces = self._pieces.take()
        while pieces:
            for piece in pieces:
                self._incoming.write(piece.position, piece.data)
            self._done(pieces)
            pieces = self._pieces.take()

    def _begin(self) -> None:
        self._end_gathering()
        pieces = self._pieces.take()
        if not pieces:
            return
        incoming = self._incoming
        incoming.grow(max(piece.end for piece in pieces))
        # The transfer may change files or end meanwhile.
        incoming.retain()
        self._busy = True
        pool = self._files.threads(self._follower.own)
        work = in_pool(self._files.reactor, pool, write_pieces, incoming.fileno(), pieces)
        work.addErrback(_write_here, incoming.fileno(), pieces)
        work.addBoth(self._ended, incoming, pieces)

    def _ended(self, result: object, incoming: Incoming, pieces: Sequence[Piece]) -> None:
        incoming.release()
        self._busy = False
        given_up = self._stopped
        if not isinstance(result, Failure):
            self._done(pieces)
            self._go_on(self._write)
        elif given_up:
            self._pieces.done()
        elif result.check(OSError):
            self._go_elsewhere()
        else:
            self._log.failure("writing {file}", result, file=self._name)
            self._fail(StoreError(self._name, "it cannot be written"))
        self._count()
        if given_up:
            self._tell()
        else:
            self._report()

    def _report(self) -> None:
        self._tell()
        if self._failure is not None:
            self._follower.lost(self._failure)
        else:
            self._follower.wrote()

    def _done(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._written.add(piece.position, piece.end)
        self._pieces.done()

    def _go_elsewhere(self) -> None:
        """Go on without being kept, since the disk is full or worse.

        What was written of the pieces stays behind, so all of them are written again.
        """
        try:
            self._move_to_spare()
            self._write()
        except OSError as error:
            self._fail(self._no_room(error))
        except StoreError as failure:
            self._fail(failure)

    def _fail(self, failure: StoreError) -> None:
        self._failure = failure
        self._pieces.give_back()
        self.stop()

    def _count(self) -> None:
        self._files.backlog.size += self._pieces.cost - self._counted
        self._counted = self._pieces.cost

    def _tell(self) -> None:
        """Tell who waits that there is room, or that all is written."""
        if not self.is_full or self._stopped:
            wanting, self._wanting_room = self._wanting_room, []
            for room in wanting:
                room.callback(None)
        if not self._pieces or self._stopped:
            settled, self._wanting_all = self._wanting_all, []
            for all_written in settled:
                if self._failure is not None:
                    all_written.errback(self._failure)
                else:
                    all_written.callback(None)

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
        new = self._files.spare(self._size, self._follower)
        try:
            self._copy_to(new.fileno(), self._files.reactor.seconds() + MOVE_SECONDS)
        except OSError as error:
            new.close()
            raise self._no_room(error) from None
        self._incoming = new
        self._pieces.give_back()
        old.close()

    def _copy_to(self, new: int, until: float) -> None:
        """Copy what was written; raise OSError where it cannot be had, or takes too long."""
        for extent in self._written:
            for step in steps(extent):
                if self._files.reactor.seconds() > until:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                copy(self.fileno(), new, step)


def write_pieces(descriptor: int, pieces: Sequence[Piece]) -> None:
    """Write pieces with as few calls as can be; raise OSError; for a thread."""
    for run in runs(pieces):
        position = run[0].position
        views = [memoryview(piece.data) for piece in run]
        while views:
            count = os.pwritev(descriptor, views, position)
            position += count
            while views and count >= len(views[0]):
                count -= len(views.pop(0))
            if views:
                views[0] = views[0][count:]


def _write_here(failure: Failure, descriptor: int, pieces: Sequence[Piece]) -> Deferred[None]:
    """Write what no thread could be begun for: whoever wants the file waits for it."""
    failure.trap(NoThread)
    return maybeDeferred(write_pieces, descriptor, pieces)
