"""Datagrams on their way through the sieve, by real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.mdns.sieve import Sieve
from flocon.mdns.sifting import SiftingLoop
from tests.mdns.test_sieve import ABOUT_US, message

LOOPBACK = Link("lo", 1, (IPv4Interface("127.0.0.1/8"), IPv6Interface("::1/128")))


class _Reader(asyncio.DatagramProtocol):
    """Notes what it is given; ``problem`` is raised at each."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.transport: Any = None
        self.lost = False
        self.problem: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.read.append(data)
        if self.problem is not None:
            raise self.problem


class Sifting(SynchronousTestCase):
    def setUp(self) -> None:
        self.sieve = Sieve(["_pacserve"])
        self.sieve.set_links([LOOPBACK])
        self.failures: list[BaseException] = []
        self.loop = SiftingLoop(self.sieve, self.failures.append)
        self.addCleanup(self.loop.close)
        self.reader = _Reader()

    def open(self, family: socket.AddressFamily, address: str) -> Any:
        """Open a socket as the library does; return where it is."""
        bound = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((address, 0))
        transport, protocol = self.loop.run_until_complete(
            self.loop.create_datagram_endpoint(lambda: self.reader, sock=bound)
        )
        self.assertIs(protocol, self.reader)
        self.addCleanup(self.loop.run_until_complete, asyncio.sleep(0))
        self.addCleanup(transport.close)
        return transport.get_extra_info("sockname")[1]

    def send(self, port: int, *datagrams: bytes, until: Callable[[], bool]) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            for one in datagrams:
                sending.sendto(one, ("127.0.0.1", port))
        for _ in range(1_000):
            if until():
                return
            self.loop.run_until_complete(asyncio.sleep(0.001))
        self.fail("it did not come")

    def test_what_is_about_us_is_read_and_nothing_else(self) -> None:
        port = self.open(socket.AF_INET, "127.0.0.1")
        other = message("_ipp", "_tcp", "local")
        self.send(port, other, ABOUT_US, until=lambda: bool(self.reader.read))
        self.assertEqual(self.reader.read, [ABOUT_US])
        self.assertEqual(self.sieve.counters, {"unrelated": 1, "read": 1})
        self.assertIsNotNone(self.reader.transport)

    def test_who_asks_by_ipv4_at_a_socket_of_both_is_a_neighbour(self) -> None:
        port = self.open(socket.AF_INET6, "::")
        self.send(port, ABOUT_US, until=lambda: bool(self.reader.read))

    def test_what_reading_raises_is_told_and_counted(self) -> None:
        port = self.open(socket.AF_INET, "127.0.0.1")
        self.reader.problem = ValueError("no message")
        self.send(port, ABOUT_US, ABOUT_US, until=lambda: len(self.reader.read) == 2)
        self.assertEqual(self.failures, [self.reader.problem] * 2)
        self.assertEqual(self.sieve.counters["failed"], 2)
