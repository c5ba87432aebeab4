"""200 nodes in 10 networks, in virtual time: what it costs that all of them know each other.

``python -m bench.simulate_sites [--networks N] [--nodes N] [--old N]``. Everything that decides is
flocon's own core (``presence``, ``sites``, ``replication``); only the wires are made up. In each
network one node is named to those of the others, and nothing else is told to anybody. A datagram to
the group goes out on IPv4 and on IPv6, and reaches the sender's network alone; one to another
network goes by IPv4 and takes 5 ms. A question by HTTP takes 5 ms, and 15 ms to another network; it
is answered as the face would: where the asker is admitted.

What is simplified: nothing is lost, and inventories are told of but not read; a gap in what was
told of one, which a node mends by HTTP, is counted.
"""

from __future__ import annotations

import argparse
import heapq
import random
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from bench.common import Row, plain, show
from bench.simulate_lan import BEAT, DATABASES, PORT, parsing_once
from flocon.datagrams.introductions import decode_introduction
from flocon.files import Content
from flocon.holdings.inventory import Change
from flocon.machine.links import Link
from flocon.neighbours.replicas import Holders
from flocon.neighbours.replication import Apply, Nothing, next_step
from flocon.presence.own_announcement import Identity
from flocon.presence.presence import Presence
from flocon.presence.presence_events import (
    Claimed,
    Doubted,
    Heard,
    PeerCame,
    PeerLeft,
    PeerRestarted,
)
from flocon.presence.speaker import HEADERS
from flocon.sites import sites as sites_module
from flocon.sites.sites import Sites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flocon.presence.presence_events import Event

#: Seconds that a datagram takes to another network, and a question by HTTP there and within one.
FAR, FAR_QUESTION, QUESTION = 0.005, 0.015, 0.005
#: Bytes of a datagram's Ethernet, IP and UDP headers: of both IP versions for the group.
GROUP_HEADERS, UNICAST_HEADERS = HEADERS, 14 + 20 + 8
#: What a node announces that knows nodes of other networks.
ABILITIES = frozenset({"relay", "store", "sites"})

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """How many networks and nodes there are; ``old`` of each network are of an older flocon.

    In the rush each node comes to hold the same ``fresh`` packages within ``rush`` seconds.
    """

    networks: int = 10
    nodes: int = 200
    old: int = 0
    fresh: int = 60
    rush: float = 60.0
    rest: float = 600.0
    starting: float = 1.0


class Station:
    """One node: its presence, what it knows of other networks, and what it has sent and heard."""

    def __init__(self, network: int, number: int, *, old: bool) -> None:
        dice = random.Random(network << 16 | number)
        self.network, self.number, self.old = network, number, old
        self.node = f"{dice.getrandbits(64):016x}"
        self.epoch = f"{dice.getrandbits(32):08x}"
        self.address = f"10.{77 + network // 250}.{network % 250}.{number + 1}"
        self.address6 = f"fe80::{number + 1:x}%eth0"
        self.link = Link(
            "eth0",
            2,
            (IPv4Interface(f"{self.address}/24"), IPv6Interface(f"fe80::{number + 1:x}/64")),
        )
        self.presence = Presence(
            Identity(self.node, self.epoch, f"workstation-{network}-{number}"),
            chance=dice,
            beat=BEAT,
            port=PORT,
            system="arch",
            architectures=("x86_64",),
            databases=DATABASES,
            abilities=ABILITIES - {"sites"} if old else ABILITIES,
        )
        self.presence.networks_changed(0, [self.link])
        self.sites = None if old else Sites(self.presence, chance=dice, port=PORT)
        self.holders = Holders()
        self.generation = 0
        self.sent: Counter[str] = Counter()
        self.gaps = 0
        self.delays: list[float] = []

    def admits(self, asker: Station) -> bool:
        """Whether the face for peers answers."""
        if asker.network == self.network:
            return True
        return self.sites is not None and self.sites.admits(asker.address)

    def deadline(self, now: float) -> float | None:
        times = [self.presence.deadline()]
        if self.sites is not None:
            times.append(self.sites.deadline(now))
        return min((one for one in times if one is not None), default=None)


