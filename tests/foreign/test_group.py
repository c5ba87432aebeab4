"""The group's socket, on loopback: heard and sent within bounds, where the links are."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_interface
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.group import (
    AGAIN,
    GROUP,
    MOST_AT_ONCE,
    MOST_BYTES,
    MOST_PER_SECOND,
    PAUSE,
    Group,
)
from flocon.machine.links import Link

LOOPBACK = Link("lo", socket.if_nametoindex("lo"), (ip_interface("127.0.0.1/8"),))
OVER_SIX = Link("lo", LOOPBACK.index, (ip_interface("::1/128"),))


class Reactor(Clock):
    """Virtual time, and readers that a test has read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.addReader = self.readers.add
        self.removeReader = self.readers.discard


class GroupTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.heard: list[tuple[str, bytes]] = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.group = self.make(lambda *said: self.heard.append(said))

    def make(self, received: Callable[[str, bytes], None]) -> Group:
        group = Group(self.reactor, received, self.port)
        self.addCleanup(group.close)
        return group

    def say(self, data: bytes, count: int = 1) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            address = socket.inet_aton("127.0.0.1")
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)
            for _ in range(count):
                sender.sendto(data, (GROUP, self.port))


class Hearing(GroupTestCase):
    def test_who_speaks_is_heard_by_address(self) -> None:
        self.group.set_links([LOOPBACK])
        self.assertEqual((self.group.problem, self.reactor.readers), ("", {self.group}))
        self.say(b"hello")
        self.group.doRead()
        self.assertEqual(self.heard, [("127.0.0.1", b"hello")])

    def test_what_is_sent_to_this_machine_alone_is_somebody_elses(self) -> None:
        self.group.set_links([LOOPBACK])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"hello", ("127.0.0.1", self.port))
        self.group.doRead()
        self.assertEqual(self.heard, [])

    def test_one_address_is_answered_at_the_groups_port(self) -> None:
        self.group.answer("127.0.0.1", b"before")
        self.group.set_links([LOOPBACK])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.bind(("127.0.0.1", self.port))
            asker.settimeout(2)
            self.group.answer("127.0.0.1", b"hello")
            self.assertEqual(asker.recv(100), b"hello")
        self.assertEqual(self.group.counters["answered"], 1)

    def test_another_program_of_this_machine_hears_the_same(self) -> None:
        others: list[bytes] = []
        other = self.make(lambda _, data: others.append(data))
        for group in (self.group, other):
            group.set_links([LOOPBACK])
        self.say(b"hello")
        for group in (self.group, other):
            group.doRead()
        self.assertEqual((self.heard, others), ([("127.0.0.1", b"hello")], [b"hello"]))

    def test_a_long_datagram_is_cut(self) -> None:
        self.group.set_links([LOOPBACK])
        self.say(b"x" * 2_000)
        self.group.doRead()
        self.assertEqual([len(data) for _, data in self.heard], [MOST_BYTES])

    def test_a_flood_is_left_to_the_kernel(self) -> None:
        self.group.set_links([LOOPBACK])
        for _ in range(50):
            self.say(b"", MOST_AT_ONCE)
            if self.group in self.reactor.readers:
                self.group.doRead()
        self.assertEqual(len(self.heard), MOST_PER_SECOND)
        self.assertEqual(self.reactor.readers, set())
        self.reactor.advance(PAUSE)
        self.assertEqual(self.reactor.readers, {self.group})
        self.group.doRead()
        self.assertEqual(len(self.heard), MOST_PER_SECOND + MOST_AT_ONCE)


class Links(GroupTestCase):
    def test_without_links_nothing_is_open(self) -> None:
        self.group.set_links([LOOPBACK])
        self.group.set_links([])
        self.assertEqual((self.reactor.readers, self.group.fileno()), (set(), -1))

    def test_a_link_without_ipv4_is_none_of_it(self) -> None:
        self.group.set_links([OVER_SIX])
        self.assertEqual(self.group.fileno(), -1)

    def test_the_same_links_once_more_change_nothing(self) -> None:
        self.group.set_links([LOOPBACK])
        before = self.group.fileno()
        self.group.set_links([LOOPBACK])
        self.assertEqual((self.group.fileno(), dict(self.group.counters)), (before, {}))

    def test_closing_in_a_pause_leaves_nothing_behind(self) -> None:
        self.group.set_links([LOOPBACK])
        for _ in range(2 + MOST_PER_SECOND // MOST_AT_ONCE):
            self.say(b"x", MOST_AT_ONCE)
            self.group.doRead()
        self.group.close()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_port_that_is_taken_is_said_once_and_had_once_it_is_free(self) -> None:
        said: list[LogEvent] = []

        hear: Any = said.append
        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("", self.port))
            self.group.set_links([LOOPBACK])
            self.reactor.advance(3 * AGAIN)
        wanted = f"a program has UDP port {self.port} to itself"
        self.assertEqual(self.group.problem, wanted)
        [event] = [one for one in said if "not heard" in one["log_format"]]
        self.assertEqual(formatEvent(event), f"machines with pacserve are not heard: {wanted}")
        self.reactor.advance(AGAIN)
        self.assertEqual((self.group.problem, self.reactor.readers), ("", {self.group}))

    def test_closing_while_it_is_taken_leaves_nothing_behind(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("", self.port))
            self.group.set_links([LOOPBACK])
        self.group.set_links([])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_socket_that_was_lost_is_opened_again(self) -> None:
        self.group.set_links([LOOPBACK])
        self.group.connectionLost(Failure(ConnectionLost()))
        self.assertIn("was lost", self.group.problem)
        self.reactor.advance(AGAIN)
        self.assertEqual((self.group.problem, self.reactor.readers), ("", {self.group}))


class Speaking(GroupTestCase):
    def test_what_is_said_is_heard_by_others(self) -> None:
        others: list[tuple[str, bytes]] = []
        other = self.make(lambda *said: others.append(said))
        for group in (self.group, other):
            group.set_links([LOOPBACK])
        self.group.send(b"here")
        other.doRead()
        self.assertEqual(others, [("127.0.0.1", b"here")])
        self.assertEqual(self.group.counters["sent"], 1)

    def test_closed_it_says_nothing(self) -> None:
        self.group.send(b"here")
        self.assertEqual(dict(self.group.counters), {})
