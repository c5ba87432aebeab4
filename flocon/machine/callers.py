"""Who is at the other end of a Unix socket, by name, as the kernel knows it."""

from __future__ import annotations

import grp
import pwd
import socket
import struct
from pathlib import Path
from typing import Any

#: ``struct ucred`` of unix(7): process, user and group.
_CREDENTIALS = struct.Struct("3i")
#: Whom the kernel names where a user has no number in this process's namespace.
OVERFLOW = 65_534
_MAP = Path("/proc/self/uid_map")


def caller(connected: Any) -> str:
    """Return the name of the user at the other end of a socket; "" where nobody knows it."""
    try:
        said = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except (AttributeError, OSError):
        return ""
    _, user, _ = _CREDENTIALS.unpack(said)
    if user == OVERFLOW and not has_number(_read_map(), user):
        return f"somebody of {_group_of(connected)}"
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def has_number(uid_map: str, user: int) -> bool:
    """Whether users have this number here, by user_namespaces(7): first inside, outside, count."""
    for line in uid_map.splitlines():
        match line.split():
            case [first, _, count] if int(first) <= user < int(first) + int(count):
                return True
    return not uid_map.strip()


def _read_map() -> str:
    try:
        return _MAP.read_text()
    except OSError:
        return ""


def _group_of(connected: Any) -> str:
    """Return in words the group that may use the socket: who connected to it is root or in it."""
    try:
        group = Path(connected.getsockname()).stat().st_gid
        return f"the group {grp.getgrgid(group).gr_name}"
    except (OSError, KeyError, TypeError, ValueError):
        return "this machine"
