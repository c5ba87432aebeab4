"""Pumps datagrams between ``core.presence`` and the group, on every link, by IPv4 and IPv6.

Decides nothing: who is there is ``core.presence``'s, where the group is joined
``core.membership``'s. Which links there are is told by ``set_links``.

The sockets are this module's own. Twisted's UDP port (26.10) drops the scope of a link-local
sender, joins IPv6 groups by address where the kernel wants an interface's number, and sends on
one interface at a time.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from contextlib import suppress
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface
from typing import TYPE_CHECKING, Any, Literal

from twisted.application.service import Service
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from flocon.core.membership import Join, JoinFailed, Membership, Place
from flocon.core.messages import LARGEST_DATAGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.python.failure import Failure

    from flocon.core.links import Link
    from flocon.core.presence import Event, Presence

# <linux/in.h> and <linux/in6.h>; Python 3.11 lacks these names.
IP_PKTINFO = 8
IP_MULTICAST_ALL = 49
IPV6_MULTICAST_ALL = 29

_MREQN = struct.Struct("@4s4si")  # group, address of the interface, its number
_MREQ6 = struct.Struct("@16sI")  # group, number of the interface
_PKTINFO = struct.Struct("@i4s4s")  # number of the interface, local address, destination
_PKTINFO6 = struct.Struct("@16sI")  # address, number of the interface
#: Datagrams read in one go: a flood must not hold the reactor (about 50 us each).
_MOST_AT_ONCE = 64
#: Networks of one link that are sent to; a peer heeds only what comes from its own network.
_MOST_NETWORKS = 4


@implementer(IReadDescriptor)
class Channel:
    """The socket of one IP version: bound to the port, joined and sent by link.

    ``received`` takes a sender, its scope (0 where it has none) and the datagram.

    Several nodes of one machine bind the same port, and each hears every datagram of the group:
    for multicast SO_REUSEADDR does that. The constructor raises OSError.
    """

    def __init__(
        self,
        version: Literal[4, 6],
        group: str,
        port: int,
        *,
        received: Callable[[str, int, bytes], None],
        drained: Callable[[], None],
        counters: Counter[str],
    ) -> None:
        self.version = version
        self._group = group
        self._received = received
        self._drained = drained
        self._counters = counters
        family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
        self._packed = socket.inet_pton(family, group)
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET:
                self._set_up(port)
            else:
                self._set_up6(port)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]

    def _set_up(self, port: int) -> None:
        # Bound to the group, so that the kernel keeps out whatever is sent to this host alone.
        self._socket.bind((self._group, port))
        for option, value in (
            (socket.IP_MULTICAST_TTL, 1),
            (socket.IP_MULTICAST_LOOP, 1),
            (IP_MULTICAST_ALL, 0),
        ):
            self._socket.setsockopt(socket.IPPROTO_IP, option, value)

    def _set_up6(self, port: int) -> None:
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # A link-local group can be bound on one interface only: where a datagram went is asked.
        self._socket.bind(("::", port))
        for option, value in (
            (socket.IPV6_RECVPKTINFO, 1),
            (socket.IPV6_MULTICAST_HOPS, 1),
            (socket.IPV6_MULTICAST_LOOP, 1),
        ):
            self._socket.setsockopt(socket.IPPROTO_IPV6, option, value)
        try:
            self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
        except OSError:
            # Linux before 4.20: links joined by other programs are heard too, and are off_link.
            self._counters["IPV6_MULTICAST_ALL"] += 1

    def join(self, place: Place) -> None:
        """Join the group at ``place``; raise OSError."""
        try:
            self._membership(place, socket.IP_ADD_MEMBERSHIP, socket.IPV6_JOIN_GROUP)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise

    def leave(self, place: Place) -> None:
        """Leave the group at ``place``; one that is gone took the membership with it."""
        with suppress(OSError):
            self._membership(place, socket.IP_DROP_MEMBERSHIP, socket.IPV6_LEAVE_GROUP)

    def _membership(self, place: Place, option: int, option6: int) -> None:
        index = place.link.index
        if self.version == 6:  # noqa: PLR2004 - IPv6
            request = _MREQ6.pack(self._packed, index)
            self._socket.setsockopt(socket.IPPROTO_IPV6, option6, request)
            return
        addresses = place.link.of_family(4)
        address = addresses[0].packed if addresses else bytes(4)
        request = _MREQN.pack(self._packed, address, index)
        self._socket.setsockopt(socket.IPPROTO_IP, option, request)

    def send(self, place: Place, data: bytes) -> None:
        """Send ``data`` to the group at ``place``; what cannot be sent is counted."""
        for address in _senders(place):
            try:
                self._send(place.link.index, address, data)
            except OSError as error:
                self._counters[_word(error)] += 1

    def _send(self, index: int, address: IPv4Interface | IPv6Interface, data: bytes) -> None:
        ancillary: tuple[int, int, bytes]
        destination: tuple[Any, ...]
        if self.version == 6:  # noqa: PLR2004 - IPv6
            info = _PKTINFO6.pack(address.packed, index)
            ancillary = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)
            destination = (self._group, self.port, 0, index)
        else:
            info = _PKTINFO.pack(index, address.packed, bytes(4))
            ancillary = (socket.IPPROTO_IP, IP_PKTINFO, info)
            destination = (self._group, self.port)
        self._socket.sendmsg([data], [ancillary], 0, destination)

    def close(self) -> None:
        self._socket.close()

    # IReadDescriptor

    def fileno(self) -> int:
        return self._socket.fileno()

    def doRead(self) -> None:
        """Read what has come, within bounds; ``drained`` is called after the last."""
        self._read()
        self._drained()

    def _read(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            try:
                data, ancillary, _, sender = self._socket.recvmsg(LARGEST_DATAGRAM + 1, 64)
            except BlockingIOError:
                return
            except OSError as error:
                self._counters[_word(error)] += 1
                return
            if self._to_group(ancillary):
                scope = sender[3] if self.version == 6 else 0  # noqa: PLR2004 - IPv6
                self._received(sender[0], scope, data)
            else:
                self._counters["not_to_group"] += 1

    def _to_group(self, ancillary: Sequence[tuple[int, int, bytes]]) -> bool:
        if self.version == 4:  # noqa: PLR2004 - IPv4
            return True
        return any(
            (level, kind, value[:16]) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, self._packed)
            for level, kind, value in ancillary
        )

    def connectionLost(self, reason: Failure) -> None:
        """Take the reactor's word that the socket is of no use any more."""
        self.close()

    def logPrefix(self) -> str:
        return f"multicast IPv{self.version}"


