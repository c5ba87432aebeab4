"""A LAN of 1,000 nodes with 3,000 files each, in virtual time: what presence costs, and how fast.

``python -m bench.simulate_lan [--nodes N] [--files N]``. Everything that decides is flocon's own
core (``presence``, ``inventory``, ``replication``, ``sources``); only the wire is made up. Each
datagram goes out on IPv4 and IPv6 and reaches everybody at once.

What is simplified, so that a hundred million deliveries are not needed: all nodes hear each other
once, when they are introduced; from then on all of them speak, and a few observers hear everything.
Nobody but an observer keeps replicas. A datagram's bytes are parsed once for all who hear them;
what parsing costs is measured apart. Half of the observers lose one datagram in a hundred. An
inventory is read in 5 ms. The first reading of all inventories is computed, not simulated.
"""

from __future__ import annotations

import argparse
import copy
import heapq
import random
import statistics
import time
import tracemalloc
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING
from unittest.mock import patch

from bench.common import Row, plain, show
from flocon.datagrams.messages import Kind, decode, encode
from flocon.files import Content
from flocon.holdings.inventory import Change, Inventory
from flocon.machine.links import Link
from flocon.neighbours.inventory_text import format_inventory
from flocon.neighbours.replicas import Holders
from flocon.neighbours.replication import Apply, Nothing, next_step
from flocon.presence import presence as presence_module
from flocon.presence.own_announcement import Identity
from flocon.presence.presence import Presence
from flocon.presence.presence_events import Heard
from flocon.presence.speaker import HEADERS
from flocon.sources.ranking import rank_owners

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINK = Link("eth0", 2, (IPv4Interface("10.0.0.1/16"), IPv6Interface("fe80::1/64")))
PORT = 19432
BEAT = 30.0
#: When everybody knows everybody and has found its own time to beat.
SETTLED = 10.0
#: Seconds it takes to read what changed at a peer.
READING = 0.005
DATABASES = tuple((name, f"{at:016x}") for at, name in enumerate(("core", "extra", "multilib")))


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the LAN is, and what happens on it.

    Each node holds ``files`` of ``pool`` packages; in the rush each comes to hold the same
    ``fresh`` ones within ``rush`` seconds. ``loss`` is the share of datagrams that the second
    half of the ``observers`` loses, on both IP versions.
    """

    nodes: int = 1_000
    files: int = 3_000
    pool: int = 15_000
    fresh: int = 60
    rush: float = 60.0
    rest: float = 1_200.0
    observers: int = 2
    loss: float = 0.01


@dataclass(frozen=True, slots=True)
class Load:
    """What a LAN carried in some seconds; ``datagrams`` and ``bits`` of both IP versions together.

    Bits are those of Ethernet frames. ``busiest`` is the largest number of bits in one second.
    """

    seconds: float
    datagrams: int
    bits: int
    busiest: int

    @property
    def bit_rate(self) -> float:
        return self.bits / self.seconds

    @property
    def rate(self) -> float:
        return self.datagrams / self.seconds


def package(number: int, *, fresh: bool = False) -> Change:
    """Return one of the packages that there are."""
    kind = "fresh" if fresh else "package"
    name = f"{kind}{number:05}-1.{number % 97}.0-1-x86_64.pkg.tar.zst"
    return Change(name, Content(100_000 + number, sha256(name.encode()).digest()))


class Station:
    """One node: its presence and its own inventory, of which only what is new is kept."""

    def __init__(self, number: int, shape: Shape) -> None:
        dice = random.Random(number)
        self.number = number
        self.node = f"{dice.getrandbits(64):016x}"
        self.epoch = f"{dice.getrandbits(32):08x}"
        identity = Identity(self.node, self.epoch, f"workstation-{number}")
        self.addresses = (
            f"10.0.{number // 250}.{number % 250 + 2}",
            f"fe80::{number + 2:x}%{LINK.name}",
        )
        self.presence = Presence(
            identity,
            chance=dice,
            beat=BEAT,
            port=PORT,
            system="arch",
            architectures=("x86_64",),
            databases=DATABASES,
            abilities=frozenset({"relay", "store"}),
        )
        self.presence.networks_changed(0, [LINK])
        self.inventory = Inventory()
        self.inventory.generation = shape.files
        self.files = shape.files

    def introduction(self, files: int) -> bytes:
        """Start; return a beat that says who this is, valid for as long as the simulation."""
        self.presence.start(0)
        self.presence.update(0, generation=files, files=files)
        while (due := self.presence.deadline() or BEAT) < BEAT / 2:
            self.presence.tick(due)
        datagrams = self.presence.take_datagrams()
        return encode(replace(decode(datagrams[-1]), kind=Kind.BEAT, beat=1_800.0))

    def hold(self, now: float, change: Change) -> None:
        """Come to hold a package."""
        changes = self.inventory.put(change.file_name, change.content)
        self.files += 1
        self.presence.inventory_changed(now, self.inventory.generation, self.files, changes)


class Observer:
    """A node that hears everything and knows what all others hold, as ``node`` does it."""

    def __init__(self, station: Station, holders: Holders, loss: float) -> None:
        self.station = station
        self.holders = holders
        self.holders.forget(station.node)
        self.loss = loss
        self.dice = random.Random(f"observer {station.number}")
        self.reading: set[str] = set()
        self.reads: Counter[str] = Counter()
        #: Seconds from a package's coming, at a node, to its being known here.
        self.delays: list[float] = []


class Simulation:
    """The LAN in virtual time; call ``introduce``, then ``rest`` and ``update_all``."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._dice = random.Random(shape.nodes)
        self.stations = [Station(number, shape) for number in range(shape.nodes)]
        self._by_node = {station.node: station for station in self.stations}
        self._fresh = [package(number, fresh=True) for number in range(shape.fresh)]
        self._came: dict[tuple[str, str], float] = {}
        self._queue: list[tuple[float, int, str, tuple[int, ...]]] = []
        self._due: dict[int, float] = {}
        self._order = 0
        self._now = 0.0
        self._sent: list[tuple[float, int]] = []
        self.recorded: list[tuple[int, bytes]] = []
        self.heard = 0
        self.observers: list[Observer] = []
        #: Bytes that one node's replicas of all others take.
        self.memory = 0

    # The beginning

    def introduce(self) -> None:
        """Let everybody hear everybody once, and the observers know all that is held."""
        shape = self.shape
        first = [station.introduction(shape.files) for station in self.stations]
        with parsing_once():
            for receiver in self.stations:
                for sender, datagram in zip(self.stations, first, strict=True):
                    if sender is not receiver:
                        receiver.presence.receive(3, sender.addresses[0], datagram)
                        # As who has read its inventory.
                        receiver.presence.answered(3, sender.addresses[0], PORT, sender.epoch)
                receiver.presence.take_events()
        held = held_by(self.stations, shape)
        tracemalloc.start()
        holders = replicas(held, shape)
        self.memory = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        for number in range(shape.observers):
            loss = shape.loss if number >= (shape.observers + 1) // 2 else 0.0
            observer = Observer(self.stations[number], copy.deepcopy(holders), loss)
            self.observers.append(observer)
        # A hello makes each find a time of its own for the next beat; these are not heard.
        for station in self.stations:
            station.presence.rejoin(4)
            self._schedule(station)
        self._run(SETTLED, delivered=False)
        self._sent.clear()

    # What happens

    def rest(self) -> Load:
        """Let time pass in which nothing happens."""
        return self._load(self.shape.rest)

    def one_package(self) -> float:
        """Let one node come to hold a package; return the seconds until all observers know it."""
        change = package(self.shape.pool + 1)
        sender = self.stations[-1]
        self._hold(sender, change)
        self._run(self._now + 5)
        delays = [observer.delays[-1] for observer in self.observers]
        for observer in self.observers:
            observer.delays.clear()
        return max(delays)

    def update_all(self) -> Load:
        """Let all nodes come to hold the same new packages."""
        for station in self.stations:
            for number in range(len(self._fresh)):
                at = self._now + self._dice.uniform(0, self.shape.rush)
                self._push(at, "hold", station.number, number)
        self.recorded.clear()
        return self._load(self.shape.rush)

    def missing(self) -> int:
        """Return how many of the new packages the observers do not know of, at all nodes."""
        return sum(
            len(self.stations) - 1 - len(set(observer.holders.holding(one.file_name, one.content)))
            for observer in self.observers
            for one in self._fresh
        )

    def settle(self) -> float:
        """Run until all observers know all; return the seconds that took, at most an hour."""
        began = self._now
        while self.missing() and self._now < began + 3_600:
            self._run(self._now + 10)
        return self._now - began

    # The machinery

    def _load(self, seconds: float) -> Load:
        self._sent.clear()
        self._run(self._now + seconds)
        each = [(at, sum(8 * length for length in lengths)) for at, *lengths in self._frames()]
        per_second: Counter[int] = Counter()
        for at, bits in each:
            per_second[int(at)] += bits
        whole = sum(bits for _, bits in each)
        return Load(seconds, 2 * len(each), whole, max(per_second.values(), default=0))

    def _frames(self) -> Iterator[tuple[float, int, int]]:
        """Yield when a datagram went out, and the length of its frame in either IP version."""
        # HEADERS are those of both versions; IPv6's is 20 bytes longer.
        for at, length in self._sent:
            yield at, length + (HEADERS - 20) // 2, length + (HEADERS + 20) // 2

    def _push(self, at: float, what: str, *arguments: int) -> None:
        self._order += 1
        heapq.heappush(self._queue, (at, self._order, what, arguments))

    def _schedule(self, station: Station) -> None:
        due = station.presence.deadline()
        if due is not None and self._due.get(station.number) != due:
            self._due[station.number] = due
            self._push(due, "tick", station.number)

    def _run(self, until: float, *, delivered: bool = True) -> None:
        with parsing_once():
            while self._queue and self._queue[0][0] <= until:
                self._now, _, what, arguments = heapq.heappop(self._queue)
                self._do(what, arguments, delivered=delivered)
        self._now = until

    def _do(self, what: str, arguments: Sequence[int], *, delivered: bool) -> None:
        station = self.stations[arguments[0]]
        if what == "tick":
            if self._due.get(station.number) == self._now:
                del self._due[station.number]
                station.presence.tick(self._now)
                self._send(station, delivered=delivered)
                self._schedule(station)
        elif what == "hold":
            self._hold(station, self._fresh[arguments[1]])
        elif what == "read":
            self._read(self.observers[arguments[1]], station, arguments[2])

    def _hold(self, station: Station, change: Change) -> None:
        self._came[station.node, change.file_name] = self._now
        station.hold(self._now, change)
        self._schedule(station)

    def _send(self, station: Station, *, delivered: bool) -> None:
        for datagram in station.presence.take_datagrams():
            self._sent.append((self._now, len(datagram)))
            self.recorded.append((station.number, datagram))
            if delivered:
                for number, observer in enumerate(self.observers):
                    if observer.station is not station:
                        self._deliver(number, observer, station, datagram)

    def _deliver(self, number: int, observer: Observer, sender: Station, datagram: bytes) -> None:
        if observer.loss and observer.dice.random() < observer.loss:
            return
        for address in sender.addresses:
            self.heard += 1
            observer.station.presence.receive(self._now, address, datagram)
        for event in observer.station.presence.take_events():
            if isinstance(event, Heard):
                self._hear(number, observer, event)
        self._schedule(observer.station)

    def _hear(self, number: int, observer: Observer, event: Heard) -> None:
        node, said = event.peer.node, event.announcement
        replica = observer.holders.replica(node)
        step = next_step(
            replica,
            said.generation,
            said.files,
            said.changes,
            reflects=lambda: observer.holders.reflects(node, said.changes),
        )
        if isinstance(step, Apply):
            observer.holders.apply(node, said.generation, step.changes)
            self._learn(observer, node, step.changes)
        elif not isinstance(step, Nothing) and node not in observer.reading:
            observer.reading.add(node)
            observer.reads["whole" if step.since is None else "changes"] += 1
            since = -1 if step.since is None else step.since
            self._push(self._now + READING, "read", self._by_node[node].number, number, since)

    def _read(self, observer: Observer, station: Station, since: int) -> None:
        observer.reading.discard(station.node)
        replica = observer.holders.replica(station.node)
        changes = station.inventory.since(since)
        if replica is None or replica.read != since or changes is None:
            return
        generation = station.inventory.generation
        text = format_inventory("0123abcd", generation, changes, whole=False)
        observer.reads["bytes"] += sum(map(len, text))
        observer.holders.apply(station.node, generation, changes, read=True)
        self._learn(observer, station.node, changes)

    def _learn(self, observer: Observer, node: str, changes: Sequence[Change]) -> None:
        for change in changes:
            came = self._came.get((node, change.file_name))
            if came is not None:
                observer.delays.append(self._now - came)


