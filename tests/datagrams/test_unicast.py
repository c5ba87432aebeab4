"""The socket for unicast beside the group's, through real sockets on the loopback."""

from __future__ import annotations

import socket
from collections import Counter
from typing import Literal

from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.group import GroupProtocol
from flocon.datagrams.membership import Place
from flocon.datagrams.messages import LARGEST_DATAGRAM
from flocon.datagrams.unicast import (
    IPV6_ADDR_PREFERENCES,
    IPV6_PREFER_SRC_PUBLIC,
    MOST_AT_ONCE,
    UnicastProtocol,
)
from tests.datagrams.loopback_group import GROUP, LO, Reactor, free_port


class UnicastProtocolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.addCleanup(self.reactor.advance, 0)
        self.port = free_port()
        self.heard: list[tuple[tuple[str, int], bytes]] = []
        self.by_group: list[bytes] = []
        self.counters: Counter[str] = Counter()
        self.lost = 0

    def open(self, port: int, version: Literal[4, 6] = 4) -> UnicastProtocol:
        one = UnicastProtocol(
            version,
            received=lambda place, data: self.heard.append((place, data)),
            lost=self.lose,
            counters=self.counters,
        )
        one.listen(self.reactor, port)
        self.addCleanup(self.reactor.advance, 0)
        self.addCleanup(self.leave, one)
        return one

    def leave(self, one: UnicastProtocol) -> None:
        if one.transport is not None:
            one.leave()

    def lose(self) -> None:
        self.lost += 1

    def join(self) -> GroupProtocol:
        member = GroupProtocol(
            Place(LO, 4),
            GROUP,
            self.port,
            received=lambda _, __, data: self.by_group.append(data),
            lost=lambda _: None,
            counters=self.counters,
        )
        member.listen(self.reactor)
        member.allow(1_000)
        self.addCleanup(self.reactor.advance, 0)
        self.addCleanup(member.leave)
        return member

    def test_what_is_sent_to_the_machine_alone_is_heard_once_and_not_by_the_group(self) -> None:
        self.open(self.port)
        self.join()
        other = self.open(free_port())
        self.assertTrue(other.send(b"hello", ("127.0.0.1", self.port)))
        self.reactor.read()
        sender = ("127.0.0.1", other.transport.getHost().port)
        self.assertEqual(self.heard, [(sender, b"hello")])
        self.assertEqual(self.by_group, [])

    def test_what_is_sent_to_the_group_is_not_heard_here(self) -> None:
        self.open(self.port)
        member = self.join()
        member.send(b"hello")
        self.reactor.read()
        self.assertEqual((self.heard, self.by_group), ([], [b"hello"]))

    def test_by_ipv6_too(self) -> None:
        self.open(self.port, 6)
        other = self.open(free_port(), 6)
        other.send(b"hello", ("::1", self.port))
        self.reactor.read()
        self.assertEqual([data for _, data in self.heard], [b"hello"])

    def test_by_ipv6_it_is_sent_from_an_address_that_lasts(self) -> None:
        """Whoever named this machine by one hears nobody else, and passing ones are preferred."""
        opened = self.open(self.port, 6).transport.socket
        prefers = opened.getsockopt(socket.IPPROTO_IPV6, IPV6_ADDR_PREFERENCES)
        self.assertTrue(prefers & IPV6_PREFER_SRC_PUBLIC)

    def test_a_flood_is_read_in_turns(self) -> None:
        one = self.open(self.port)
        other = self.open(free_port())
        for _ in range(3 * MOST_AT_ONCE):
            other.send(b"x", ("127.0.0.1", self.port))
        self.reactor.turn()
        self.assertLessEqual(len(self.heard), MOST_AT_ONCE)
        one.allow()
        self.reactor.turn()
        self.assertLessEqual(len(self.heard), 2 * MOST_AT_ONCE)

    def test_a_longer_datagram_is_told_from_the_longest_one(self) -> None:
        self.open(self.port)
        other = self.open(free_port())
        other.send(bytes(LARGEST_DATAGRAM + 50), ("127.0.0.1", self.port))
        self.reactor.read()
        self.assertEqual([len(data) for _, data in self.heard], [LARGEST_DATAGRAM + 1])

    def test_what_cannot_be_sent_is_counted(self) -> None:
        self.assertFalse(self.open(self.port).send(bytes(70_000), ("127.0.0.1", self.port)))
        self.assertEqual(self.counters["EMSGSIZE"], 1)

    def test_one_that_the_reactor_gave_up_is_told_and_one_that_left_is_not(self) -> None:
        left, lost = self.open(self.port), self.open(free_port())
        left.leave()
        self.reactor.advance(0)
        self.assertEqual((self.lost, left.is_open), (0, False))
        lost.transport.stopListening()
        self.reactor.advance(0)
        self.assertEqual((self.lost, lost.is_open), (1, False))
