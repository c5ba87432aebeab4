"""The group on the loopback: real sockets and Twisted's own ports, read when the test says so."""

from __future__ import annotations

import select
import socket
from ipaddress import ip_interface
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.internet.udp import Port

from flocon.machine.links import Link

GROUP, GROUP6 = "228.0.2.35", "ff02::4be8"
LO = Link("lo", 1, (ip_interface("127.0.0.1/8"),))
#: Two networks: what is said there is sent twice.
LO_TWICE = Link("lo", 1, (ip_interface("127.0.0.1/32"), ip_interface("127.0.0.2/32")))
GONE = Link("gone0", 1 << 20, (ip_interface("10.99.0.1/24"), ip_interface("fe80::1/64")))


class Reactor(Clock):
    """A Clock with Twisted's UDP ports, which are read when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def adoptDatagramPort(  # noqa: N802 - Twisted's name
        self,
        descriptor: int,
        family: int,
        protocol: DatagramProtocol,
        maxPacketSize: int,  # noqa: N803 - Twisted's name
    ) -> Any:
        """Do as the reactor does."""
        port: Any = Port._fromListeningDescriptor(self, descriptor, family, protocol, maxPacketSize)
        port.startListening()
        return port

    def addReader(self, reader: Any) -> None:  # noqa: N802 - Twisted's name
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:  # noqa: N802 - Twisted's name
        if reader in self.readers:
            self.readers.remove(reader)

    def removeWriter(self, _: Any) -> None:  # noqa: N802 - Twisted's name
        """Nothing waits for being able to send."""

    def turn(self) -> bool:
        """Read once what is there, then call what is due; return whether anything was there."""
        ready: list[IReadDescriptor] = select.select(self.readers, [], [], 0)[0]
        for reader in ready:
            reader.doRead()
        self.advance(0)
        return bool(ready)

    def read(self) -> None:
        """Read until nothing more comes; on the loopback a datagram arrives while it is sent."""
        while self.turn():
            pass


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind(("127.0.0.1", 0))
        port: int = asking.getsockname()[1]
        return port
