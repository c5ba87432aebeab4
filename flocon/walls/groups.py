"""A control group for a job (cgroups(7), version 2), where this process may make one.

systemd gives its unit one of its own (``Delegate=yes``). Elsewhere there is none, and what a job
takes is bounded by the kernel's limits for each process, and by who watches.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_CONTROLLERS = ("memory", "pids")


def own_group(
    groups: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")
) -> Path | None:
    """Return the folder of this process's own group; None where it is the system's, or none."""
    try:
        lines = groups.read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    path = next((one[3:] for one in lines if one.startswith("0::")), "/")
    folder = mounted / path.strip("/")
    is_own = path != "/" and (folder / "cgroup.controllers").is_file()
    return folder if is_own and os.access(folder, os.W_OK) else None


class Group:
    """The group in which one job runs; ``path`` is "" where there is none."""

    def __init__(self, own: Path | None, job: str) -> None:
        self._own = own
        self._folder = own / f"job-{job}" if own else None
        self.path = ""

    def make(self, memory: int, processes: int) -> bool:
        """Make it, with bytes and processes at most; return whether there is one."""
        if self._own is None or self._folder is None:
            return False
        try:
            self._lead(self._own)
            self._folder.mkdir(exist_ok=True)
            (self._folder / "memory.max").write_text(str(memory), "ascii")
            (self._folder / "pids.max").write_text(str(processes), "ascii")
        except OSError:
            self.remove()
            return False
        with suppress(OSError):
            (self._folder / "memory.swap.max").write_text("0", "ascii")
        # One that lacks memory is ended with all of it, not process by process.
        with suppress(OSError):
            (self._folder / "memory.oom.group").write_text("1", "ascii")
        self.path = str(self._folder)
        return True

    def _lead(self, own: Path) -> None:
        """Have the group below bounded, which it can be where no process is in the one above."""
        leading = own / "builder"
        leading.mkdir(exist_ok=True)
        for process in (own / "cgroup.procs").read_text("ascii").split():
            (leading / "cgroup.procs").write_text(process, "ascii")
        controls = " ".join(f"+{one}" for one in _CONTROLLERS)
        (own / "cgroup.subtree_control").write_text(controls, "ascii")

    @property
    def was_short(self) -> bool:
        """Whether it lacked memory."""
        if self._folder is None:
            return False
        with suppress(OSError):
            for line in (self._folder / "memory.events").read_text("ascii").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill" and count != "0":
                    return True
        return False

    def remove(self) -> None:
        """End whatever is left in it, and take it away."""
        if self._folder is None:
            return
        with suppress(OSError):
            (self._folder / "cgroup.kill").write_text("1", "ascii")
        with suppress(OSError):
            self._folder.rmdir()
        self.path = ""
