"""A neighbourhood whose presence and whose inventories are as the test says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import Announcement, Kind
from flocon.files import Content
from flocon.holdings.inventory import Change
from flocon.neighbours.inventory_text import InventoryReader, format_inventory
from flocon.neighbours.neighbourhood import Neighbourhood
from flocon.presence.peer import Peer
from flocon.presence.presence_events import Event, Heard, PeerCame, PeerLeft

EPOCH = "0" * 8


def change(number: int, *, held: bool = True) -> Change:
    content = Content(1, number.to_bytes(32))
    return Change(f"p{number}-1-1-any.pkg.tar.zst", content, held)


def peer(node: str, **fields: Any) -> Peer:
    usual: dict[str, Any] = {
        "epoch": EPOCH,
        "name": f"name-{node}",
        "port": 19432,
        "system": "arch",
        "architectures": ("x86_64",),
        "address": f"10.0.0.{ord(node[0])}",
        "generation": 0,
        "files": 0,
        "databases": (),
        "abilities": frozenset(),
        "first_heard": 0.0,
        "able_since": 0.0,
        "last_heard": 0.0,
        "beat": 30.0,
        "proved": True,
    }
    return Peer(node, **usual | fields)


class FakePresence:
    """Who is there, as the test says."""

    def __init__(self) -> None:
        self.here: dict[str, Peer] = {}
        self.missed: set[str] = set()
        self.answers: list[tuple[str, int, str]] = []
        self.silent: list[tuple[str, int]] = []
        #: Addresses that answer in a peer's name besides its own.
        self.also: dict[str, str] = {}
        #: Where a peer is found, once its address turned out to be none.
        self.next: dict[str, str] = {}
        self.moved: set[str] = set()

    def peer(self, node: str) -> Peer | None:
        return self.here.get(node)

    def peers(self) -> list[Peer]:
        return list(self.here.values())

    def answered(self, now: float, address: str, port: int, epoch: str) -> Peer | None:
        self.answers.append((address, port, epoch))
        return next((one for one in self.at(address, port) if one.epoch == epoch), None)

    def at(self, address: str, port: int) -> list[Peer]:
        return [
            one
            for node, one in self.here.items()
            if one.port == port and address in {one.address, self.also.get(node)}
        ]

    def unanswered(self, now: float, address: str, port: int) -> None:
        self.silent.append((address, port))
        for node, one in self.here.items():
            if one.address == address and node in self.next:
                self.here[node] = replace(one, address=self.next[node])

    def is_missed(self, node: str) -> bool:
        return node in self.missed

    def elsewhere(self, node: str) -> list[str]:
        return [self.next[node]] if node in self.next else []

    def has_moved(self, node: str) -> bool:
        return node in self.moved


class FakeClient:
    """Keeps what was asked; the test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int | None]] = []
        self.answers: list[Deferred[InventoryReader]] = []
        self.cancelled = 0

    async def read(self, address: str, port: int, since: int | None) -> InventoryReader:
        self.asked.append((address, since))
        self.answers.append(Deferred(self._cancel))
        return await self.answers[-1]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def answer(self, generation: int, *changes: Change, whole: bool, epoch: str = EPOCH) -> None:
        reader = InventoryReader()
        for line in format_inventory(epoch, generation, changes, whole=whole):
            reader.feed(line)
        self.answers[-1].callback(reader)


class NeighbourhoodTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.presence = FakePresence()
        self.client = FakeClient()
        self.held_off: set[str] = set()
        presence: Any = self.presence
        client: Any = self.client
        self.neighbourhood = Neighbourhood(
            self.clock,
            presence,
            client,
            held_off=lambda one: one.node in self.held_off,
            listed=lambda *_: False,
        )
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.neighbourhood.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def tell(self, event: Event) -> None:
        self.neighbourhood.event(event)

    def come(self, who: Peer) -> None:
        self.presence.here[who.node] = who
        self.tell(PeerCame(who))

    def hear(self, who: Peer, generation: int, files: int, *changes: Change) -> None:
        who = replace(who, generation=generation, files=files)
        if who.node in self.presence.here:
            self.presence.here[who.node] = who
        said = Announcement(
            Kind.BEAT,
            who.node,
            who.epoch,
            1,
            who.name,
            who.port,
            who.system,
            who.architectures,
            who.beat,
            generation,
            files,
            changes=changes,
        )
        self.tell(Heard(who, said))
        self.clock.advance(0)

    def leave(self, who: Peer, reason: Literal["bye", "expired"] = "bye") -> None:
        del self.presence.here[who.node]
        self.tell(PeerLeft(who, reason))

    def settle(self) -> None:
        self.clock.pump([0.0] * 10)

    def known(self, who: Peer, generation: int, *changes: Change) -> None:
        """Let ``who`` come and its inventory be read."""
        self.come(who)
        self.hear(who, generation, len(changes))
        self.client.answer(generation, *changes, whole=True)
        self.settle()

    def log_lines(self) -> list[LogEvent]:
        """Return the list that every line of the log goes into from now on."""
        lines: list[LogEvent] = []
        observer: Any = lines.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return lines

    def assertHolding(self, one: Change, *nodes: str) -> None:
        found = self.neighbourhood.holding(one.file_name, one.content)
        self.assertEqual([who.node for who in found], list(nodes))
