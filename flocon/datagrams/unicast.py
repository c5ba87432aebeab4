"""What nodes of other networks say to this one alone: one socket for each IP version.

It has the group's port on every address of this machine. The kernel gives it no datagram of a
group, since it has joined none; and what is sent to this machine alone goes to no group's socket.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Literal

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import DatagramProtocol

from flocon.datagrams.group import IP_MULTICAST_ALL, IPV6_MULTICAST_ALL, leaves
from flocon.datagrams.messages import LARGEST_DATAGRAM

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

#: Datagrams read in one turn of the reactor.
MOST_AT_ONCE = 64
#: <linux/in6.h>: Python lacks the names.
IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC = 72, 0x2
#: Hops to another network and back; a group's datagrams make none.
HOPS = 64


class UnicastProtocol(DatagramProtocol):
    """The socket of one IP version.

    ``received`` takes the sender's address and port, and the datagram; ``lost`` is called when the
    reactor gave the socket up. ``counters`` has what could not be sent, by the system's word.
    """

    noisy = False
    transport: Any = None

    def __init__(
        self,
        version: Literal[4, 6],
        *,
        received: Callable[[tuple[str, int], bytes], None],
        lost: Callable[[], None],
        counters: Counter[str],
    ) -> None:
        self._version = version
        self._received = received
        self._lost = lost
        self._counters = counters
        self._left = False
        self._most_bytes = 0
        self._may_read = MOST_AT_ONCE

    @property
    def is_open(self) -> bool:
        return self.transport is not None and not self._left

    def listen(self, reactor: Any, port: int) -> None:
        """Open the socket, and have ``reactor`` (IReactorSocket) read; raise OSError."""
        family = socket.AF_INET if self._version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
            # The groups' sockets have this port, too.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET:
                opened.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, HOPS)
                opened.bind(("", port))
            else:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                opened.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HOPS)
                # From the address that a name leads to, not one that is another one tomorrow.
                opened.setsockopt(
                    socket.IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC
                )
                opened.bind(("::", port))
            reactor.adoptDatagramPort(
                opened.fileno(), family, self, maxPacketSize=LARGEST_DATAGRAM + 1
            )
        self._most_bytes = self.transport.maxThroughput

    def send(self, data: bytes, to: tuple[str, int]) -> bool:
        """Send ``data`` to an address and port; return whether it left. What did not is counted."""
        return leaves(lambda: self.transport.write(data, to), self._counters)

    def allow(self) -> None:
        """Read more, in another turn."""
        self._may_read = MOST_AT_ONCE
        if self.transport is not None:
            self.transport.maxThroughput = self._most_bytes

    def leave(self) -> Deferred[Any]:
        """Close; fires once the socket is closed."""
        self._left = True
        return maybeDeferred(self.transport.stopListening)

    # DatagramProtocol

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self._may_read -= 1
        if self._may_read <= 0:
            # As in the group: the port's own bound is one of bytes, and this one has few or none.
            self.transport.maxThroughput = 0
        self._received((addr[0], addr[1]), datagram)

    def connectionRefused(self) -> None:
        """Nobody hears there; that is known by what is not heard."""
        self._counters["ECONNREFUSED"] += 1

    def stopProtocol(self) -> None:
        if not self._left:
            self._left = True
            self._lost()

    def logPrefix(self) -> str:
        return f"nodes of other networks by IPv{self._version}"
