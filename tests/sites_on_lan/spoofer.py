"""Says what a node of another network has said, in its name and from its address, at other ports.

    python -m tests.sites_on_lan.spoofer HOST VICTIM ADDRESS FILE

HOST is the spoofer's own address, from which it hears its group; VICTIM a node of its network that
hears nodes of others, ADDRESS the one from which each datagram seems to come. It is silent until
FILE is there.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from itertools import cycle
from pathlib import Path

from flocon.datagrams.introductions import decode_introduction
from flocon.datagrams.messages import encode
from flocon.errors import DatagramError
from tests.lan.faults import GROUP
from tests.lan.lan import LAN_PORT

_PORTS = range(1_000, 1_040)


def overheard(host: str, address: str) -> bytes:
    """Return what the node at an address has said, as a neighbour told the group."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        heard.bind((GROUP, LAN_PORT))
        member = socket.inet_aton(GROUP) + socket.inet_aton(host)
        heard.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        while True:
            with contextlib.suppress(DatagramError):
                told = decode_introduction(heard.recv(2_000))
                if told.address == address:
                    return encode(told.said)


def packet(source: str, port: int, victim: str, data: bytes) -> bytes:
    """Return an IPv4 packet with a UDP datagram; the kernel fills in what is 0, but for UDP's."""
    udp = struct.pack(">4H", port, LAN_PORT, 8 + len(data), 0) + data
    addresses = socket.inet_aton(source) + socket.inet_aton(victim)
    return struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses + udp


def main(host: str, victim: str, address: str, file: str) -> None:
    data = overheard(host, address)
    print("it has heard", flush=True)
    while not Path(file).exists():
        time.sleep(0.01)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for port in cycle(_PORTS):
        raw.sendto(packet(address, port, victim, data), (victim, 0))
        time.sleep(0.03)


if __name__ == "__main__":
    main(*sys.argv[1:])
