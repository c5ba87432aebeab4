"""A line of which each address has its own: one is served at a time, the addresses in turn.

However many of one address wait, another's next one waits for one of them alone.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred


class Line:
    """Up to ``most`` wait or are served, ``most_of_one`` of one address."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        #: Who waits, by address; the address that was served longest ago comes first.
        self._waiting: dict[str, deque[Deferred[None]]] = {}
        self._served: str | None = None

    def acquire(self, address: str) -> Deferred[None] | None:
        """Return what fires when it is this one's turn, which then has to release; None if full.

        Who cancels it has left the line.
        """
        of_one = len(self._waiting.get(address, ())) + (self._served == address)
        total = sum(map(len, self._waiting.values())) + (self._served is not None)
        if total >= self._most or of_one >= self._most_of_one:
            return None
        turn: Deferred[None] = Deferred(lambda left: self._leave(address, left))
        if self._served is None:
            self._serve(address, turn)
        else:
            self._waiting.setdefault(address, deque()).append(turn)
        return turn

    def release(self) -> None:
        """End the turn of the one who is served."""
        self._served = None
        if self._waiting:
            address = next(iter(self._waiting))
            waiting = self._waiting.pop(address)
            turn = waiting.popleft()
            if waiting:
                self._waiting[address] = waiting
            self._serve(address, turn)

    def _serve(self, address: str, turn: Deferred[None]) -> None:
        self._served = address
        turn.callback(None)

    def _leave(self, address: str, left: Deferred[None]) -> None:
        waiting = self._waiting.get(address, deque())
        if left in waiting:
            waiting.remove(left)
            if not waiting:
                del self._waiting[address]
