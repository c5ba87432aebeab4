"""flocon's own folder of packages: taken in whole, dropped whole, and nobody else's.

::

    STORE/packages/FILE, FILE.sig   whole and signed, always; a second content of a name that stays
                                    has its SHA-256 in its own, see files.beside
    STORE/incoming/HEX.in, HEX.sig  what is on its way in, see incoming; emptied at start
    STORE/lock                      held while a node runs
    STORE/flocon-store              says that the folder is a store, see claim
    STORE/state.sqlite              see index

The signature gets its final name first, then the package: a package that has its name is whole
and has its signature. Whatever is dropped goes the other way round. A signature without its
package is what a kill leaves behind at worst; ``sweep`` removes it at start.

Nothing is deleted but what bears a name that this program gives, no link is followed, and a folder
in which somebody else's things lie is refused. Everything happens beneath the folders as they were
when the store was opened: what is mounted over them later is not written to.

Files only: how much of them there may be is the business of ``accounts``, what is offered to
anybody that of ``holdings.offering``; ``holdings.clearing`` sees to it that only one thing at a
time changes the packages.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import re
import secrets
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from flocon.errors import StoreError
from flocon.files import is_package
from flocon.machine.beneath import enter, names_in, open_regular, open_top
from flocon.store.accounts import Space
from flocon.store.claim import NOTES, claim
from flocon.store.folder import Found, stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: What is put into ``incoming/``, by this version and (``tmp...``) by earlier ones.
_OURS = re.compile(r"[0-9a-f]{16}\.(in|sig)|tmp[a-z0-9_]{8}")
#: What a kill may leave of the small files beside the folders, while they are written.
_HALF_WRITTEN = re.compile(rf"(node|{NOTES})\.[a-z0-9_]{{8}}")


class Received(NamedTuple):
    """A package and its signature on disk, by their names in ``incoming/``."""

    package: str
    signature: str | None


class Store:
    """The folder ``path`` and what lies in it.

    Between ``open`` and ``close`` this process alone uses the folder. ``problem`` says why nothing
    is kept, ``remedy`` what mends that; both are "" while it is well. ``space`` is its disk's room
    when that was last measured.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.packages = path / "packages"
        self.problem = "it is not open"
        self.remedy = ""
        self.space = Space(0, 0)
        #: Descriptors of the folder, of ``packages`` and of ``incoming``.
        self._top = self._packages = self._incoming = -1
        self._lock = -1
        #: Whether a file can be begun without a name, so that a kill leaves nothing of it.
        self._names_late = True

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
            # Opened beneath the folder, a file is known by its name alone.
            place = self.path / (error.filename or "")
            self.problem = f"{place}: {error.strerror}"
            self.remedy = _remedy(error, self.path)
            self._close_folders()
        except StoreError:
            self._close_folders()
            raise
        else:
            self.problem = self.remedy = ""

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
        """Find out how files can be begun here, and kept; raises OSError where none can."""
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self._packages, effective_ids=True):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), "packages")
        try:
            descriptor, name = self._create_nameless(), None
            name = self.name_file(descriptor)
        except OSError:
            self._names_late = False
            descriptor, name = self.create_file("in")
        self.discard_file(descriptor, name)

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
        with suppress(OSError):
            info = os.fstatvfs(self._packages)
            self.space = Space(info.f_blocks * info.f_frsize, info.f_bavail * info.f_frsize)

    # What is on its way in; ``names`` are those in ``incoming/``

    def begin_file(self) -> tuple[int, str | None]:
        """Return a new file: its descriptor, and its name where it needs one; raises OSError."""
        return (self._create_nameless(), None) if self._names_late else self.create_file("in")

    def _create_nameless(self) -> int:
        return os.open(".", os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=self._incoming)

    def name_file(self, descriptor: int) -> str:
        """Give a nameless file a name; raises OSError."""
        name = f"{secrets.token_hex(8)}.in"
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=self._incoming)
        return name

    def create_file(self, suffix: str) -> tuple[int, str]:
        """Return a new file that ends in ``in`` or ``sig``, and its name; raises OSError."""
        name = f"{secrets.token_hex(8)}.{suffix}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(
            name, flags, 0o644 if suffix == "sig" else 0o600, dir_fd=self._incoming
        ), name

    def discard_file(self, descriptor: int, name: str | None) -> None:
        """Close a file, and remove its ``name``; for a thread."""
        if name is not None:
            _remove(self._incoming, name)
        os.close(descriptor)

    def remove_files(self, names: Iterable[str]) -> None:
        for name in names:
            _remove(self._incoming, name)

    # Changes of the packages; for a thread

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


def _remedy(error: OSError, path: Path) -> str:
    """Return what root can do so that this user may use the folder, or has another."""
    if error.errno not in {errno.EACCES, errno.EPERM}:
        return "name a folder that can be written as store.path in flocon.toml, or with --store"
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    quoted = shlex.quote(str(path))
    return f"chown -R {user} {quoted}" if path.exists() else f"install -d -o {user} {quoted}"


def _remove(folder: int, name: str) -> None:
    """Remove a file or a link, itself and not where it leads."""
    # What cannot be removed is found again by the next scan, and counted.
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)
