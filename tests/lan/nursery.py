"""A process that has imported what a node or a command needs, and forks one whenever asked to.

    python -P tests/lan/nursery.py PROGRAM SOCKET

Importing is nearly all that a start takes, most of a second of a processor, and tests start some
thousand. What is forked enters its namespace as ``ip netns exec`` does, is twistd or flocon from
there on, and ends with this. Run as a file: neither is to hold anything of the tests' modules.
``forked`` asks it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

#: A number in a report: the id of the process, then its status as ``subprocess`` has it.
NUMBER = struct.Struct("=i")
#: Bytes of the longest request: a command line and its environment.
LONGEST = 1 << 17
_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_BIND, _MS_REC, _MS_SLAVE, _MNT_DETACH = 0x1000, 0x4000, 0x80000, 2
_PR_SET_PDEATHSIG = 1
#: What a program imports at its start, and where it begins: its reactor is left to who is forked.
_NEEDED = {
    "twistd": ("twisted.internet.epollreactor", "flocon.node.service", "flocon.mdns.mdns"),
    "flocon": ("twisted.internet.epollreactor", "flocon.cli.asking"),
}
_BEGINS = {"twistd": ("twisted.scripts.twistd", "run"), "flocon": ("flocon.cli.main", "main")}
_OVERLAYS = Path("/etc/netns")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be started; ``descriptors`` are for output, errors, and the report of its end."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    namespace: str
    descriptors: list[int]


def main(program: str, number: int) -> None:
    module, function = _BEGINS[program]
    _import_all(*_NEEDED[program], module)
    start = _forked(socket.socket(fileno=number))
    if start is not None:
        _become(start)
        sys.exit(getattr(sys.modules[module], function)())


def _import_all(*names: str) -> None:
    gc.disable()
    for name in names:
        import_module(name)
    if "twisted.internet.reactor" in sys.modules:
        raise RuntimeError("each needs a reactor of its own")
    gc.freeze()
    gc.enable()


def _forked(asked: socket.socket) -> Start | None:
    """Fork for each request; return it in the child, and nothing once nobody can ask any more."""
    parent = os.getpid()
    reports: dict[int, tuple[int, int]] = {}
    waiting = select.poll()
    waiting.register(asked, select.POLLIN)
    while True:
        for descriptor, _ in waiting.poll():
            if descriptor != asked.fileno():
                waiting.unregister(descriptor)
                os.close(descriptor)
                _report(*reports.pop(descriptor))
                continue
            start = _received(asked)
            if start is None:
                return None
            pid = os.fork()
            if not pid:
                _end_with(parent)
                asked.detach()
                return start
            output, errors, report = start.descriptors
            os.close(output)
            os.close(errors)
            os.write(report, NUMBER.pack(pid))
            handle = os.pidfd_open(pid)
            reports[handle] = (pid, report)
            waiting.register(handle, select.POLLIN)


def _received(asked: socket.socket) -> Start | None:
    data, descriptors, _, _ = socket.recv_fds(asked, LONGEST, 3)
    return Start(**json.loads(data), descriptors=descriptors) if data else None


def _report(pid: int, report: int) -> None:
    """Tell how a process ended, if anybody still listens."""
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(report, NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os.close(report)


def _end_with(parent: int) -> None:
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
    if os.getppid() != parent:
        os._exit(1)


def _become(start: Start) -> None:
    """Have this process be as if it had been started so."""
    _enter(start.namespace)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for standard, descriptor in enumerate(start.descriptors[:2], 1):
        os.dup2(descriptor, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(start.environment)
    time.tzset()
    os.chdir(start.folder)
    sys.argv[:] = start.arguments


def _enter(namespace: str) -> None:
    """Enter a namespace as ``ip netns exec`` does: with its /sys, and its own files in /etc."""
    with Path("/run/netns", namespace).open("rb") as file:
        _checked(_libc.setns(file.fileno(), _CLONE_NEWNET), namespace)
    _checked(_libc.unshare(_CLONE_NEWNS), "unshare")
    _mount("none", "/", None, _MS_SLAVE | _MS_REC)
    _checked(_libc.umount2(b"/sys", _MNT_DETACH), "/sys")
    _mount(namespace, "/sys", "sysfs", 0)
    overlay = _OVERLAYS / namespace
    for path in overlay.iterdir() if overlay.is_dir() else ():
        _mount(str(path), f"/etc/{path.name}", None, _MS_BIND)


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    given = (source.encode(), target.encode(), kind and kind.encode())
    _checked(_libc.mount(*given, ctypes.c_ulong(flags), None), target)


def _checked(outcome: int, what: str) -> None:
    if outcome:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
