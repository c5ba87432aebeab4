"""How much is fetched for machines without a node: at a time, and in a day. No I/O; seconds.

Counted by address, and by network where an asker has as many addresses as it likes. What is too
much at a time can wait, what is too much for a day is not begun.
"""

from __future__ import annotations

from collections import Counter

from flocon.machine.shares import network_of
from flocon.sources.relays import ASKERS_A_DAY, DAY, MOST_ASKERS, Debts

#: Files that come at a time for all of them, and for one: three times what pacman asks for.
MOST_AT_A_TIME, MOST_OF_ONE = 128, 16


class Allowances:
    """``a_day`` is what may be fetched for one client in a day, in bytes; 0 for no bound."""

    def __init__(self, a_day: int = 0) -> None:
        self.a_day = a_day
        self._running: Counter[str] = Counter()
        self._fetched = Debts(MOST_ASKERS)
        self._fetched_for_all = Debts(1)
        #: What was not begun, by reason.
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many files come now."""
        return self._running.total()

    def has_place(self, client: str) -> bool:
        """Whether one more may come now."""
        return len(self) < MOST_AT_A_TIME and self._running[_account(client)] < MOST_OF_ONE

    def is_spent(self, client: str, now: float) -> bool:
        """Whether so much was fetched for a client, or for all, that it is enough for a day."""
        if not self.a_day:
            return False
        rate = self.a_day / DAY
        spent = (
            self._fetched.level(_account(client), now, rate) >= self.a_day
            or self._fetched_for_all.level("", now, rate * ASKERS_A_DAY)
            >= self.a_day * ASKERS_A_DAY
        )
        self.counters["clients of a day"] += spent
        return spent

    def begin(self, client: str) -> None:
        self._running[_account(client)] += 1

    def end(self, client: str, fetched: int, now: float) -> None:
        """Count a file as no longer coming, and what of it crossed the WAN."""
        account, rate = _account(client), self.a_day / DAY
        self._running[account] -= 1
        if self._running[account] <= 0:
            del self._running[account]
        if self.a_day:
            self._fetched.add(account, fetched, now, rate)
            self._fetched_for_all.add("", fetched, now, rate * ASKERS_A_DAY)


def _account(client: str) -> str:
    return network_of(client) or client
