"""What is handed over, copied into the signer's own folder: nobody can change it there any more.

Blocks: for a thread. What is examined and signed is the copy.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import PackageError, RepositoryError
from flocon.machine.beneath import write_all
from flocon.machine.mounts import free_bytes
from flocon.repository.reading import LARGEST_PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_READ_SIZE = 1 << 20
#: Of a disk, what the databases of a repository and others are to have.
_RESERVE = 256 << 20
#: Bytes of all files of one request.
LARGEST_REQUEST = 64 << 30


@dataclass(frozen=True, slots=True)
class Copied:
    """A file of the signer's own: its name, where it lies, and a descriptor for reading."""

    name: str
    path: Path
    descriptor: int


class Desk:
    """The folder in which copies lie until they are published, or refused."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def clear(self) -> None:
        """Make the folder, and remove what was being looked at when the signer was killed."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700)

    @contextmanager
    def holding(self) -> Iterator[Path]:
        """Yield a folder that goes with all that is in it."""
        place = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def copy_all(folder: Path, names: Sequence[str], files: Sequence[int]) -> list[Copied]:
    """Copy open files under these names; the caller closes the copies.

    Raises PackageError of what is no plain file, RepositoryError where the disk has no room.
    """
    sizes = [_size(name, one) for name, one in zip(names, files, strict=True)]
    if sum(sizes) > LARGEST_REQUEST:
        raise RepositoryError("that is too much at once", "publish fewer packages at a time")
    if sum(sizes) + _RESERVE > free_bytes(str(folder)):
        raise RepositoryError(f"there is no room in {folder.parent}", "make room on its disk")
    with ExitStack() as stack:
        copied = []
        for name, source, size in zip(names, files, sizes, strict=True):
            one = _copy(folder / name, source, size)
            stack.callback(os.close, one.descriptor)
            copied.append(one)
        stack.pop_all()
    return copied


def _size(name: str, descriptor: int) -> int:
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        raise PackageError(name, "it is no plain file")
    if not 0 < info.st_size <= LARGEST_PACKAGE:
        raise PackageError(name, f"{info.st_size} bytes are no package's size")
    return info.st_size


def _copy(path: Path, source: int, size: int) -> Copied:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            is_whole = _pour(source, descriptor, size)
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as error:
        raise _failed(path, error) from None
    if not is_whole:
        os.close(descriptor)
        raise PackageError(path.name, "it changed while it was read")
    return Copied(path.name, path, descriptor)


def _pour(source: int, target: int, size: int) -> bool:
    """Copy so many bytes; return whether there were as many, and no more."""
    position = 0
    while position < size and (data := os.pread(source, _READ_SIZE, position)):
        position += len(data)
        write_all(target, data)
    return position == size and not os.pread(source, 1, size)


def _failed(path: Path, error: OSError) -> RepositoryError:
    reason = error.strerror or str(error)
    return RepositoryError(f"{path.name} cannot be copied ({reason})", "see to the signer's disk")
