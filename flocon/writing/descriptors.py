"""Work on open files: hashing, copying and comparing, in steps that a thread or a turn can take.

Nothing here knows what the files are, and nothing opens them.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from flocon.extents import Extent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flocon.writing.verify import Verifier

#: Bytes read at once.
STEP = 1 << 20


def with_descriptor(function: Callable[[int], str], descriptor: int) -> str:
    """Call a function with a descriptor of its own, which is closed behind it."""
    try:
        return function(descriptor)
    finally:
        os.close(descriptor)


def hash_until(verifier: Verifier, descriptor: int, end: int) -> None:
    while verifier.position < end:
        data = os.pread(descriptor, min(STEP, end - verifier.position), verifier.position)
        if not data:
            return
        verifier.update(data)


def hash_and_close(verifier: Verifier, descriptor: int, end: int) -> None:
    """Hash up to ``end``; whoever closes a deleted file last may wait long for the disk."""
    try:
        hash_until(verifier, descriptor, end)
    finally:
        os.close(descriptor)


def steps(extent: Extent) -> Iterator[Extent]:
    for start in range(extent.start, extent.end, STEP):
        yield Extent(start, min(start + STEP, extent.end))


def copy(old: int, new: int, extent: Extent) -> None:
    """Copy a step of a file; raise OSError where it has less than that."""
    data = os.pread(old, len(extent), extent.start)
    if len(data) < len(extent):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    write_all(new, extent.start, data)


def write_all(descriptor: int, position: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, position)
        position += count
        view = view[count:]


def first_difference(old: int, new: int, start: int, end: int) -> int:
    position = start
    while position < end:
        count = min(STEP, end - position)
        left, right = os.pread(old, count, position), os.pread(new, count, position)
        if left != right or not left:
            pairs = enumerate(zip(left, right, strict=False))
            return position + next((at for at, (a, b) in pairs if a != b), len(left))
        position += len(left)
    return end
