"""System calls that a job may not make, as a program for the kernel (seccomp(2)). No I/O.

What is left out is what a build has no use for and kernels have had holes in: namespaces of its own
(in which it would be root), keys, BPF, io_uring, sockets and terminals of odd kinds, for which a
kernel may load a module; what nobody counts or clears away: file systems within one, memory that
the kernel itself does not read, attributes of files; and what a machine has once: its log, pages
that were set aside, and what may be read at a time without waiting. A call that is not let through
fails as on a kernel that does not know it, or that forbids it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

# <linux/seccomp.h>, <linux/bpf_common.h>: loads of a word at an offset of struct seccomp_data,
# jumps on what was loaded, its bits, and returns.
_LOAD, _JUMP, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x05, 0x15, 0x45, 0x35, 0x06
_MASK = 0x54
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16
#: The two halves of the second one, the lower first: all that are known here have it so.
_SECOND, _SECOND_ABOVE, _THIRD, _FOURTH = 24, 28, 32, 40
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_EPERM, _ENOMEM, _EINVAL, _ENOTTY, _ENOSYS = 1, 12, 22, 25, 38
_EPROTONOSUPPORT, _ESOCKTNOSUPPORT, _EOPNOTSUPP, _EAFNOSUPPORT = 93, 94, 95, 97
#: x32: the same architecture by its name, with other numbers.
_X32 = 0x4000_0000
#: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME.
_NAMESPACES = 0x7E02_0080
#: CLONE_FILES and CLONE_THREAD: what each thread has open is what all of its process have, or
#: nobody finds it; and CLOSE_RANGE_UNSHARE.
_FILES, _THREAD, _APART = 0x400, 0x1_0000, 2
#: AF_UNIX, AF_NETLINK, AF_INET and AF_INET6. A virtual machine's host is in AF_VSOCK, for which
#: there are no namespaces.
_UNIX, _NETLINK, _INTERNET = 1, 16, (2, 10)
#: Of the last two: streams, datagrams and raw ones, of IP itself, ICMP, TCP, UDP and ICMPv6; of
#: NETLINK: ROUTE, SOCK_DIAG, KOBJECT_UEVENT and GENERIC. For others a kernel loads a module.
_TYPE, _TYPES, _PROTOCOLS, _OF_LINKS = 0xF, (1, 2, 3), (0, 1, 6, 17, 58), (0, 4, 15, 16)
#: TIOCSETD and TIOCSTI: what a terminal is spoken to as, by a module too, and typing at one.
_OF_TERMINALS = (0x5423, 0x5412)
#: MAP_HUGETLB and MFD_HUGETLB: pages that are kept for whom they were set aside.
_HUGE_MAP, _HUGE_FILE = 0x4_0000, 4
#: Bytes from which on a segment of shared memory is refused: it needs no process, so nobody counts
#: it, and there may be 4,096 of them. Files in memory do the same, and are counted.
_SEGMENT = (64 << 10) + 1
#: What the numbers of i386's calls for such segments have in ipc(2), and those of no others.
_OF_SEGMENTS = 0x10
#: What btrfs and bcachefs alone are asked by ioctl(2), in that byte of the request: whoever may
#: write in a folder may make a volume there, or a copy that not even root takes away as files are.
_REQUESTS, _OF_VOLUMES = 0xFF00, (0x9400, 0xBC00)
#: FICLONE, FICLONERANGE and FIDEDUPERANGE: btrfs's by their numbers, and any file system's.
_SHARING = (0x4004_9409, 0x4020_940D, 0xC018_9436)
#: A file may have any number of attributes, and on some file systems no count of its blocks says
#: so: a build finds a file system that has none. Packages are installed with theirs.
ATTRIBUTES = ("setxattr", "lsetxattr", "fsetxattr", "setxattrat")

_FORBIDDEN = (
    "add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "setns", "mount", "umount2", "move_mount", "open_tree",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "pivot_root", "chroot", "swapon",
    "swapoff", "reboot", "kexec_load", "init_module", "finit_module", "delete_module", "acct",
    "quotactl", "name_to_handle_at", "open_by_handle_at", "fanotify_init", "clone3", "socketcall",
    "process_vm_writev", "syslog", "memfd_secret", "io_setup", "open_tree_attr",
    *ATTRIBUTES,
)  # fmt: skip
#: Answered as by a kernel that does not know them: libraries then take another way.
_UNKNOWN = (
    "clone3", "socketcall", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_secret",
    "io_setup",
)  # fmt: skip
_ERRORS = dict.fromkeys(_UNKNOWN, _ENOSYS) | dict.fromkeys(ATTRIBUTES, _EOPNOTSUPP)


@dataclass(frozen=True, slots=True)
class _Machine:
    """An architecture's number (``AUDIT_ARCH_...``), and its numbers of system calls."""

    number: int
    calls: Mapping[str, int]


