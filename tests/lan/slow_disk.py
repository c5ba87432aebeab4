"""A node on a slow disk: ``python slow_disk.py REPORT DELAY FSYNC FOLDER... -- TWISTD-ARGUMENTS``.

Every call of Python's that touches a file beneath one of the folders takes DELAY seconds (and
FSYNC if it is one), as on a disk that is asleep, far away, or busy. REPORT gets a line for each
such call that was made in the reactor's thread, where nothing may wait.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

#: Functions of ``os`` whose first argument is a path, or a file's descriptor.
BY_PATH = (
    "open",
    "unlink",
    "rename",
    "link",
    "mkdir",
    "stat",
    "lstat",
    "listdir",
    "scandir",
    "statvfs",
)
BY_DESCRIPTOR = (
    "close",
    "write",
    "pwrite",
    "pwritev",
    "fsync",
    "ftruncate",
    "fchmod",
    "fstatvfs",
    "posix_fallocate",
)


class SlowDisk:
    """What is slow, and the report of who waited for it."""

    def __init__(self, report: int, delay: float, fsync: float, folders: list[str]) -> None:
        self._report = report
        self._delay = delay
        self._fsync = fsync
        self._folders = folders
        self._write = os.write
        self._readlink = os.readlink

    def slow_down(self) -> None:
        for name in (*BY_PATH, *BY_DESCRIPTOR):
            setattr(os, name, self._slowed(name, getattr(os, name)))

    def _slowed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            folder = named.get("dir_fd", named.get("dst_dir_fd"))
            place = self._place(arguments[0] if arguments else ".", folder)
            if place.startswith(tuple(self._folders)):
                if threading.current_thread() is threading.main_thread():
                    self._write(self._report, f"{name} {place}\n".encode())
                time.sleep(self._fsync if name == "fsync" else self._delay)
            return function(*arguments, **named)

        return call

    def _place(self, what: Any, folder: int | None) -> str:
        """Return the path of what a call is about, "" where there is none."""
        try:
            if isinstance(what, int):
                return self._readlink(f"/proc/self/fd/{what}")
            path = os.fsdecode(what)
            if path.startswith("/proc/self/fd/") or folder is None:
                return path
            return f"{self._readlink(f'/proc/self/fd/{folder}')}/{path}"
        except (OSError, TypeError):
            return ""


def main() -> None:
    report, delay, fsync, *rest = sys.argv[1:]
    end = rest.index("--")
    descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    SlowDisk(descriptor, float(delay), float(fsync), rest[:end]).slow_down()
    sys.argv = ["twistd", *rest[end + 1 :]]
    from twisted.scripts.twistd import run  # noqa: PLC0415 - as twistd itself does

    run()


if __name__ == "__main__":
    main()
