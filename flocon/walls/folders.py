"""Folders in which strangers' programs write: what lies there, what has room, taking it away."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.errors import ToolError
from flocon.machine.process import run

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds that a folder may take to go.
_GONE_WITHIN = 3_600.0
#: Seconds that one count may take.
_COUNTED_WITHIN = 300.0
_AS_ROOT = ("unshare", "--map-root-user")
#: Bytes that one name may take: some file systems count them with no file, and with no folder.
_OF_A_NAME = 1 << 10

#: What stays of a file system, whatever a job may have.
RESERVE_BYTES, RESERVE_FILES = 512 << 20, 10_000
#: Names of files, folders and links that a job may leave on disk.
MOST_FILES = 4_000_000


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system has left: bytes and files."""

    bytes: int
    files: int

    @classmethod
    def of(cls, folder: Path) -> Room:
        info = os.statvfs(folder)
        # Some file systems have no number of files.
        return cls(info.f_bavail * info.f_frsize, info.f_favail if info.f_files else MOST_FILES)

    @property
    def is_little(self) -> bool:
        return self.bytes < RESERVE_BYTES or self.files < RESERVE_FILES


@dataclass(frozen=True, slots=True)
class Lying:
    """What lies in a folder: bytes of disk, and names of files, folders and links."""

    disk: int
    names: int


async def lying_in(reactor: Any, folder: Path) -> Lying:
    """Return what lies in ``folder``, each name with a place of its own; raise ToolError."""
    counted = await _sum(reactor, folder, "--block-size=1")
    names = await _sum(reactor, folder, "--inodes", "--count-links")
    return Lying(counted + names * _OF_A_NAME, names)


async def _sum(reactor: Any, folder: Path, *what: str) -> int:
    # It complains of files that go meanwhile, and counts the others.
    words = ["du", "--summarize", *what, "--", str(folder)]
    # What has our number may close a folder to it, but not to a root of a namespace of ours.
    closed = [_AS_ROOT] if os.geteuid() else []
    for before in (*closed, ()):
        outcome = await run(reactor, [*before, *words], seconds=_COUNTED_WITHIN, yielding=True)
        said = outcome.output.split(None, 1)
        if said and said[0].isdigit():
            return int(said[0])
    raise ToolError("du", outcome.errors.decode("utf-8", "replace")[:500])


async def clear(reactor: Any, folder: Path) -> None:
    """Take a folder away with all in it, however deep; raise ToolError where that cannot be."""
    words = ["rm", "-rf", "--", str(folder)]
    for _ in range(2):
        outcome = await run(reactor, words, seconds=_GONE_WITHIN)
        if not outcome.status:
            return
        # A folder that its owner may not read is read by root alone.
        await run(reactor, ["chmod", "-R", "u+rwX", "--", str(folder)], seconds=_GONE_WITHIN)
    raise ToolError("rm", outcome.errors.decode("utf-8", "replace")[:500])
