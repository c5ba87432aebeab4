"""Where the histories of recipes lie: a bare repository of git for each base, and nothing else.

The folder is the node's alone. What a git that was killed left behind is taken away before the next
one comes; every function here may take its time, and belongs in a thread.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from flocon.aur.git import pack_bytes
from flocon.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Bytes of one history, and of all of them: the AUR's larger ones have some MiB.
MOST_BYTES = 128 << 20
MOST_BYTES_OF_ALL = 4 << 30
#: Packs of one history, one for each fetch, before they are made one.
MOST_PACKS = 20
_SUFFIX = ".git"
#: What lies in every repository of git (gitrepository-layout(5)).
_FOLDERS = ("objects/pack", "objects/info", "refs/heads", "refs/tags", "refs/flocon")
_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
_HEAD = "ref: refs/flocon/head\n"


def repository(folder: Path, base: str) -> Path:
    """Return where a base's history lies."""
    return folder / f"{base}{_SUFFIX}"


def prepare(folder: Path, base: str) -> int:
    """Have a base's repository be there, free of leftovers; return how many bytes it may have.

    Raises StoreError.
    """
    place = repository(folder, base)
    try:
        make(place)
        for leftover in _leftovers(place):
            leftover.unlink(missing_ok=True)
        others = sum(pack_bytes(one) for one in folder.glob(f"*{_SUFFIX}") if one != place)
    except OSError as error:
        raise StoreError(str(place), error.strerror or str(error)) from None
    return max(0, min(MOST_BYTES, MOST_BYTES_OF_ALL - others))


def make(place: Path) -> None:
    """Have an empty bare repository be there, unless there is one already; raises OSError."""
    for name in _FOLDERS:
        (place / name).mkdir(parents=True, exist_ok=True)
    for name, text in (("config", _CONFIG), ("HEAD", _HEAD)):
        if not (place / name).exists():
            # Half a file of a node that was killed would be no repository for ever.
            fresh = place / f"{name}.lock"
            fresh.write_text(text)
            fresh.replace(place / name)


def _leftovers(place: Path) -> Iterator[Path]:
    yield from place.glob("*.lock")
    yield from (place / "objects" / "pack").glob("tmp_*")
    yield from place.glob("refs/**/*.lock")


def count_packs(folder: Path, base: str) -> int:
    """Return how many packs a base's repository has."""
    with suppress(OSError):
        return len(list((repository(folder, base) / "objects" / "pack").glob("*.pack")))
    return 0


def remove(place: Path) -> None:
    """Remove a repository, as far as it can be."""
    shutil.rmtree(place, ignore_errors=True)


def replace(fresh: Path, place: Path) -> None:
    """Have one repository take another one's place; raises StoreError.

    Whoever is killed meanwhile has none, and fetches it once more.
    """
    remove(place)
    try:
        fresh.rename(place)
    except OSError as error:
        raise StoreError(str(place), error.strerror or str(error)) from None
