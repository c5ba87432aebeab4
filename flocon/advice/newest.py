"""The newest files of one package, of all that machines say they hold.

Anybody on the LAN may announce a version that nobody ever built. So each place is heard for a few
versions alone: however many one machine makes up, those of the others are told beside them.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from flocon.files import parse_file_name
from flocon.pacman.versions import version_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from flocon.files import Content

#: Versions of one place that are told, the newest; and files that are looked at for it. A NAS that
#: keeps every version of a package has fewer.
MOST_OF_A_PLACE = 3
MOST_LOOKED_AT = 1_000
#: For any machine.
_ANY = "any"


class Row(NamedTuple):
    """A file by its name, with what is in it; None where nobody knows."""

    file_name: str
    content: Content | None


class Newest:
    """Takes note of the files of one package as they are found, and keeps the newest.

    Left out is what is for none of ``architectures``; where they are empty nothing is.
    """

    def __init__(self, name: str, architectures: Collection[str] = ()) -> None:
        self._name = name
        self._architectures = frozenset(architectures)
        #: The newest first, with the keys by which they are compared.
        self._places: dict[str, list[tuple[Any, Row]]] = {}
        self._looked_at: Counter[str] = Counter()

    def add(self, row: Row, places: Iterable[str]) -> None:
        """Take note of a file that is at ``places``: addresses, "" for this machine."""
        places = [place for place in places if self._looked_at[place] < MOST_LOOKED_AT]
        file = parse_file_name(row.file_name) if places else None
        if file is None or file.name != self._name:
            return
        self._looked_at.update(places)
        if self._architectures and file.architecture not in {_ANY, *self._architectures}:
            return
        key = version_key(file.version)
        for place in places:
            known = self._places.setdefault(place, [])
            if len(known) == MOST_OF_A_PLACE and not known[-1][0] < key:
                continue
            if all(one != row for _, one in known):
                at = next((at for at, (other, _) in enumerate(known) if other < key), len(known))
                known.insert(at, (key, row))
                del known[MOST_OF_A_PLACE:]

    def kept(self) -> set[Row]:
        """Return all that may still be told."""
        return {row for known in self._places.values() for _, row in known}

    def rows(self, most: int) -> list[Row]:
        """Return the newest of all places, ``most`` at most, the newest first."""
        found = {row: key for known in self._places.values() for key, row in known}
        return heapq.nlargest(most, sorted(found, key=_in_order), key=found.__getitem__)


def _in_order(row: Row) -> tuple[str, bytes]:
    return row.file_name, row.content.sha256 if row.content else b""
