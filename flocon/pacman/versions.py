"""Which of two versions is the newer one, as pacman sees it. Nothing else.

The order is that of ``vercmp``(8): epoch, then version, then release where both have one; each is
compared piece by piece, digits as numbers and letters as text. Behaviour as measured with 6.0.2.
"""

from __future__ import annotations

import re
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: The separators before a piece, and the piece: digits, or letters.
_PIECE = re.compile(r"([^a-zA-Z0-9]*)([0-9]+|[a-zA-Z]+|\Z)")


def compare_versions(one: str, two: str) -> int:
    """Return -1, 0 or 1 where ``one`` is older than, the same as or newer than ``two``."""
    if one == two:
        return 0
    epoch, version, release = _split(one)
    other_epoch, other_version, other_release = _split(two)
    return (
        _compare(epoch, other_epoch)
        or _compare(version, other_version)
        or (_compare(release, other_release) if release and other_release else 0)
    )


#: For ``sorted``: the oldest version first.
version_key: Callable[[str], Any] = cmp_to_key(compare_versions)


def _split(text: str) -> tuple[str, str, str]:
    epoch, colon, rest = text.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", text.lstrip(":") if text.startswith(":") else text
    version, dash, release = rest.rpartition("-")
    return (epoch, version, release) if dash else (epoch, rest, "")


def _compare(one: str, two: str) -> int:
    if one == two:
        return 0
    at = other = 0
    while at < len(one) and other < len(two):
        mine, theirs = _PIECE.match(one, at), _PIECE.match(two, other)
        assert mine is not None
        assert theirs is not None
        if not mine[2] or not theirs[2]:
            return _compare_ends(mine[2], theirs[2])
        if len(mine[1]) != len(theirs[1]):
            return _sign(len(mine[1]) - len(theirs[1]))
        if mine[2][0].isdigit() != theirs[2][0].isdigit():
            return 1 if mine[2][0].isdigit() else -1
        if mine[2][0].isdigit():
            result = _sign(int(mine[2]) - int(theirs[2]))
        else:
            result = (mine[2] > theirs[2]) - (mine[2] < theirs[2])
        if result:
            return result
        at, other = mine.end(), theirs.end()
    return _compare_ends(one[at:], two[other:])


def _compare_ends(mine: str, theirs: str) -> int:
    """Judge where one has ended: letters at the end make older (1.0rc), anything else newer."""
    if not mine and not theirs:
        return 0
    if not mine:
        return 1 if theirs[0].isalpha() else -1
    return -1 if mine[0].isalpha() else 1


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
