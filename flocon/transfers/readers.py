"""All who follow one transfer: told together, let go of together, and waited for a while.

What each of them may be given is ``reader``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from twisted.internet.interfaces import IDelayedCall

    from flocon.extents import Extents
    from flocon.transfers.disputes import Disputes
    from flocon.transfers.reader import Reader

#: Bytes that may be here and be taken by none of those who are to keep up.
LEAD = 64 << 10


class Readers:
    """Those who follow a transfer now; told in any order."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._all: set[Reader] = set()
        self._grace: IDelayedCall | None = None
        #: What waits until one of them has kept up.
        self._lag: Deferred[None] | None = None

    def __iter__(self) -> Iterator[Reader]:
        # Whoever is told something may leave.
        return iter(list(self._all))

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def any_here(self) -> bool:
        """Whether this machine's own pacman is among them."""
        return any(not reader.verifies for reader in self._all)

    @property
    def given(self) -> list[Reader]:
        """Those that were given any byte."""
        return [reader for reader in self._all if reader.position > reader.start]

    @property
    def any_may_begin(self) -> bool:
        """Whether one of them may be given a byte now."""
        return any(reader.limit(reader.position) > reader.position for reader in self._all)

    def add(self, reader: Reader) -> None:
        self._all.add(reader)
        self.wait_no_more()

    def remove(self, reader: Reader) -> None:
        self._all.discard(reader)

    def wait(self, seconds: float, then: Callable[[], None]) -> None:
        """Call ``then`` unless somebody follows again in so many seconds."""

        def over() -> None:
            self._grace = None
            then()

        if self._grace is None:
            self._grace = self._clock.callLater(seconds, over)

    def wait_no_more(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    # Who is to keep up with what comes

    def behind(self, arrived: int) -> Deferred[None] | None:
        """Return what fires once one has taken most of so many bytes; None where one has."""
        if not self._are_behind(arrived):
            return None
        self._lag = self._lag or Deferred()
        return self._lag

    def took(self, arrived: int) -> None:
        """Learn that one of them was given more of so many bytes."""
        if self._lag is not None and not self._are_behind(arrived):
            self.keep_up_no_more()

    def keep_up_no_more(self) -> None:
        """Let more come, whatever of it they have taken."""
        lag, self._lag = self._lag, None
        if lag is not None:
            lag.callback(None)

    def _are_behind(self, arrived: int) -> bool:
        return arrived - max((one.position for one in self._all), default=0) > LEAD

    def poke(self) -> None:
        for reader in self:
            reader.poke()

    def abort(self) -> None:
        for reader in self:
            reader.abort()

    def doubt(self, from_mirrors: Extents) -> None:
        """Note up to where each was given bytes that no mirror had sent."""
        for reader in self._all:
            if from_mirrors.reach(reader.start) < reader.position:
                reader.doubtful_until = reader.position

    def abort_spoilt(self, disputes: Disputes) -> None:
        """Let go of those that were given a byte which was found to be wrong."""
        for reader in self:
            if disputes.any_spoilt(reader.start, reader.doubtful_until):
                reader.abort()
