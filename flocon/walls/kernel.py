"""What the kernel tells in /proc beside processes: what of it is hidden, and that none is written.

Root sets the kernel there, behind a wall too, whatever rights it has not: and the kernel runs as
root of the machine what ``/proc/sys/kernel/core_pattern`` says. Bubblewrap covers some of it, where
a question that the kernel answers wrongly there (access(2)) says that it must.
"""

from __future__ import annotations

import os

from flocon.walls.bubblewrap import HIDDEN

#: Where the kernel is set, and by what shared memory is counted; not there with ProcSubset=pid.
_NEEDED = ("sys", "meminfo")


def lacks(proc: str = "/proc") -> list[str]:
    """Return what is not told here and has to be: behind a wall it would be there, uncovered."""
    return [one for one in _NEEDED if not os.path.lexists(f"{proc}/{one}")]


def hidden() -> list[str]:
    """Return those of ``HIDDEN`` that this kernel has."""
    return [one for one in HIDDEN if os.path.lexists(one)]


def read_only(proc: str = "/proc") -> list[str]:
    """Return all else that no process is, and no link to what one is: all of that is shown."""
    entries = [one for one in os.scandir(proc) if not one.name.isdigit()]
    shown = [one.path for one in entries if not one.is_symlink()]
    return sorted(set(shown) - set(HIDDEN))