@contextmanager
def parsing_once() -> Iterator[None]:
    """Have the same bytes parsed once for all who hear them; an announcement never changes."""
    with patch.object(presence_module, "decode", lru_cache(4_096)(decode)):
        yield


def held_by(stations: Sequence[Station], shape: Shape) -> dict[str, list[Change]]:
    """Return what each node holds: its own choice of the packages that there are."""
    pool = [package(number) for number in range(shape.pool)]
    dice = random.Random(7)
    return {station.node: dice.sample(pool, shape.files) for station in stations}


def replicas(held: dict[str, list[Change]], shape: Shape) -> Holders:
    """Return what a node knows that has read the inventories of all these."""
    holders = Holders()
    for node, changes in held.items():
        holders.replace(node, shape.files, changes)
    return holders


def replica_memory(peers: int, files: int) -> int:
    """Return the bytes that the replicas of so many peers take."""
    shape = Shape(nodes=peers, files=files)
    stations = [Station(number, shape) for number in range(peers)]
    held = held_by(stations, shape)
    tracemalloc.start()
    holders = replicas(held, shape)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(holders)
    return size


def presence_memory(stations: Sequence[Station], files: int) -> int:
    """Return the bytes that one more node's table of all these peers takes."""
    shape = Shape(files=files)
    newcomer = Station(len(stations), shape)
    beats = [
        encode(replace(station.presence._own.said, sequence=2**40, beat=600.0))  # noqa: SLF001
        for station in stations
    ]
    newcomer.presence.start(0)
    tracemalloc.start()
    for station, beat in zip(stations, beats, strict=True):
        for address in station.addresses:
            newcomer.presence.receive(1, address, beat)
        newcomer.presence.take_events()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size


