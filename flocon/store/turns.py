"""The order in which packages were last used, and which of them came for nothing.

Whoever is told of a use tells the time with it; nothing here knows what a package takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

#: Seconds for which a package that was used stays when room is made for what nobody waits for.
LATELY = 7 * 86_400


class Turns:
    """Turns by file name: the second of a use since 1970 by ``wall``, or later."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        #: From the longest unused to the last used.
        self._turns: dict[str, int] = {}
        self._turn = 0
        #: What came before anybody asked and was not used since; which of all names are wanted so,
        #: by whom they are.
        self._unused: set[str] = set()
        self._wanted: dict[str, Collection[str]] = {}

    def __getitem__(self, file_name: str) -> int:
        """Return the turn of a package, 0 where nobody remembers one."""
        return self._turns.get(file_name, 0)

    def recall(self, turns: Mapping[str, int]) -> None:
        """Take the order of last use from what was remembered; unknown files are the oldest."""
        later = self._turns
        self._turns = dict(sorted(turns.items(), key=lambda item: item[1]))
        self._turn = max(self._turns.values(), default=0)
        for name in later:
            self.use(name)

    def use(self, file_name: str) -> int:
        """Note that a package was used just now; return its turn."""
        self._turn = max(self._turn + 1, int(self._wall()))
        self._turns.pop(file_name, None)
        self._turns[file_name] = self._turn
        self._unused.discard(file_name)
        return self._turn

    def came_ahead(self, file_name: str) -> int:
        """Note that a package is here now that nobody has asked for; return its turn."""
        turn = self.use(file_name)
        self._unused.add(file_name)
        return turn

    def want_ahead(self, file_names: Collection[str], by: str) -> None:
        """Take these as what somebody wants before anybody asks.

        What was so before, and is not any more by anybody, goes first now.
        """
        self._wanted[by] = file_names

    def forget(self, file_name: str) -> None:
        self._turns.pop(file_name, None)
        self._unused.discard(file_name)

    def is_lately(self, file_name: str) -> bool:
        """Whether a package was used lately; what came for nothing never was."""
        lately = self[file_name] > self._wall() - LATELY
        return lately and not self._is_superseded(file_name)

    def _is_superseded(self, file_name: str) -> bool:
        """Whether it came ahead, has never been used, and is not wanted any more."""
        if file_name not in self._unused:
            return False
        return not any(file_name in wanted for wanted in self._wanted.values())

    def in_order(self, file_names: Iterable[str]) -> list[str]:
        """Return these in the order in which they may go: the longest unused first.

        Before them what came for nothing, and what nobody remembers before what was used.
        """
        names = dict.fromkeys(file_names)
        oldest = [name for name in names if name not in self._turns]
        order = [name for name in (*oldest, *self._turns) if name in names]
        order.sort(key=lambda name: not self._is_superseded(name))
        return order
