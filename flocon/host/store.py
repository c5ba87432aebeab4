"""flocon's own folder of packages: taken in whole, kept within a bound, the oldest use goes first.

::

    STORE/packages/FILE, FILE.sig   whole and signed, always
    STORE/incoming/HEX.in, HEX.sig  what is on its way in; emptied at start
    STORE/lock                      held while a node runs
    STORE/flocon-store              says that the folder is a store, see host.claim
    STORE/state.sqlite              see host.index

The signature gets its final name first, then the package: a package that has its name is whole
and has its signature. Whatever is dropped goes the other way round. A signature without its
package is what a kill leaves behind at worst; ``sweep`` removes it at start.

Nothing is deleted but what bears a name that this program gives, no link is followed, and a folder
in which somebody else's things lie is refused. Everything happens beneath the folders as they were
when the store was opened: what is mounted over them later is not written to.

Files and their accounts only: what is offered to anybody is the business of ``host.cache``, which
also sees to it that only one thing at a time changes the packages.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from flocon.core.names import is_package
from flocon.core.room import OWN, SLACK, Room, Share
from flocon.errors import StoreError
from flocon.host.beneath import enter, names_in, open_regular, open_top
from flocon.host.claim import claim
from flocon.host.folder import Found, stamp_of
from flocon.host.temporary import (
    free_bytes,
    is_in_memory,
    open_nameless,
    temporary_folders,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from flocon.core.room import Lessee

#: Left free on the store's file system: a twentieth of it, at most this many bytes.
MOST_RESERVE = 1 << 30
#: Room beyond a file's own size before it is begun on disk.
MARGIN = 4 << 20
#: Seconds after which the disk's room is looked at again where files begin; each that is kept does
#: so too.
MEASURE_AGAIN = 1.0
#: What a file of unknown size is taken for: most are smaller.
UNKNOWN_SIZE = 256 << 20
#: Files of up to so many bytes lie in memory until they are kept: no disk is waited for meanwhile.
LARGEST_IN_MEMORY = 1 << 20
#: Bytes of packages that may be deleted while somebody reads them, beyond the bound.
MOST_NAMELESS = SLACK // 2
#: Empty files made beforehand, so that large ones can begin without waiting for the disk: as many
#: as pacman asks for at once, mostly.
MOST_PREPARED = 5
#: Bytes copied at once.
_STEP = 1 << 20
#: What is put into ``incoming/``, by this version and (``tmp...``) by earlier ones.
_OURS = re.compile(r"[0-9a-f]{16}\.(in|sig)|tmp[a-z0-9_]{8}")
#: What a kill may leave of the small files beside the folders, while they are written.
_HALF_WRITTEN = re.compile(r"(node|(savings|quarantine|databases)\.json)\.[a-z0-9_]{8}")


class Space(NamedTuple):
    """A file system's size and what is free of it, in bytes."""

    whole: int
    free: int


class Incoming:
    """A file being received; written and read by its descriptor, gone when closed unpublished.

    Whoever needs it beyond ``close`` calls ``retain`` first and ``release`` after; the disk is
    touched when the last one has.
    """

    def __init__(
        self, store: Store, fd: int, share: Share, name: str | None, *, keep: bool
    ) -> None:
        self._store = store
        self._fd = fd
        self._users = 1
        self._keep = keep
        self._closed = False
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

    def fileno(self) -> int:
        return self._fd

    def grow(self, size: int) -> None:
        """Count that it is about to reach ``size``; raises OSError where there is no room."""
        self._store.grow(self, size)

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
                self._store.discard(self._fd, self.name)
            self._fd, self.name = -1, None
            self._store.returned(self)

    def close(self) -> None:
        """Give it up, and discard it if it was not published; again is no error."""
        if not self._closed:
            self._closed = True
            self.release()


class Received(NamedTuple):
    """A package and its signature on disk, by their names in ``incoming/``."""

    package: str
    signature: str | None


class Loan(NamedTuple):
    """A package of the store that somebody has open."""

    share: Share
    lessee: Lessee


