"""Sizes, times and numbers of things as a person reads them."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
_SIXTY = 60
_DAY_HOURS = 48


def size_text(count: float) -> str:
    """Return a number of bytes with its binary unit."""
    for unit in _UNITS[:-1]:
        if count < _STEP:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} {_UNITS[-1]}"


def time_text(seconds: float) -> str:
    """Return a span of time in the one or two units that matter."""
    whole = round(max(0.0, seconds))
    minutes, rest = divmod(whole, _SIXTY)
    hours, minutes_left = divmod(minutes, _SIXTY)
    if not minutes:
        return f"{whole} s"
    if not hours:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if hours < _DAY_HOURS:
        return f"{hours} h {minutes_left} min" if minutes_left else f"{hours} h"
    return f"{hours // 24} days"


def counted(count: int, what: str) -> str:
    """Return a number of things, in the singular where it is one."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
