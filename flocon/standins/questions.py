"""What pacserve's peers and clients ask by POST, and how they are answered. Text alone, no I/O.

The body of a question is ``json=`` and a JSON object, quoted as forms are; its ``type`` says what
is asked. ``null`` is the only answer by which a failure is told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from flocon.files import FileName, Kind, parse_file_name

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bytes of a question: some thousand paths.
LARGEST_QUESTION = 64 << 10
#: Paths of one that are looked up; the others are not found.
MOST_PATHS = 1_000
#: Fields of a form that are looked through for the one that counts.
MOST_FIELDS = 8
#: Where packages lie; nothing else is shared.
FOLDER = "pkg"
#: The port of an address that names none, as pacserve has it.
USUAL_PORT = 8_000
NULL = b"null"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """Asks where the files of ``paths`` are; what each names is read when it is looked up.

    ``hops`` is how often the question may be passed on.
    """

    paths: Sequence[str]
    hops: int


@dataclass(frozen=True, slots=True)
class DirectoryListing:
    """Asks what is in the folder of packages, or at the ``root``, which has that folder alone."""

    root: bool


@dataclass(frozen=True, slots=True)
class Nudge:
    """Tells that a pacserve is there: at the address that asks, and this ``port``."""

    port: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Asks what nobody here can answer."""


Question = FileCheck | DirectoryListing | Nudge | Unknown


def parse_question(body: bytes) -> Question | None:
    """Return what a body asks; None where it asks nothing, its form having no object of a type."""
    said = _said(body) if len(body) <= LARGEST_QUESTION else None
    if said is None:
        return None
    match said["type"]:
        case "file check":
            return _file_check(said) or Unknown()
        case "directory listing":
            return _listing(said.get("path")) or Unknown()
        case "nudge":
            return _nudge(said.get("uri")) or Unknown()
    return Unknown()


def _said(body: bytes) -> dict[str, Any] | None:
    for field in body.split(b"&", MOST_FIELDS):
        name, _, value = field.partition(b"=")
        if name == b"json":
            try:
                said = json.loads(unquote_to_bytes(value.replace(b"+", b" ")))
            except (ValueError, RecursionError):
                return None
            return said if isinstance(said, dict) and "type" in said else None
    return None


def _file_check(said: dict[str, Any]) -> FileCheck | None:
    paths, hops = said.get("paths"), said.get("hops", 0)
    if not isinstance(paths, list) or not isinstance(hops, int):
        return None
    named = (one for one in paths[:MOST_PATHS] if isinstance(one, str))
    return FileCheck(tuple(dict.fromkeys(named)), hops)


def file_at(path: str) -> FileName | None:
    """Return the package or signature that a path of a question names; None for anything else."""
    folder, _, name = path.removeprefix("/").partition("/")
    file = parse_file_name(name) if folder == FOLDER else None
    return file if file is not None and file.kind is Kind.PACKAGE else None


def _listing(path: object) -> DirectoryListing | None:
    if not isinstance(path, str) or path.strip("/") not in {"", FOLDER}:
        return None
    return DirectoryListing(root=not path.strip("/"))


def _nudge(uri: object) -> Nudge | None:
    """Return where who nudges is to be asked; by https nobody is."""
    if not isinstance(uri, str) or not uri.isascii() or not uri.isprintable():
        return None
    try:
        parts = urlsplit(uri)
        port = USUAL_PORT if parts.port is None else parts.port
    except ValueError:
        return None
    return Nudge(port) if parts.scheme == "http" and parts.hostname and port else None


# Answers


def root_listing() -> bytes:
    """Return what is at the root."""
    folder = {"mtime": 0, "size": 0, "dir": True, "href": f"/{FOLDER}/"}
    return json.dumps({FOLDER: [folder]}).encode()


def listing_entry(name: str, size: int, modified: int) -> str:
    """Return the member of a listing for one file of ``size`` bytes and that date, in seconds."""
    href = f"/{FOLDER}/{quote(name)}"
    entry = {"mtime": modified, "size": size, "dir": False, "href": href}
    return f"{json.dumps(name)}: [{json.dumps(entry)}]"