def seconds_each(action: Iterator[object]) -> float:
    """Return the mean seconds that one step of ``action`` takes, of this machine's processor."""
    began = time.process_time()
    count = sum(1 for _ in action)
    return (time.process_time() - began) / max(count, 1)


def report(shape: Shape) -> list[Row]:
    """Run it all; return the lines of the table."""
    simulation = Simulation(shape)
    simulation.introduce()
    rest = simulation.rest()
    alone = simulation.one_package()
    heard, began = simulation.heard, time.process_time()
    rush = simulation.update_all()
    spent = time.process_time() - began
    rows = _resting(shape, rest, alone)
    rows += _rushing(simulation, rush, (simulation.heard - heard, spent))
    return rows + _keeping(simulation)


def _resting(shape: Shape, rest: Load, alone: float) -> list[Row]:
    return [
        plain(
            f"at rest, {shape.nodes} nodes: all datagrams", rest.bit_rate / 1_000, "kbit/s", "< 10"
        ),
        plain("  the busiest second", rest.busiest / 1_000, "kbit"),
        plain("  datagrams, both IP versions", rest.rate, "/s"),
        plain("  bytes that a node hears in an hour", rest.bit_rate / 8 * 3_600 / 1e6, "MB"),
        plain("a new package: until all know it", alone, "s", "< 1"),
    ]


