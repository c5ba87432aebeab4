"""A program of its own that goes into namespaces, lays out a root there, and runs bubblewrap.

It is run as a file by the builder for each thing that is to be walled in, has the standard library
only, and trusts its plan, a JSON object on descriptor 3. What it has to say goes to descriptor 4:
that it is ready, with what the kernel knows the first process behind the wall by, and the listening
socket by which the network that it made has a way out; or why it cannot. What runs then says all
else on its standard output.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

PLAN, ANSWER = 3, 4
# <linux/sched.h>, <sys/mount.h>, <linux/sockios.h>, <linux/if.h>
_NEW_MOUNTS, _NEW_IPC, _NEW_USER = 0x0002_0000, 0x0800_0000, 0x1000_0000
_NEW_PROCESSES, _NEW_NETWORK = 0x2000_0000, 0x4000_0000
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_NO_SUID, _NO_DEV, _NO_EXEC = 2, 4, 8
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
_REQUEST = struct.Struct("@16sH22x")
#: PR_SET_PDEATHSIG of prctl(2).
_DIE_WITH_PARENT = 1
#: What a shell adds to the number of a signal.
_KILLED = 128
#: What the kernel says of a layer that cannot be written on the file system where it is to lie.
_NO_LAYERS = (errno.EINVAL, errno.EOPNOTSUPP)
_PLACE_IT = (
    "no layer of an overlay can lie on the file system of the builder's folder, which may be an"
    " overlay or a network's: mount a file system of a disk there, or name another folder by --work"
)
#: What the kernel keeps by a number, for no process and on no disk: how much of it there may be.
#: It has room for gigabytes (sysvipc(7)); a fakeroot wants three queues, and two semaphores.
_BY_NUMBER = {"sem": "250 32000 100 128", "msgmni": "64", "shmmni": "256", "shmall": "16384"}
#: Connections of a job that wait to be accepted.
_BACKLOG = 64

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Do what the plan says, and end as its command does."""
    with socket.socket(fileno=ANSWER) as answer:
        try:
            plan = json.loads(_read(PLAN))
            os.dup2(1, 2)
            listening = _enter(plan)
            _bound(plan)
            going, go = os.pipe()
            first = os.fork()
        except OSError as error:
            answer.sendall(_sentence(error))
            os._exit(1)
        if first == 0:
            os.close(go)
            answer.close()
            _become(plan, going)
        files = [os.pidfd_open(first)]
        if listening is not None:
            files.append(listening.fileno())
        socket.send_fds(answer, [b"ready"], files)
    if listening is not None:
        listening.close()
    os.write(go, b"!")
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    os._exit(status if status >= 0 else _KILLED - status)


def _become(plan: dict[str, Any], going: int) -> None:
    """Become what is to run, as the first process of its own namespace, once it is told to go.

    Whoever started it may end before or after: it never outlives that one.
    """
    _libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.read(going, 1) != b"!":
        os._exit(1)
    command = plan["command"]
    try:
        _show_own_processes(plan)
        os.execvpe(command[0], command, plan["environment"])  # noqa: S606 - what it is for
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", flush=True)  # noqa: T201 - to who reads it
        os._exit(127)


def _show_own_processes(plan: dict[str, Any]) -> None:
    """Have /proc tell of this namespace: who asks it by a number means one of its own."""
    try:
        _mount("proc", "/proc", "proc", _NO_SUID | _NO_DEV | _NO_EXEC, "")
    except OSError:
        # Where parts of the one above are hidden, only root may.
        if plan["rights"]:
            raise


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _sentence(error: OSError) -> bytes:
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}".encode()


def _enter(plan: dict[str, Any]) -> socket.socket | None:
    if group := plan["group"]:
        Path(group, "cgroup.procs").write_text(str(os.getpid()), "ascii")
    if not plan["rights"]:
        _become_root_of_a_namespace()
    _unshare(_NEW_MOUNTS | _NEW_PROCESSES | (0 if plan["outside"] else _NEW_NETWORK | _NEW_IPC))
    _mount("none", "/", "", _RECURSIVE | _PRIVATE, "")
    for one in plan["mounts"]:
        _demand_no_link(plan["root"], one["at"])
        flags = _BIND | _RECURSIVE if one["kind"] == "bind" else 0
        kind = "" if flags else one["kind"]
        _mount(one["source"], one["at"], kind, flags, one["options"])
    for place in plan["places"]:
        _demand_no_link(plan["root"], plan["root"] + place)
    for folder in plan["plain"]:
        _demand_plain(plan["root"], folder)
    if plan["outside"]:
        return None
    _bound_what_has_a_number()
    _raise_loopback()
    return _listen(plan["port"]) if plan["port"] else None


def _become_root_of_a_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    _unshare(_NEW_USER)
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1", "ascii")


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise _last_error("no namespaces can be made")


def _mount(source: str, at: str, kind: str, flags: int, options: str) -> None:
    words = [os.fsencode(one) if one else None for one in (source, at, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options) if options else None):
        error = _last_error(at)
        if kind == "overlay" and error.errno in _NO_LAYERS:
            error.strerror = _PLACE_IT
        raise error


def _demand_no_link(root: str, path: str) -> None:
    """Raise OSError where a link leads away from ``path``, below a root that others wrote in.

    Bubblewrap makes what is missing there as root, and would make it wherever a link leads to.
    """
    if not path.startswith(f"{root}/"):
        return
    here = Path(root)
    for part in Path(path).relative_to(root).parts:
        here /= part
        if here.is_symlink():
            raise OSError(errno.ELOOP, "a link lies where the wall puts something", str(here))


def _demand_plain(root: str, folder: str) -> None:
    """Raise OSError where what is written in a folder would be written elsewhere."""
    path = Path(root + folder)
    _demand_no_link(root, str(path))
    if not path.exists():
        return
    with os.scandir(path) as entries:
        for one in entries:
            if not one.is_file(follow_symlinks=False):
                raise OSError(
                    errno.ELOOP, "what is no plain file lies where pacman writes", one.path
                )


def _last_error(about: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), about)


def _bound_what_has_a_number() -> None:
    """Set it for the namespace that was made: bubblewrap makes none of its own."""
    for name, most in _BY_NUMBER.items():
        # Without rights older kernels let nobody, nor where what is in /proc/sys is read only.
        with suppress(OSError):
            Path("/proc/sys/kernel", name).write_text(most, "ascii")


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        said = fcntl.ioctl(asking, _GET_FLAGS, _REQUEST.pack(b"lo", 0))
        flags = _REQUEST.unpack(said)[1]
        fcntl.ioctl(asking, _SET_FLAGS, _REQUEST.pack(b"lo", flags | _UP))


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("127.0.0.1", port))
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    return listening


def _bound(plan: dict[str, Any]) -> None:
    for name, most in plan["limits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)  # noqa: PLW2901 - what it may be raised to
        resource.setrlimit(kind, (most, most))
    os.umask(0o022)
    os.nice(plan["nice"])


if __name__ == "__main__":
    main()
