"""Whose a folder is: a store of flocon's, free to become one, or somebody else's.

In its store a node deletes files, so it has to be sure that the store is one. A folder that flocon
has made its own carries a mark. Those of versions before there was a mark are told by what only
they have: the node's token, or the remembered hashes. Any other folder must be empty, or hold
nothing but small files with names of ours; else it is foreign, and stays as it is.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from flocon.errors import StoreError
from flocon.machine.beneath import enter, names_in, open_regular, open_top, read_small

if TYPE_CHECKING:
    from pathlib import Path

#: The mark, and how what is in it begins; a later version may add to it.
MARK = "flocon-store"
_BEGIN = b"flocon store"
_TEXT = (
    _BEGIN + b" 1\nflocon keeps this folder, and deletes packages in it to make room for others.\n"
)
_LARGEST_MARK = 4096
#: Folders in which a store's packages lie; empty ones are anybody's.
FOLDERS = ("packages", "incoming", "mirror", "own")
#: The small files in which parts of a node remember something, as a pattern.
NOTES = r"(savings|quarantine|databases|ahead|neighbours|copies)\.json"
#: What may lie in a folder that is free: it says nothing of what else is in there.
_SMALL = re.compile(
    rf"(lock|node|control|lost\+found|flocon-store|{NOTES}"
    r"|state\.sqlite(-wal|-shm|-journal)?)(\.set-aside)?"
)
_TOKEN = re.compile(rb"[0-9a-f]{32}\n?")
#: How a database of remembered hashes begins, and what is in its first page.
_SQLITE = b"SQLite format 3\0"
_TABLE = b"CREATE TABLE uses (name TEXT PRIMARY KEY"
_PAGE = 4096
_NAMED = 3


def foreign(path: Path) -> StoreError | None:
    """Return why ``path`` cannot be a store, if something of somebody else's lies there.

    Nothing is written. A folder that is not there, or cannot be read, is not foreign.
    """
    with suppress(OSError):
        folder = open_top(path)
        try:
            return _foreign(folder, path)
        finally:
            os.close(folder)
    return None


def claim(folder: int, path: Path) -> None:
    """Make the folder a store of ours, and mark it.

    Raises StoreError where it is foreign, and OSError.
    """
    if _is_marked(folder):
        return
    problem = _foreign(folder, path)
    if problem is not None:
        raise problem
    descriptor = open_regular(MARK, os.O_WRONLY | os.O_CREAT, folder, 0o644)
    try:
        os.write(descriptor, _TEXT)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _foreign(folder: int, path: Path) -> StoreError | None:
    if _is_marked(folder) or _is_of_an_earlier_version(folder):
        return None
    others = [name for name in sorted(names_in(folder)) if not _is_free(folder, name)]
    if not others:
        return None
    named = ", ".join(map(repr, others[:_NAMED])) + (", ..." if len(others) > _NAMED else "")
    return StoreError(
        str(path),
        f"holds what flocon did not make ({named}), and a node deletes files in its store;"
        " give it an empty folder with --store",
    )


def _is_marked(folder: int) -> bool:
    with suppress(OSError):
        return read_small(MARK, _LARGEST_MARK, folder).startswith(_BEGIN)
    return False


def _is_of_an_earlier_version(folder: int) -> bool:
    with suppress(OSError):
        if _TOKEN.fullmatch(read_small("node", _LARGEST_MARK, folder)):
            return True
    with suppress(OSError):
        descriptor = open_regular("state.sqlite", os.O_RDONLY, folder)
        try:
            page = os.pread(descriptor, _PAGE, 0)
        finally:
            os.close(descriptor)
        return page.startswith(_SQLITE) and _TABLE in page
    return False


def _is_free(folder: int, name: str) -> bool:
    if name in FOLDERS:
        with suppress(OSError):
            return not _names(folder, name)
        return False
    return _SMALL.fullmatch(name) is not None


def _names(folder: int, name: str) -> list[str]:
    inner = enter(folder, name)
    try:
        return names_in(inner)
    finally:
        os.close(inner)
