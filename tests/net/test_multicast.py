"""Datagrams through real sockets on the loopback; time and the reactor's loop are the test's."""

from __future__ import annotations

import errno
import random
import select
import socket
from collections import Counter
from ipaddress import ip_interface
from typing import Any
from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.links import Link
from flocon.core.membership import Place
from flocon.core.messages import Kind, decode
from flocon.core.presence import Event, Heard, Identity, PeerCame, PeerLeft, Presence
from flocon.net import multicast as module
from flocon.net.multicast import Channel, Multicast

GROUP, GROUP6 = "228.0.2.35", "ff02::4be8"
LO = Link("lo", 1, (ip_interface("127.0.0.1/8"),))
GONE = Link("gone0", 1 << 20, (ip_interface("10.99.0.1/24"), ip_interface("fe80::1/64")))


class Reactor(Clock):
    """A Clock whose readers are read when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:  # noqa: N802 - Twisted's name
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:  # noqa: N802 - Twisted's name
        self.readers.remove(reader)

    def read(self) -> None:
        """Read until nothing more comes; on the loopback a datagram arrives while it is sent."""
        while ready := select.select(self.readers, [], [], 0)[0]:
            for reader in ready:
                reader.doRead()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind(("127.0.0.1", 0))
        port: int = asking.getsockname()[1]
        return port


def make_presence(number: int) -> Presence:
    return Presence(
        Identity(f"{number:016x}", "00000001", f"host-{number}"),
        chance=random.Random(number),
        beat=30.0,
        port=19432,
        system="arch",
    )


class ChannelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.heard: list[tuple[str, str, bytes]] = []
        self.counters: Counter[str] = Counter()
        self.place = Place(LO, 4)
        self.drained = 0

    def open(self, port: int = 0, name: str = "") -> Channel:
        def received(host: str, _: int, data: bytes) -> None:
            self.heard.append((name, host, data))

        channel = Channel(
            4, GROUP, port, received=received, drained=self.drain, counters=self.counters
        )
        self.addCleanup(channel.close)
        return channel

    def drain(self) -> None:
        self.drained += 1

    def test_every_node_of_one_machine_hears_every_datagram(self) -> None:
        first = self.open(name="first")
        second = self.open(first.port, name="second")
        for channel in (first, second):
            channel.join(self.place)
        first.send(self.place, b"hello")
        for channel in (first, second):
            channel.doRead()
        expected = [("first", "127.0.0.1", b"hello"), ("second", "127.0.0.1", b"hello")]
        self.assertEqual(self.heard, expected)

    def test_hears_nothing_before_it_joined_or_after_it_left(self) -> None:
        listener, sender = self.open(), self.open()
        sender.port = listener.port
        sender.send(self.place, b"early")
        listener.join(self.place)
        listener.join(self.place)
        listener.leave(self.place)
        listener.leave(self.place)
        sender.send(self.place, b"late")
        listener.doRead()
        self.assertEqual(self.heard, [])

    def test_is_not_reached_by_what_is_sent_to_this_host_alone(self) -> None:
        channel = self.open()
        channel.join(self.place)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"alone", ("127.0.0.1", channel.port))
        channel.doRead()
        self.assertEqual(self.heard, [])

    def test_datagrams_do_not_leave_the_link(self) -> None:
        channel = self.open()
        asked = channel._socket.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL)
        self.assertEqual(asked, 1)

    def test_what_cannot_be_sent_is_counted(self) -> None:
        self.open().send(Place(GONE, 4), b"x")
        ((word, count),) = self.counters.items()
        self.assertIn(word, errno.errorcode.values())
        self.assertEqual(count, 1)

    def test_a_join_on_a_link_that_went_is_refused(self) -> None:
        error = self.assertRaises(OSError, self.open().join, Place(GONE, 4))
        self.assertEqual(error.errno, errno.ENODEV)

    def test_one_reading_takes_so_many_only(self) -> None:
        channel = self.open()
        channel.join(self.place)
        for number in range(100):
            channel.send(self.place, bytes([number]))
        channel.doRead()
        self.assertEqual((len(self.heard), self.drained), (64, 1))
        channel.doRead()
        self.assertEqual(len(self.heard), 100)

    def test_each_ipv4_network_is_sent_to_and_ipv6_once(self) -> None:
        texts = ("10.0.0.1/24", "10.0.0.2/24", "10.1.0.1/24", "fd00::1/64", "fe80::1/64")
        link = Link("eth0", 2, tuple(map(ip_interface, texts)))
        senders = [str(one) for one in module._senders(Place(link, 4))]
        self.assertEqual(senders, ["10.0.0.1/24", "10.1.0.1/24"])
        self.assertEqual([str(one) for one in module._senders(Place(link, 6))], ["fe80::1/64"])


class MulticastTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.port = free_port()
        self.events: dict[int, list[Event]] = {}

    def make(self, number: int, *, start: bool = True) -> Multicast:
        self.events[number] = []
        node = Multicast(
            self.reactor,
            make_presence(number),
            group=GROUP,
            group6=GROUP6,
            port=self.port,
            on_event=self.events[number].append,
        )
        node.set_links([LO])
        if start:
            node.startService()
            self.addCleanup(self.stop, node)
        return node

    def stop(self, node: Multicast) -> None:
        if node.running:
            node.stopService()

    def run_for(self, seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            self.reactor.read()
            self.reactor.advance(0.05)
        self.reactor.read()

    def kinds(self, number: int) -> list[str]:
        return [type(event).__name__ for event in self.events[number]]


class MeetingTests(MulticastTestCase):
    def test_two_nodes_of_one_machine_meet_and_part(self) -> None:
        first = self.make(1)
        self.make(2)
        self.run_for(2)
        self.assertEqual(self.kinds(1)[:2], ["PeerCame", "Heard"])
        self.assertEqual(self.kinds(2)[:2], ["PeerCame", "Heard"])
        (came,) = [event for event in self.events[2] if isinstance(event, PeerCame)]
        self.assertEqual((came.peer.name, came.peer.address), ("host-1", "127.0.0.1"))
        first.stopService()
        self.reactor.read()
        last = self.events[2][-1]
        assert isinstance(last, PeerLeft)
        self.assertEqual(last.reason, "bye")

    def test_a_killed_one_is_missed_by_the_timer(self) -> None:
        self.make(1)
        killed = self.make(2)
        self.run_for(2)
        for channel in killed._channels.values():
            self.reactor.removeReader(channel)
        killed._call.cancel()
        killed._channels.clear()
        killed.running = False
        for _ in range(110):
            self.reactor.read()
            self.reactor.advance(1)
        last = self.events[1][-1]
        assert isinstance(last, PeerLeft)
        self.assertEqual(last.reason, "expired")

    def test_a_link_that_comes_later_is_joined_and_greeted(self) -> None:
        self.make(1)
        late = self.make(2, start=False)
        late.set_links([])
        late.startService()
        self.addCleanup(self.stop, late)
        self.run_for(5)
        self.assertEqual(self.events[1], [])
        late.set_links([LO])
        self.run_for(2)
        self.assertEqual((self.kinds(1)[0], self.kinds(2)[0]), ("PeerCame", "PeerCame"))

    def test_what_presence_was_told_goes_out_after_a_wake(self) -> None:
        self.make(1)
        node = self.make(2)
        self.run_for(3)
        node._presence.update(self.reactor.seconds(), abilities=frozenset({"store"}))
        node.wake()
        self.run_for(0.2)
        last = self.events[1][-1]
        assert isinstance(last, Heard)
        self.assertEqual(last.announcement.abilities, frozenset({"store"}))

    def test_rejoin_says_hello(self) -> None:
        self.make(1)
        node = self.make(2)
        self.run_for(5)
        self.events[1].clear()
        node.rejoin()
        self.reactor.read()
        (heard,) = self.events[1]
        assert isinstance(heard, Heard)
        self.assertIs(heard.announcement.kind, Kind.HELLO)


class LifeTests(MulticastTestCase):
    def test_has_one_delayed_call_and_leaves_none_behind(self) -> None:
        node = self.make(1)
        for _ in range(50):
            self.run_for(1)
            node.wake()
            self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        node.stopService()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers, [])

    def test_can_be_started_again(self) -> None:
        node = self.make(1)
        node.stopService()
        node.startService()
        self.make(2)
        self.run_for(2)
        self.assertIn("PeerCame", self.kinds(1))

    def test_the_bye_is_out_when_stop_returns(self) -> None:
        node = self.make(1)
        heard: list[bytes] = []
        listener = Channel(
            4,
            GROUP,
            self.port,
            received=lambda *it: heard.append(it[2]),
            drained=lambda: None,
            counters=Counter(),
        )
        self.addCleanup(listener.close)
        listener.join(Place(LO, 4))
        node.stopService()
        listener.doRead()
        self.assertEqual([decode(one).kind for one in heard], [Kind.BYE])

    def test_a_listener_that_fails_costs_only_its_event(self) -> None:
        node = self.make(1)
        failing = iter([True])

        def listen(event: Event) -> None:
            if next(failing, False):
                raise RuntimeError("once")
            self.events[1].append(event)

        node._on_event = listen
        self.make(2)
        self.run_for(2)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.kinds(1)[0], "Heard")

    def test_a_listener_may_talk_back(self) -> None:
        node = self.make(1)

        def listen(event: Event) -> None:
            self.events[1].append(event)
            if isinstance(event, PeerCame):
                node._presence.update(self.reactor.seconds(), abilities=frozenset({"relay"}))
                node.wake()

        node._on_event = listen
        self.make(2)
        self.run_for(2)
        last = self.events[2][-1]
        assert isinstance(last, Heard)
        self.assertEqual(last.announcement.abilities, frozenset({"relay"}))

    def test_an_error_of_ours_does_not_cost_the_socket(self) -> None:
        node = self.make(1)
        with patch.object(node._presence, "receive", side_effect=RuntimeError("ours")):
            self.make(2)
            self.run_for(1.5)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertGreater(node.counters["failed"], 1)
        self.run_for(40)
        self.assertIn("PeerCame", self.kinds(1))


class FailureTests(MulticastTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.logged: list[str] = []
        observer: Any = self.observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def observe(self, event: LogEvent) -> None:
        self.logged.append(formatEvent(event))

    def test_a_family_that_cannot_be_bound_is_said_once_and_the_other_serves(self) -> None:
        opened = Channel

        def refuse(version: int, *rest: Any, **more: Any) -> Channel:
            if version == 6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported")
            return opened(4, *rest, **more)

        with patch.object(module, "Channel", refuse):
            node = self.make(1)
            node.set_links([LO, GONE])
            node.set_links([LO])
        self.assertEqual(sum("No IPv6" in text for text in self.logged), 1, self.logged)
        self.make(2)
        self.run_for(2)
        self.assertIn("PeerCame", self.kinds(1))

    def test_a_join_that_fails_is_said_once_and_tried_every_five_seconds(self) -> None:
        node = self.make(1)
        tries = []
        join = node._channels[4].join

        def count(place: Place) -> None:
            if place.link is GONE:
                tries.append(self.reactor.seconds())
            join(place)

        with patch.object(node._channels[4], "join", count):
            node.set_links([LO, GONE])
            for _ in range(1000):
                self.reactor.advance(1)
        self.assertEqual(tries, [5.0 * number for number in range(181)])
        said = [text for text in self.logged if "IPv4 group on gone0" in text]
        self.assertEqual(len(said), 1)
        self.assertIn("No such device", said[0])
