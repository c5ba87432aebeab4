"""Which date a client's database bears, and which list of files it was given. Decides only.

pacman takes no database whose date is not later than its own copy's. A client may have a later one:
from another mirror, or because the state went back. So what it is given bears the second in which
the state was published or, for such a client, the second after that of its own copy; and as long as
it is remembered which one that was, the same is not sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flocon.states.generation import Where

#: Files of clients of which it is remembered what they have.
MOST_REMEMBERED = 4_096


class Copy(NamedTuple):
    """What a client has of a file: of which generation, and the second that it bears."""

    identity: str
    date: int


class Given:
    """What clients were given with another date than the state's own."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._copies: OrderedDict[tuple[str, Where, str], Copy] = OrderedDict()

    def __len__(self) -> int:
        return len(self._copies)

    def date(
        self,
        client: str,
        where: Where,
        kind: str,
        *,
        identity: str,
        since: int,
        has: float | None,
        now: float,
    ) -> int | None:
        """Return the second that a file of this ``kind`` bears for a client, None for no date.

        ``since`` is that of the state, ``has`` what the client's own copy bears, None where it has
        none. A copy of a time to come cannot be outdone by a date that is none.
        """
        key = client, where, kind
        copy = self._copies.get(key)
        ours = copy is not None and has is not None and copy.date == int(has)
        if ours and copy is not None and copy.identity == identity:
            self._copies.move_to_end(key)
            return copy.date
        if has is None or has < since or (has == since and not ours):
            self._copies.pop(key, None)
            return since
        if has + 1 > now:
            self._copies.pop(key, None)
            return None
        date = int(has) + 1
        self._copies[key] = Copy(identity, date)
        self._copies.move_to_end(key)
        while len(self._copies) > self._most:
            self._copies.popitem(last=False)
        return date


class Lists:
    """Of which generation the list of files is that a client was given last."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._identities: OrderedDict[tuple[str, Where], str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._identities)

    def note(self, client: str, where: Where, identity: str) -> None:
        self._identities[client, where] = identity
        self._identities.move_to_end((client, where))
        while len(self._identities) > self._most:
            self._identities.popitem(last=False)

    def of(self, client: str, where: Where) -> str:
        """Return the generation's identity, "" where it was given none."""
        return self._identities.get((client, where), "")
