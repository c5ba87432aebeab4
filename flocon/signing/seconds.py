"""When a signature says that it was made. No I/O.

Who hands a database on keeps the newest signature that it has seen, and takes none that is older:
so each one of a key is later than all before it, by whole seconds, whatever the clock does.
"""

from __future__ import annotations


def next_second(last: int, now: float) -> int:
    """Return the second of the next signature; ``last`` is the one before it, 0 for none."""
    return max(last + 1, int(now))
