"""What the kernel tells in /proc beside processes: what of it is shown, and that none is written.

Root sets the kernel there, behind a wall too, whatever rights it has not: and the kernel runs as
root of the machine what ``/proc/sys/kernel/core_pattern`` says. Bubblewrap covers some of it, where
a question that the kernel answers wrongly there (access(2)) says that it must.
"""

from __future__ import annotations

import os

from flocon.walls.bubblewrap import Kernel

#: Where the kernel is set, and by what shared memory is counted; not there with ProcSubset=pid.
_NEEDED = ("sys", "meminfo")
#: What builds and their checks ask for. All else is of this machine, its devices, disks and shares
#: (``fs`` has the names of servers), of which a file system may tell whatever it likes.
SHOWN = frozenset(
    {
        *("buddyinfo", "cgroups", "config.gz", "cpuinfo", "crypto", "devices", "diskstats"),
        *("execdomains", "filesystems", "interrupts", "loadavg", "locks", "meminfo", "misc"),
        *("modules", "partitions", "pressure", "schedstat", "softirqs", "stat", "swaps", "sys"),
        *("sysvipc", "tty", "uptime", "version", "version_signature", "vmstat", "zoneinfo"),
    }
)


def lacks(proc: str = "/proc") -> list[str]:
    """Return what is not told here and has to be: behind a wall it would be there, uncovered."""
    return [one for one in _NEEDED if not os.path.lexists(f"{proc}/{one}")]


def covered(proc: str = "/proc") -> Kernel:
    """Return how all is covered that no process is, and no link to what one is."""
    with os.scandir(proc) as entries:
        found = sorted(
            (one.path, one.name, one.is_dir())
            for one in entries
            if not (one.name.isdigit() or one.is_symlink())
        )
    others = [(path, is_folder) for path, name, is_folder in found if name not in SHOWN]
    return Kernel(
        [path for path, is_folder in others if not is_folder],
        [path for path, is_folder in others if is_folder],
        [path for path, name, _ in found if name in SHOWN],
    )
