"""What the LAN saved: bytes that it had and bytes from the WAN, and the seconds not waited for.

Only what a peer held did not cross the WAN. What a peer fetched for this node crossed it all the
same, and is counted apart.

Time is that of the link and not of one transfer: while any transfer from mirrors runs, the WAN is
busy, however many run beside each other. What a day saved is what its bytes from the LAN would have
taken at the WAN's rate, less the time the LAN took. Days are names like ``2026-11-21``, which the
caller reads off a clock; ``now`` is in seconds of one that only goes forward.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from flocon.asking.source import Came

#: Days remembered; the oldest goes first.
MOST_DAYS = 400
#: A busy time with fewer bytes than these tells of round trips and not of a rate.
LEAST_MEASURED = 256 << 10
#: Beyond so many bytes the WAN's older measurements count half.
MEMORY = 1 << 30
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: No count of a damaged file may grow from here into something no sum can hold.
_LARGEST = 1e18
#: Bytes per second.
_FASTEST = 1e12


@dataclass(frozen=True, slots=True)
class Day:
    """Bytes that peers held, that came from mirrors, and that peers fetched; the seconds saved."""

    lan_bytes: int = 0
    wan_bytes: int = 0
    seconds_saved: float = 0.0
    owner_bytes: int = 0


@dataclass(slots=True)
class _Link:
    """The transfers of one kind that run, and what came since the first of them began."""

    running: int = 0
    since: float = 0.0
    bytes: int = 0


class Savings:
    """The days, and the WAN's rate; ``load`` gives those that ``dump`` wrote down."""

    def __init__(self) -> None:
        self.days: dict[str, Day] = {}
        #: Since this node started.
        self.seconds_saved = 0.0
        self._links = {came: _Link() for came in Came}
        self._measured_bytes = 0.0
        self._measured_seconds = 0.0

    @property
    def wan_rate(self) -> float:
        """Bytes per second of the WAN, 0 where nothing was measured."""
        return self._measured_bytes / self._measured_seconds if self._measured_seconds else 0.0

    def began(self, came: Came, now: float) -> None:
        """Count a transfer from a peer or a mirror as running."""
        link = self._links[came]
        if not link.running:
            link.since, link.bytes = now, 0
        link.running += 1

    def ended(self, came: Came, size: int, now: float, today: str) -> None:
        """Count a transfer as over that brought ``size`` bytes, however it went."""
        link = self._links[came]
        link.running = max(0, link.running - 1)
        link.bytes += size
        seconds = max(0.0, now - link.since)
        saved = 0.0
        if not link.running and came is Came.MIRROR:
            self._measure(link.bytes, seconds)
        elif not link.running and came is Came.PEER and self.wan_rate and link.bytes:
            # A LAN slower than the WAN has saved no time, and is not to take any away.
            saved = max(0.0, link.bytes / self.wan_rate - seconds)
        if size or saved:
            self._add(came, size, saved, today)

    def _measure(self, size: int, seconds: float) -> None:
        if size < LEAST_MEASURED or seconds <= 0:
            return
        if self._measured_bytes > MEMORY:
            self._measured_bytes /= 2
            self._measured_seconds /= 2
        self._measured_bytes += size
        self._measured_seconds += seconds

    def _add(self, came: Came, size: int, saved: float, today: str) -> None:
        day = self.days.get(today, Day())
        self.days[today] = Day(
            day.lan_bytes + (size if came is Came.PEER else 0),
            day.wan_bytes + (size if came is Came.MIRROR else 0),
            day.seconds_saved + saved,
            day.owner_bytes + (size if came is Came.OWNER else 0),
        )
        self.seconds_saved += saved
        while len(self.days) > MOST_DAYS:
            del self.days[min(self.days)]

    def dump(self) -> dict[str, Any]:
        """Return what is remembered as plain values, for a file."""
        return {
            "wan": [self._measured_bytes, self._measured_seconds],
            "days": {
                name: [day.lan_bytes, day.wan_bytes, day.seconds_saved, day.owner_bytes]
                for name, day in self.days.items()
            },
        }


def is_sound(value: object) -> bool:
    """Whether all of a file's value is what ``dump`` gives."""
    if not isinstance(value, dict) or not _measure_of(value.get("wan")):
        return False
    rows = value.get("days")
    return isinstance(rows, dict) and all(_day(name, row) is not None for name, row in rows.items())


def load(value: object) -> Savings:
    """Read what ``dump`` gave, from a file that may be damaged: what is no day is left out."""
    savings = Savings()
    if not isinstance(value, dict):
        return savings
    if wan := _measure_of(value.get("wan")):
        savings._measured_bytes, savings._measured_seconds = wan  # noqa: SLF001 - its own module
    rows = value.get("days")
    days = {
        name: day
        for name, row in (rows.items() if isinstance(rows, dict) else ())
        if (day := _day(name, row)) is not None
    }
    savings.days = {name: days[name] for name in sorted(days)[-MOST_DAYS:]}
    return savings


def _measure_of(value: object) -> list[float]:
    """Return bytes and seconds that can have been measured; none where ``value`` is not that."""
    numbers = _numbers(value, 2)
    if not numbers:
        return []
    size, seconds = numbers
    # Nothing measured is two zeros; no link brings more than so much in a second.
    return numbers if size <= seconds * _FASTEST else []


def _day(name: str, row: object) -> Day | None:
    numbers = _numbers(row, 4) or _numbers(row, 3)
    if not numbers or not _is_day(name):
        return None
    return Day(int(numbers[0]), int(numbers[1]), numbers[2], int(*numbers[3:]))


def _is_day(name: str) -> bool:
    try:
        return _DAY.fullmatch(name) is not None and bool(date.fromisoformat(name))
    except ValueError:
        return False


def _numbers(value: object, count: int) -> list[float]:
    """Return so many numbers that may be counts; none where ``value`` is not that."""
    if not isinstance(value, list) or len(value) != count:
        return []
    good = all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and 0 <= one < _LARGEST
        for one in value
    )
    return [float(one) for one in value] if good else []
