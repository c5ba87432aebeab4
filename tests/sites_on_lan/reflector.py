"""Repeats mDNS between the links of a router, as many routers do.

    python -m tests.sites_on_lan.reflector LINK=ADDRESS ...

What is heard on one link is said on all others, from the router's own address there. By IPv4 alone.
"""

from __future__ import annotations

import select
import socket
import sys

GROUP, PORT = "224.0.0.251", 5353
LARGEST = 9_000


class Leg:
    """The group on one link."""

    def __init__(self, link: str, address: str) -> None:
        self.address = address
        self.socket = opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own = socket.inet_aton(address)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        opened.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + own
        )
        opened.bind(("", PORT))


def main(links: list[str]) -> None:
    legs = [Leg(*link.split("=")) for link in links]
    by_socket = {leg.socket: leg for leg in legs}
    own = {leg.address for leg in legs}
    print("reflecting", flush=True)
    while True:
        for readable in select.select(list(by_socket), [], [])[0]:
            data, sender = readable.recvfrom(LARGEST)
            if sender[0] in own or sender[1] != PORT:
                continue
            for leg in legs:
                if leg.socket is not readable:
                    leg.socket.sendto(data, (GROUP, PORT))


if __name__ == "__main__":
    main(sys.argv[1:])
