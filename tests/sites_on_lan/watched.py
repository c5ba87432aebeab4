"""What a host sends, as it leaves: the IPv4 packets, each as it is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from tests.lan.lan import Host, in_namespace

_ETH_P_IP = 0x0800


class Watched:
    """Tells of each IPv4 packet that leaves a host, by a thread of its own, until ``end``."""

    def __init__(self, host: Host, told: Callable[[bytes], None]) -> None:
        self._told = told
        self._socket = in_namespace(
            host.namespace,
            lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)),
        )
        self._socket.bind(("eth0", 3))
        self._socket.settimeout(0.2)
        self._ended = False
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended:
            try:
                data, (_, protocol, kind, *_) = self._socket.recvfrom(256)
            except TimeoutError:
                continue
            if kind == socket.PACKET_OUTGOING and protocol == _ETH_P_IP:
                self._told(data)

    def end(self) -> None:
        self._ended = True
        self._thread.join()
        self._socket.close()


def receiver(packet: bytes) -> str:
    """Return the address that an IPv4 packet goes to."""
    return socket.inet_ntoa(packet[30:34])


def udp_port(packet: bytes) -> int | None:
    """Return the port that an IPv4 packet goes to, None where it is no UDP."""
    return int.from_bytes(packet[36:38]) if packet[23] == socket.IPPROTO_UDP else None
