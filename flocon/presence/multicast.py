"""Pumps datagrams between ``presence`` and the group, on every link, by IPv4 and IPv6.

Decides nothing: who is there is ``presence``'s, where the group is joined
``datagrams.membership``'s. Which links there are is told by ``set_links``; each place has a socket
of its own (``datagrams.group``).
"""

from __future__ import annotations

from collections import Counter, deque
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Literal

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from flocon.datagrams.group import GroupProtocol
from flocon.datagrams.membership import Join, JoinFailed, Membership, Place
from flocon.machine.threads import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.datagrams.membership import Leave
    from flocon.machine.links import Link
    from flocon.presence.presence import Presence
    from flocon.presence.presence_events import Event

#: Datagrams read in one turn, on all links: a flood must not hold the reactor (about 50 us each).
_MOST_AT_ONCE = 128
#: Joins and departures done in one turn, about 0.2 ms each: a hundred links may come at once.
_MOST_STEPS = 32


class Multicast(Service):
    """Keeps ``presence`` in touch with the group.

    ``reactor`` is an IReactorTime and IReactorSocket; ``on_event`` is called with each of
    presence's events, in order. ``counters`` has what could not be sent, by the system's word for
    it.
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
        self._members: dict[tuple[int, int], GroupProtocol] = {}
        self._steps: deque[Join | Leave] = deque()
        self._stepping: Any = None
        self._closing: set[Deferred[Any]] = set()
        self._alarm = Alarm(reactor, self._due)
        self._stirred = False
        self._pumping = False
        self._told_error = False
        #: Called with what this node has just said to the group.
        self.said: Callable[[bytes], None] = lambda _: None
        self.counters: Counter[str] = Counter()
        #: Datagrams of each place by what became of them: "sent", "own" heard back, or "others".
        self._traffic: dict[tuple[int, int], Counter[str]] = {}

    def places(self) -> list[dict[str, Any]]:
        """Tell of each place whether the group is joined there, and what was sent and heard."""
        joined = {_key(place) for place in self._membership.places()}
        told = []
        for link in self._links:
            for version in self._groups:
                if link.of_family(version):
                    key = (link.index, version)
                    counted = self._traffic.get(key, Counter())
                    told.append(
                        {
                            "link": link.name,
                            "version": version,
                            "joined": key in joined,
                            "sent": counted["sent"],
                            "own_heard": counted["own"],
                            "others_heard": counted["others"],
                        }
                    )
        return told

    def startService(self) -> None:
        """Join on the links known so far, and say hello."""
        super().startService()
        self._join()
        now = self._now()
        self._presence.networks_changed(now, self._links)
        self._presence.start(now)
        self.wake()

    def stopService(self) -> Deferred[Any]:
        """Say bye, and close; the bye is out when this returns, all is closed when it fires."""
        super().stopService()
        self._presence.stop(self._now())
        self._pump()
        self._alarm.stop()
        self._stirred = False
        self._membership.leave()
        self._step(at_once=True)
        return DeferredList(self._closing)

    def set_links(self, links: Sequence[Link]) -> None:
        """Be on these links from now on; a new network is greeted with a hello."""
        self._links = tuple(links)
        there = {link.index for link in links}
        self._traffic = {key: one for key, one in self._traffic.items() if key[0] in there}
        self._names = {link.index: link.name for link in links}
        if self.running:
            self._join()
            self._presence.networks_changed(self._now(), self._links)
            self.wake()

    def rejoin(self) -> None:
        """Leave and join everywhere, and say hello."""
        if not self.running:
            return
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

    def _join(self) -> None:
        self._membership.links_changed(self._now(), self._links)
        self._step()

    def _step(self, *, at_once: bool = False) -> None:
        """Do what membership asks for, a few steps in each turn, and tell what came of it."""
        self._steps.extend(self._membership.take_steps())
        if self._stepping is not None:
            if not at_once:
                return
            self._stepping.cancel()
            self._stepping = None
        self._take_steps(len(self._steps) if at_once else _MOST_STEPS)
        if self._steps:
            self._stepping = self._reactor.callLater(0, self._step_on)

    def _step_on(self) -> None:
        self._stepping = None
        self._step()
        if not self._steps:
            # Whoever was joined late has not heard the hello.
            self._presence.rejoin(self._now())
            self.wake()

    def _take_steps(self, most: int) -> None:
        for _ in range(min(most, len(self._steps))):
            step = self._steps.popleft()
            if isinstance(step, Join):
                self._join_at(step.place)
            else:
                self._leave_at(step.place)
        self._allow_reading()
        for event in self._membership.take_events():
            where = {"link": event.place.link.name, "version": event.place.version}
            if isinstance(event, JoinFailed):
                self.log.warn(
                    "Cannot join the IPv{version} group on {link}, port {port}: {reason};"
                    " trying again every 5 s for 15 minutes",
                    port=self._port,
                    reason=event.reason,
                    **where,
                )
            else:
                self.log.info("Joined the IPv{version} group on {link} after all", **where)

    def _join_at(self, place: Place) -> None:
        if _key(place) not in self._members:
            member = GroupProtocol(
                place,
                self._groups[place.version],
                self._port,
                received=self._receive,
                lost=self._lose,
                counters=self.counters,
            )
            try:
                member.listen(self._reactor)
            except OSError as error:
                self._membership.failed(self._now(), place, str(error.strerror))
                return
            self._members[_key(place)] = member
        self._membership.joined(place)

    def _leave_at(self, place: Place) -> None:
        member = self._members.pop(_key(place), None)
        if member is not None:
            closed = member.leave()
            self._closing.add(closed)
            closed.addBoth(lambda _: self._closing.discard(closed))

    def _lose(self, place: Place) -> None:
        """Take the reactor's word that a socket is of no use any more, and try another soon."""
        self._members.pop(_key(place), None)
        self._membership.failed(self._now(), place, "the socket was lost")
        self._step()
        self._set_timer()

    def _allow_reading(self) -> None:
        """Share what is read in one turn: a flood on one link does not mute the others."""
        for member in self._members.values():
            member.allow(max(1, _MOST_AT_ONCE // len(self._members)))

    def _receive(self, place: Place, host: str, data: bytes) -> None:
        address = host
        if place.version == 6 and IPv6Address(host).is_link_local:  # noqa: PLR2004 - IPv6
            address = f"{host}%{self._names.get(place.link.index, place.link.name)}"
        own = self._presence.counters["own"]
        try:
            self._presence.receive(self._now(), address, data)
        except Exception:  # noqa: BLE001 - Twisted would log every one
            self.counters["failed"] += 1
            if not self._told_error:
                self._told_error = True
                self.log.failure("A datagram from {address} was not survived", address=address)
        self._count(place, "own" if self._presence.counters["own"] > own else "others")
        if not self._stirred:
            self._stirred = True
            self._set_timer()

    def _count(self, place: Place, what: str) -> None:
        self._traffic.setdefault(_key(place), Counter())[what] += 1

    # Pumping

    def _pump(self) -> None:
        """Hand on until nothing is left: a listener may make presence say more."""
        while True:
            datagrams = self._presence.take_datagrams()
            events = self._presence.take_events()
            if not datagrams and not events:
                return
            for datagram in datagrams:
                self.send(datagram)
                self.said(datagram)
            for event in events:
                try:
                    self._on_event(event)
                except Exception:  # noqa: BLE001 - the other events must still be told
                    self.log.failure("A listener failed at {event}", event=event)

    def send(self, datagram: bytes) -> None:
        """Send ``datagram`` to the group, wherever it is joined."""
        for place in self._membership.places():
            if self._members[_key(place)].send(datagram):
                self._count(place, "sent")

    # The one delayed call

    def _set_timer(self) -> None:
        # What was read is dealt with in the next turn, all at once.
        read = self._now() if self._stirred else None
        times = (read, self._presence.deadline(), self._membership.deadline())
        due = min((time for time in times if time is not None), default=None)
        self._alarm.set(due if self.running else None)

    def _due(self) -> None:
        self._stirred = False
        self._allow_reading()
        now = self._now()
        self._membership.tick(now)
        self._step()
        self._presence.tick(now)
        self.wake()


def _key(place: Place) -> tuple[int, int]:
    return place.link.index, place.version
