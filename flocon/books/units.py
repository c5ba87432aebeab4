"""Sizes, times and numbers of things as a person reads them, and what strangers wrote."""

from __future__ import annotations

import re

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
_SIXTY = 60
_DAY_HOURS = 48
#: What does not show and is a letter, a mark or a symbol to Unicode: fillers, joiners, what chooses
#: a variant of the sign before it, and braille without a dot.
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


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


def plain(text: object) -> str:
    """Return ``text`` with every sign escaped that would not show, or turn others around."""
    said = str(text)
    if said.isprintable() and not UNSEEN.search(said):
        return said
    return "".join(
        one if one.isprintable() and not UNSEEN.match(one) else ascii(one)[1:-1] for one in said
    )
