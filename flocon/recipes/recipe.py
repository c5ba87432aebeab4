"""A recipe as it lies in git: its files at one commit, by name. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PKGBUILD, SRCINFO = "PKGBUILD", ".SRCINFO"
#: git's modes of what can lie in a folder; a recipe has no submodule.
FILE, PROGRAM, LINK, SUBMODULE = 0o100644, 0o100755, 0o120000, 0o160000


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One file of a recipe: git's mode of it (FILE, PROGRAM or LINK), and its bytes."""

    mode: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """``files`` has paths within the recipe's folder; ``commit`` is 40 hex digits, "" for none."""

    base: str
    commit: str
    files: Mapping[str, TreeFile]

    def read(self, name: str) -> bytes | None:
        """Return the bytes of one of its files, None where it has no such file."""
        found = self.files.get(name)
        return None if found is None else found.data


@dataclass(frozen=True, slots=True)
class CommitNote:
    """What git says of a commit: its author's free text; ``when`` in Unix seconds."""

    commit: str
    author: str
    mail: str
    when: int
    subject: str
