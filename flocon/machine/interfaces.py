"""Which links this machine has, and when that changes.

Addresses come from ``ifaddr``, flags from SIOCGIFFLAGS and changes from a netlink socket, all of
which see the network namespace this process is in (/sys may belong to another one).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ifaddr
from twisted.application.service import Service
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from flocon.machine.links import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.python.failure import Failure

# <linux/sockios.h>, <linux/if.h>, <linux/rtnetlink.h>
SIOCGIFFLAGS = 0x8913
IFF_UP = 0x1
IFF_LOOPBACK = 0x8
IFF_RUNNING = 0x40
IFF_MULTICAST = 0x1000
RTMGRP_LINK = 0x1
RTMGRP_IPV4_IFADDR = 0x10
RTMGRP_IPV6_IFADDR = 0x100
#: <linux/if_addr.h>: not checked yet whether another host has the address, or another has it; one
#: that is another one tomorrow (RFC 8981), or is not to be used any more.
_IFA_F_TEMPORARY = 0x01
_IFA_F_DADFAILED = 0x08
_IFA_F_DEPRECATED = 0x20
_IFA_F_TENTATIVE = 0x40

_IFREQ = struct.Struct("@16sh22x")
_PROC_IF_INET6 = Path("/proc/self/net/if_inet6")
#: ``dev_valid_name`` of the kernel, and no colon, since that makes an alias.
_NAME = re.compile(r"(?!\.{1,2}$)[^\s/:%]{1,15}")
#: A change comes as several messages; a cable's as a link and its addresses.
DEBOUNCE = 0.2
POLL_EVERY = 10.0


def impossible(wanted: Sequence[str]) -> list[str]:
    """Return the texts that can be neither an interface's name nor an address."""
    return [text for text in wanted if not _NAME.fullmatch(text) and not _is_address(text)]


def list_links(wanted: Sequence[str] = ()) -> list[Link]:
    """Return the links to be present on, by number; raise OSError where they cannot be read.

    Without ``wanted`` those are all that are up, connected, carry multicast and are not loopback.
    ``wanted`` has names and addresses; an address selects itself alone, also on the loopback. An
    item that is not there now is left out. IPv6 addresses still being checked are left out too.
    """
    addresses = {_address(text) for text in wanted if _is_address(text)}
    names = {text for text in wanted if not _is_address(text)}
    unready = _flagged(_IFA_F_TENTATIVE | _IFA_F_DADFAILED)
    links = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for adapter in ifaddr.get_adapters():
            flags = _flags(asking, adapter.name)
            if adapter.index is None or not flags & IFF_UP or not flags & IFF_RUNNING:
                continue
            carries = bool(flags & IFF_MULTICAST) and not flags & IFF_LOOPBACK
            whole = adapter.name in names if wanted else carries
            chosen = tuple(
                one
                for one in sorted(map(_interface, adapter.ips), key=_order)
                if (whole or one.ip in addresses) and (adapter.name, one.ip.packed) not in unready
            )
            if chosen:
                links.append(Link(adapter.name, adapter.index, chosen))
    return sorted(links, key=lambda link: link.index)


def look_at_links(wanted: Sequence[str] = ()) -> dict[str, list[str]]:
    """Tell which of ``wanted`` are ``missing``, and which interfaces have a carrier or none.

    ``running`` and ``silent`` are names of the wanted interfaces; without ``wanted``, of all that
    carry multicast and are not loopback. One that is switched off is silent, too.
    """
    told: dict[str, list[str]] = {"missing": [], "running": [], "silent": []}
    found = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for adapter in ifaddr.get_adapters(include_unconfigured=True):
            flags = _flags(asking, adapter.name)
            own = {adapter.name, *(str(_interface(one).ip) for one in adapter.ips)}
            chosen = {text for text in wanted if text in own or _same_address(text, own)}
            found |= chosen
            if chosen if wanted else flags & IFF_MULTICAST and not flags & IFF_LOOPBACK:
                running = flags & IFF_UP and flags & IFF_RUNNING
                told["running" if running else "silent"].append(adapter.name)
    told["missing"] = [text for text in wanted if text not in found]
    return told


def _same_address(text: str, own: set[str]) -> bool:
    return _is_address(text) and str(_address(text)) in own