class Store:
    """The folder ``path``: its files, their sizes and the order of their last use.

    ``max_size`` is in bytes, for packages and signatures together; what comes in, and what is still
    read of the deleted, counts against it too. Between ``open`` and ``close`` this process alone
    uses the folder. ``problem`` says why nothing is kept; "" while it is well. ``later`` is called
    with what waits for the disk, to be done in a thread.
    """

    def __init__(
        self,
        path: Path,
        max_size: int,
        later: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self.path = path
        self.packages = path / "packages"
        self.max_size = max_size
        self.problem = "it is not open"
        self.size = 0
        self.room = Room()
        self._later = later
        #: Descriptors of the folder, of ``packages`` and of ``incoming``.
        self._top = self._packages = self._incoming = -1
        self._lock = -1
        self._space = Space(0, 0)
        self._measuring = False
        self._measured = float("-inf")
        self._open: set[Incoming] = set()
        self._prepared: list[tuple[int, str | None]] = []
        #: Whether a file can be begun without a name, so that a kill leaves nothing of it.
        self._names_late = True
        #: What each package takes with its signature, and who has it open.
        self._kept: dict[str, Share] = {}
        #: Those that somebody has open.
        self._lent: set[Share] = set()
        #: From the longest unused to the last used.
        self._turns: dict[str, int] = {}
        self._turn = 0

    # The folder

    def open(self) -> None:
        """Make the folder, take its lock, discard what was on its way in.

        Raises StoreError if another node has it, or somebody else's things lie in it; any other
        trouble only sets ``problem``.
        """
        try:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._top = open_top(self.path)
            claim(self._top, self.path)
            self._take_lock()
            self._packages = self._enter("packages", 0o755)
            self._incoming = self._enter("incoming", 0o700)
            self._empty()
            self._try_out()
            self.measure()
        except OSError as error:
            self.problem = f"{error.filename or self.path}: {error.strerror}"
            self._close_folders()
        except StoreError:
            self._close_folders()
            raise
        else:
            self.problem = ""

    def _enter(self, name: str, mode: int) -> int:
        try:
            return enter(self._top, name, mode)
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            reason = (
                "is not a folder of its own, but a link or a file; move it away, or let --store"
            )
            raise StoreError(str(self.path / name), f"{reason} name another folder") from None

    def _try_out(self) -> None:
        """Find out how files can be begun here; raises OSError where none can."""
        try:
            descriptor, name = self._create_nameless(), None
            name = self._name(descriptor)
        except OSError:
            self._names_late = False
            descriptor, name = self._create("in")
        _discard(self._incoming, descriptor, name)

    def _take_lock(self) -> None:
        descriptor = open_regular("lock", os.O_RDWR | os.O_CREAT, self._top, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            reason = "another flocon is running on this folder; give each its own with --store"
            raise StoreError(str(self.path), reason) from None
        except OSError:
            os.close(descriptor)
            raise
        self._lock = descriptor

    def _empty(self) -> None:
        """Remove what a kill left of files on their way in, and nothing else."""
        for folder, ours in ((self._incoming, _OURS), (self._top, _HALF_WRITTEN)):
            for name in names_in(folder):
                if ours.fullmatch(name):
                    _remove(folder, name)

    def close(self) -> None:
        """Let others have the folder."""
        self.problem = self.problem or "it is closed"
        for descriptor, name in self._prepared:
            _discard(self._incoming, descriptor, name)
        self._prepared.clear()
        self._close_folders()

    def _close_folders(self) -> None:
        for descriptor in (self._incoming, self._packages, self._top, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._incoming = self._packages = self._top = self._lock = -1

    def sweep(self) -> None:
        """Remove signatures that have no package; for a thread, before anything is published."""
        if self.problem:
            return
        try:
            names = set(names_in(self._packages))
        except OSError:
            return
        for name in names:
            subject = name.removesuffix(".sig")
            if subject != name and is_package(subject) and subject not in names:
                _remove(self._packages, name)

    def measure(self) -> None:
        """Look how much room the disk has; for a thread."""
        self._measuring = False
        with suppress(OSError):
            info = os.fstatvfs(self._packages)
            self._space = Space(info.f_blocks * info.f_frsize, info.f_bavail * info.f_frsize)

    # Files on their way in

    def incoming(self, size: int | None, lessee: Lessee = OWN) -> Incoming:
        """Return a new file for ``size`` bytes (None: unknown), kept if there is room for it.

        Raises StoreError where there is no room for what ``lessee`` may take.
        """
        needed = size or 0
        keep = not self.problem and self._has_room(needed, lessee)
        is_small = size is not None and size <= LARGEST_IN_MEMORY
        if is_small and self.room.has_memory(needed, own=lessee.own):
            return self._in_memory(needed, lessee, keep=keep)
        if not keep:
            return self.spare(size, lessee)
        try:
            descriptor, name = self._prepared.pop() if self._prepared else self._begin()
        except OSError:
            return self.spare(size, lessee)
        self._later(self.prepare)
        return self._admitted(descriptor, Share(needed, lessees=[lessee]), name, keep=True)

    def spare(self, size: int | None = None, lessee: Lessee = OWN) -> Incoming:
        """Return a file that will not be kept: on another disk where that has room, or in memory.

        Raises StoreError where not even that can be had.
        """
        needed = MARGIN + (UNKNOWN_SIZE if size is None else size)
        if lessee.own or self._fits(size or 0, lessee):
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
        if not self.room.has_memory(size or 0, own=lessee.own):
            raise StoreError(str(self.path), "no room for a file, neither on disk nor in memory")
        return self._in_memory(size or 0, lessee, keep=False)

    def _in_memory(self, size: int, lessee: Lessee, *, keep: bool) -> Incoming:
        try:
            descriptor = os.memfd_create("flocon", os.MFD_CLOEXEC)
        except OSError as error:
            raise StoreError(str(self.path), f"no room for a file ({error.strerror})") from None
        return self._admitted(
            descriptor, Share(size, memory=True, lessees=[lessee]), None, keep=keep
        )

    def _admitted(self, descriptor: int, share: Share, name: str | None, *, keep: bool) -> Incoming:
        self.room.take(share)
        incoming = Incoming(self, descriptor, share, name, keep=keep)
        self._open.add(incoming)
        return incoming

    def grow(self, incoming: Incoming, size: int) -> None:
        """Count a file that becomes larger than it was begun with; raises OSError: no room."""
        share = incoming.share
        more = size - share.size
        if more <= 0:
            return
        if share.memory:
            fits = self.room.has_memory(more, own=share.own)
        else:
            fits = share.own or self._fits(more, share.lessees[0])
        if not fits:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room.resize(share, size)

    def returned(self, incoming: Incoming) -> None:
        """Count a file no longer that nobody has open."""
        self._open.discard(incoming)
        self.room.give(incoming.share)
        if incoming.loan is not None:
            self.end(incoming.loan)

    def discard(self, descriptor: int, name: str | None) -> None:
        """Close a file, and remove ``name`` from ``incoming/``, when there is time for it."""
        folder = self._incoming
        self._later(lambda: _discard(folder, descriptor, name))

    def prepare(self) -> None:
        """Make empty files beforehand; for a thread."""
        with suppress(OSError):
            while not self.problem and len(self._prepared) < MOST_PREPARED:
                self._prepared.append(self._begin())

    def _begin(self) -> tuple[int, str | None]:
        return (self._create_nameless(), None) if self._names_late else self._create("in")

    def _create_nameless(self) -> int:
        return os.open(".", os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=self._incoming)

    def _name(self, descriptor: int) -> str:
        """Give a nameless file a name in ``incoming/``."""
        name = f"{secrets.token_hex(8)}.in"
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=self._incoming)
        return name

    def _create(self, suffix: str) -> tuple[int, str]:
        name = f"{secrets.token_hex(8)}.{suffix}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(
            name, flags, 0o644 if suffix == "sig" else 0o600, dir_fd=self._incoming
        ), name

    def can_keep(self, size: int) -> bool:
        """Return whether there is room for a file without anybody being cut off."""
        free = self._space.free - self._arriving
        return (
            not self.problem and size + MARGIN <= free and self._immovable + size <= self.max_size
        )

    def _has_room(self, size: int, lessee: Lessee) -> bool:
        """Return whether a file of this size can be kept: the disk has room, and the bound."""
        now = time.monotonic()
        if not self._measuring and now - self._measured >= MEASURE_AGAIN:
            self._measuring, self._measured = True, now
            self._later(self.measure)
        if size > self.max_size or not self._fits(size, lessee):
            return False
        promised = sum(one.share.size for one in self._open if one.keep and not one.in_memory)
        return self._space.free >= promised + size + MARGIN

    def _fits(self, size: int, lessee: Lessee) -> bool:
        """Return whether the bound has room on disk for so much, once packages made way for it."""
        over = self._immovable + size - self.max_size
        if over > 0:
            self.room.clear_disk(over, own=lessee.own)
        if lessee.own:
            self._cut_readers(self._immovable + size - self.max_size)
        return self._immovable + size <= self.max_size

    @property
    def _immovable(self) -> int:
        """How many bytes of disk are taken by what is open, and cannot just be deleted."""
        return self._arriving + max(0, self._nameless + self._lent_bytes - MOST_NAMELESS)

    @property
    def _beside(self) -> int:
        """How many bytes of disk are taken beside the packages, and leave them less."""
        return self._arriving + max(0, self._nameless - MOST_NAMELESS)

    @property
    def _arriving(self) -> int:
        """How many bytes come in, save what only passes through on its way to pacman."""
        passing = sum(one.share.size for one in self._open if one.is_passing)
        return self.room.disk - self._nameless - passing

    @property
    def _nameless(self) -> int:
        """How many bytes were deleted that somebody still reads."""
        return sum(share.size for share in self.room if share.nameless)

    @property
    def _lent_bytes(self) -> int:
        return sum(share.size for share in self._lent)

    def _cut_readers(self, over: int) -> None:
        """Have strangers close packages of the store, until so many bytes can be deleted."""
        for share in sorted(self._lent, key=lambda share: share.size, reverse=True):
            if over <= 0:
                return
            if not share.own:
                over -= share.size
                for lessee in list(share.lessees):
                    lessee.cut()

    # Accounts

    def __contains__(self, file_name: str) -> bool:
        return file_name in self._kept

    def recall(self, turns: Mapping[str, int]) -> None:
        """Take the order of last use from what was remembered; unknown files are the oldest."""
        later = self._turns
        self._turns = dict(sorted(turns.items(), key=lambda item: item[1]))
        self._turn = max(self._turns.values(), default=0)
        for name in later:
            self.use(name)

    def account(self, file_name: str, size: int | None) -> None:
        """Count ``size`` bytes for a package with its signature, or (None) no longer."""
        share = self._kept.get(file_name)
        if share is not None and share.size != size:
            del self._kept[file_name]
            self.size -= share.size
            if share.lessees:
                # The disk has it until they close it.
                self._lent.discard(share)
                share.nameless = True
                self.room.take(share)
        if size is None:
            self._turns.pop(file_name, None)
        elif file_name not in self._kept:
            self._kept[file_name] = Share(size)
            self.size += size

    def lend(self, file_name: str, lessee: Lessee) -> Loan | None:
        """Note that somebody has a package open, until ``end``; None where it is not accounted."""
        share = self._kept.get(file_name)
        if share is None:
            return None
        share.lessees.append(lessee)
        self._lent.add(share)
        return Loan(share, lessee)

    def end(self, loan: Loan) -> None:
        """Note that it was closed; again is no error."""
        share, lessee = loan
        if lessee in share.lessees:
            share.lessees.remove(lessee)
            if not share.lessees:
                self._lent.discard(share)
                self.room.give(share)

    def placed(self, incoming: Incoming, file_name: str) -> None:
        """Count a received file as the package it has become."""
        if not incoming.in_memory:
            self.room.give(incoming.share)
            incoming.loan = self.lend(file_name, incoming.share.lessees[0])

    @property
    def is_crowded(self) -> bool:
        """Whether packages have to make way for what is coming in."""
        return self.size + self._beside > self.max_size

    def use(self, file_name: str) -> int:
        """Note that a package was used just now; return its turn, to be remembered."""
        self._turn += 1
        self._turns.pop(file_name, None)
        self._turns[file_name] = self._turn
        return self._turn

    def bound(self, arriving: int = 0, counted: int = 0) -> int:
        """Return how many bytes the packages may take: less than ``max_size`` on a full disk.

        ``arriving`` are the bytes of a received file, on this disk already, of which ``counted``
        have a share.
        """
        whole, free = self._space
        room = self.size + free + arriving - min(MOST_RESERVE, whole // 20)
        return max(0, min(self.max_size - self._beside + counted, room))

    def victims(
        self, needed: int, replacing: str = "", arriving: Incoming | None = None
    ) -> list[str] | None:
        """Return what has to go before ``needed`` more bytes come in, the longest unused first.

        ``replacing`` goes in any case; what somebody has open last, and only little of it, since
        the disk has it until it is closed. None where ``needed`` cannot fit.
        """
        on_disk = arriving is not None and not arriving.in_memory
        bound = self.bound(needed, arriving.share.size if arriving and on_disk else 0)
        left = self.size
        going = []
        if replacing in self._kept:
            going.append(replacing)
            left -= self._kept[replacing].size
        nameless = self._nameless
        for name in self._by_turn():
            if left + needed <= bound:
                break
            share = self._kept[name]
            if share.lessees:
                nameless += share.size
            if name != replacing and (not share.lessees or nameless <= MOST_NAMELESS):
                going.append(name)
                left -= share.size
        return going if left + needed <= bound or not needed else None

    def _by_turn(self) -> Iterator[str]:
        """Yield packages in the order in which they may go: the longest unused first."""
        oldest = [name for name in self._kept if name not in self._turns]
        order = [name for name in (*oldest, *self._turns) if name in self._kept]
        yield from (name for name in order if not self._kept[name].lessees)
        yield from (name for name in order if self._kept[name].lessees)

    # Changes of the packages; for a thread

    def harden(self, incoming: Incoming, signature: bytes | None) -> Received:
        """Have the disk hold the received file and its signature; return their names.

        Raises OSError.
        """
        package = incoming.name
        names: list[str] = []
        try:
            if incoming.in_memory:
                package = self._store_copy(incoming.fileno(), names)
            else:
                if package is None:
                    package = self._name(incoming.fileno())
                    names.append(package)
                os.fchmod(incoming.fileno(), 0o644)
                os.fsync(incoming.fileno())
            beside = None if signature is None else self._store_bytes(signature, names)
            self.measure()
        except OSError:
            for name in names:
                _remove(self._incoming, name)
            raise
        return Received(package, beside)

    def _store_copy(self, source: int, names: list[str]) -> str:
        """Write what lies in memory; add its name to ``names`` as soon as it has one."""
        descriptor, name = self._create("in")
        names.append(name)
        try:
            position = 0
            while data := os.pread(source, _STEP, position):
                _write_all(descriptor, data)
                position += len(data)
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return name

    def _store_bytes(self, data: bytes, names: list[str]) -> str:
        descriptor, name = self._create("sig")
        names.append(name)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return name

    def dismiss(self, received: Received, still_used: str | None) -> None:
        """Remove what ``harden`` wrote and ``place`` did not take."""
        for name in received:
            if name is not None and name != still_used:
                _remove(self._incoming, name)

    def place(self, received: Received, file_name: str) -> Found:
        """Give a received file its name beside its signature; return what lies there now.

        Whatever had the name is dropped first. Raises OSError, and then nothing has the name.
        """
        self._demand_own_folder()
        self.drop([file_name])
        beside = file_name + ".sig"
        try:
            if received.signature is not None:
                self._move(received.signature, beside)
            self._move(received.package, file_name)
        except OSError:
            _remove(self._packages, beside)
            raise
        os.fsync(self._packages)
        signature = None if received.signature is None else stamp_of(self._look(beside))
        return Found(stamp_of(self._look(file_name)), signature)

    def _move(self, received: str, file_name: str) -> None:
        os.rename(received, file_name, src_dir_fd=self._incoming, dst_dir_fd=self._packages)

    def _look(self, file_name: str) -> os.stat_result:
        return os.stat(file_name, dir_fd=self._packages, follow_symlinks=False)

    def _demand_own_folder(self) -> None:
        """Raise OSError where another folder can be seen at the place of this one by now."""
        if not os.path.samestat(os.fstat(self._packages), self.packages.lstat()):
            raise OSError(errno.ESTALE, "another folder was put in its place", str(self.packages))

    def drop(self, names: Iterable[str]) -> None:
        """Remove packages and their signatures; readers keep what they have open."""
        for name in names:
            _remove(self._packages, name)
            _remove(self._packages, name + ".sig")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _discard(folder: int, descriptor: int, name: str | None) -> None:
    if name is not None:
        _remove(folder, name)
    os.close(descriptor)


def _remove(folder: int, name: str) -> None:
    """Remove a file or a link, itself and not where it leads."""
    # What cannot be removed is found again by the next scan, and counted.
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)