def _calls(text: str) -> dict[str, int]:
    return {name: int(number) for name, _, number in (one.partition("=") for one in text.split())}


#: From 424 on all architectures have the same numbers.
_SAME = (
    "io_uring_setup=425 io_uring_enter=426 io_uring_register=427 open_tree=428 move_mount=429"
    " fsopen=430 fsconfig=431 fsmount=432 fspick=433 clone3=435 close_range=436 mount_setattr=442"
    " memfd_secret=447 setxattrat=463 open_tree_attr=467"
)
_X86_64 = _Machine(
    0xC000_003E,
    _calls(
        "socket=41 ioctl=16 shmget=29 clone=56 unshare=272 setns=308 add_key=248 request_key=249"
        " keyctl=250 bpf=321 perf_event_open=298 userfaultfd=323 mount=165 umount2=166"
        " pivot_root=155 chroot=161 swapon=167 swapoff=168 reboot=169 kexec_load=246"
        " init_module=175 finit_module=313 delete_module=176 acct=163 quotactl=179"
        " name_to_handle_at=303 open_by_handle_at=304 fanotify_init=300 process_vm_writev=311"
        " mmap=9 memfd_create=319 syslog=103 io_setup=206 setxattr=188 lsetxattr=189 fsetxattr=190"
        f" {_SAME}"
    ),
)
_I386 = _Machine(
    0x4000_0003,
    _calls(
        "socket=359 ioctl=54 socketcall=102 clone=120 unshare=310 setns=346 add_key=286"
        " request_key=287 shmget=395 ipc=117 keyctl=288 bpf=357 perf_event_open=336"
        " userfaultfd=374 mount=21 umount2=52 pivot_root=217 chroot=61 swapon=87 swapoff=115"
        " reboot=88 kexec_load=283 init_module=128 finit_module=350 delete_module=129 acct=51"
        " quotactl=131 name_to_handle_at=341 open_by_handle_at=342 fanotify_init=338"
        " process_vm_writev=348 syslog=103 io_setup=245 setxattr=226 lsetxattr=227 fsetxattr=228"
        f" mmap=192 memfd_create=356 {_SAME}"
    ),
)
_AARCH64 = _Machine(
    0xC000_00B7,
    _calls(
        "socket=198 ioctl=29 shmget=194 clone=220 unshare=97 setns=268 add_key=217 request_key=218"
        " keyctl=219 bpf=280 perf_event_open=241 userfaultfd=282 mount=40 umount2=39"
        " pivot_root=41 chroot=51 swapon=224 swapoff=225 reboot=142 kexec_load=104"
        " init_module=105 finit_module=273 delete_module=106 acct=89 quotactl=60"
        " name_to_handle_at=264 open_by_handle_at=265 fanotify_init=262 process_vm_writev=271"
        " mmap=222 memfd_create=279 syslog=116 io_setup=0 setxattr=5 lsetxattr=6 fsetxattr=7"
        f" {_SAME}"
    ),
)
_MACHINES = {"x86_64": (_X86_64, _I386), "aarch64": (_AARCH64,)}

_Instruction = tuple[int, int, int, int]


def make_filter(machine: str, allowed: Collection[str] = ()) -> bytes:
    """Return the program for a machine as ``uname -m`` names it; nothing for one not known.

    ``allowed`` are calls that are let through all the same.
    """
    kinds = _MACHINES.get(machine, ())
    program: list[_Instruction] = []
    for kind in kinds:
        part = _part(kind, allowed)
        # Over the whole part, which may be longer than a conditional jump reaches.
        program += [
            (_LOAD, 0, 0, _ARCHITECTURE),
            (_EQUAL, 1, 0, kind.number),
            (_JUMP, 0, 0, len(part)),
            *part,
        ]
    if program:
        # A program for another architecture would have other numbers.
        program.append(_return(_KILL))
    return b"".join(struct.pack("=HBBI", *one) for one in program)


def _return(value: int) -> _Instruction:
    return (_RETURN, 0, 0, value)


