"""Opening what lies in a folder that somebody else may have prepared.

Nothing here waits for a fifo or a device, follows a link at the end of a name, takes what is no
regular file for one, or reads more than it was told to; and what is to stay there is written whole.
Everything blocks for as long as the disk does.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: What is added to the name of a file that could not be used: never the end of a temporary name.
ASIDE = ".set-aside"


def open_top(path: Path) -> int:
    """Return a descriptor of the folder ``path``.

    Raises OSError, also where ``path`` is a link that neither root nor this user made: where an
    administrator lets it lead is his affair, where anybody else does is not.
    """
    if path.is_symlink() and path.lstat().st_uid not in {0, os.geteuid()}:
        raise OSError(errno.ELOOP, "is a link that somebody else made", str(path))
    return os.open(path, _FOLDER)


def enter(folder: int, name: str, mode: int | None = None) -> int:
    """Return a descriptor of the folder ``name`` in ``folder``, made with ``mode`` if given.

    Raises OSError, also where a link or a file has the name.
    """
    if mode is not None:
        with suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=folder)
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)


def names_in(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def open_regular(name: str | Path, flags: int, folder: int | None = None, mode: int = 0o600) -> int:
    """Return a descriptor of the regular file ``name``; raises OSError where it is another thing.

    Looked at before it is opened: to open a device can be to set it going.
    """
    with suppress(FileNotFoundError):
        _demand_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), name)
    descriptor = os.open(name, flags | _SAFE, mode, dir_fd=folder)
    try:
        _demand_regular(os.fstat(descriptor), name)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _demand_regular(info: os.stat_result, name: str | Path) -> None:
    if stat.S_ISLNK(info.st_mode):
        raise OSError(errno.ELOOP, "is a link", str(name))
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(name))


def read_small(name: str | Path, most: int, folder: int | None = None) -> bytes:
    """Return all that is in a file; raises OSError where that is more than ``most`` bytes."""
    with os.fdopen(open_regular(name, os.O_RDONLY, folder), "rb", buffering=0) as file:
        data = bytearray()
        while len(data) <= most and (read := file.read(most + 1 - len(data))):
            data += read
    if len(data) > most:
        raise OSError(errno.EFBIG, f"is larger than {most} bytes", str(name))
    return bytes(data)


def write_small(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file so that either all of it or what was there before is found.

    Whatever had the name, a link or a fifo, is replaced and not written to. Raises OSError.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def put_aside(path: Path) -> Path | None:
    """Give what lies at ``path`` another name; return that, or None where it has to stay."""
    aside = path.with_name(path.name + ASIDE)
    try:
        path.replace(aside)
    except OSError:
        return None
    return aside


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it where an open file stands: the system may take less at once. OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_folder(path: Path) -> None:
    """Have the disk hold what lies in a folder by which names; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
