"""What is read of this machine's own: keys that are trusted, and what its signer published. Blocks.

How a published repository lies on disk is ``repository.published``'s.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from flocon.errors import StoreError
from flocon.files import is_repository
from flocon.joined.candidate import UNTOLD, Candidate
from flocon.joined.keys import LARGEST_KEYS, PublicKey, read_keys
from flocon.joined.told import Generation, Piece, file_names, most_of
from flocon.machine.beneath import read_small
from flocon.pacman.database_files import sha256_of
from flocon.repository.published import CURRENT, GENERATIONS, repositories

if TYPE_CHECKING:
    from pathlib import Path

#: Own repositories of one machine; and those that are joined.
MOST = 16
#: How a joined repository's file of keys ends.
KEYS = ".gpg"
_SEQUENCE = re.compile(rf"{GENERATIONS}/([0-9]{{1,15}})")


def published_names(published: Path) -> list[str]:
    """Return the repositories that this machine publishes."""
    return repositories(published)[:MOST]


def joined_names(keys: Path) -> list[str]:
    """Return the repositories that were joined: those for which there is a file of keys."""
    with suppress(OSError):
        names = [one.name.removesuffix(KEYS) for one in os.scandir(keys) if _has_keys(one.name)]
        return sorted(names)[:MOST]
    return []


def _has_keys(file_name: str) -> bool:
    return file_name.endswith(KEYS) and is_repository(file_name.removesuffix(KEYS))


def read_keyring(path: Path) -> list[PublicKey]:
    """Return the keys of a keyring; raises OSError, RepositoryError."""
    return read_keys(read_small(path, LARGEST_KEYS))


def current(published: Path, name: str) -> int:
    """Return the sequence of the generation that is published now; 0 for none."""
    with suppress(OSError):
        match = _SEQUENCE.fullmatch(str((published / name / CURRENT).readlink()))
        return int(match[1]) if match else 0
    return 0


def lies_in(folder: Path, file_name: str) -> bool:
    """Whether there is a file of that name in a folder of packages."""
    try:
        os.lstat(folder / file_name)
    except OSError:
        return False
    return True


def open_current(published: Path, name: str, folder: Path) -> Candidate:
    """Return the generation that is published now, to be examined and closed.

    Raises StoreError where there is none, whole; a later one may have come in its place.
    """
    sequence = current(published, name)
    if not sequence:
        raise StoreError(str(published / name), "nothing is published there")
    place = published / name / GENERATIONS / str(sequence)
    pieces: dict[str, Piece] = {}
    candidate = Candidate(Generation(name, UNTOLD, sequence, "", pieces), folder)
    try:
        for file_name in file_names(name):
            pieces[file_name] = _open(place / file_name, most_of(name, file_name), candidate)
    except OSError as error:
        candidate.close()
        raise StoreError(error.filename or str(place), error.strerror or str(error)) from None
    except BaseException:
        candidate.close()
        raise
    return candidate


def _open(path: Path, most: int, candidate: Candidate) -> Piece:
    descriptor = candidate.open(path)
    size = os.fstat(descriptor).st_size
    if not 0 < size <= most:
        raise StoreError(str(path), f"has {size} bytes where {most} are possible")
    return Piece(sha256_of(descriptor), size)
