"""A folder of packages as it lies on disk: what is in it, and opening one file beneath it.

Everything here blocks for as long as the disk does and belongs in a thread, save ``open_file``,
which is a few local system calls. Nothing here writes, remembers, or decides what is offered.

A package's ``.part``, ``download-*`` folders, links, and names outside pacman's grammar do not
exist for this module, and no name leads out of its folder: files are opened by a descriptor of
the folder, and links are not followed.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from flocon.errors import NoDescriptors, StoreError
from flocon.files import is_package
from flocon.machine.limits import lacks_descriptors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

#: pacman itself takes no larger signature (``dload.c``).
LARGEST_SIGNATURE = 16 << 10
#: Read between two looks at whether to stop: under a millisecond of hashing.
_CHUNK = 1 << 20
#: Names of whatever kind that are read of a folder where packages are bounded.
MOST_NAMES = 400_000
#: How '+' and ':' stand in addresses.
_ESCAPES = (("%2B", "%3A"), ("%2B", ":"), ("%2b", "%3a"))
_BENEATH = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class _OpenHow(ctypes.Structure):
    """struct open_how of linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_OPENAT2 = 437
#: AT_FDCWD; what is given is an absolute path.
_HERE = -100
_CACHED = _OpenHow(flags=_BENEATH, mode=0, resolve=0x20)
_LIBC = ctypes.CDLL(None, use_errno=True)


class Stamp(NamedTuple):
    """What changes when a file does; the system sets ``ctime_ns``, nobody can set it back."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def modified(self) -> float:
        """When it was last changed, in seconds since 1970."""
        return self.mtime_ns / 1e9

    def same_bytes(self, other: Stamp) -> bool:
        """Whether only attributes differ (permissions, links)."""
        return self[:3] == other[:3]


@dataclass(frozen=True, slots=True)
class Found:
    """A package file, and its signature where one lies beside it.

    ``on_disk`` is what the file is called there, where that is not the package's own name.
    """

    stamp: Stamp
    signature: Stamp | None = None
    on_disk: str = ""


def package_name(on_disk: str) -> str:
    """Return the name that a file has at a mirror, where it lies under the name in its address."""
    return unquote(on_disk) if "%" in on_disk else on_disk


def _names_on_disk(name: str) -> tuple[str, ...]:
    """Return under which names a file may lie that has this name at a mirror."""
    escaped = (name.replace("+", plus).replace(":", colon) for plus, colon in _ESCAPES)
    return tuple(dict.fromkeys((name, *escaped)))


def stamp_of(info: os.stat_result) -> Stamp:
    return Stamp(info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


#: Device and inode of a folder.
Identity = tuple[int, int]


def identity(directory: Path) -> Identity | None:
    """Return which folder can be seen at a path now; None where there is none."""
    try:
        info = directory.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan found to be new or different, and the names that are not there any more."""

    different: dict[str, Found]
    gone: list[str]


def scan(
    directory: Path,
    known: Mapping[str, Found],
    stopped: Callable[[], bool],
    *,
    escaped: bool = False,
    most: int | None = None,
) -> Scanned:
    """Compare the packages in ``directory`` with what is ``known`` of them.

    Names there may be ``escaped``, as in an address; one that is not comes before one that is.
    ``most`` is how many are known, where somebody else may put there as many as he likes: those
    without a byte do not count.
    Raises StoreError if it is unreadable, NoDescriptors where it is not now. Incomplete once
    ``stopped`` returns True.
    """
    try:
        descriptor = _open_folder(directory, os.O_RDONLY, as_named=escaped)
        try:
            with os.scandir(descriptor) as entries:
                names = _packages(
                    (entry.name for entry in entries), escaped=escaped, bounded=most is not None
                )
            present: dict[str, Found | None] = {}
            for name, on_disk in names.items():
                if stopped() or (most is not None and len(present) >= most):
                    break
                found = _find(descriptor, name, on_disk, escaped=escaped)
                before = known.get(name)
                if found is not None:
                    # Most are as they were: the objects of those are gone at once.
                    present[name] = None if found == before else found
        finally:
            os.close(descriptor)
    except OSError as error:
        if lacks_descriptors(error):
            raise NoDescriptors(str(directory)) from None
        raise StoreError(str(directory), f"cannot be read ({error.strerror})") from None
    different = {name: found for name, found in present.items() if found is not None}
    return Scanned(different, [name for name in known if name not in present])


def _open_folder(directory: Path, flags: int, *, as_named: bool) -> int:
    """Return a descriptor of a folder, ``as_named`` only if no link led anywhere else.

    Whoever may write to a folder of another tool's may put a link in its place at any time.
    """
    descriptor = os.open(directory, flags | os.O_DIRECTORY | os.O_CLOEXEC)
    if as_named and Path(f"/proc/self/fd/{descriptor}").readlink() != directory:
        os.close(descriptor)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(directory))
    return descriptor


def _packages(names: Iterable[str], *, escaped: bool, bounded: bool) -> dict[str, str]:
    """Return the packages among these names, each with what it is called there."""
    found: dict[str, str] = {}
    for on_disk in islice(names, MOST_NAMES) if bounded else names:
        name = package_name(on_disk) if escaped else on_disk
        if not is_package(name) or (name != on_disk and name in found):
            continue
        found[name] = on_disk
    return found


