"""How long each mirror is waited for, when a database is wanted: one patience for all of them.

pacman waits 10 s for the first byte of a database, whatever the number of mirrors; it asks for no
package before. So they share what it has: with a few each has time enough, with many the later
ones have less, and the last one has all that is left, since nobody could better it.
"""

from __future__ import annotations

#: Seconds in which all of them together have answered.
ALL = 8.5
#: What one has at least, and among how many those that are left share what is left.
LEAST = 0.5
SHARED_BY = 4
#: A mirror is asked again where so many seconds are left at least.
AGAIN = 1.0


def share(waited: float, left: int, usual: float) -> float | None:
    """Return how many seconds the next source has for its first byte; None where none are left.

    ``waited`` is seconds since pacman asked or heard the last byte, ``left`` how many sources there
    are to ask, the next one included, and ``usual`` what one has where there is plenty.
    """
    rest = ALL - waited
    if rest < LEAST / 2 or left < 1:
        return None
    if left == 1:
        return rest
    return min(rest, max(LEAST, min(usual, rest / min(left, SHARED_BY))))
