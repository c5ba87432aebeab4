"""What is told of surprises: all of it, as far as one message has room. No I/O.

Whatever is left out is counted: a person can look for it in the package itself.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from flocon.repository.surprises import Surprise

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Surprises that are told one by one.
MOST_TOLD = 1_000
#: What JSON puts around one, its keys and a count of what was left out among it.
_AROUND = 100
#: What stands behind those that are named, where there are too many.
_MORE = re.compile(r"and ([0-9]{1,9}) more lines")


def told(surprises: Sequence[Surprise], most: int) -> list[Surprise]:
    """Return what of surprises has room in ``most`` bytes of JSON, each with its share of lines."""
    shown = list(surprises[:MOST_TOLD])
    if more := len(surprises) - len(shown):
        last = surprises[len(shown)].package
        shown.append(Surprise(last, "and more", f"{more} more surprises than can be told"))
    left = most - sum(_AROUND + _size(one.package) + _size(one.what) for one in shown)
    found = []
    # Those with little to say first: what they leave is for the others.
    order = sorted(range(len(shown)), key=lambda at: len(shown[at].detail))
    for waiting, at in zip(range(len(order), 0, -1), order, strict=True):
        one = shown[at]
        detail, used = _beginning(one.detail, max(0, left // waiting))
        left -= used
        found.append((at, Surprise(one.package, one.what, detail)))
    return [one for _, one in sorted(found)]


def _beginning(detail: str, most: int) -> tuple[str, int]:
    """Return as many lines as have room, with a count of all others, and what they take."""
    lines = detail.split("\n")
    used, kept = 0, 0
    for line in lines:
        size = _size(line) + 2
        if used + size > most:
            break
        used, kept = used + size, kept + 1
    if kept == len(lines):
        return detail, used
    more = len(lines) - kept
    if further := _MORE.fullmatch(lines[-1]):
        more += int(further[1]) - 1
    return "\n".join([*lines[:kept], f"and {more} more lines"]), used


def _size(text: str) -> int:
    """Return how many bytes a text has in JSON, without the quotes."""
    return len(json.dumps(text)) - 2
