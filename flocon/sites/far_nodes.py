"""Pumps datagrams and answers between ``sites``, nodes of other networks, presence and the group.

Decides nothing. It has sockets of its own where this machine's operator names nodes, or networks
from which others may write; without, it hears what neighbours tell the group, and asks.
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList

from flocon.asking.resolving import is_own
from flocon.datagrams.unicast import UnicastProtocol
from flocon.log import logger
from flocon.machine.interfaces import passing_addresses
from flocon.machine.threads import Alarm
from flocon.presence.presence_events import PeerLeft
from flocon.sites.asking import ask_epoch
from flocon.sites.hints import hints
from flocon.sites.names import Names
from flocon.sites.sites import Sites

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure
    from twisted.web.iweb import IAgent

    from flocon.machine.links import Link
    from flocon.mdns.services import Found
    from flocon.presence.multicast import Multicast
    from flocon.presence.presence import Presence
    from flocon.presence.presence_events import Event
    from flocon.sites.correspondents import Place

#: Seconds to the next try to open a socket.
REOPEN = 5.0
#: Seconds within which one that mDNS tells of is heard by the group, if it is heard there at all.
HEARD_WITHIN = 5.0


def far_nodes(
    reactor: Any, presence: Presence, multicast: Multicast, agent: IAgent, port: int
) -> FarNodes:
    """Return what keeps in touch with nodes of other networks; ``agent`` asks peers."""
    chance = random.Random()  # noqa: S311 - spreads datagrams, guards nothing
    sites = Sites(presence, chance=chance, port=port)
    sites.believing.permitted.own = is_own
    ask = partial(ask_epoch, agent, reactor)
    return FarNodes(reactor, sites, presence, multicast, port=port, ask=ask)


class FarNodes(Service):
    """Keeps ``sites`` in touch; ``ask`` returns in which epoch a place is, see ``ask_epoch``."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        sites: Sites,
        presence: Presence,
        multicast: Multicast,
        *,
        port: int,
        ask: Callable[[Place, int], Coroutine[Any, Any, str | None]],
    ) -> None:
        self._reactor = reactor
        self.sites = sites
        self._presence = presence
        self._multicast = multicast
        self._port = port
        self._ask = ask
        self._static: tuple[str, ...] = ()
        self._listens = self._hints = False
        self.names = Names(reactor, port, self._resolved)
        self._sockets: dict[int, UnicastProtocol] = {}
        self._asking: set[Deferred[Any]] = set()
        self._alarm = Alarm(reactor, self._due)
        self._found: tuple[Found, ...] = ()
        self._looking: IDelayedCall | None = None
        self._opening: IDelayedCall | None = None
        #: By which IP versions nobody is heard, as another program has the port to itself.
        self.taken: set[int] = set()
        self._stirred = False
        self.counters: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def use(self, static: Sequence[str], networks: Sequence[IPv4Network | IPv6Network]) -> None:
        """Greet these from now on, and hear who writes from these networks."""
        self._static = tuple(static)
        self._listens = bool(static or networks)
        self.sites.permit(networks)
        if self.running:
            self._open()
            self.names.start(self._static)

    def startService(self) -> None:
        super().startService()
        self._open()
        self.names.start(self._static)

    def stopService(self) -> Deferred[Any]:
        """Close; the bye went out with presence's."""
        super().stopService()
        self._alarm.stop()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        for asking in list(self._asking):
            asking.cancel()
        return DeferredList([self.names.stop(), *self._close()])

    # What it is asked

    def describe(self) -> list[dict[str, Any]]:
        """Return how each name stands that the operator gave."""
        from flocon.sites.telling import describe  # noqa: PLC0415 - seldom asked

        return describe(self, self._presence)

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell."""
        from flocon.sites.telling import tell  # noqa: PLC0415 - seldom asked

        return tell(self, self._presence)

    # Sockets

    def _open(self) -> None:
        """Have the sockets that are wanted, and no others."""
        if not self._listens and not self._hints:
            self._close()
            return
        for version in (4, 6):
            if version not in self._sockets:
                self._open_one(version)

    def _open_one(self, version: Literal[4, 6]) -> None:
        one = UnicastProtocol(
            version,
            received=self._receive,
            lost=lambda: self._lose(version),
            counters=self.counters,
        )
        try:
            one.listen(self._reactor, self._port)
        except OSError as error:
            self._missed(version, error)
            return
        self._sockets[version] = one
        self.taken.discard(version)

    def _missed(self, version: Literal[4, 6], error: OSError) -> None:
        """Go on without a socket: a machine may have no IPv6; or a program has the port."""
        self.counters[f"no IPv{version} socket"] += 1
        told, why = self._log.debug, error.strerror
        if error.errno == errno.EADDRINUSE:
            told = self._log.debug if version in self.taken else self._log.warn
            why = f"a program has UDP port {self._port} to itself"
            self.taken.add(version)
            self._open_soon()
        told(
            "nodes of other networks are not heard by IPv{version}: {why}", version=version, why=why
        )

    def _lose(self, version: Literal[4, 6]) -> None:
        self._sockets.pop(version, None)
        self._open_soon()

    def _open_soon(self) -> None:
        if self._opening is None and self.running:
            self._opening = self._reactor.callLater(REOPEN, self._reopen)

    def _reopen(self) -> None:
        self._opening = None
        self._open()

    def _close(self) -> list[Deferred[Any]]:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        closing = [one.leave() for one in self._sockets.values() if one.is_open]
        self._sockets.clear()
        return closing

    # What comes in

    def _now(self) -> float:
        return float(self._reactor.seconds())

    def _resolved(self, places: Mapping[str, Sequence[Place]]) -> None:
        """Take where names lead to; what leads back to this machine is left out."""
        is_own = self.sites.believing.permitted.is_own
        others = {
            name: [one for one in found if not is_own(one[0])] for name, found in places.items()
        }
        self.sites.resolved(self._now(), others)
        self._stir()

    def set_links(self, links: Sequence[Link]) -> None:
        """Learn of the links that there are now."""
        self.sites.networks_changed(self._now(), links, passing_addresses())
        self.names.look()
        self._stir()

    def found(self, found: tuple[Found, ...]) -> None:
        """Look in a while who of those that mDNS tells of was not heard otherwise."""
        self._found = found
        if self.running and self._looking is None:
            self._looking = self._reactor.callLater(HEARD_WITHIN, self._look_at_found)

    def _look_at_found(self) -> None:
        self._looking = None
        told = hints(self._found)
        unheard = [one for one in told if self._presence.peer(one.node) is None]
        self._hints = (self._hints and bool(told)) or bool(unheard)
        self._open()
        # Those that were found before are known by now.
        self.sites.hinted(self._now(), told if self._hints else ())
        self._stir()

    def event(self, event: Event) -> None:
        """Take what presence tells; what comes of it is done in the next turn."""
        self.sites.event(self._now(), event)
        if self._found and isinstance(event, PeerLeft):
            self.found(self._found)
        self._stir()

    def said(self, datagram: bytes) -> None:
        """Send on what the group was told, at once: it may be a bye."""
        self.sites.said(datagram)
        self._send()
        self._stir()

    def _receive(self, place: Place, data: bytes) -> None:
        if not self.sites.receive(self._now(), place, data):
            self.names.doubt()
        self._stir()

    # What goes out

    def _stir(self) -> None:
        if self._alarm.pending is None or not self._stirred:
            self._stirred = True
            self._set_timer()

    def _send(self) -> None:
        for place, datagram in self.sites.take_sends():
            if place is None:
                self._multicast.send(datagram)
                self.sent["group"] += 1
                continue
            one = self._sockets.get(6 if ":" in place[0] else 4)
            if one is not None and one.is_open and one.send(datagram, place):
                self.sent["unicast"] += 1

    def _question(self) -> None:
        for place, since in self.sites.take_questions():
            asking = Deferred.fromCoroutine(self._find_out(place, since))
            self._asking.add(asking)
            asking.addErrback(self._not_asked)
            asking.addBoth(partial(self._asked, asking))

    def _asked(self, asking: Deferred[Any], _: Any) -> None:
        self._asking.discard(asking)

    def _not_asked(self, reason: Failure) -> None:
        if not reason.check(CancelledError):
            self._log.failure("asking a far node failed", reason)

    async def _find_out(self, place: Place, since: int) -> None:
        epoch = None
        try:
            epoch = await self._ask(place, since)
        finally:
            if self.running:
                self.sites.answered(self._now(), place, epoch)
                self._multicast.wake()
                self._stir()

    def _pump(self) -> None:
        self._send()
        self._question()
        # What was heard may have presence say something, or tell of somebody.
        self._multicast.wake()

    # The one delayed call

    def _set_timer(self) -> None:
        if not self.running or not self._presence.running:
            # Nothing is said before the hello, which stirs.
            return
        self._alarm.set(self._now() if self._stirred else self.sites.deadline(self._now()))

    def _due(self) -> None:
        self._stirred = False
        for one in self._sockets.values():
            one.allow()
        self.sites.tick(self._now())
        self._pump()
        self._set_timer()