def _senders(place: Place) -> list[IPv4Interface | IPv6Interface]:
    """Return the addresses to send from: one of each IPv4 network, one IPv6 (link-local first)."""
    addresses = place.link.of_family(place.version)
    if place.version == 4:  # noqa: PLR2004 - IPv4
        networks = {one.network: one for one in reversed(addresses)}
        return list(reversed(networks.values()))[:_MOST_NETWORKS]
    return sorted(addresses, key=lambda one: not one.is_link_local)[:1]


def _word(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "error")


class Multicast(Service):
    """Keeps ``presence`` in touch with the group.

    ``reactor`` is an IReactorTime and IReactorFDSet; ``on_event`` is called with each of
    presence's events, in order. ``counters`` has what could not be sent, by the system's word for
    it, and ``not_to_group`` for what was sent to this host alone.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        presence: Presence,
        *,
        group: str,
        group6: str,
        port: int,
        on_event: Callable[[Event], None],
    ) -> None:
        self._reactor = reactor
        self._presence = presence
        self._groups: dict[Literal[4, 6], str] = {4: group, 6: group6}
        self._port = port
        self._on_event = on_event
        self._links: tuple[Link, ...] = ()
        self._names: dict[int, str] = {}
        self._membership = Membership()
        self._channels: dict[int, Channel] = {}
        self._mute: dict[int, str] = {}
        self._call: Any = None
        self._pumping = False
        self._told_error = False
        self.counters: Counter[str] = Counter()

    def startService(self) -> None:
        """Open the sockets, join on the links known so far, and say hello."""
        super().startService()
        self._open()
        self._join()
        now = self._now()
        self._presence.networks_changed(now, self._links)
        self._presence.start(now)
        self.wake()

    def stopService(self) -> None:
        """Say bye, and close; the bye is out when this returns."""
        super().stopService()
        self._presence.stop(self._now())
        self._pump()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._membership.leave()
        self._step()
        for channel in self._channels.values():
            self._reactor.removeReader(channel)
            channel.close()
        self._channels.clear()

    def set_links(self, links: Sequence[Link]) -> None:
        """Be on these links from now on; a new network is greeted with a hello."""
        self._links = tuple(links)
        self._names = {link.index: link.name for link in links}
        if self.running:
            self._join()
            self._presence.networks_changed(self._now(), self._links)
            self.wake()

    def rejoin(self) -> None:
        """Leave and join everywhere, open what could not be opened, and say hello."""
        if not self.running:
            return
        self._mute.clear()
        self._open()
        self._membership.rejoin(self._now())
        self._step()
        self._join()
        self._presence.rejoin(self._now())
        self.wake()

    def wake(self) -> None:
        """Send and tell what presence has, and set the timer; call this after talking to it."""
        if self._pumping or not self.running:
            return
        self._pumping = True
        try:
            self._pump()
        finally:
            self._pumping = False
        self._set_timer()

    # Sockets

    def _now(self) -> float:
        return float(self._reactor.seconds())

    def _open(self) -> None:
        for version, group in self._groups.items():
            if version in self._channels:
                continue
            try:
                channel = Channel(
                    version,
                    group,
                    self._port,
                    received=self._receive,
                    drained=self.wake,
                    counters=self.counters,
                )
            except OSError as error:
                if version not in self._mute:
                    self._mute[version] = str(error.strerror)
                    self.log.warn(
                        "No IPv{version} presence on port {port}: {reason}",
                        version=version,
                        port=self._port,
                        reason=error.strerror,
                    )
            else:
                self._channels[version] = channel
                self._reactor.addReader(channel)
        self._membership.versions = tuple(one for one in self._groups if one in self._channels)

    def _join(self) -> None:
        self._membership.links_changed(self._now(), self._links)
        self._step()

    def _step(self) -> None:
        """Do what membership asks for, and tell what came of it."""
        for step in self._membership.take_steps():
            channel = self._channels.get(step.place.version)
            if channel is None:
                continue
            if not isinstance(step, Join):
                channel.leave(step.place)
                continue
            try:
                channel.join(step.place)
            except OSError as error:
                self._membership.failed(self._now(), step.place, str(error.strerror))
            else:
                self._membership.joined(step.place)
        for event in self._membership.take_events():
            where = {"link": event.place.link.name, "version": event.place.version}
            if isinstance(event, JoinFailed):
                self.log.warn(
                    "Cannot join the IPv{version} group on {link}: {reason};"
                    " trying again every 5 s for 15 minutes",
                    reason=event.reason,
                    **where,
                )
            else:
                self.log.info("Joined the IPv{version} group on {link} after all", **where)

    def _receive(self, host: str, scope: int, data: bytes) -> None:
        address = host
        if scope and IPv6Address(host).is_link_local:
            address = f"{host}%{self._names.get(scope, scope)}"
        try:
            self._presence.receive(self._now(), address, data)
        except Exception:  # noqa: BLE001 - a reader that raises is dropped by the reactor
            self.counters["failed"] += 1
            if not self._told_error:
                self._told_error = True
                self.log.failure("A datagram from {address} was not survived", address=address)

    # Pumping

    def _pump(self) -> None:
        """Hand on until nothing is left: a listener may make presence say more."""
        while True:
            datagrams = self._presence.take_datagrams()
            events = self._presence.take_events()
            if not datagrams and not events:
                return
            for datagram in datagrams:
                self._send(datagram)
            for event in events:
                try:
                    self._on_event(event)
                except Exception:  # noqa: BLE001 - the other events must still be told
                    self.log.failure("A listener failed at {event}", event=event)

    def _send(self, datagram: bytes) -> None:
        for place in self._membership.places():
            channel = self._channels.get(place.version)
            if channel is not None:
                channel.send(place, datagram)

    # The one delayed call

    def _set_timer(self) -> None:
        times = (self._presence.deadline(), self._membership.deadline())
        due = min((time for time in times if time is not None), default=None)
        if due is None or not self.running:
            if self._call is not None:
                self._call.cancel()
                self._call = None
            return
        delay = max(0.0, due - self._now())
        if self._call is None:
            self._call = self._reactor.callLater(delay, self._due)
        else:
            self._call.reset(delay)

    def _due(self) -> None:
        self._call = None
        now = self._now()
        self._membership.tick(now)
        self._step()
        self._presence.tick(now)
        self.wake()
