"""The group on one link, by one IP version: its socket, and what is set on it.

Each place, a link and an IP version, has a DatagramProtocol on a socket of its own. Its link is
known without asking the datagram, which matters since Twisted's UDP port (26.10) drops the scope
of a link-local sender. The socket is made here and adopted by the reactor: ``listenMulticast``
joins IPv6 groups by address, where the kernel wants an interface's number.

Where groups are joined, and what is sent to them, is decided elsewhere.
"""

from __future__ import annotations

import errno
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import MessageLengthError
from twisted.internet.protocol import DatagramProtocol

from flocon.datagrams.messages import LARGEST_DATAGRAM

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from ipaddress import IPv4Interface

    from flocon.datagrams.membership import Place

# <asm-generic/socket.h>, <linux/in.h> and <linux/in6.h>; Python 3.11 lacks these names.
SO_BINDTOIFINDEX = 62
IP_MULTICAST_ALL = 49
IPV6_MULTICAST_ALL = 29

_MREQN = struct.Struct("@4s4si")  # group, address of the interface, its number
_MREQ6 = struct.Struct("@16sI")  # group, number of the interface
#: Networks of one link that are sent to; a peer heeds only what comes from its own network.
_MOST_NETWORKS = 4


def leaves(write: Callable[[], None], counters: Counter[str]) -> bool:
    """Return whether a datagram left; what did not is counted, by the system's word for it."""
    try:
        write()
    except MessageLengthError:
        counters["EMSGSIZE"] += 1
    except OSError as error:
        counters[errno.errorcode.get(error.errno or 0, "error")] += 1
    else:
        return True
    return False


class GroupProtocol(DatagramProtocol):
    """The group on one link, by one IP version.

    ``received`` takes the place, a sender's address without scope, and the datagram; ``lost`` is
    called with the place when the reactor gave the socket up.

    Several nodes of one machine bind the same port, and each hears every datagram of the group:
    for multicast SO_REUSEADDR does that.
    """

    noisy = False
    transport: Any

    def __init__(
        self,
        place: Place,
        group: str,
        port: int,
        *,
        received: Callable[[Place, str, bytes], None],
        lost: Callable[[Place], None],
        counters: Counter[str],
    ) -> None:
        self.place = place
        self._to = (group, port)
        self._received = received
        self._lost = lost
        self._counters = counters
        self._family = socket.AF_INET if place.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
        self._packed = socket.inet_pton(self._family, group)
        self._senders = _senders(place)
        self._left = False
        self._most_bytes = 0
        self._may_read = 1

    def listen(self, reactor: Any) -> None:
        """Open the socket, join, and have ``reactor`` (IReactorSocket) read; raise OSError."""
        with socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._family is socket.AF_INET:
                self._set_up(opened)
            else:
                self._set_up6(opened)
            # The reactor reads a duplicate.
            reactor.adoptDatagramPort(
                opened.fileno(), self._family, self, maxPacketSize=LARGEST_DATAGRAM + 1
            )
        self._most_bytes = self.transport.maxThroughput

    def _set_up(self, opened: socket.socket) -> None:
        for option, value in (
            (socket.IP_MULTICAST_TTL, 1),
            (socket.IP_MULTICAST_LOOP, 1),
            (IP_MULTICAST_ALL, 0),
        ):
            opened.setsockopt(socket.IPPROTO_IP, option, value)
        # Bound to the group, so that the kernel keeps out whatever is sent to this host alone.
        opened.bind(self._to)
        self._membership(opened, socket.IP_ADD_MEMBERSHIP)
        self._send_from(opened, self._senders[0])

    def _set_up6(self, opened: socket.socket) -> None:
        index = self.place.link.index
        for option, value in (
            (socket.IPV6_V6ONLY, 1),
            (socket.IPV6_MULTICAST_HOPS, 1),
            (socket.IPV6_MULTICAST_LOOP, 1),
            (socket.IPV6_MULTICAST_IF, index),
        ):
            opened.setsockopt(socket.IPPROTO_IPV6, option, value)
        # What other sockets joined on other links is not to be heard here. For a link-local group
        # binding suffices; for a wider one this takes Linux 5.7 and 4.20, or it is heard anyway.
        for level, option, value, word in (
            (socket.SOL_SOCKET, SO_BINDTOIFINDEX, index, "SO_BINDTOIFINDEX"),
            (socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0, "IPV6_MULTICAST_ALL"),
        ):
            try:
                opened.setsockopt(level, option, value)
            except OSError:
                self._counters[word] += 1
        opened.bind((*self._to, 0, index))
        self._membership(opened, socket.IPV6_JOIN_GROUP)

    def _send_from(self, opened: socket.socket, sender: IPv4Interface) -> None:
        """Send on this link, from ``sender``, from now on."""
        request = _MREQN.pack(bytes(4), sender.packed, self.place.link.index)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)

    def _membership(self, opened: socket.socket, option: int) -> None:
        index = self.place.link.index
        if self._family is socket.AF_INET:
            request = _MREQN.pack(self._packed, self._senders[0].packed, index)
            opened.setsockopt(socket.IPPROTO_IP, option, request)
        else:
            request = _MREQ6.pack(self._packed, index)
            opened.setsockopt(socket.IPPROTO_IPV6, option, request)

    def send(self, data: bytes) -> bool:
        """Send ``data`` to the group, on IPv4 once per network; return whether any was sent.

        What cannot be sent is counted.
        """
        if len(self._senders) <= 1:
            return self._write(data)
        return sum(self._write(data, sender) for sender in self._senders) > 0

    def _write(self, data: bytes, sender: IPv4Interface | None = None) -> bool:
        def write() -> None:
            if sender is not None:
                self._send_from(self.transport.getHandle(), sender)
            self.transport.write(data, self._to)

        return leaves(write, self._counters)

    def allow(self, datagrams: int) -> None:
        """Read so many more ``datagrams``, then none until called again."""
        self._may_read = datagrams
        self.transport.maxThroughput = self._most_bytes

    def leave(self) -> Deferred[Any]:
        """Leave the group, and close; what comes of it fires once the socket is closed."""
        self._left = True
        # At once, as closing waits for the reactor: joining again meanwhile is to be reported to
        # the network. A link that is gone took the membership with it.
        is_ipv4 = self._family is socket.AF_INET
        option = socket.IP_DROP_MEMBERSHIP if is_ipv4 else socket.IPV6_LEAVE_GROUP
        with suppress(OSError):
            self._membership(self.transport.getHandle(), option)
        return maybeDeferred(self.transport.stopListening)

    # DatagramProtocol

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self._may_read -= 1
        if self._may_read <= 0:
            # The port's own bound is one of bytes, and an empty datagram has none.
            self.transport.maxThroughput = 0
        self._received(self.place, addr[0], datagram)

    def stopProtocol(self) -> None:
        if not self._left:
            self._lost(self.place)

    def logPrefix(self) -> str:
        return f"presence on {self.place.link.name} by IPv{self.place.version}"


def _senders(place: Place) -> list[IPv4Interface]:
    """Return one address of each IPv4 network, in order.

    By IPv6 the kernel chooses: the link-local one, where the group is link-local.
    """
    addresses = [one for one in place.link.of_family(place.version) if one.version == 4]  # noqa: PLR2004 - IPv4
    networks = {one.network: one for one in reversed(addresses)}
    return list(reversed(networks.values()))[:_MOST_NETWORKS]
