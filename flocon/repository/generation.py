"""One generation of an own repository: which files are its databases, and what they list. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.files import LARGEST_FILE, Content, is_package_name, is_repository, parse_file_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flocon.repository.entries import Listed

#: Packages of one repository: ten times those of Arch's largest.
MOST_PACKAGES = 150_000
#: Bytes of ``generation.json``.
LARGEST_NOTE = 64 << 20
#: Beyond any time that is meant: the year 5138.
LATEST_SECOND = 100_000_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SEQUENCE = re.compile(r"[1-9][0-9]{0,14}")
_LONGEST_VERSION = 255


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A package that a generation lists: its file, and what a person asks of it.

    ``built`` is in seconds since 1970.
    """

    file_name: str
    content: Content
    name: str
    version: str
    base: str
    built: int


@dataclass(frozen=True, slots=True)
class Generation:
    """What was published at once, as the ``sequence``-th of its repository.

    ``signed`` is the second of its signatures, in seconds since 1970; ``databases`` has the content
    of NAME.db, NAME.db.sig, NAME.files and NAME.files.sig by file name.
    """

    name: str
    sequence: int
    signed: int
    databases: Mapping[str, Content]
    files: tuple[ListedFile, ...]

    def find(self, package: str) -> ListedFile | None:
        """Return what it lists of a package, by the package's name."""
        return next((one for one in self.files if one.name == package), None)


def database_names(name: str) -> tuple[str, str]:
    """Return the names of the two databases of a repository: what pacman asks for."""
    return f"{name}.db", f"{name}.files"


def is_sequence(text: str) -> bool:
    """Whether a folder can be called so that has a generation."""
    return _SEQUENCE.fullmatch(text) is not None


def listed_files(entries: Iterable[Listed]) -> tuple[ListedFile, ...]:
    """Return what a generation says of these entries, by name."""
    files = (
        ListedFile(one.file_name, one.content, one.name, one.version, one.base, one.built)
        for one in entries
    )
    return tuple(sorted(files, key=lambda file: file.name))


def dump(generation: Generation) -> dict[str, Any]:
    """Return a generation as JSON's values."""
    return {
        "name": generation.name,
        "sequence": generation.sequence,
        "signed": generation.signed,
        "databases": [
            {"file": file, "size": content.size, "sha256": content.sha256.hex()}
            for file, content in generation.databases.items()
        ],
        "files": [
            {
                "file": one.file_name,
                "size": one.content.size,
                "sha256": one.content.sha256.hex(),
                "name": one.name,
                "version": one.version,
                "base": one.base,
                "built": one.built,
            }
            for one in generation.files
        ],
    }


def load(value: Any) -> Generation | None:
    """Return the generation that was dumped; None where that is not one, whole."""
    match value:
        case {
            "name": str(name),
            "sequence": int(sequence),
            "signed": int(signed),
            "databases": list(databases),
            "files": list(files),
        } if (
            is_repository(name)
            and is_sequence(str(sequence))
            and 0 < signed <= LATEST_SECOND
            and len(files) <= MOST_PACKAGES
        ):
            contents = dict(filter(None, map(_load_database, databases)))
            listed = tuple(filter(None, map(_load_file, files)))
            wanted = {file + end for file in database_names(name) for end in ("", ".sig")}
            if contents.keys() == wanted and len(listed) == len(files):
                return Generation(name, sequence, signed, contents, listed)
    return None


def _load_database(value: Any) -> tuple[str, Content] | None:
    match value:
        case {"file": str(file)}:
            content = _load_content(value)
            return None if content is None else (file, content)
    return None


def _load_file(value: Any) -> ListedFile | None:
    match value:
        case {
            "file": str(file_name),
            "name": str(name),
            "version": str(version),
            "base": str(base),
            "built": int(built),
        } if is_package_name(name) and is_package_name(base) and len(version) <= _LONGEST_VERSION:
            file, content = parse_file_name(file_name), _load_content(value)
            if content and file and (file.name, file.version) == (name, version):
                return ListedFile(file_name, content, name, version, base, built)
    return None


def _load_content(value: Any) -> Content | None:
    match value:
        case {"size": int(size), "sha256": str(sha256)} if (
            0 < size <= LARGEST_FILE and _SHA256.fullmatch(sha256)
        ):
            return Content(size, bytes.fromhex(sha256))
    return None
