"""A published repository as anybody on this machine may read it. Everything here blocks.

::

    PUBLISHED/NAME/packages/FILE         a package, and FILE.sig
    PUBLISHED/NAME/generations/SEQ/      NAME.db, NAME.files, their signatures, generation.json
    PUBLISHED/NAME/current               leads to the newest generation
    PUBLISHED/NAME/key.gpg               the public keys, binary

A generation never changes once it has its name, and stays for a while after a newer one has come.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from flocon.errors import StoreError
from flocon.files import is_repository
from flocon.machine.beneath import open_regular, read_small
from flocon.repository.generation import LARGEST_NOTE, is_sequence, load

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.repository.generation import Generation

PACKAGES, GENERATIONS, CURRENT, KEY, NOTE = (
    "packages",
    "generations",
    "current",
    "key.gpg",
    "generation.json",
)
LARGEST_KEY = 1 << 20
#: So often a generation may be superseded and go between two looks at where ``current`` leads.
_TRIES = 10


def repositories(published: Path) -> list[str]:
    """Return the names of the repositories that this machine publishes; none where it does not."""
    with suppress(OSError):
        names = sorted(entry.name for entry in published.iterdir() if is_repository(entry.name))
        return [name for name in names if (published / name / CURRENT).is_dir()]
    return []


def newest_generation(folder: Path) -> Generation | None:
    """Return the generation published last in ``PUBLISHED/NAME``, None where there is none.

    Raises StoreError where there is one that cannot be read.
    """
    if not (folder / CURRENT).is_symlink():
        return None
    for _ in range(_TRIES):
        # What it led to may have been superseded since, and be gone.
        with suppress(OSError, ValueError, StoreError):
            return read_generation(folder, int((folder / CURRENT).readlink().name))
    raise StoreError(str(folder / CURRENT), "leads to no generation")


def read_generation(folder: Path, sequence: int) -> Generation:
    """Return one generation by its number; raises StoreError where it is not there, whole."""
    path = folder / GENERATIONS / str(sequence)
    try:
        data = read_small(path / NOTE, LARGEST_NOTE)
        generation = load(json.loads(data))
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from None
    except (ValueError, RecursionError):
        generation = None
    if generation is None or generation.sequence != sequence or generation.name != folder.name:
        raise StoreError(str(path), "is no generation")
    return generation


def open_database(folder: Path, sequence: int, file_name: str) -> int:
    """Return a descriptor of a file of a generation; raises StoreError."""
    path = folder / GENERATIONS / str(sequence)
    return _open(path, file_name)


def open_package(folder: Path, file_name: str) -> int:
    """Return a descriptor of a package or a signature; raises StoreError."""
    return _open(folder / PACKAGES, file_name)


def read_key(folder: Path) -> bytes:
    """Return the public keys; raises StoreError."""
    try:
        return read_small(folder / KEY, LARGEST_KEY)
    except OSError as error:
        raise StoreError(str(folder / KEY), error.strerror or str(error)) from None


def sequences(folder: Path) -> list[int]:
    """Return the numbers of the generations that are there, the oldest first; raises OSError."""
    names = (path.name for path in (folder / GENERATIONS).iterdir())
    return sorted(int(name) for name in names if is_sequence(name))


def _open(folder: Path, name: str) -> int:
    try:
        return open_regular(folder / name, os.O_RDONLY)
    except OSError as error:
        raise StoreError(str(folder / name), error.strerror or str(error)) from None
