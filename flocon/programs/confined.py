"""Runs a program that reads what strangers have made, with hardly anything in its reach.

This file is run by its path (``command``), by a Python that imports nothing of flocon: it gives
away what the program is not to have, and becomes it. What is left are its open files, and the
system's programs and libraries to read: no other file (landlock(7)), no socket and no other process
(seccomp(2)), should a damaged archive make it do what it was not written for. A kernel that knows
only some of this does that.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where programs and what they need to begin are, on Arch and elsewhere.
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache")

# <linux/landlock.h>: calls; rights by the version that brought them; what may be done in _SYSTEM.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
_EXECUTE, _READ_FILE, _READ_FOLDER = 1, 4, 8
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6
_TWO_RIGHTS = 3

# <linux/prctl.h>, <linux/seccomp.h>, <linux/bpf_common.h>.
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF_0000, 0x8000_0000, 0x0005_0001
_NUMBER, _ARCHITECTURE = 0, 4
#: x32: the same architecture by its name, with other numbers.
_X32 = 0x4000_0000
#: ``AUDIT_ARCH_...``, and socket, connect, ptrace, process_vm_readv, process_vm_writev there.
_MACHINES = {
    "x86_64": (0xC000_003E, (41, 42, 101, 310, 311)),
    "aarch64": (0xC000_00B7, (198, 203, 117, 270, 271)),
}
#: io_uring_setup, io_uring_enter and pidfd_getfd, which are the same everywhere.
_EVERYWHERE = (425, 426, 438)


def command(words: Sequence[str]) -> list[str]:
    """Return the command that runs a program, given by its path, in confinement."""
    return [sys.executable, "-I", "-S", __file__, *words]


def confine() -> None:
    """Give away all that can be: for this process, and whatever it becomes."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return
    _leave_files(library)
    _leave_sockets(library)


def _leave_files(library: ctypes.CDLL) -> None:
    version = library.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return
    rights = max(count for since, count in _RIGHTS if since <= version)
    fields = [(1 << rights) - 1]
    fields += [_TWO_RIGHTS] if version >= _NETWORK_SINCE else []
    fields += [_TWO_RIGHTS] if version >= _SCOPES_SINCE else []
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = library.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return
    for path in _SYSTEM:
        with suppress(OSError):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            is_folder = os.path.isdir(path)  # noqa: PTH112 - pathlib takes long to import
            allowed = _EXECUTE | _READ_FILE | (_READ_FOLDER if is_folder else 0)
            rule = struct.pack("=Qi", allowed, descriptor)
            library.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
            os.close(descriptor)
    library.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _leave_sockets(library: ctypes.CDLL) -> None:
    known = _MACHINES.get(platform.machine())
    if known is None or struct.calcsize("P") != 8:  # noqa: PLR2004 - a 32-bit Python has other calls
        return
    architecture, numbers = known
    refused = (*numbers, *_EVERYWHERE)
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
        *((_EQUAL, len(refused) - at, 0, number) for at, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in lines))
    filters = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(program))
    library.prctl(_SET_SECCOMP, _FILTER, filters, 0, 0)


if __name__ == "__main__":
    confine()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - as asked for
