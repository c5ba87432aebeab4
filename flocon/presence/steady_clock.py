"""A time that never goes back, whatever the clock does that it is read from."""

from __future__ import annotations


class SteadyClock:
    """Adds to ``now`` what it once went back by."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._latest = float("-inf")

    def advance(self, now: float) -> float:
        """Return the moment that it is, no earlier than the one before."""
        moment = now + self.offset
        if moment < self._latest:
            self.offset += self._latest - moment
            moment = self._latest
        self._latest = moment
        return moment