def _part(kind: _Machine, allowed: Collection[str]) -> Sequence[_Instruction]:
    """Return what is to be said of an architecture's calls; it ends with a return."""
    part: list[_Instruction] = [(_LOAD, 0, 0, _NUMBER)]
    if kind is _X86_64:
        part += [(_AT_LEAST, 0, 1, _X32), _return(_ERRNO | _ENOSYS)]
    for name in _FORBIDDEN:
        if name in kind.calls and name not in allowed:
            error = _ERRORS.get(name, _EPERM)
            part += [(_EQUAL, 0, 1, kind.calls[name]), _return(_ERRNO | error)]
    for name in ("unshare", "clone"):
        part += [
            (_EQUAL, 0, 6, kind.calls[name]),
            (_LOAD, 0, 0, _FIRST),
            (_ANY_BIT, 2, 0, _NAMESPACES if name == "clone" else _NAMESPACES | _FILES),
            (_ANY_BIT, 0, 2, _THREAD if name == "clone" else 0),
            (_ANY_BIT, 1, 0, _FILES),
            _return(_ERRNO | _EPERM),
            _return(_ALLOW),
        ]
    part += [
        (_EQUAL, 0, 4, kind.calls["close_range"]),
        (_LOAD, 0, 0, _THIRD),
        (_ANY_BIT, 0, 1, _APART),
        _return(_ERRNO | _EPERM),
        _return(_ALLOW),
    ]
    part += [
        (_EQUAL, 0, 12, kind.calls["ioctl"]),
        (_LOAD, 0, 0, _SECOND),
        (_EQUAL, 1, 0, _OF_TERMINALS[0]),
        (_EQUAL, 0, 1, _OF_TERMINALS[1]),
        _return(_ERRNO | _EPERM),
        *((_EQUAL, 6 - at, 0, one) for at, one in enumerate(_SHARING)),
        (_MASK, 0, 0, _REQUESTS),
        (_EQUAL, 1, 0, _OF_VOLUMES[0]),
        (_EQUAL, 0, 1, _OF_VOLUMES[1]),
        _return(_ERRNO | _ENOTTY),
        _return(_ALLOW),
    ]
    for name, at, flag, error in (
        ("mmap", _FOURTH, _HUGE_MAP, _ENOMEM),
        ("memfd_create", _SECOND, _HUGE_FILE, _EINVAL),
    ):
        part += [
            (_EQUAL, 0, 4, kind.calls[name]),
            (_LOAD, 0, 0, at),
            (_ANY_BIT, 0, 1, flag),
            _return(_ERRNO | error),
            _return(_ALLOW),
        ]
    part += [
        (_EQUAL, 0, 6, kind.calls["shmget"]),
        (_LOAD, 0, 0, _SECOND_ABOVE),
        (_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, _SECOND),
        (_AT_LEAST, 0, 1, _SEGMENT),
        _return(_ERRNO | _EINVAL),
        _return(_ALLOW),
    ]
    if "ipc" in kind.calls:
        part += [
            (_EQUAL, 0, 4, kind.calls["ipc"]),
            (_LOAD, 0, 0, _FIRST),
            (_ANY_BIT, 0, 1, _OF_SEGMENTS),
            _return(_ERRNO | _ENOSYS),
            _return(_ALLOW),
        ]
    body = _of_sockets()
    part += [(_EQUAL, 0, len(body), kind.calls["socket"]), *body]
    part.append(_return(_ALLOW))
    return part


def _among(values: Sequence[int], error: int) -> Sequence[_Instruction]:
    """Return what goes on where one of ``values`` was loaded, and says ``error`` elsewhere."""
    jumps = [(_EQUAL, len(values) - at, 0, one) for at, one in enumerate(values)]
    return [*jumps, _return(_ERRNO | error)]


def _of_sockets() -> Sequence[_Instruction]:
    """Return what is to be said of a new socket."""
    link = [(_LOAD, 0, 0, _THIRD), *_among(_OF_LINKS, _EPROTONOSUPPORT), _return(_ALLOW)]
    return [
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 0, 1, _UNIX),
        _return(_ALLOW),
        (_EQUAL, 0, len(link), _NETLINK),
        *link,
        *_among(_INTERNET, _EAFNOSUPPORT),
        (_LOAD, 0, 0, _SECOND),
        (_MASK, 0, 0, _TYPE),
        *_among(_TYPES, _ESOCKTNOSUPPORT),
        (_LOAD, 0, 0, _THIRD),
        *_among(_PROTOCOLS, _EPROTONOSUPPORT),
        _return(_ALLOW),
    ]
