"""Opening what an operator named: links are followed, and nothing is waited for.

``beneath`` is for folders in which others may have put things. Here a file is where somebody
who may say so wanted it; only what would hold up its reader, a fifo or a device, is none.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: The one device that stands for an empty file.
_NOTHING = os.makedev(1, 3)


def open_plain(path: Path | str) -> int:
    """Return a descriptor for reading; raises OSError where it is not a regular file."""
    # Before it is opened: to open a device can be to set it going.
    _demand_plain(os.stat(path), path)  # noqa: PTH116 - any path
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _demand_plain(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_plain(path: Path | str, most: int) -> bytes:
    """Return all of a file; raises OSError where that is more than ``most`` bytes."""
    with os.fdopen(open_plain(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"is larger than {most} bytes", str(path))
    return data


def _demand_plain(info: os.stat_result, path: Path | str) -> None:
    if stat.S_ISDIR(info.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not (stat.S_ISREG(info.st_mode) or info.st_rdev == _NOTHING):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
