"""Whatever a stranger on the link sends, honest peers stay known, and are asked where they are.

The stranger makes up datagrams with any sender's address, any id, epoch, number, port and beat,
and answers at its own address what it likes. It cannot answer at others'. What it cannot be kept
from is in SECURITY.rst: it tells of files in the name of another that this one has not.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import LARGEST_NUMBER, Announcement, Kind, encode
from flocon.errors import Stalled, Unreachable
from flocon.files import Content
from flocon.holdings.inventory import Change, Inventory
from flocon.machine.links import Link
from flocon.neighbours.inventory_text import InventoryReader, format_inventory
from flocon.neighbours.neighbourhood import Neighbourhood
from flocon.presence.own_announcement import Identity
from flocon.presence.presence import Presence

LINK = Link("eth0", 2, (ip_interface("10.0.0.1/16"), ip_interface("fe80::1/64")))
PORT = 19432
OBSERVER, STRANGER = "10.0.0.1", "10.0.0.66"
#: Machines that have nothing to do with it all; one of them prints.
OTHERS = ("10.0.0.90", "10.0.0.91", "fe80::90%eth0")
MOST_PEERS = 24
#: Files that nobody has, and so many of them that they are not taken in one go.
MADE_UP, MANY = 1 << 20, 500
#: The largest generation that an inventory can tell.
LARGEST_TOLD = 10**15 - 1


def package(number: int) -> Change:
    return Change(f"p{number}-1-1-any.pkg.tar.zst", Content(1, number.to_bytes(32)))


class Machine:
    """An honest node, at an IPv4 and an IPv6 address."""

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.addresses = (f"10.0.0.{number}", f"fe80::{number:x}%eth0")
        self.presence = make_presence(number)
        self.inventory = Inventory()
        self.presence.networks_changed(now, [link_of(number)])
        self.presence.start(now)

    @property
    def own(self) -> Announcement:
        return self.presence._own.said

    def hold(self, now: float, change: Change) -> None:
        changes = self.inventory.put(change.file_name, change.content)
        self.presence.inventory_changed(
            now, self.inventory.generation, len(self.inventory), changes
        )


def link_of(number: int) -> Link:
    addresses = (ip_interface(f"10.0.0.{number}/16"), ip_interface(f"fe80::{number:x}/64"))
    return Link("eth0", 2, addresses)


def make_presence(number: int) -> Presence:
    return Presence(
        Identity(f"{number:016x}", f"{number + 0xA0000000:08x}", f"host-{number}"),
        chance=random.Random(number),
        beat=30.0,
        port=PORT,
        system="arch",
        most_peers=MOST_PEERS,
    )


@dataclass(frozen=True)
class Answer:
    """What the stranger answers whoever asks for its inventory."""

    epoch: str
    generation: int
    files: list[Change]
    whole: bool


class World:
    """One node that is looked at, honest machines, and what a stranger sends."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.machines: list[Machine] = []
        self.presence = make_presence(1)
        #: Connections that were tried, by address.
        self.tried: Counter[str] = Counter()
        self.stranger_says: Answer | None = None
        client: Any = self
        self.neighbourhood = Neighbourhood(
            self.clock,
            self.presence,
            client,
            held_off=lambda _: False,
            listed=lambda *_: False,
        )
        self.neighbourhood.wake = self.pump
        self.presence.networks_changed(0, [LINK])
        self.presence.start(0)

    @property
    def now(self) -> float:
        return self.clock.seconds()

    def join(self) -> Machine:
        machine = Machine(2 + len(self.machines), self.now)
        self.machines.append(machine)
        return machine

    async def read(self, address: str, port: int, since: int | None) -> InventoryReader:
        """Be the client: connect to whoever is there."""
        self.tried[address] += 1
        await deferLater(self.clock, 0.01)
        for machine in self.machines:
            if address in machine.addresses and port == machine.own.port:
                changes = None if since is None else machine.inventory.since(since)
                whole = machine.inventory.whole()
                generation = machine.inventory.generation
                return answer(machine.own.epoch, generation, changes, whole)
        if address == STRANGER and self.stranger_says is not None:
            told = self.stranger_says
            return answer(
                told.epoch, told.generation, None if told.whole else told.files, told.files
            )
        if address == STRANGER:
            await deferLater(self.clock, 20)
            raise Stalled(address, "drips")
        await deferLater(self.clock, 0.8)
        raise Unreachable(address, "nobody is there")

    def pump(self) -> None:
        while events := self.presence.take_events():
            for event in events:
                self.neighbourhood.event(event)

    def carry(self) -> None:
        """Bring what was sent to everybody else."""
        sent = [(OBSERVER, self.presence.take_datagrams())]
        for machine in self.machines:
            datagrams = machine.presence.take_datagrams()
            sent += [(address, datagrams) for address in machine.addresses]
        for address, datagrams in sent:
            for datagram in datagrams:
                self.say(address, datagram)
        for machine in self.machines:
            machine.presence.take_events()

    def finds(self, change: Change, machine: Machine) -> bool:
        """Whether a machine is known to hold a file."""
        found = self.neighbourhood.holding(change.file_name, change.content)
        return self.presence.peer(machine.own.node) in found

    def say(self, address: str, datagram: bytes, *, heard: bool = True) -> None:
        """Have a datagram heard, by the node that is looked at alone if not ``heard`` by all."""
        self.presence.receive(self.now, address, datagram)
        if heard:
            for machine in self.machines:
                machine.presence.receive(self.now, address, datagram)
        self.pump()

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        everybody = [self.presence, *(machine.presence for machine in self.machines)]
        while self.now < end:
            dues = [due for one in everybody if (due := one.deadline()) is not None]
            dues += [call.getTime() for call in self.clock.getDelayedCalls()]
            due = min(dues, default=end)
            self.clock.advance(max(0.001, min(due, end) - self.now))
            for one in everybody:
                when = one.deadline()
                if when is not None and when <= self.now:
                    one.tick(self.now)
            self.pump()
            self.carry()