def look(directory: Path, names: Iterable[str], *, escaped: bool = False) -> dict[str, Found]:
    """Return those of the packages ``names`` that are in ``directory`` now.

    Raises NoDescriptors where nobody can tell.
    """
    result = {}
    try:
        descriptor = _open_folder(directory, os.O_PATH, as_named=escaped)
    except OSError as error:
        if lacks_descriptors(error):
            raise NoDescriptors(str(directory)) from None
        return {}
    try:
        for name in names:
            for on_disk in _names_on_disk(name) if escaped else (name,):
                if found := _find(descriptor, name, on_disk, escaped=escaped):
                    result[name] = found
                    break
    finally:
        os.close(descriptor)
    return result


def _find(descriptor: int, name: str, on_disk: str, *, escaped: bool) -> Found | None:
    package = _stamp(descriptor, on_disk)
    if package is None or (escaped and not package.size):
        return None
    signature = _stamp(descriptor, on_disk + ".sig")
    usable = signature is not None and 0 < signature.size <= LARGEST_SIGNATURE
    return Found(package, signature if usable else None, "" if on_disk == name else on_disk)


def _stamp(descriptor: int, name: str) -> Stamp | None:
    """Return the stamp of a regular file that this process may read."""
    try:
        info = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return None
    if not stat.S_ISREG(info.st_mode):
        return None
    if not info.st_mode & stat.S_IROTH and not os.access(
        name, os.R_OK, dir_fd=descriptor, effective_ids=True
    ):
        return None
    return stamp_of(info)


def open_file(directory: Path, name: str, expected: Stamp) -> int:
    """Return a descriptor of the regular file ``name``, if it is the one of stamp ``expected``.

    Raises OSError, and StoreError where another file has its name. Never blocks on a fifo.
    """
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(name, _BENEATH, dir_fd=folder)
    finally:
        os.close(folder)
    return _demand_same(descriptor, directory, name, expected)


def open_now(directory: Path, name: str, expected: Stamp) -> Opened:
    """Return what ``open_file`` opens; closed with it, should nobody wait for it any more."""
    return Opened(open_file(directory, name, expected), expected)


def open_at_once(directory: Path, name: str, expected: Stamp) -> int | None:
    """Do what ``open_file`` does where no disk is needed for it; None where one may be.

    openat2(2), Linux 5.12: the name is looked up in what the kernel has in memory, or not at all.
    """
    place = os.fsencode(directory / name)
    descriptor = _LIBC.syscall(_OPENAT2, _HERE, place, ctypes.byref(_CACHED), len(bytes(_CACHED)))
    return None if descriptor < 0 else _demand_same(descriptor, directory, name, expected)


def read_at_once(directory: Path, name: str, expected: Stamp) -> bytes | None:
    """Return all of a file that ``open_at_once`` opens; None where it cannot be read whole."""
    descriptor = open_at_once(directory, name, expected)
    if descriptor is None:
        return None
    try:
        data = os.pread(descriptor, expected.size, 0)
    finally:
        os.close(descriptor)
    return data if len(data) == expected.size else None


def _demand_same(descriptor: int, directory: Path, name: str, expected: Stamp) -> int:
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode) or not stamp_of(info).same_bytes(expected):
        os.close(descriptor)
        raise StoreError(str(directory / name), "is not the file it was")
    return descriptor


def digest(
    directory: Path, name: str, expected: Stamp, stopped: Callable[[], bool]
) -> bytes | None:
    """Return the raw SHA-256 of a file, or None once ``stopped`` returns True.

    Raises OSError where it cannot be read, StoreError where it is or becomes another file.
    """
    descriptor = open_file(directory, name, expected)
    try:
        sha256 = hashlib.sha256()
        buffer = memoryview(bytearray(min(_CHUNK, expected.size + 1)))
        left = expected.size
        # Whoever writes to it has it read no further than to where it ended.
        while left >= 0 and (count := os.readv(descriptor, [buffer])):
            if stopped():
                return None
            sha256.update(buffer[:count])
            left -= count
        if not stamp_of(os.fstat(descriptor)).same_bytes(expected):
            raise StoreError(str(directory / name), "changed while it was read")
    finally:
        os.close(descriptor)
    return sha256.digest()


class Opened:
    """An open, whole, regular file: its size in bytes and its mtime in seconds.

    It is a ``Lessee``: it counts as opened for pacman until ``lend`` says otherwise.
    """

    def __init__(self, descriptor: int, stamp: Stamp) -> None:
        self._descriptor = descriptor
        #: What closes the descriptor.
        self.discard: Callable[[int], None] = os.close
        self._cut: Callable[[], None] | None = None
        #: Reads so many bytes from a position on, for who must not wait for them. None where nobody
        #: waits for long.
        self.reads: Callable[[int, int], Awaitable[bytes]] | None = None
        self.size = stamp.size
        self.modified = stamp.modified

    def __del__(self) -> None:
        self.close()

    @property
    def own(self) -> bool:
        return self._cut is None

    def lend(self, cut: Callable[[], None]) -> None:
        """Have ``cut`` called where the room is needed for this machine's own pacman."""
        self._cut = cut

    def cut(self) -> None:
        if self._cut is not None:
            self._cut()

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Give the descriptor back; again is no error."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self.discard(descriptor)
