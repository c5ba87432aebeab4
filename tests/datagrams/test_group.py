"""One place of the group, through real sockets on the loopback.

The reactor's loop is the test's. IPv6 multicast needs a real link: tests/lan has that.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from ipaddress import ip_interface
from unittest.mock import patch

from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams import group as module
from flocon.datagrams.group import GroupProtocol
from flocon.datagrams.membership import Place
from flocon.datagrams.messages import LARGEST_DATAGRAM
from flocon.machine.links import Link
from tests.datagrams.loopback_group import GONE, GROUP, GROUP6, LO, LO_TWICE, Reactor, free_port


class GroupProtocolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.addCleanup(self.reactor.advance, 0)
        self.port = free_port()
        self.heard: list[tuple[str, str, bytes]] = []
        self.counters: Counter[str] = Counter()

    def make(self, place: Place, name: str = "", port: int | None = None) -> GroupProtocol:
        def received(_: Place, host: str, data: bytes) -> None:
            self.heard.append((name, host, data))

        return GroupProtocol(
            place,
            GROUP if place.version == 4 else GROUP6,
            self.port if port is None else port,
            received=received,
            lost=lambda _: None,
            counters=self.counters,
        )

    def join(self, link: Link = LO, name: str = "", port: int | None = None) -> GroupProtocol:
        member = self.make(Place(link, 4), name, port)
        member.listen(self.reactor)
        member.allow(1_000)
        self.addCleanup(self.leave, member)
        return member

    def leave(self, member: GroupProtocol) -> None:
        if member.transport is not None:
            member.leave()
            self.reactor.advance(0)

    def option(self, member: GroupProtocol, option: int) -> int:
        value: int = member.transport.getHandle().getsockopt(socket.IPPROTO_IP, option)
        return value

    def test_is_what_twisted_knows(self) -> None:
        member = self.join()
        self.assertIsInstance(member, DatagramProtocol)
        self.assertEqual(
            (member.transport.getHost().host, member.transport.getHost().port), (GROUP, self.port)
        )

    def test_every_node_of_one_machine_hears_every_datagram(self) -> None:
        first = self.join(name="first")
        self.join(name="second")
        first.send(b"hello")
        self.reactor.read()
        expected = [("first", "127.0.0.1", b"hello"), ("second", "127.0.0.1", b"hello")]
        self.assertEqual(self.heard, expected)

    def test_hears_nothing_once_it_left_though_it_is_not_closed_yet(self) -> None:
        listener = self.join()
        handle = listener.transport.getHandle()
        sender = self.join()
        listener.leave()
        sender.send(b"late")
        self.assertRaises(BlockingIOError, handle.recv, 1)

    def test_leaves_no_socket_behind(self) -> None:
        member = self.join()
        handle = member.transport.getHandle()
        closed = member.leave()
        self.assertNoResult(closed)
        self.reactor.advance(0)
        self.successResultOf(closed)
        self.assertEqual((handle.fileno(), self.reactor.readers), (-1, []))

    def test_is_not_reached_by_what_is_sent_to_this_host_alone(self) -> None:
        self.join()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"alone", ("127.0.0.1", self.port))
        self.reactor.read()
        self.assertEqual(self.heard, [])

    def test_is_not_reached_by_what_another_socket_of_the_machine_joined(self) -> None:
        self.assertEqual(self.option(self.join(), module.IP_MULTICAST_ALL), 0)

    def test_datagrams_do_not_leave_the_link(self) -> None:
        self.assertEqual(self.option(self.join(), socket.IP_MULTICAST_TTL), 1)

    def test_a_datagram_that_is_too_long_arrives_as_too_long(self) -> None:
        self.join().send(bytes(LARGEST_DATAGRAM + 100))
        self.reactor.read()
        self.assertEqual([len(data) for _, _, data in self.heard], [LARGEST_DATAGRAM + 1])

    def test_what_cannot_be_sent_is_counted(self) -> None:
        member = self.join(port=self.port)
        for number, word in ((errno.ENETUNREACH, "ENETUNREACH"), (errno.EPERM, "EPERM")):
            with patch.object(member.transport, "socket") as refusing:
                refusing.sendto.side_effect = OSError(number, "refused")
                member.send(b"x")
            self.assertEqual(self.counters.pop(word), 1)
        member.send(bytes(70_000))
        self.assertEqual(self.counters, {"EMSGSIZE": 1})

    def test_a_join_on_a_link_that_went_is_refused_and_leaves_no_socket(self) -> None:
        for version in (4, 6):
            member = self.make(Place(GONE, version))
            error = self.assertRaises(OSError, member.listen, self.reactor)
            self.assertEqual(error.errno, errno.ENODEV)
        self.assertEqual(self.reactor.readers, [])

    def test_one_turn_takes_so_many_only_also_of_empty_datagrams(self) -> None:
        member = self.join()
        for size in (0, 1):
            for _ in range(100):
                member.send(bytes(size))
            self.heard.clear()
            member.allow(64)
            for _ in range(3):
                self.reactor.turn()
            self.assertEqual(len(self.heard), 64)
            member.allow(64)
            self.reactor.turn()
            self.assertEqual(len(self.heard), 100)

    def test_each_ipv4_network_is_sent_to_from_its_own_address(self) -> None:
        member = self.join(LO_TWICE)
        for _ in range(2):
            member.send(b"x")
        self.reactor.read()
        self.assertEqual([host for _, host, _ in self.heard], ["127.0.0.1", "127.0.0.2"] * 2)

    def test_two_addresses_of_one_network_are_one_to_send_from(self) -> None:
        texts = ("10.0.0.1/24", "10.0.0.2/24", "10.1.0.1/24", "fd00::1/64", "fe80::1/64")
        link = Link("eth0", 2, tuple(map(ip_interface, texts)))
        senders = [str(one) for one in module._senders(Place(link, 4))]
        self.assertEqual(senders, ["10.0.0.1/24", "10.1.0.1/24"])