def answer(
    epoch: str, generation: int, changes: list[Change] | None, whole: list[Change]
) -> InventoryReader:
    reader = InventoryReader()
    told = whole if changes is None else changes
    for line in format_inventory(epoch, generation, told, whole=changes is None):
        reader.feed(line)
    return reader


class Strangers(RuleBasedStateMachine):
    """Rules are what a stranger does, and what honest machines do meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.files = 0
        self.found: set[tuple[int, str]] = set()
        for _ in range(2):
            self.world.join()
        self.hold(0)
        self.hold(1)
        self.world.pass_by(5)

    @rule(whose=st.integers(0, 9))
    def hold(self, whose: int) -> None:
        """Have an honest machine hold one more file."""
        self.files += 1
        machines = self.world.machines
        machines[whose % len(machines)].hold(self.world.now, package(self.files))

    @rule()
    def join(self) -> None:
        """Have an honest machine come."""
        if len(self.world.machines) < 5:
            self.world.join()
            self.world.pass_by(1)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_by(seconds)

    @rule()
    def drip(self) -> None:
        """Have the stranger drip whoever asks it."""
        self.world.stranger_says = None

    @rule(
        whose=st.integers(0, 4),
        generation=st.sampled_from([0, 1, 5, 50, LARGEST_TOLD]),
        files=st.sampled_from([0, 1, MANY]),
        gone=st.booleans(),
        whole=st.booleans(),
    )
    def answer_as(
        self, *, whose: int, generation: int, files: int, gone: bool, whole: bool
    ) -> None:
        """Have the stranger answer in a machine's name, telling of its files or of others."""
        machines = self.world.machines
        machine = machines[whose % len(machines)]
        told = [package(MADE_UP + number) for number in range(files)]
        if gone and not whole:
            told += [replace(change, held=False) for change in machine.inventory.whole()]
        self.world.stranger_says = Answer(machine.own.epoch, generation, told, whole)

    @rule(
        whose=st.integers(0, 4),
        source=st.sampled_from(["its", "its other", "stranger", *OTHERS]),
        kind=st.sampled_from(list(Kind)),
        node=st.sampled_from(["its", "its", "new"]),
        epoch=st.sampled_from(["its", "its", "new"]),
        ahead=st.sampled_from([1, 2, 60, -3, LARGEST_NUMBER]),
        port=st.sampled_from([PORT, 9100]),
        beat=st.sampled_from([0.2, 30.0, 3_600.0]),
        generation=st.sampled_from([0, 1, 50, LARGEST_NUMBER, "next", "next", "as many"]),
        changes=st.sampled_from(["none", "none", "gone", "gone and more", "made up"]),
        times=st.sampled_from([1, 5, 40]),
        heard=st.booleans(),
        dice=st.integers(0, 1 << 30),
    )
    def forge(
        self,
        *,
        whose: int,
        source: str,
        kind: Kind,
        node: str,
        epoch: str,
        ahead: int,
        port: int,
        beat: float,
        generation: int | str,
        times: int,
        heard: bool,
        dice: int,
        changes: str = "none",
    ) -> None:
        """Have the stranger send some datagrams."""
        machine = self.world.machines[whose % len(self.world.machines)]
        address = {
            "its": machine.addresses[0],
            "its other": machine.addresses[1],
            "stranger": STRANGER,
        }.get(source, source)
        chance = random.Random(dice)
        told = self._made_up(machine, changes)
        now = machine.inventory.generation
        told_generation = {"next": now + 1, "as many": now + len(told)}.get(str(generation))
        for count in range(times):
            sequence = machine.presence._speaker.sequence + ahead + count
            said = replace(
                machine.own,
                kind=kind,
                sequence=max(1, min(sequence, LARGEST_NUMBER)),
                port=port,
                beat=beat,
                generation=int(generation) if told_generation is None else told_generation,
                changes=told,
            )
            if node == "new":
                said = replace(said, node=f"{chance.getrandbits(64):016x}")
            if epoch == "new":
                said = replace(said, epoch=f"{chance.getrandbits(32):08x}")
            self.world.say(address, encode(said), heard=heard)
        if kind is not Kind.BYE:
            # Nor for the moment until it speaks itself.
            self.what_was_found_once_stays_found()
        if heard:
            self.world.pass_by(2.5)
        else:
            # It does not know of it, and speaks next at its beat.
            self.world.pass_by(36)

    def _made_up(self, machine: Machine, changes: str) -> tuple[Change, ...]:
        """Return what the stranger tells of a machine's files."""
        gone = tuple(replace(one, held=False) for one in machine.inventory.whole()[:3])
        more = (package(MADE_UP),)
        return {"none": (), "gone": gone, "gone and more": gone + more, "made up": more}[changes]

    @invariant()
    def what_was_found_once_stays_found(self) -> None:
        for machine in self.world.machines[:2]:
            for change in machine.inventory.whole():
                if self.world.finds(change, machine):
                    self.found.add((machine.number, change.file_name))
                else:
                    assert (machine.number, change.file_name) not in self.found, change.file_name

    @invariant()
    def honest_machines_are_known_where_they_are(self) -> None:
        for machine in self.world.machines[:2]:
            peer = self.world.presence.peer(machine.own.node)
            assert peer is not None
            assert (peer.address, peer.port) == (machine.addresses[0], machine.own.port), peer
            assert peer.epoch == machine.own.epoch

    @invariant()
    def bounds_hold(self) -> None:
        peers = self.world.presence._peers
        assert len(peers) <= MOST_PEERS
        assert len(peers._claims) <= 256
        for address in OTHERS:
            # At once, and after 15 s, 75 s, 5 min, 21 min.
            assert self.world.tried[address] <= 5

    def teardown(self) -> None:
        self.world.pass_by(100)
        for machine in self.world.machines:
            peer = self.world.presence.peer(machine.own.node)
            assert peer is not None, machine.number
            assert (peer.address, peer.port) == (machine.addresses[0], PORT)
            for change in machine.inventory.whole():
                assert self.world.finds(change, machine), change.file_name
        self.world.neighbourhood.stop()


SETTINGS = settings(max_examples=40, stateful_step_count=12, deadline=None)


class Tests(SynchronousTestCase):
    def test_what_another_address_answers_in_its_name_changes_nothing_of_what_a_peer_holds(
        self,
    ) -> None:
        for files in (0, 1, MANY):
            for generation in (0, 1, 5, LARGEST_TOLD):
                with self.subTest(files=files, generation=generation):
                    self._forge_once(files, generation)

    def _forge_once(self, files: int, generation: int) -> None:
        strangers = Strangers()
        strangers.answer_as(whose=0, generation=generation, files=files, gone=False, whole=True)
        strangers.forge(
            whose=0,
            source="stranger",
            kind=Kind.HELLO,
            node="its",
            epoch="its",
            ahead=1,
            port=PORT,
            beat=0.2,
            generation=0,
            times=1,
            heard=False,
            dice=0,
        )
        self.assertTrue(strangers.world.tried[STRANGER])
        strangers.honest_machines_are_known_where_they_are()
        strangers.teardown()

    def test_whatever_a_stranger_sends_honest_peers_stay_known_and_asked_where_they_are(
        self,
    ) -> None:
        run_state_machine_as_test(Strangers, settings=SETTINGS)
