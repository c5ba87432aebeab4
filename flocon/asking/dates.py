"""HTTP dates: which of them pacman may be told.

pacman gives a database the time that its ``Last-Modified`` says, and asks mirrors only for what is
newer. One from the future would keep every mirror's database from it until then; so no answer bears
a date that this machine's clock has not reached, whoever it is from, and none is passed on.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime


def seconds_of(date: str | None) -> float | None:
    """Return an HTTP date as seconds since 1970, None where it is none."""
    try:
        moment = parsedate_to_datetime(date) if date else None
        if moment is None:
            return None
        # HTTP knows GMT alone.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def past(date: str | None, now: float) -> str | None:
    """Return ``date`` if it is one, and ``now`` (seconds since 1970) is not before it; or None."""
    seconds = seconds_of(date)
    return date if seconds is not None and 0 <= seconds <= now else None


def taken_from(since: int, has: float | None) -> int:
    """Return the first second, ``since`` at the least, with which pacman takes a file.

    It takes none that is no newer than its own copy, of ``has`` (seconds; None: it has none).
    """
    return since if has is None else max(since, int(has) + 1)


def read_retry_after(value: str, wall_now: float) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3); None where it is none.

    ``wall_now`` is in seconds since 1970, for a date.
    """
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    moment = seconds_of(text)
    return None if moment is None else max(0.0, moment - wall_now)
