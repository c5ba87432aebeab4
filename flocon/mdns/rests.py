"""When mDNS stands still: for a while after a flood, and after each failure to start.

What is found by mDNS is never needed, so nothing is risked for it.
"""

from __future__ import annotations

import errno

#: Seconds of the first rest, after a flood and after a failure, doubled with each further one up
#: to the longest. What this machine's operator has mended is to work while that is remembered.
FIRST, LONGEST = 60.0, 3_600.0
FIRST_TRY, LONGEST_TRY = 5.0, 300.0
#: Seconds without a flood after which one is forgotten.
FORGOTTEN = 7_200.0
#: Names and services that the library may remember: some 700 nodes on one link.
MOST_REMEMBERED = 4_096
#: Datagrams that may come within one look, whether they are read or not, and its seconds.
MOST_IN_A_LOOK = 30_000
LOOK_EVERY = 10.0


def reason_of(error: BaseException) -> str:
    """Return why mDNS does not work, for a person."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "a program has UDP port 5353 to itself"
    return str(error) or type(error).__name__


class Rests:
    """``why`` says why it stands still, and is empty while it does not."""

    def __init__(self) -> None:
        self._count = 0
        self._last = float("-inf")
        self._seen = 0
        self.until = float("-inf")
        self.why = ""
        #: Whether this machine is the reason, and nobody on the LAN.
        self.is_failure = False

    def look(self, now: float, remembered: int, datagrams: int) -> bool:
        """Whether to stand still from now on; ``datagrams`` came since the start."""
        came, self._seen = datagrams - self._seen, datagrams
        if remembered > MOST_REMEMBERED:
            self.begin(now, f"somebody announces services without end: {remembered} names")
        elif came > MOST_IN_A_LOOK:
            self.begin(now, f"somebody floods the LAN with mDNS: {came} datagrams within 10 s")
        return bool(self.why)

    def begin(self, now: float, why: str, *, is_failure: bool = False) -> None:
        """Stand still from now on, longer each time."""
        first, longest = (FIRST_TRY, LONGEST_TRY) if is_failure else (FIRST, LONGEST)
        self.is_failure = is_failure
        if now > self._last + FORGOTTEN:
            self._count = 0
        self._last = now
        self.until = now + min(first * 2**self._count, longest)
        self._count = min(self._count + 1, 16)
        self.why = why

    def is_over(self, now: float) -> bool:
        """Whether to begin again; then there is no reason any more."""
        if self.why and now >= self.until:
            self.why = ""
        return not self.why
