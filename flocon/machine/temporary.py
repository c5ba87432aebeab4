"""Files without a name, for what need not outlive whoever has it open."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path


def temporary_folders() -> list[str]:
    """Return where files without a name may go; the first is on disk, the others often in memory.

    Not ``tempfile``'s answer: that is one folder, found by writing to it, or an error.
    """
    folders = ["/var/tmp", os.environ.get("TMPDIR", ""), "/tmp"]  # noqa: S108 - by O_TMPFILE
    return [folder for folder in dict.fromkeys(folders) if folder.startswith("/")]


def open_nameless(folder: str) -> int:
    """Return a descriptor of a new file in ``folder``; raises OSError."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(folder, flags | os.O_TMPFILE, 0o600)
    except OSError as error:
        # What a file system says that does not know of such files, or a kernel.
        if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR}:
            raise
    path = Path(folder, f"flocon-{secrets.token_hex(8)}")
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    path.unlink()
    return descriptor


def free_bytes(folder: str) -> int:
    """Return how many bytes a file in ``folder`` may take; raises OSError."""
    info = os.statvfs(folder)
    return info.f_bavail * info.f_frsize


def is_in_memory(folder: str) -> bool:
    """Return whether files in ``folder`` take memory, and have to be counted as that."""
    device = Path(folder).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
        fields, _, kind = line.partition(" - ")
        if fields.split()[2] == number:
            return kind.partition(" ")[0] in {"tmpfs", "ramfs"}
    return False
