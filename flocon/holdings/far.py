"""Files of folders that may hang at any time: nobody waits for them but a thread, and not for long.

What is asked of such a file here raises FolderSilent where it takes too long, OSError where it
cannot be had.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from flocon.errors import FolderCrowded
from flocon.store.folder import Opened, open_now

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.store.folder import Stamp
    from flocon.store.lanes import Lane
    from flocon.store.waiting import Threads

#: Bytes that are read of a file at once, to see whether it can be.
FIRST = 64 << 10


async def open_far(
    threads: Threads, root: Path, path: Path, expected: Stamp, *, own: bool
) -> Opened:
    """Return an open file that has its ``reads``; its first bytes could be read just now.

    ``root`` is what it hangs with; ``own`` if this machine's pacman waits for it. Raises
    StoreError, too, where it is another file.
    """
    lane = threads.lanes.lane(root, "giving")
    if lane.is_crowded and not own:
        raise FolderCrowded(str(root))
    opened = await lane.ask(_open, lane, path, expected, own=own)
    opened.reads = partial(_read, lane, opened.fileno(), own)
    return opened


def _open(lane: Lane, path: Path, expected: Stamp) -> Opened:
    opened = open_now(path.parent, path.name, expected)
    # From whatever thread it is left in.
    opened.discard = partial(lane.afterwards, os.close)
    os.pread(opened.fileno(), FIRST, 0)
    return opened


async def _read(lane: Lane, descriptor: int, own: bool, position: int, count: int) -> bytes:
    # It is closed by the same lane, behind all others: not before this.
    return await lane.ask(os.pread, descriptor, count, position, own=own)