def _rushing(simulation: Simulation, rush: Load, work: tuple[int, float]) -> list[Row]:
    shape = simulation.shape
    clean = [one for one in simulation.observers if not one.loss]
    lossy = [one for one in simulation.observers if one.loss]
    title = f"rush, {shape.fresh} packages on {shape.nodes} nodes in {shape.rush:g} s"
    rows = [
        plain(f"{title}: all datagrams", rush.bit_rate / 1_000, "kbit/s"),
        plain("  the busiest second", rush.busiest / 1_000, "kbit"),
        plain("  datagrams, both IP versions", rush.rate, "/s"),
        plain("  datagrams a node sends", rush.datagrams / shape.nodes, ""),
        plain("  datagrams for one package", rush.datagrams / shape.nodes / shape.fresh, ""),
    ]
    dropped = sum(one.station.presence.counters["rate"] for one in simulation.observers)
    rows.append(
        plain("  dropped by rate limits, at a node", dropped / len(simulation.observers), "")
    )
    parsed = simulation.recorded[:5_000]
    parsing = seconds_each(decode(datagram) for _, datagram in parsed)
    # Half are copies of what the other IP version brought; each is parsed.
    busy = 100 * rush.rate * (parsing + work[1] / max(work[0], 1))
    rows.append(plain("  processor time to hear it all", busy, "% of a core"))
    until = simulation.settle()
    for name, observers in (("", clean), (f" where {100 * shape.loss:g} % is lost", lossy)):
        delays = sorted(delay for one in observers for delay in one.delays)
        reads = sum(one.reads["changes"] + one.reads["whole"] for one in observers)
        size = sum(one.reads["bytes"] for one in observers)
        bar = "" if name else "< 1"
        rows += [
            plain(f"  known{name}, median", statistics.median(delays), "s", bar),
            plain(f"  known{name}, 99.9 %", delays[int(len(delays) * 0.999)], "s", bar),
            plain(f"  known{name}, the last", delays[-1], "s"),
            plain(f"  read by HTTP{name}, at a node", reads / len(observers), "times"),
            plain(f"  read by HTTP{name}, at a node", size / len(observers) / 1e6, "MB"),
        ]
    rows.append(plain("  all know all, after the rush", until, "s"))
    return rows


