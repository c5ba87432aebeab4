"""Looks at what the doctor judges: folders, pacman's configuration and its version.

The node looks as its own user, in a thread; ``flocon doctor`` as whoever runs it. Nothing is judged
here.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Any

from flocon.errors import ConfigurationError
from flocon.leading import look, programs

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.leading.pacman_conf import Configuration

#: Package files whose rights are looked at in each cache.
MOST_LOOKED_AT = 200
_LINE = re.compile(r" line [0-9]+$")
_INCLUDED = re.compile(r"includes (.+), which cannot be read")


def configuration_at(path: Path) -> Configuration | ConfigurationError:
    """Return pacman's configuration, or why it cannot be read."""
    try:
        return look.read(path)
    except ConfigurationError as error:
        return error


def version_of_pacman() -> tuple[int, int] | None:
    """Return pacman's version, where there is one that tells it."""
    try:
        return programs.pacman_version()
    except ConfigurationError:
        return None


def look_at_store(store: Path) -> dict[str, Any]:
    """Tell whether the store can be written; for a thread."""
    inner = [one for one in (store / "packages", store / "incoming") if one.exists()]
    closed = ((one, problem) for one in (store, *inner) if (problem := _unwritable(one)))
    path, problem = next(closed, (store, ""))
    return {
        # Written once anybody was known.
        "acquainted": (store / "neighbours.json").is_file(),
        "store": {
            "path": str(store),
            "problem": f"{path}: {problem}" if problem else "",
            "free_bytes": _free(store),
        },
    }


def look_at_configuration(path: Path) -> dict[str, str]:
    """Tell whether pacman's configuration can be read, with all it includes; for a thread."""
    try:
        look.read(path)
    except ConfigurationError as error:
        # What cannot be read is often included: that is the file to be opened.
        included = _INCLUDED.search(error.problem)
        # A file that was set up is read as itself, and stands there; others with their line.
        return {
            "path": included[1] if included else _LINE.sub("", error.where),
            "problem": f"{error.where}: {error.problem}",
            # Rights are the one thing that the node lacks and pacman, as root, does not.
            "remedy": "" if os.strerror(errno.EACCES) in error.problem else error.remedy,
        }
    return {"path": str(path), "problem": ""}


def look_at_cache(path: Path) -> str:
    """Return why a cache of pacman's cannot be read, or not all of it; for a thread."""
    try:
        with os.scandir(path) as entries:
            names = [one.path for one, _ in zip(entries, range(MOST_LOOKED_AT), strict=False)]
    except OSError as error:
        return error.strerror or str(error)
    # Folders that pacman downloads into are its own.
    closed = [one for one in names if os.path.isfile(one) and not os.access(one, os.R_OK)]  # noqa: PTH113
    files = "1 file" if len(closed) == 1 else f"{len(closed)} files"
    return f"{files} cannot be read by the node" if closed else ""


def _unwritable(path: Path) -> str:
    if not path.is_dir():
        return "is not there"
    return "" if os.access(path, os.W_OK | os.X_OK) else "cannot be written by the node"


def _free(path: Path) -> int:
    try:
        room = os.statvfs(path)
    except OSError:
        return 0
    return room.f_bavail * room.f_frsize
