"""One state of a mirror's databases: which files they are, by content. Decides only, reads nothing.

A generation is immutable. It is known by what it lists: two with the same databases and signatures
are one, whoever they came from and whenever they were read.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from flocon.files import is_architecture, is_repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Databases of one generation: repositories times architectures.
MOST_DATABASES = 256
#: The number of hex digits by which a generation is known.
IDENTITY_LENGTH = 16
LONGEST_SOURCE = 200
#: No clock says more: what is remembered beyond it is damaged.
LATEST_SECOND = 1 << 37
_IDENTITY = re.compile(rf"[0-9a-f]{{{IDENTITY_LENGTH}}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Sizes that a database and its signature can have: pacman takes no larger ones (``dload.c``).
LARGEST_DATABASE = 128 << 20


class Where(NamedTuple):
    """Which repository, and for which machines."""

    architecture: str
    repository: str

    def __str__(self) -> str:
        return f"{self.repository} ({self.architecture})"


@dataclass(frozen=True, slots=True)
class Piece:
    """A file by its content: SHA-256 in 64 hex digits, size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class DatabaseFiles:
    """A repository's database as a mirror had it: ``REPO.db``, ``REPO.files``, their signatures.

    ``signature`` and ``files_signature`` are None where the mirror has none, ``files`` where nobody
    has asked for it.
    """

    database: Piece
    signature: Piece | None = None
    files: Piece | None = None
    files_signature: Piece | None = None

    def pieces(self) -> Iterator[Piece]:
        for piece in (self.database, self.signature, self.files, self.files_signature):
            if piece is not None:
                yield piece


@dataclass(frozen=True, slots=True)
class Generation:
    """The databases of all mirrored repositories, from one state of one mirror.

    ``made`` is when they were read, in seconds since 1970; ``source`` the mirror's place, without a
    password; ``last_update`` what the mirror said of when it had last changed, None where it says
    nothing. ``identity`` is made of the databases and their signatures alone.
    """

    made: int
    source: str
    databases: Mapping[Where, DatabaseFiles]
    last_update: int | None = None
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", _identity(self.databases))

    def pieces(self) -> Iterator[Piece]:
        for one in self.databases.values():
            yield from one.pieces()

    @property
    def age_from(self) -> int:
        """The second of which the state is: the mirror's last change, or when it was read."""
        return self.last_update if self.last_update is not None else self.made

    def with_files(self, where: Where, files: Piece, signature: Piece | None = None) -> Generation:
        """Return the same generation with the list of files of one repository."""
        one = replace(self.databases[where], files=files, files_signature=signature)
        return replace(self, databases={**self.databases, where: one})


def _identity(databases: Mapping[Where, DatabaseFiles]) -> str:
    words = sorted(
        f"{where.architecture}/{where.repository} {one.database.sha256}"
        f" {one.signature.sha256 if one.signature else '-'}"
        for where, one in databases.items()
    )
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:IDENTITY_LENGTH]


def is_identity(text: str) -> bool:
    """Whether ``text`` can be a generation's identity."""
    return _IDENTITY.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """Whether ``text`` can be a content's name."""
    return _SHA256.fullmatch(text) is not None


def dump(generation: Generation) -> dict[str, Any]:
    """Return a generation as JSON's values."""
    return {
        "made": generation.made,
        "source": generation.source,
        "last_update": generation.last_update,
        "databases": [
            {
                "architecture": where.architecture,
                "repository": where.repository,
                "db": _dump_piece(one.database),
                "db.sig": _dump_piece(one.signature),
                "files": _dump_piece(one.files),
                "files.sig": _dump_piece(one.files_signature),
            }
            for where, one in generation.databases.items()
        ],
    }


def load(value: Any) -> Generation | None:
    """Return the generation that was dumped; None where that is not one, whole."""
    match value:
        case {
            "made": int(made),
            "source": str(source),
            "last_update": (None | int()) as last_update,
            "databases": list(listed),
        } if (
            0 < len(listed) <= MOST_DATABASES
            and len(source) <= LONGEST_SOURCE
            and all(0 <= one <= LATEST_SECOND for one in (made, last_update or 0))
        ):
            databases = dict(filter(None, map(_load_database, listed)))
            if len(databases) == len(listed):
                return Generation(made, source, databases, last_update)
    return None


def _load_database(value: Any) -> tuple[Where, DatabaseFiles] | None:
    match value:
        case {"architecture": str(architecture), "repository": str(repository)} if is_architecture(
            architecture
        ) and is_repository(repository):
            names = ("db", "db.sig", "files", "files.sig")
            pieces = [_load_piece(value.get(name)) for name in names]
            absent = [value.get(name) is None for name in names]
            database = pieces[0]
            if database is not None and absent == [piece is None for piece in pieces]:
                return Where(architecture, repository), DatabaseFiles(database, *pieces[1:])
    return None


def _dump_piece(piece: Piece | None) -> list[Any] | None:
    return None if piece is None else [piece.sha256, piece.size]


def _load_piece(value: Any) -> Piece | None:
    match value:
        case [str(sha256), int(size)] if is_sha256(sha256) and 0 < size <= LARGEST_DATABASE:
            return Piece(sha256, size)
    return None
