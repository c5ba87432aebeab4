"""How the face for pacman ends: what is being given may end, and its signatures are answered.

pacman asks for a signature where it got the package, and has no second server for it: a node that
ends between the two ends the whole transaction. Nothing else is begun. Its connection is closed
without an answer instead: on one that it used before, curl then asks once more on a new one, and
where systemd holds the sockets that waits for the next node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import task

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds for what is being given; the rest of what takes longer pacman gets from its next server.
ENDING = 1.0
#: Seconds in which pacman asks for the signature of what it was given: it does so at once.
OWING = 0.5
#: Signatures that may be owed; pacman downloads five packages at a time.
MOST_OWED = 64
#: Seconds between two looks at whether all has ended.
_PAUSE = 0.01


class Owed:
    """The packages that pacman was given and whose signatures it has not asked for yet."""

    def __init__(self) -> None:
        #: Until when each is waited for, the soonest first.
        self._until: dict[str, float] = {}

    def given(self, now: float, package: str) -> None:
        """Note that pacman has the whole of a package."""
        self._until.pop(package, None)
        self._until[package] = now + OWING
        if len(self._until) > MOST_OWED:
            del self._until[next(iter(self._until))]

    def asked(self, package: str) -> None:
        """Note that pacman asks for a package's signature."""
        self._until.pop(package, None)

    def is_due(self, now: float) -> bool:
        """Whether pacman will ask for one yet."""
        return any(until > now for until in self._until.values())


class Leaving:
    """Waits until pacman can do without this node; ``owed`` is what keeps it from that."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.owed = Owed()
        #: Whether nothing but signatures is answered any more.
        self.begun = False

    async def leave(self, is_busy: Callable[[], bool]) -> None:
        """Return when nothing is being given and no signature is owed, or when it is time.

        ``is_busy`` tells whether anything is being answered.
        """
        self.begun = True
        ends = self._reactor.seconds() + ENDING
        while (now := self._reactor.seconds()) < ends + OWING:
            if not (is_busy() and now < ends) and not self.owed.is_due(now):
                return
            await task.deferLater(self._reactor, _PAUSE)
