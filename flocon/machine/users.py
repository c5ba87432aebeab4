"""Whose program is at the other end of a connection within this machine.

Asked of the kernel (sock_diag(7), inet_diag): what ``ss -e`` shows, for one socket, in some
microseconds and without any right. Nobody is known where the program lives in another network
namespace, or the kernel does not tell.
"""

from __future__ import annotations

import pwd
import socket
import struct
from ipaddress import ip_address
from typing import Any

# <linux/netlink.h>, <linux/sock_diag.h>, <linux/inet_diag.h>
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NO_COOKIE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")
#: Family, protocol, extensions, padding, states; the socket: ports, addresses, interface, cookie.
_REQUEST = struct.Struct("=BBBBI")
_SOCKET = struct.Struct("!HH16s16s")
_REST = struct.Struct("=III")
#: Where the user stands in what is answered: after the header, four bytes, the socket and counters.
_USER_AT = _HEADER.size + 4 + _SOCKET.size + _REST.size + 12
_ANSWER = 4_096
_ALL_STATES = 0xFFFFFFFF


class Users:
    """Tells the user at the other end; keeps one descriptor, or none where no kernel tells."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._sequence = 0
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        try:
            self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG)
        except OSError:
            return

    def user_of(self, client: Any, server: Any) -> int | None:
        """Return the numeric user of a connection's ``client``, given both Twisted addresses."""
        if self._socket is None:
            return None
        try:
            request = _request(client.host, client.port, server.host, server.port)
        except (AttributeError, ValueError):
            return None
        self._sequence = self._sequence % 0xFFFF + 1
        length = _HEADER.size + len(request)
        header = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, self._sequence, 0)
        try:
            self._socket.send(header + request)
            answer = self._socket.recv(_ANSWER)
        except OSError:
            return None
        return self._read(answer)

    def _read(self, answer: bytes) -> int | None:
        if len(answer) < _USER_AT + 4:
            return None
        _, kind, _, sequence, _ = _HEADER.unpack_from(answer)
        if kind != _SOCK_DIAG_BY_FAMILY or sequence != self._sequence:
            return None
        return int(struct.unpack_from("=I", answer, _USER_AT)[0])

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def number_of(name: str) -> int | None:
    """Return the number of the user of a name; None where there is none. It may take long."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return None


def number_meant(word: str) -> int | None:
    """Return a user's number, given by name or as it is; None where nobody has the name. Blocks."""
    return int(word) if word.isascii() and word.isdecimal() else number_of(word)


def _request(client: str, client_port: int, server: str, server_port: int) -> bytes:
    """Return the question for the socket that ``client`` has of the connection to ``server``."""
    here, there = (ip_address(host.partition("%")[0]) for host in (client, server))
    if here.version != there.version:
        raise ValueError(client)
    family = socket.AF_INET if here.version == 4 else socket.AF_INET6  # noqa: PLR2004
    return (
        _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES)
        + _SOCKET.pack(
            client_port, server_port, here.packed.ljust(16, b"\0"), there.packed.ljust(16, b"\0")
        )
        + _REST.pack(0, _NO_COOKIE, _NO_COOKIE)
    )
