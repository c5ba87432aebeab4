"""An own repository's newest generation as a node tells of it to others: which files, by content.

::

    {"name": "home", "signed": 1700000000, "sequence": 7, "fingerprint": "40 hex digits",
     "files": {"home.db": ["SHA-256 in hex", SIZE], "home.db.sig": [...],
               "home.files": [...], "home.files.sig": [...]}}

``signed`` is when the database was signed: it grows with each generation, and whoever has a newer
one takes no older. Nothing of this is believed before the signatures were looked at. No I/O.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flocon.files import is_repository

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes of the text.
LARGEST_TEXT = 4 << 10
#: Bytes of a database, and of a list of files: an own repository has some hundred packages, and
#: Arch's largest have 8 MiB and 40 MiB.
LARGEST_DATABASE, LARGEST_FILES = 16 << 20, 64 << 20
#: pacman itself takes no larger signature (``dload.c``).
LARGEST_SIGNATURE = 16 << 10
#: The end of the year 9999, behind which HTTP has no dates; and what every JSON reader keeps.
LAST_SECOND = 253_402_300_799
_LAST_SEQUENCE = (1 << 53) - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FINGERPRINT = re.compile(r"(?:[0-9A-F]{40}|[0-9A-F]{64})?")
_LARGEST = {
    "db": LARGEST_DATABASE,
    "db.sig": LARGEST_SIGNATURE,
    "files": LARGEST_FILES,
    "files.sig": LARGEST_SIGNATURE,
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of a generation: SHA-256 in 64 hex digits, size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Generation:
    """What one published generation is; ``signed`` in Unix seconds, ``files`` by their names.

    ``fingerprint`` is of the key that signed it, "" where that is not told.
    """

    name: str
    signed: int
    sequence: int
    fingerprint: str
    files: Mapping[str, Piece]


def time_of(signed: int) -> str:
    """Return when something was signed, as all machines of a LAN read it."""
    moment = datetime.fromtimestamp(signed, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def file_names(name: str) -> tuple[str, ...]:
    """Return what the files of each generation of a repository are called, the database first."""
    return tuple(f"{name}.{suffix}" for suffix in _LARGEST)


def most_of(name: str, file_name: str) -> int:
    """Return how large a file of a repository may be, in bytes; 0 for what is none of them."""
    return _LARGEST.get(file_name.removeprefix(f"{name}."), 0)


def dump(generation: Generation) -> bytes:
    told = {
        "name": generation.name,
        "signed": generation.signed,
        "sequence": generation.sequence,
        "fingerprint": generation.fingerprint,
        "files": {name: [one.sha256, one.size] for name, one in generation.files.items()},
    }
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def load(text: bytes, name: str) -> Generation | None:
    """Return what a node told of the repository ``name``; None where the text is none, whole."""
    try:
        value = json.loads(text) if len(text) <= LARGEST_TEXT else None
    except (ValueError, RecursionError):
        return None
    match value:
        case {
            "name": str(called),
            "signed": int(signed),
            "sequence": int(sequence),
            "fingerprint": str(fingerprint),
            "files": dict(told),
        } if called == name and is_repository(name):
            files = _files(told, name)
            numbers = _is_number(signed, LAST_SECOND) and _is_number(sequence, _LAST_SEQUENCE)
            if files is None or not numbers or not _FINGERPRINT.fullmatch(fingerprint):
                return None
            return Generation(name, signed, sequence, fingerprint, files)
    return None


def _is_number(value: Any, most: int) -> bool:
    return type(value) is int and 0 < value <= most


def _files(told: Mapping[str, Any], name: str) -> dict[str, Piece] | None:
    if set(told) != set(file_names(name)):
        return None
    pieces = {}
    for file_name in file_names(name):
        match told[file_name]:
            case [str(sha256), int(size)] if _is_number(
                size, most_of(name, file_name)
            ) and _SHA256.fullmatch(sha256):
                pieces[file_name] = Piece(sha256, size)
            case _:
                return None
    return pieces
