"""The group in which pacserve and paclan tell of themselves: one socket, joined on every link.

By IPv4 alone, as they know no other. What is said is ``heard``'s; here it is only heard and sent,
within bounds: a flood is read no faster than so many datagrams per second, the rest is the kernel's
to drop.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from flocon.machine.links import Link

#: As ``foreign.heard``, which is imported with the first datagram.
GROUP, GROUP_PORT = "224.3.45.67", 15_679
#: Bytes of a datagram that are read: one byte more tells that it is too long.
MOST_BYTES = 513
#: Datagrams read in one turn, and the seconds of silence after as many as a second may have.
MOST_AT_ONCE = 16
MOST_PER_SECOND = 64
PAUSE = 1.0
#: Seconds to the next try to have the port, which another program may have to itself.
AGAIN = 60.0
#: Bytes that the kernel keeps of what is not read.
BUFFER = 32 << 10
#: Links joined; a kernel allows 20 groups for a socket by default.
MOST_LINKS = 20
#: As far as pacserves' own go.
TTL = 32
#: <linux/in.h>; Python 3.11 lacks the name.
IP_MULTICAST_ALL = 49
_MREQN = struct.Struct("@4s4si")  # group, address of the interface, its number


@implementer(IReadDescriptor)
class Group:
    """The group's socket; ``received`` is given a sender's address and each datagram."""

    _log = logger()

    def __init__(
        self, reactor: Any, received: Callable[[str, bytes], None], port: int = GROUP_PORT
    ) -> None:
        self._reactor = reactor
        self._to = (GROUP, port)
        self._received = received
        self._socket: socket.socket | None = None
        self._joined: dict[int, str] = {}
        self._links: dict[int, str] = {}
        self._wanted: Sequence[Link] = ()
        self._pause: IDelayedCall | None = None
        self._again: IDelayedCall | None = None
        self._second = 0.0
        self._read = 0
        self.counters: Counter[str] = Counter()
        #: Why nobody is heard, "" where nothing is wrong.
        self.problem = ""

    def set_links(self, links: Sequence[Link]) -> None:
        """Be in the group on these links, and on no others."""
        self._wanted = links
        self._links = {
            link.index: str(link.of_family(4)[0].ip) for link in links if link.of_family(4)
        }
        if not self._links:
            self.close()
            return
        if self._socket is None and not self._open():
            return
        for index in [one for one in self._joined if self._links.get(one) != self._joined[one]]:
            self._member(socket.IP_DROP_MEMBERSHIP, index, self._joined.pop(index))
        for index, address in list(self._links.items())[:MOST_LINKS]:
            if index not in self._joined and self._member(socket.IP_ADD_MEMBERSHIP, index, address):
                self._joined[index] = address

    def _open(self) -> bool:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            # Beside a pacserve of this machine, which hears the same.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, TTL)
            opened.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            # To the group, so that what is sent to this machine alone is the pacserve's.
            opened.bind(self._to)
        except OSError as error:
            opened.close()
            self._missed(error)
            return False
        if self.problem:
            self._log.info("pacserve's group is heard, UDP port {port}", port=self._to[1])
        self.problem = ""
        self._socket = opened
        self._reactor.addReader(self)
        return True

    def _missed(self, error: OSError) -> None:
        """Say once why nobody is heard, and try again in a while."""
        problem = f"UDP port {self._to[1]} cannot be heard: {error.strerror}"
        if error.errno == errno.EADDRINUSE:
            problem = f"a program has UDP port {self._to[1]} to itself"
        if problem != self.problem:
            self.problem = problem
            self._log.warn("machines with pacserve are not heard: {problem}", problem=problem)
        if self._again is None:
            self._again = self._reactor.callLater(AGAIN, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        self.set_links(self._wanted)

    def _member(self, option: int, index: int, address: str) -> bool:
        assert self._socket is not None  # noqa: S101 - opened by whoever joins
        request = _MREQN.pack(socket.inet_aton(GROUP), socket.inet_aton(address), index)
        try:
            self._socket.setsockopt(socket.IPPROTO_IP, option, request)
        except OSError as error:
            self.counters[errno.errorcode.get(error.errno or 0, "error")] += 1
            return False
        return True

    def send(self, data: bytes) -> None:
        """Send to the group on every link; what cannot be sent is counted."""
        if self._socket is None:
            return
        for index, address in self._joined.items():
            request = _MREQN.pack(bytes(4), socket.inet_aton(address), index)
            try:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
                self._socket.sendto(data, self._to)
            except OSError as error:
                self.counters[errno.errorcode.get(error.errno or 0, "error")] += 1
            else:
                self.counters["sent"] += 1

    def answer(self, address: str, data: bytes) -> None:
        """Send to the group's port of one address; what cannot be sent is counted."""
        if self._socket is None:
            return
        try:
            self._socket.sendto(data, (address, self._to[1]))
        except OSError as error:
            self.counters[errno.errorcode.get(error.errno or 0, "error")] += 1
        else:
            self.counters["answered"] += 1

    def close(self) -> None:
        """Leave the group."""
        for call in (self._pause, self._again):
            if call is not None:
                call.cancel()
        self._pause = self._again = None
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None
        self._joined.clear()

    # IReadDescriptor

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return "pacserve's group"

    def connectionLost(self, reason: Failure) -> None:
        """Learn that the reactor gave the socket up; another one comes in a while."""
        self.close()
        self.problem = "the socket of pacserve's group was lost"
        self._again = self._reactor.callLater(AGAIN, self._try_again)

    def doRead(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if self._socket is None or not self._may_read():
                return
            try:
                data, sender = self._socket.recvfrom(MOST_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                # As of an answer that could not be delivered.
                self.counters[errno.errorcode.get(error.errno or 0, "error")] += 1
                return
            self.counters["heard"] += 1
            self._received(str(sender[0]), data)

    def _may_read(self) -> bool:
        """Whether there may be one more within this second; else nothing is read for a while."""
        if self._pause is not None:
            return False
        now = self._reactor.seconds()
        if now - self._second >= PAUSE:
            self._second, self._read = now, 0
        self._read += 1
        if self._read <= MOST_PER_SECOND:
            return True
        self.counters["floods"] += 1
        self._reactor.removeReader(self)
        self._pause = self._reactor.callLater(PAUSE, self._go_on)
        return False

    def _go_on(self) -> None:
        self._pause = None
        with suppress(OSError):
            self._reactor.addReader(self)
