"""Introduces thousands of nodes that are nowhere, in the name of the node that runs beside it.

    python -m tests.sites_on_lan.forger NODE ADDRESS COUNT SECONDS

NODE is that node's id, ADDRESS its own, from which the group is told. One in three is said to be at
an address of the Internet, one at one that means no other machine, one in a private network.
"""

from __future__ import annotations

import socket
import sys
import time

from flocon.datagrams.introductions import Introduction, encode_introduction
from flocon.datagrams.messages import SITES, Announcement, Kind
from tests.lan.faults import GROUP
from tests.lan.lan import LAN_PORT

#: A network of which documents speak, and the private one of which the forger does.
OUTSIDE, PRIVATE = "198.51.100.", "10.200."
NO_MACHINE = ("127.0.0.1", "224.0.0.1", "169.254.7.7", "10.77.1.255", "255.255.255.255", "::1")


def introduction(teller: str, number: int) -> bytes:
    address = (
        f"{OUTSIDE}{number % 254 + 1}",
        NO_MACHINE[number % len(NO_MACHINE)],
        f"{PRIVATE}{number // 250 % 250}.{number % 250 + 1}",
    )[number % 3]
    said = Announcement(
        kind=Kind.HELLO,
        node=f"{number + 1:016x}",
        epoch=f"{number + 1:08x}",
        sequence=1,
        name="nobody",
        port=LAN_PORT,
        system="arch",
        architectures=("x86_64",),
        beat=30.0,
        generation=1,
        files=1,
        abilities=frozenset({SITES}),
    )
    return encode_introduction(Introduction(teller, address, said))


def main(teller: str, address: str, count: int, seconds: float) -> None:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    opened.bind((address, 0))
    began = time.monotonic()
    for number in range(count):
        opened.sendto(introduction(teller, number), (GROUP, LAN_PORT))
        ahead = number / count * seconds - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
