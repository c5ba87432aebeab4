"""Signatures of databases that the mirrors lack, remembered until the database changes. No I/O.

pacman asks for them at each refresh; a repository that has none has none for every machine.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flocon.files import Asked

#: Names of ``.sig`` files that are remembered; those of the longest ago are forgotten first.
MOST_ABSENT = 1_024


class AbsentSignatures:
    """The paths at which there was none."""

    def __init__(self) -> None:
        self._paths: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def __contains__(self, asked: Asked) -> bool:
        return _path(asked) in self._paths

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, asked: Asked) -> None:
        self._paths[_path(asked)] = None
        if len(self._paths) > MOST_ABSENT:
            self._paths.popitem(last=False)

    def forget_beside(self, database: Asked) -> None:
        """Learn of a new database: what was absent beside the old one may be there now."""
        for suffix in (".db.sig", ".files.sig"):
            name = database.repository + suffix
            self._paths.pop((database.repository, database.architecture, name), None)


def _path(asked: Asked) -> tuple[str, str, str]:
    return asked.repository, asked.architecture, asked.file.text
