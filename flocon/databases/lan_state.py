"""The LAN's state as one node tells it to the others: which databases belong to it, by content.

::

    {"generation": "0123456789abcdef", "since": 1700000000, "of": 1699990000,
     "files": {"x86_64": {"core.db": ["SHA-256 in hex", SIZE], "core.db.sig": [...]}}}

``since`` is when it was published, by the clock of the node that did: it grows with each state,
also with one that goes back. ``of`` is when the mirror had it so. No I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flocon.files import Kind, is_architecture, parse_file_name

#: Bytes of the text, and files in it: 256 databases, each with its lists of files and signatures.
LARGEST_TEXT = 256 << 10
MOST_FILES = 1_024
#: What a database may have: pacman takes no larger one (``dload.c``).
LARGEST_FILE = 128 << 20
#: The end of the year 9999, behind which HTTP has no dates.
_LAST_SECOND = 253_402_300_799
_IDENTITY = re.compile(r"[0-9a-f]{16}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StateFile:
    """A file of a state: SHA-256 in 64 hex digits, size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class LanState:
    """A state that is published; ``files`` are by architecture and file name.

    ``identity`` is the generation's; ``since`` and ``of`` are seconds since 1970.
    """

    identity: str
    since: int
    of: int
    files: Mapping[tuple[str, str], StateFile]

    def covers(self, architecture: str, file_name: str) -> bool:
        """Whether a file, or what a signature is of, belongs to it."""
        return (architecture, file_name.removesuffix(".sig")) in self.files


def dump(state: LanState) -> bytes:
    """Return the text, at most ``LARGEST_TEXT`` bytes where there are at most ``MOST_FILES``."""
    files: dict[str, dict[str, list[Any]]] = {}
    for (architecture, name), file in sorted(state.files.items())[:MOST_FILES]:
        files.setdefault(architecture, {})[name] = [file.sha256, file.size]
    told = {
        "generation": state.identity,
        "since": state.since,
        "of": state.of,
        "files": files,
    }
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def load(text: bytes) -> LanState | None:
    """Return the state that a node told; None where the text is none, whole."""
    try:
        value = json.loads(text) if len(text) <= LARGEST_TEXT else None
    except (ValueError, RecursionError):
        return None
    match value:
        case {
            "generation": str(identity),
            "since": int(since),
            "of": int(of),
            "files": dict(told),
        } if _IDENTITY.fullmatch(identity) and _are_times(since, of):
            files = _files(told)
            return None if files is None else LanState(identity, since, of, files)
    return None


def _are_times(*seconds: int) -> bool:
    return all(type(one) is int and 0 <= one <= _LAST_SECOND for one in seconds)


def _files(told: Mapping[str, Any]) -> dict[tuple[str, str], StateFile] | None:
    files: dict[tuple[str, str], StateFile] = {}
    for architecture, named in told.items():
        if not is_architecture(architecture) or not isinstance(named, Mapping):
            return None
        if len(files) + len(named) > MOST_FILES:
            return None
        for name, value in named.items():
            file = _file(name, value)
            if file is None:
                return None
            files[architecture, name] = file
    return files


def _file(name: str, value: Any) -> StateFile | None:
    parsed = parse_file_name(name)
    if parsed is None or parsed.kind is not Kind.DATABASE:
        return None
    match value:
        case [str(sha256), int(size)] if (
            type(size) is int and 0 < size <= LARGEST_FILE and _SHA256.fullmatch(sha256)
        ):
            return StateFile(sha256, size)
    return None
