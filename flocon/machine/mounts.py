"""Where files may lie: what is mounted there by the kernel's own tables, and what outlives nobody.

Of a mount no file system is asked.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_T = TypeVar("_T")
#: Those that keep their files on this machine's own disks, or in its memory. One that is not known
#: is taken for another: then somebody waits for a thread where there was no need to.
_ON_DISKS = (
    "bcachefs btrfs erofs exfat ext2 ext3 ext4 f2fs hfsplus iso9660 jfs nilfs2 ntfs3 udf vfat"
)
_OTHERS = "overlay ramfs reiserfs rootfs squashfs tmpfs xfs zfs"
NEAR = frozenset((*_ON_DISKS.split(" "), *_OTHERS.split(" ")))
_MOUNTS, _DESCRIPTOR = Path("/proc/self/mountinfo"), Path("/proc/self/fdinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")
#: Fields of a line before those that may be left out.
_FIELDS = 5


class Mount(NamedTuple):
    """Its number, that of what it is mounted on, its device, its place, and its file system."""

    number: str
    parent: str
    device: str
    point: str
    kind: str


def read_mounts() -> str:
    """Return the table of mounts; "" where there is none."""
    try:
        return _MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _mounts(table: str) -> Iterator[Mount]:
    """Yield what is mounted (proc_pid_mountinfo(5))."""
    for line in table.splitlines():
        head, _, tail = line.partition(" - ")
        fields = head.split(" ")
        if len(fields) > _FIELDS:
            number, parent, device, _, place = fields[:_FIELDS]
            point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), place)
            yield Mount(number, parent, device, point, tail.partition(" ")[0])


def mount_of(path: Path, table: str) -> str:
    """Return the number of the mount on which a path lies that no link leads through."""
    mounts = list(_mounts(table))
    numbers = {one.number for one in mounts}
    found = next(
        (one for one in mounts if one.parent not in numbers or one.parent == one.number), None
    )
    while found is not None:
        number = found.number
        on_it = [one for one in mounts if one.parent == number != one.number]
        on_the_way = [one for one in on_it if path.is_relative_to(one.point)]
        # What is mounted highest is come to first.
        found = min(on_the_way, key=lambda one: len(one.point), default=None)
        if found is None:
            return number
    return ""


def is_far(path: Path) -> bool:
    """Whether a folder, or the nearest that there is above it, is not on this machine's own disks.

    Blocks for as long as that one does. What cannot be found out is near.
    """
    for place in (path, *path.parents):
        try:
            descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            return _is_far(descriptor)
        finally:
            os.close(descriptor)
    return False


def _is_far(descriptor: int) -> bool:
    try:
        told = (_DESCRIPTOR / str(descriptor)).read_text().splitlines()
    except OSError:
        return False
    number = next((line.split()[1] for line in told if line.startswith("mnt_id:")), "")
    return any(one.kind not in NEAR for one in _mounts(read_mounts()) if one.number == number)


class Mounts:
    """On what folders lay when they were first asked; all but ``knows`` and ``forget`` block."""

    def __init__(self) -> None:
        #: Each by where it is named, and where that leads as soon as it is known.
        self._noted: dict[Path, dict[Path, str]] = {}

    def knows(self, folder: Path) -> bool:
        return folder in self._noted

    def forget(self, folder: Path) -> None:
        self._noted.pop(folder, None)

    def note_and(self, folder: Path, work: Callable[..., _T], *arguments: object) -> _T:
        """Note on what a folder lies, then do something."""
        table = read_mounts()
        noted = self._noted.setdefault(folder, {folder: mount_of(folder, table)})
        # This may hang, if anything does.
        place = Path(os.path.realpath(folder))
        noted[place] = mount_of(place, table)
        return work(*arguments)

    def is_another(self, folder: Path) -> bool:
        """Whether something else is mounted there by now."""
        table = read_mounts()
        noted = dict(self._noted.get(folder, {}))
        return any(mount_of(place, table) not in {number, ""} for place, number in noted.items())


# Files without a name, for what need not outlive whoever has it open


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
    kinds = (one.kind for one in _mounts(read_mounts()) if one.device == number)
    return next(kinds, "") in {"tmpfs", "ramfs"}
