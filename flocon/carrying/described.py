"""What pacman's folders say of packages: databases, and what is installed. Everything blocks."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from flocon.pacman.database_files import read_sent
from flocon.pacman.relations import describe, describe_installed
from flocon.pacman.syncdb import LARGEST_DESC, read_descs
from flocon.wanted.dependencies import Databases

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flocon.pacman.relations import Description


def read_databases(sync: Path, repositories: Iterable[str]) -> Databases:
    """Return what databases in a folder describe; raises SyncDatabaseError or OSError."""
    return Databases([_descriptions(sync / f"{name}.db") for name in repositories])


def _descriptions(path: Path) -> list[Description]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_sent(descriptor, lambda file: [*filter(None, map(describe, read_descs(file)))])
    finally:
        os.close(descriptor)


def read_installed(local: Path) -> list[Description]:
    """Return what is installed, as far as ``DBPath/local`` can be read."""
    found = []
    for folder in sorted(local.iterdir()):
        with suppress(OSError), (folder / "desc").open("rb") as file:
            found.append(describe_installed(file.read(LARGEST_DESC)))
    return [one for one in found if one is not None]
