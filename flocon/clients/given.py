"""Which date a client's database bears, and which list of files it was given. Decides only.

pacman takes no database whose date is not later than its own copy's. A client may have a later one:
from another mirror, or because the state went back. So what it is given bears the second in which
the state was published or, for such a client, the second after that of its own copy; and as long as
it is remembered which one that was, the same is not sent again.

A date to come is told to nobody: a clock may be ahead, here or there, and with such a copy pacman
would take nothing from any other mirror until then. Without a date pacman takes it, and dates it by
the moment.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from flocon.asking.dates import taken_from

if TYPE_CHECKING:
    from flocon.states.generation import Where

#: Files of clients of which it is remembered what they have.
MOST_REMEMBERED = 4_096
#: Seconds by which dates may be ahead though no clock is: of states that were published one after
#: the other, and of who asks two mirrors in turn.
AHEAD = 60
#: Seconds by which the date of what was sent without one may be before and after it was asked for.
EARLIER, LATER = 2, 10


class Copy(NamedTuple):
    """What a client has of a file: of which generation, and the second that it bears.

    ``dated`` unless it was sent without a date, about then.
    """

    identity: str
    date: int
    dated: bool = True

    def is_had(self, has: float | None) -> bool:
        """Whether it is what a client has that says so of its own copy."""
        if has is None:
            return False
        if self.dated:
            return self.date == int(has)
        return self.date - EARLIER <= has <= self.date + LATER


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
        none.
        """
        key = client, where, kind
        copy = self._copies.get(key)
        ours = copy is not None and copy.is_had(has)
        if ours and copy is not None and copy.identity == identity:
            self._copies.move_to_end(key)
            return copy.date if copy.dated or has is None else int(has)
        if has is not None and has == since and not ours:
            self._copies.pop(key, None)
            return since
        date = taken_from(since, has)
        if date > (now + AHEAD if date == since else now):
            self._copies.pop(key, None)
            if date > now + AHEAD:
                self._note(key, Copy(identity, int(now), dated=False))
            return None
        if date == since:
            self._copies.pop(key, None)
        else:
            self._note(key, Copy(identity, date))
        return date

    def _note(self, key: tuple[str, Where, str], copy: Copy) -> None:
        self._copies[key] = copy
        self._copies.move_to_end(key)
        while len(self._copies) > self._most:
            self._copies.popitem(last=False)


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