def _keeping(simulation: Simulation) -> list[Row]:
    """Return what a node has to remember, and what asking its memory costs."""
    shape, stations = simulation.shape, simulation.stations
    table = presence_memory(stations, shape.files)
    line = sum(map(len, format_inventory("0123abcd", 1, [package(1)], whole=True)))
    holders = simulation.observers[0].holders
    asked = [package(number) for number in range(0, shape.pool, 5)]
    nodes = [station.node for station in stations]
    name = asked[0].file_name
    return [
        plain(f"replicas of {shape.nodes} peers", simulation.memory / 1e6, "MB", "< 100"),
        plain(f"table of {shape.nodes} peers", table / 1e6, "MB", "< 100"),
        plain("replicas of 100 peers", replica_memory(100, shape.files) / 1e6, "MB", "< 100"),
        plain("first reading of all inventories", shape.nodes * shape.files * line / 1e6, "MB"),
        plain(
            "look-up: who holds a file",
            1_000 * seconds_each(holders.holding(one.file_name, one.content) for one in asked),
            "ms",
            "< 1",
        ),
        plain(
            f"look-up: who owns a file, of {shape.nodes} nodes",
            1_000 * seconds_each(rank_owners(nodes, name) for _ in range(50)),
            "ms",
            "< 1",
        ),
    ]


def main() -> None:
    """Simulate, and print the table."""
    text = __doc__ or ""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=Shape().nodes)
    parser.add_argument("--files", type=int, default=Shape().files)
    given = parser.parse_args()
    began = time.monotonic()
    show(report(Shape(nodes=given.nodes, files=given.files)))
    print(f"\nSimulated in {time.monotonic() - began:.0f} s.")
    print(text[text.index("What is simplified") :].strip())


if __name__ == "__main__":
    main()
