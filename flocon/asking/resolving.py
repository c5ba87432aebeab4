"""Names of mirrors, looked up in a few threads of their own.

A silent name server would else fill the pool that hashing works in: ``getaddrinfo`` cannot be ended
and can take half a minute. So lookups of one name share a thread, who waits for one gives up much
earlier than it does, and its threads end with the process.
"""

from __future__ import annotations

import socket
from collections import deque
from ipaddress import ip_address
from threading import Thread
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
)
from zope.interface import implementer

from flocon.asking.addresses import names_this_machine
from flocon.asking.proxies import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IAddress, IResolutionReceiver

    Lookup = Callable[[str], Sequence[str]]

#: Threads that look names up, and names that wait for one.
THREADS = 4
MOST_WAITING = 64
#: Seconds for which a name's addresses are waited for; and where nobody is kept waiting by that.
PATIENCE, LONG_PATIENCE = 2.5, 30.0
#: Seconds for which one that took longer is known, and how many: a dead name server costs five.
SLOW_FOR, MOST_SLOW = 300.0, 64


def look_up(host: str) -> list[str]:
    """Return a name's addresses in the system's order; none where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_own(address: str) -> bool:
    """Whether a literal address is this machine's.

    The kernel answers to its own addresses from the same ones; a UDP socket asks it without a
    packet.
    """
    if names_this_machine(address):
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((address, 9))
            own = str(asking.getsockname()[0])
    except OSError:
        return False
    return ip_address(own.partition("%")[0]) == ip_address(address.partition("%")[0])


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Leave it to its end: nobody takes what comes of it."""


class _Waiting:
    """Who waits for one name."""

    def __init__(self) -> None:
        self.deferreds: list[defer.Deferred[list[str]]] = []

    def add(self) -> defer.Deferred[list[str]]:
        waiting: defer.Deferred[list[str]] = defer.Deferred(self._left)
        self.deferreds.append(waiting)
        return waiting

    def _left(self, deferred: defer.Deferred[list[str]]) -> None:
        self.deferreds.remove(deferred)

    def tell(self, found: list[str]) -> None:
        waiting, self.deferreds = self.deferreds, []
        for one in waiting:
            one.callback(list(found))


@implementer(IHostnameResolver)
class Names:
    """Looks names up; literal addresses need no looking up."""

    def __init__(self, reactor: Any, look_up: Lookup = look_up) -> None:
        self._reactor = reactor
        self._look_up = look_up
        self._asked: dict[str, _Waiting] = {}
        self._queue: deque[str] = deque()
        self._busy = 0
        #: What took so long that nobody had waited for it, and until when it counts.
        self._slow: dict[str, tuple[list[str], float]] = {}

    def addresses(self, host: str, patience: float = PATIENCE) -> defer.Deferred[list[str]]:
        """Return the addresses of a name; none where it has none, or they are not known in time."""
        found, until = self._slow.get(host, ([], 0.0))
        if self._reactor.seconds() < until:
            return defer.succeed(list(found))
        waiting = self._asked.get(host)
        if waiting is None:
            if len(self._queue) >= MOST_WAITING:
                return defer.succeed([])
            waiting = self._asked[host] = _Waiting()
            self._queue.append(host)
        answer = waiting.add()
        answer.addTimeout(patience, self._reactor)
        answer.addErrback(lambda reason: [] if reason.check(defer.TimeoutError) else reason)
        self._work()
        return answer

    def _work(self) -> None:
        while self._queue and self._busy < THREADS:
            host = self._queue.popleft()
            if not self._asked[host].deferreds:
                # Whoever wanted it has given up.
                del self._asked[host]
                continue
            self._busy += 1
            args = host, self._reactor.seconds()
            Thread(target=self._run, args=args, name=f"name {host}"[:40], daemon=True).start()

    def _run(self, host: str, began: float) -> None:
        try:
            found = list(self._look_up(host))
        except Exception:  # noqa: BLE001 - a name that cannot be looked up has no address
            found = []
        self._reactor.callFromThread(self._ended, host, found, began)

    def _ended(self, host: str, found: list[str], began: float) -> None:
        self._busy -= 1
        self._slow.pop(host, None)
        now = self._reactor.seconds()
        if found and now - began >= PATIENCE:
            if len(self._slow) >= MOST_SLOW:
                self._slow.clear()
            self._slow[host] = found, now + SLOW_FOR
        self._asked.pop(host).tell(found)
        self._work()

    def resolveHostName(  # noqa: N802 - Twisted's
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)

        def tell(found: list[str]) -> None:
            for address in found:
                make = IPv6Address if ":" in address else IPv4Address
                resolutionReceiver.addressResolved(make("TCP", address, portNumber))
            resolutionReceiver.resolutionComplete()

        if literal(hostName) is not None:
            tell([hostName])
        else:
            self.addresses(hostName).addCallback(tell)
        return resolution


@implementer(IHostnameResolver)
class Sifted:
    """The same names, without the addresses that are kept back: else those of this machine."""

    def __init__(self, names: Names, keeps_back: Callable[[str], bool] = is_own) -> None:
        self._names = names
        self._keeps_back = keeps_back

    def resolveHostName(  # noqa: N802 - Twisted's
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        receiver: Any = _Sieve(resolutionReceiver, self._keeps_back)
        return self._names.resolveHostName(receiver, hostName, portNumber)


class _Sieve:
    """Lets the addresses through that are not to be kept back."""

    def __init__(self, receiver: Any, keeps_back: Callable[[str], bool]) -> None:
        self._receiver = receiver
        self._keeps_back = keeps_back

    def resolutionBegan(self, resolution: IHostResolution) -> None:  # noqa: N802
        self._receiver.resolutionBegan(resolution)

    def addressResolved(self, address: IPv4Address | IPv6Address) -> None:  # noqa: N802
        if not self._keeps_back(address.host):
            self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:  # noqa: N802
        self._receiver.resolutionComplete()


@implementer(IReactorPluggableNameResolver)
class Resolving:
    """A reactor with another resolver, for endpoints alone."""

    def __init__(self, reactor: Any, resolver: Any) -> None:
        self._reactor = reactor
        self.nameResolver = resolver

    def installNameResolver(self, resolver: Any) -> Any:  # noqa: N802
        """Take another resolver, and return the one before."""
        old, self.nameResolver = self.nameResolver, resolver
        return old

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
