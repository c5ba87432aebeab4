"""What came out of a build, copied from the builder's open files into a job's folder.

It is a stranger's: names, number and bytes are bounded, and whether it is a package at all is for
the signer to find out. Everything here blocks and belongs in a thread.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.errors import BuildError
from flocon.files import is_package

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from threading import Event

#: Packages of one recipe.
MOST_PACKAGES = 200
_PIECE = 4 << 20
_DIGEST_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Made:
    """A file that a build gave back: its name, its bytes and their SHA-256, in hex."""

    name: str
    size: int
    sha256: str


def said_of(values: Mapping[str, Any], files: int) -> list[Made]:
    """Return what the builder says it hands over; raises BuildError where that cannot be."""
    rows = values.get("packages")
    made = [_made(row) for row in rows[: MOST_PACKAGES + 1]] if isinstance(rows, list) else []
    if len(made) > MOST_PACKAGES or len(made) != files:
        raise BuildError(f"the builder names {len(made)} packages and hands over {files}", "")
    if len({one.name for one in made}) != len(made):
        raise BuildError("two of the packages have one name", "")
    return made


def _made(row: Any) -> Made:
    match row:
        case {"name": str(name), "size": int(size), "sha256": str(digest)}:
            # Whatever it was built for: its own name is what it is stored under.
            if is_package(name) and size >= 0 and len(digest) == _DIGEST_LENGTH:
                return Made(name, size, digest)
    raise BuildError("what came out has a name that no package has", "see its log")


def keep(folder: Path, made: Sequence[Made], files: Sequence[int], most: int, ended: Event) -> None:
    """Copy files into a folder, each written to the disk; until ``ended`` is set.

    Raises BuildError where they are not what was said, or more than ``most`` bytes; and OSError.
    """
    if sum(one.size for one in made) > most:
        raise BuildError(
            f"what came out has more than {most} bytes",
            "have packages that are held approved or rejected, or raise 'disk' in [build]",
        )
    for one, descriptor in zip(made, files, strict=True):
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BuildError(f"{one.name} is no file", "")
        _copy(folder / one.name, one, descriptor, ended)


def _copy(place: Path, one: Made, source: int, ended: Event) -> None:
    digest, position = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(place, flags, 0o640), "wb", buffering=0) as target:
        while position < one.size and not ended.is_set():
            piece = os.pread(source, min(_PIECE, one.size - position), position)
            if not piece:
                break
            digest.update(piece)
            position += len(piece)
            while piece:
                piece = piece[target.write(piece) :]
        os.fsync(target.fileno())
    if position != one.size or digest.hexdigest() != one.sha256:
        raise BuildError(f"{one.name} is not what the builder said of it", "")
