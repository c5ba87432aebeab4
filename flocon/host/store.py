"""flocon's own folder of packages: taken in whole, kept within a bound, the oldest use goes first.

::

    STORE/packages/FILE, FILE.sig   whole and signed, always
    STORE/incoming/                 what is on its way in; emptied at start
    STORE/lock                      held while a node runs
    STORE/state.sqlite              see host.index

The signature gets its final name first, then the package: a package that has its name is whole
and has its signature. Whatever is dropped goes the other way round. A signature without its
package is what a kill leaves behind at worst; ``sweep`` removes it at start.

Files and their accounts only: what is offered to anybody is the business of ``host.cache``, which
also sees to it that only one thing at a time changes the packages.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.core.names import is_package
from flocon.errors import StoreError
from flocon.host.folder import Found, Stamp, stamp_of
from flocon.host.vault import temporary_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Left free on the store's file system: a twentieth of it, at most this many bytes.
MOST_RESERVE = 1 << 30
#: Room beyond a file's own size before it is begun on disk.
MARGIN = 4 << 20
#: What a file of unknown size is taken for: most are smaller.
UNKNOWN_SIZE = 256 << 20


class Incoming:
    """A file being received; written and read by its descriptor, gone when closed unpublished."""

    __slots__ = ("_closed", "_fd", "name", "promised")

    def __init__(
        self, fd: int, name: Path | None, promised: int, closed: Callable[[Incoming], None]
    ) -> None:
        self._fd = fd
        #: Where it lies in ``incoming/``; None once it has moved on, or never was there.
        self.name = name
        #: The size it was begun with, counted against the free space.
        self.promised = promised
        self._closed = closed

    @property
    def keep(self) -> bool:
        """Whether it can be published."""
        return self.name is not None

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        """Give the descriptor back and discard what was not published; again is no error."""
        if self._fd < 0:
            return
        if self.name is not None:
            _remove(self.name)
            self.name = None
        os.close(self._fd)
        self._fd = -1
        self._closed(self)


class Store:
    """The folder ``path``: its files, their sizes and the order of their last use.

    ``max_size`` is in bytes, for packages and signatures together. Between ``open`` and ``close``
    this process alone uses the folder. ``problem`` says why nothing is kept; "" while it is well.
    """

    def __init__(self, path: Path, max_size: int) -> None:
        self.path = path
        self.packages = path / "packages"
        self.max_size = max_size
        self.problem = "it is not open"
        self.size = 0
        self._partial = path / "incoming"
        self._lock = -1
        self._open: set[Incoming] = set()
        self._sizes: dict[str, int] = {}
        #: From the longest unused to the last used.
        self._turns: dict[str, int] = {}
        self._turn = 0

    # The folder

    def open(self) -> None:
        """Make the folder, take its lock, discard what was on its way in.

        Raises StoreError if another node has it; any other trouble only sets ``problem``.
        """
        try:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._take_lock()
            self.packages.mkdir(mode=0o755, exist_ok=True)
            self._partial.mkdir(mode=0o700, exist_ok=True)
            for left in self._partial.iterdir():
                left.unlink()
            probe, name = tempfile.mkstemp(dir=self._partial)
            os.close(probe)
            Path(name).unlink()
        except OSError as error:
            self.problem = f"{error.filename or self.path}: {error.strerror}"
        else:
            self.problem = ""

    def _take_lock(self) -> None:
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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

    def close(self) -> None:
        """Let others have the folder."""
        self.problem = self.problem or "it is closed"
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def sweep(self) -> None:
        """Remove signatures that have no package; for a thread, before anything is published."""
        if self.problem:
            return
        try:
            names = {path.name for path in self.packages.iterdir()}
        except OSError:
            return
        for name in names:
            subject = name.removesuffix(".sig")
            if subject != name and is_package(subject) and subject not in names:
                _remove(self.packages / name)

    # Files on their way in

    def incoming(self, size: int | None) -> Incoming:
        """Return a new file for ``size`` bytes (None: unknown), kept if there is room for it."""
        if self.problem or not self._has_room(size or 0):
            return self.spare(size)
        try:
            descriptor, name = tempfile.mkstemp(dir=self._partial)
        except OSError:
            return self.spare(size)
        incoming = Incoming(descriptor, Path(name), size or 0, self._open.discard)
        self._open.add(incoming)
        return incoming

    def spare(self, size: int | None = None) -> Incoming:
        """Return a file that will not be kept: on another disk where that has room, or in memory.

        Raises StoreError where not even that can be had.
        """
        needed = MARGIN + (UNKNOWN_SIZE if size is None else size)
        for directory in temporary_folders():
            try:
                if _free(directory) < needed:
                    continue
                descriptor, name = tempfile.mkstemp(prefix="flocon-", dir=directory)
            except OSError:
                continue
            _remove(Path(name))
            return Incoming(descriptor, None, 0, self._open.discard)
        try:
            descriptor = os.memfd_create("flocon", os.MFD_CLOEXEC)
        except OSError as error:
            raise StoreError(str(self.path), f"no room for a file ({error.strerror})") from None
        return Incoming(descriptor, None, 0, self._open.discard)

    def _has_room(self, size: int) -> bool:
        if size > self.max_size:
            return False
        promised = sum(incoming.promised for incoming in self._open)
        try:
            return _free(self._partial) >= promised + size + MARGIN
        except OSError:
            return False

    # Accounts

    def __contains__(self, file_name: str) -> bool:
        return file_name in self._sizes

    def recall(self, turns: Mapping[str, int]) -> None:
        """Take the order of last use from what was remembered; unknown files are the oldest."""
        later = self._turns
        self._turns = dict(sorted(turns.items(), key=lambda item: item[1]))
        self._turn = max(self._turns.values(), default=0)
        for name in later:
            self.use(name)

    def account(self, file_name: str, size: int | None) -> None:
        """Count ``size`` bytes for a package with its signature, or (None) no longer."""
        self.size -= self._sizes.pop(file_name, 0)
        if size is None:
            self._turns.pop(file_name, None)
        else:
            self._sizes[file_name] = size
            self.size += size

    def use(self, file_name: str) -> int:
        """Note that a package was used just now; return its turn, to be remembered."""
        self._turn += 1
        self._turns.pop(file_name, None)
        self._turns[file_name] = self._turn
        return self._turn

    def bound(self, arriving: int = 0) -> int:
        """Return how many bytes the packages may take: less than ``max_size`` on a full disk.

        ``arriving`` are the bytes of a received file, on this disk already.
        """
        try:
            info = os.statvfs(self.packages)
        except OSError:
            return self.max_size
        whole, free = info.f_blocks * info.f_frsize, info.f_bavail * info.f_frsize
        room = self.size + free + arriving - min(MOST_RESERVE, whole // 20)
        return max(0, min(self.max_size, room))

    def victims(self, needed: int, replacing: str = "") -> list[str] | None:
        """Return what has to go before ``needed`` more bytes come in, the longest unused first.

        ``replacing`` goes in any case. None where they cannot fit at all.
        """
        bound = self.bound(needed)
        if needed > bound:
            return None
        left = self.size
        going = []
        if replacing in self._sizes:
            going.append(replacing)
            left -= self._sizes[replacing]
        oldest = [name for name in self._sizes if name not in self._turns]
        for name in [*oldest, *self._turns]:
            if left + needed <= bound:
                break
            if name in self._sizes and name != replacing:
                going.append(name)
                left -= self._sizes[name]
        return going

    # Changes of the packages; for a thread

    def harden(self, incoming: int, signature: bytes | None) -> Path | None:
        """Have the disk hold the received file and its signature; return the latter's place.

        Raises OSError.
        """
        os.fchmod(incoming, 0o644)
        os.fsync(incoming)
        if signature is None:
            return None
        name = self._partial / f"{secrets.token_hex(8)}.sig"
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(signature)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            _remove(name)
            raise
        return name

    def place(self, incoming: Path, file_name: str, signature: Path | None) -> Found:
        """Give a received file its name beside its signature; return what lies there now.

        Whatever had the name is dropped first. Raises OSError, and then nothing has the name.
        """
        self.drop([file_name])
        package = self.packages / file_name
        beside = self.packages / (file_name + ".sig")
        stamp: Stamp | None = None
        try:
            if signature is not None:
                signature.rename(beside)
                stamp = stamp_of(beside.lstat())
            incoming.rename(package)
        except OSError:
            _remove(beside)
            raise
        _sync_folder(self.packages)
        return Found(stamp_of(package.lstat()), stamp)

    def drop(self, names: Iterable[str]) -> None:
        """Remove packages and their signatures; readers keep what they have open."""
        for name in names:
            _remove(self.packages / name)
            _remove(self.packages / (name + ".sig"))


def _free(directory: str | Path) -> int:
    info = os.statvfs(directory)
    return info.f_bavail * info.f_frsize


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # What cannot be removed is found again by the next scan, and counted.
        return


def _sync_folder(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
