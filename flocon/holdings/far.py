"""Files of folders that may hang at any time: nobody waits for them but a thread, and not for long.

What is asked of such a file here raises FolderSilent where it takes too long, OSError where it
cannot be had.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from flocon.store.folder import Opened, open_now

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.store.folder import Stamp
    from flocon.store.waiting import Lane, Threads

#: Bytes that are read of a file at once, to see whether it can be.
FIRST = 64 << 10


async def open_far(threads: Threads, root: Path, path: Path, expected: Stamp) -> Opened:
    """Return an open file that has its ``reads``; its first bytes could be read just now.

    ``root`` is what it hangs with. Raises StoreError, too, where it is another file.
    """
    lane = threads.lanes.lane(root, "giving")
    opened = await lane.ask(_open, lane, path, expected)
    opened.reads = partial(_read, lane, opened.fileno())
    return opened


def _open(lane: Lane, path: Path, expected: Stamp) -> Opened:
    opened = open_now(path.parent, path.name, expected)
    # From whatever thread it is left in.
    opened.discard = partial(lane.afterwards, os.close)
    os.pread(opened.fileno(), FIRST, 0)
    return opened


async def _read(lane: Lane, descriptor: int, position: int, count: int) -> bytes:
    # It is closed by the same lane: not before this.
    return await lane.ask(os.pread, descriptor, count, position)