class Simulation:
    """The networks in virtual time: call ``start``, and then what is to happen."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._dice = random.Random(shape.nodes)
        each = shape.nodes // shape.networks
        self.networks = [
            [Station(network, number, old=number >= each - shape.old) for number in range(each)]
            for network in range(shape.networks)
        ]
        self.stations = [one for network in self.networks for one in network]
        self._at = {one.address: one for one in self.stations}
        self.named = [network[0] for network in self.networks]
        self.now = 0.0
        self._order = 0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._due: dict[str, float] = {}
        self._stirred: set[str] = set()
        self._came: dict[tuple[str, str], float] = {}
        self.cut: set[int] = set()
        #: Bits of what each network's group was told, and of what left or entered it by unicast.
        self.bits: Counter[int] = Counter()
        self.crossing: Counter[int] = Counter()

    # What happens

    def start(self) -> float:
        """Have all start within a second; return when the last one does."""
        last = 0.0
        for station in self.stations:
            at = self._dice.uniform(0, self.shape.starting)
            last = max(last, at)
            self._push(at, self._start, station)
        return last

    def _start(self, station: Station) -> None:
        station.presence.start(self.now)
        if station.sites is not None:
            station.sites.networks_changed(self.now, [station.link])
            if station in self.named:
                others = [one for one in self.named if one is not station]
                places = {one.node: [(one.address, PORT)] for one in others}
                station.sites.resolved(self.now, places)
        self._pump(station)

    def knows_all(self, station: Station) -> bool:
        """Whether a node knows all that it can: an older one those of its own network."""
        peers = station.presence.peers()
        return len(peers) == self._wanted(station) - 1 and all(one.proved for one in peers)

    def _wanted(self, station: Station) -> int:
        near = len(self.networks[station.network])
        if station.old or station.network in self.cut:
            return near
        out_of_reach = {station.network, *self.cut}
        return near + sum(not one.old for one in self.stations if one.network not in out_of_reach)

    def until_known(self, patience: float = 120.0, step: float = 0.05) -> float:
        """Run until all know all; return the seconds that took, infinity after ``patience``."""
        began = self.now
        while self.now < began + patience:
            self.run(self.now + step)
            if all(map(self.knows_all, self.stations)):
                return self.now - began
        return float("inf")

    def measure(self, seconds: float) -> None:
        """Let so much time pass, and count what happens in it alone."""
        for station in self.stations:
            station.sent.clear()
            station.gaps = 0
            station.delays.clear()
        self.bits.clear()
        self.crossing.clear()
        self.run(self.now + seconds)

    def update_all(self) -> None:
        """Have all nodes come to hold the same new packages within ``rush``; then 10 s more."""
        for station in self.stations:
            moments = sorted(
                self._dice.uniform(0, self.shape.rush) for _ in range(self.shape.fresh)
            )
            for number, moment in enumerate(moments):
                self._push(self.now + moment, self._hold, station, number)
        self.measure(self.shape.rush + 10)

    def _hold(self, station: Station, number: int) -> None:
        name = f"fresh{number:05}-1-1-x86_64.pkg.tar.zst"
        change = Change(name, Content(100_000 + number, sha256(name.encode()).digest()))
        station.generation += 1
        self._came[station.node, name] = self.now
        station.presence.inventory_changed(
            self.now, station.generation, station.generation, [change]
        )
        self._pump(station)

    # The wires

    def run(self, until: float) -> None:
        parsed = lru_cache(4_096)(decode_introduction)
        with parsing_once(), patch.object(sites_module, "decode_introduction", parsed):
            while self._queue and self._queue[0][0] <= until:
                self.now, _, action, arguments = heapq.heappop(self._queue)
                action(*arguments)
        self.now = until

    def _push(self, at: float, action: Callable[..., None], *arguments: Any) -> None:
        self._order += 1
        heapq.heappush(self._queue, (at, self._order, action, arguments))

    def _schedule(self, station: Station) -> None:
        due = station.deadline(self.now)
        if due is not None and self._due.get(station.node, float("inf")) > due:
            self._due[station.node] = due
            self._push(max(due, self.now), self._tick, station, due)

    def _stir(self, station: Station) -> None:
        """Have what was read dealt with in the next turn, all at once."""
        if station.node not in self._stirred:
            self._stirred.add(station.node)
            self._push(self.now, self._turn, station)

    def _turn(self, station: Station) -> None:
        self._stirred.discard(station.node)
        if station.sites is not None:
            station.sites.tick(self.now)
        self._pump(station)

    def _tick(self, station: Station, due: float) -> None:
        if self._due.get(station.node) != due:
            return
        del self._due[station.node]
        station.presence.tick(self.now)
        if station.sites is not None:
            station.sites.tick(self.now)
        self._pump(station)

    def _pump(self, station: Station) -> None:
        """Send, ask and tell what a node has, as its shells do."""
        presence, sites = station.presence, station.sites
        while True:
            datagrams, events = presence.take_datagrams(), presence.take_events()
            for datagram in datagrams:
                self._to_group(station, datagram, "said")
                if sites is not None:
                    sites.said(datagram)
            for event in events:
                self._take(station, event)
                if sites is not None:
                    sites.event(self.now, event)
            sends = [] if sites is None else sites.take_sends()
            for place, datagram in sends:
                if place is None:
                    self._to_group(station, datagram, "told")
                else:
                    self._to_place(station, place, datagram)
            questions = [] if sites is None else sites.take_questions()
            for place, _ in questions:
                station.sent["questions"] += 1
                self._push(self.now + FAR_QUESTION, self._far_answer, station, place)
            if not (datagrams or events or sends or questions):
                break
        self._schedule(station)

    def _to_group(self, station: Station, datagram: bytes, kind: str) -> None:
        station.sent[kind] += 1
        self.bits[station.network] += 8 * (2 * len(datagram) + GROUP_HEADERS)
        self._push(self.now, self._heard_by_group, station, datagram)

    def _heard_by_group(self, sender: Station, datagram: bytes) -> None:
        for station in self.networks[sender.network]:
            if station.presence.running:
                for address in (sender.address, sender.address6):
                    station.presence.receive(self.now, address, datagram)
                self._stir(station)

    def _to_place(self, station: Station, place: Place, datagram: bytes) -> None:
        station.sent["unicast"] += 1
        there = self._at[place[0]]
        for network in (station.network, there.network):
            self.crossing[network] += 8 * (len(datagram) + UNICAST_HEADERS)
        if not {station.network, there.network} & self.cut:
            self._push(self.now + FAR, self._heard, there, (station.address, PORT), datagram)

    def _heard(self, station: Station, place: Place, datagram: bytes) -> None:
        if station.sites is not None and station.presence.running:
            station.sites.receive(self.now, place, datagram)
            self._stir(station)

    # Questions, and what is known of inventories

    def _far_answer(self, station: Station, place: Place) -> None:
        assert station.sites is not None
        station.sites.answered(self.now, place, self._epoch(station, place[0]))
        self._pump(station)

    def _near_answer(self, station: Station, address: str, port: int) -> None:
        there = self._there(station, address)
        epoch = None if there is None else self._epoch(station, there.address)
        if epoch is None:
            station.presence.unanswered(self.now, address, port)
        else:
            station.presence.answered(self.now, address, port, epoch)
        self._pump(station)

    def _there(self, station: Station, address: str) -> Station | None:
        if address in self._at:
            return self._at[address]
        return next(
            (one for one in self.networks[station.network] if one.address6 == address), None
        )

    def _epoch(self, asker: Station, address: str) -> str | None:
        there = self._at.get(address)
        if there is None or not there.presence.running or not there.admits(asker):
            return None
        apart = there.network != asker.network and {there.network, asker.network} & self.cut
        return None if apart else there.epoch

    def _take(self, station: Station, event: Event) -> None:
        """Do what ``neighbourhood`` does."""
        match event:
            case PeerCame(peer):
                if not peer.proved:
                    self._look_at(station, peer.address, peer.port)
            case PeerRestarted(peer) | PeerLeft(peer):
                station.holders.forget(peer.node)
            case Claimed(address, port):
                self._look_at(station, address, port)
            case Doubted(peer):
                self._look_at(station, peer.address, peer.port)
            case Heard(peer, said):
                self._follow(station, peer.node, said)

    def _look_at(self, station: Station, address: str, port: int) -> None:
        self._push(self.now + QUESTION, self._near_answer, station, address, port)

    def _follow(self, station: Station, node: str, said: Any) -> None:
        holders = station.holders
        replica = holders.replica(node)
        if replica is None:
            # As who has read it.
            holders.replace(node, said.generation, [])
            return
        step = next_step(
            replica,
            said.generation,
            said.files,
            said.changes,
            reflects=lambda: holders.reflects(node, said.changes),
        )
        if isinstance(step, Apply):
            holders.apply(node, said.generation, step.changes)
            for change in step.changes:
                came = self._came.get((node, change.file_name))
                if came is not None:
                    station.delays.append(self.now - came)
        elif not isinstance(step, Nothing):
            station.gaps += 1
            holders.replace(node, said.generation, [])


def report(shape: Shape) -> list[Row]:
    """Run it all; return the lines of the table."""
    simulation = Simulation(shape)
    last = simulation.start()
    simulation.run(last)
    known = simulation.until_known()
    meeting = _load(simulation, last + known)
    simulation.run(simulation.now + 300)
    simulation.measure(shape.rest)
    rows = [
        plain(f"{shape.nodes} nodes in {shape.networks} networks: all know all", known, "s"),
        *meeting,
        *_rates(simulation, "at rest", shape.rest),
    ]
    simulation.update_all()
    rows += _rates(simulation, f"rush, {shape.fresh} packages in {shape.rush:g} s", shape.rush + 10)
    delays = sorted(one for station in simulation.stations for one in station.delays)
    changes = shape.nodes * shape.fresh * (shape.nodes - 1)
    gaps = sum(one.gaps for one in simulation.stations)
    rows += [
        plain("  told of by datagrams", 100 * len(delays) / changes, "%"),
        plain("  known, median", delays[len(delays) // 2], "s"),
        plain("  known, 99 %", delays[int(len(delays) * 0.99)], "s"),
        plain("  gaps, read by HTTP, at a node", gaps / shape.nodes, "times"),
    ]
    return rows


def _load(simulation: Simulation, seconds: float) -> list[Row]:
    questions = [one.sent["questions"] for one in simulation.stations]
    told = [one.sent["told"] + one.sent["unicast"] for one in simulation.named]
    return [
        plain("  until then: questions of a node", sum(questions) / len(questions), ""),
        plain("  datagrams of a named node, beside its own", sum(told) / len(told), ""),
        *_wires(simulation, seconds),
    ]


def _wires(simulation: Simulation, seconds: float) -> list[Row]:
    """Return the bit rates of the network that carries the most."""
    group = max(simulation.bits.values(), default=0) / seconds / 1e3
    crossing = max(simulation.crossing.values(), default=0) / seconds / 1e3
    return [
        plain("  told to the busiest group", group, "kbit/s"),
        plain("  between it and the others", crossing, "kbit/s"),
    ]


def _rates(simulation: Simulation, title: str, seconds: float) -> list[Row]:
    def rate(stations: Iterable[Station], *kinds: str) -> float:
        ones = list(stations)
        return sum(one.sent[kind] for one in ones for kind in kinds) / len(ones) / seconds

    plainly = [one for one in simulation.stations if one not in simulation.named]
    dropped: Counter[str] = Counter()
    for one in simulation.stations:
        dropped["rate"] += one.presence.counters["rate"]
        if one.sites is not None:
            dropped["rate"] += one.sites.counters["rate"]
    return [
        plain(f"{title}: datagrams of a node that is not named", rate(plainly, "said"), "/s"),
        plain("  of a named one, of itself to the group", rate(simulation.named, "said"), "/s"),
        plain("  of others to the group", rate(simulation.named, "told"), "/s"),
        plain("  to other networks", rate(simulation.named, "unicast"), "/s"),
        *_wires(simulation, seconds),
        plain("  dropped by rate limits, so far", dropped["rate"], ""),
    ]


def main() -> None:
    """Simulate, and print the table."""
    text = __doc__ or ""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--networks", type=int, default=Shape().networks)
    parser.add_argument("--nodes", type=int, default=Shape().nodes)
    parser.add_argument("--old", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    show(report(Shape(networks=given.networks, nodes=given.nodes, old=given.old)))
    print(f"\nSimulated in {time.monotonic() - began:.0f} s.")
    print(text[text.index("What is simplified") :].strip())


if __name__ == "__main__":
    main()
