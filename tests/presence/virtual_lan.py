"""Nodes that hear each other in virtual time, and one that hears made-up peers."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import Announcement, decode, encode
from flocon.machine.links import Link
from flocon.presence.own_announcement import Identity
from flocon.presence.presence import Presence
from flocon.presence.presence_events import (
    Claimed,
    Doubted,
    Event,
    PeerCame,
    PeerLeft,
    PeerRestarted,
)
from tests.datagrams.test_messages import REST

REST_EPOCH = f"{1:08x}"
LINK = Link("eth0", 2, (ip_interface("10.0.0.1/16"), ip_interface("fe80::1/64")))
OTHER_LINK = Link("wlan0", 3, (ip_interface("10.7.0.1/16"),))
CABLE = "10.0.0.7"


def make(number: int = 1, *, epoch: int = 1, beat: float = 30.0, **fields: Any) -> Presence:
    presence = Presence(
        Identity(f"{number:016x}", f"{epoch:08x}", f"host-{number}"),
        chance=random.Random(number),
        beat=beat,
        port=19432,
        system="arch",
        architectures=("x86_64",),
        **fields,
    )
    presence.networks_changed(0, [LINK])
    return presence


def said(sequence: int = 1, *, node: int = 7, epoch: int = 1, **fields: Any) -> bytes:
    return encode(
        replace(REST, node=f"{node:016x}", epoch=f"{epoch:08x}", sequence=sequence, **fields)
    )


class Lan:
    """Nodes that hear each other without delay, in virtual time; ``sent`` has (time, length).

    Who has to be connected to, is: a node answers where it is, and nobody does elsewhere.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.nodes: dict[str, Presence] = {}
        self.events: dict[str, list[tuple[float, Event]]] = {}
        self.sent: list[tuple[float, int]] = []
        self.said: list[tuple[float, str, Announcement]] = []

    def add(self, address: str, presence: Presence) -> None:
        self.nodes[address] = presence
        self.events[address] = []

    def deliver(self) -> None:
        busy = True
        while busy:
            busy = False
            for sender, presence in list(self.nodes.items()):
                for datagram in presence.take_datagrams():
                    busy = True
                    self.sent.append((self.now, len(datagram)))
                    self.said.append((self.now, sender, decode(datagram)))
                    for receiver in self.nodes.values():
                        receiver.receive(self.now, sender, datagram)
        for address, presence in self.nodes.items():
            while events := presence.take_events():
                self.events[address].extend((self.now, event) for event in events)
                for event in events:
                    self.connect(presence, event)

    def connect(self, presence: Presence, event: Event) -> None:
        match event:
            case PeerCame(peer) | PeerRestarted(peer) | Doubted(peer):
                address, port = peer.address, peer.port
            case Claimed(address, port):
                pass
            case _:
                return
        there = self.nodes.get(address)
        if there is None:
            presence.unanswered(self.now, address, port)
        else:
            presence.answered(self.now, address, port, there._own.said.epoch)

    def run_until(self, end: float) -> None:
        self.deliver()
        while True:
            dues = [due for one in self.nodes.values() if (due := one.deadline()) is not None]
            due = min(dues, default=end)
            if due >= end:
                break
            self.now = max(due, self.now)
            for presence in self.nodes.values():
                when = presence.deadline()
                if when is not None and when <= self.now:
                    presence.tick(self.now)
            self.deliver()
        self.now = end


class LanTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.lan = Lan()

    def lan_of(self, count: int, **fields: Any) -> list[Presence]:
        nodes = [make(number + 1, **fields) for number in range(count)]
        for number, node in enumerate(nodes):
            self.lan.add(f"10.0.{number // 250}.{number % 250 + 1}", node)
        return nodes

    def left(self, address: str) -> list[tuple[float, str]]:
        return [
            (when, event.reason)
            for when, event in self.lan.events[address]
            if isinstance(event, PeerLeft)
        ]


class DropTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)
        self.presence.take_datagrams()

    def assert_counted(self, **counts: int) -> None:
        self.assertEqual(dict(self.presence.counters), counts)
