"""When the AUR may be asked again: decides only. Times are in seconds of a clock nobody sets.

The AUR is many people's, counts what an address asks for in a day, and was away for days at times:
whatever it does, nobody here asks it more often for that.
"""

from __future__ import annotations

from flocon.datagrams.buckets import Bucket
from flocon.errors import Unreachable

#: Questions of a day, and of an hour: the AUR answers 4,000 a day of one address, with all that is
#: behind it. 500 watched packages are 4 questions an hour.
DAILY = 1_000.0
AT_ONCE = 200.0
_DAY = 86_400.0
#: Seconds after a first failure, doubled with each further one up to these.
FIRST = 60.0
LONGEST = 3_600.0
#: The same where the AUR says that it was asked too often.
FIRST_TOO_OFTEN = 900.0
LONGEST_TOO_OFTEN = 4 * 3_600.0
#: No server has us wait longer.
LONGEST_TOLD = _DAY
_MOST_DOUBLED = 16


class Pauses:
    """What came of the last questions, and how long to leave the AUR alone for it."""

    def __init__(self) -> None:
        self._questions = Bucket(DAILY / _DAY, AT_ONCE)
        self._failures = 0
        #: Until when it is left alone: of ourselves, and because it said so.
        self._until = self._told_until = 0.0
        #: What the last failure said.
        self.reason = ""

    def wait(self, now: float, *, urgent: bool) -> float:
        """Return in how many seconds it may be asked; where somebody waits, in spite of failures.

        What it said itself counts in any case.
        """
        until = self._told_until if urgent else max(self._until, self._told_until)
        return max(0.0, until - now)

    def demand_asked(self, name: str, now: float, *, urgent: bool) -> None:
        """Raise Unreachable where ``name`` is left alone now."""
        if wait := self.wait(now, urgent=urgent):
            raise Unreachable(name, f"is left alone for {wait:.0f} s more: {self.reason}")

    def take(self, now: float) -> bool:
        """Count a question; False where there were too many."""
        return self._questions.take(now)

    def answered(self) -> None:
        self._failures = 0
        self._until = self._told_until = 0.0
        self.reason = ""

    def failed(
        self, now: float, reason: str, *, too_often: bool = False, told: float | None = None
    ) -> None:
        """Learn that a question failed; ``told`` is for how long it said to be left alone."""
        first, longest = (FIRST_TOO_OFTEN, LONGEST_TOO_OFTEN) if too_often else (FIRST, LONGEST)
        pause = min(longest, first * 2.0 ** min(self._failures, _MOST_DOUBLED))
        self._failures += 1
        self.reason = reason
        self._until = now + pause
        if told is not None:
            self._told_until = now + min(told, LONGEST_TOLD)
        elif too_often:
            self._told_until = self._until