def _is_address(text: str) -> bool:
    try:
        _address(text)
    except ValueError:
        return False
    return True


def _address(text: str) -> Any:
    return ip_address(text.partition("%")[0])


def _interface(ip: ifaddr.IP) -> IPv4Interface | IPv6Interface:
    text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
    return ip_interface(f"{text.partition('%')[0]}/{ip.network_prefix}")


def _order(interface: IPv4Interface | IPv6Interface) -> tuple[int, bytes]:
    return interface.version, interface.packed


def _flags(asking: socket.socket, name: str) -> int:
    try:
        request = _IFREQ.pack(os.fsencode(name), 0)
        answer = fcntl.ioctl(asking, SIOCGIFFLAGS, request)
    except OSError:
        return 0  # it went meanwhile
    return int(_IFREQ.unpack(answer)[1]) & 0xFFFF


def passing_addresses() -> frozenset[str]:
    """Return the IPv6 addresses of this machine by which nobody should know it for long."""
    flagged = _flagged(_IFA_F_TEMPORARY | _IFA_F_DEPRECATED)
    return frozenset(str(IPv6Address(packed)) for _, packed in flagged)


def _flagged(wanted: int) -> set[tuple[str, bytes]]:
    """Return the (interface, packed address) pairs of IPv6 that have one of these flags."""
    try:
        lines = _PROC_IF_INET6.read_text("ascii", "replace").splitlines()
    except OSError:
        return set()  # no IPv6
    flagged = set()
    for line in lines:
        packed, _, _, _, flags, name = line.split()
        if int(flags, 16) & wanted:
            flagged.add((name, bytes.fromhex(packed)))
    return flagged


@implementer(IReadDescriptor)
class _Netlink:
    """A socket on which the kernel tells of links and addresses; what it tells is not read."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        try:
            self._socket.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def doRead(self) -> None:
        """Empty the socket: that there was something is enough."""
        with suppress(BlockingIOError):
            while True:
                try:
                    # The kernel throws away what of a message does not fit.
                    self._socket.recv(1)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:  # some were lost: just as telling
                        raise
        self._changed()

    def connectionLost(self, reason: Failure) -> None:
        self.close()

    def logPrefix(self) -> str:
        return "netlink"

    def close(self) -> None:
        self._socket.close()


class InterfaceWatch(Service):
    """Calls ``changed`` with the links whenever they differ, first while starting.

    The kernel is listened to; only where it does not talk to us the links are looked at every
    10 s. ``reactor`` is an IReactorTime and IReactorFDSet.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        wanted: Sequence[str],
        changed: Callable[[list[Link]], None],
        *,
        look: Callable[[Sequence[str]], list[Link]] = list_links,
    ) -> None:
        self._reactor = reactor
        self._wanted = tuple(wanted)
        self._changed = changed
        self._look = look
        self._links: list[Link] | None = None
        self._netlink: _Netlink | None = None
        self._call: Any = None

    def startService(self) -> None:
        """Listen, then look: nothing that changes in between is missed."""
        super().startService()
        try:
            self._netlink = _Netlink(self._stirred)
        except OSError as error:
            self.log.warn(
                "Interfaces are looked at every 10 s, since netlink says: {reason}",
                reason=error.strerror,
            )
            self._call = self._reactor.callLater(POLL_EVERY, self._again)
        else:
            self._reactor.addReader(self._netlink)
        self.check()

    def stopService(self) -> None:
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._netlink is not None:
            self._reactor.removeReader(self._netlink)
            self._netlink.close()
            self._netlink = None
        self._links = None

    def check(self) -> None:
        """Look now, and call ``changed`` if the links differ from the last ones."""
        try:
            links = self._look(self._wanted)
        except OSError as error:
            self.log.warn("Interfaces cannot be listed: {reason}", reason=error.strerror)
            return
        if links != self._links:
            self._links = links
            self._changed(list(links))

    def _stirred(self) -> None:
        # Not put off by further messages: a link that flaps must not keep us from looking.
        if self._call is None:
            self._call = self._reactor.callLater(DEBOUNCE, self._again)

    def _again(self) -> None:
        self._call = None
        if self._netlink is None:
            self._call = self._reactor.callLater(POLL_EVERY, self._again)
        self.check()
