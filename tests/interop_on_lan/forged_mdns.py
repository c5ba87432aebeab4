"""Forged answers of mDNS: services without end, of whoever is in the namespace."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUP = ("224.0.0.251", 5_353)
_ANSWER, _IN, _PTR = 0x8400, 1, 12
_TYPE = b"\x09_pacserve\x04_tcp\x05local\x00"
#: The type's name where it stands first, behind the header.
_POINTER = b"\xc0\x0c"


def services(number: int, many: int) -> bytes:
    """Return an answer that tells of so many services that nobody told of before."""
    answer = struct.pack(">6H", 0, _ANSWER, 0, many, 0, 0)
    for one in range(many):
        label = f"x{number}-{one}".encode()
        data = bytes([len(label)]) + label + _POINTER
        answer += (_POINTER if one else _TYPE) + struct.pack(">HHIH", _PTR, _IN, 4_500, len(data))
        answer += data
    return answer


def flood(addresses: list[str], numbers: Iterable[int], *, pause: float, many: int = 40) -> None:
    """Send those of these numbers to the group, from each of these addresses in turn."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(_socket(address)) for address in addresses]
        for number in numbers:
            sockets[number % len(sockets)].sendto(services(number, many), GROUP)
            time.sleep(pause)


def _socket(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((address, GROUP[1]))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    return made
