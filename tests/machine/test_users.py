"""Whose program is at the other end of a connection, by the kernel's own word."""

from __future__ import annotations

import os
import socket
from unittest import SkipTest

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.users import Users, number_meant, number_of

NOBODY = 65_534


class Names(SynchronousTestCase):
    def test_a_user_of_this_machine_has_a_number(self) -> None:
        self.assertEqual(number_of("root"), 0)

    def test_nobody_has_none(self) -> None:
        for name in ("", "no such user", "a\0b", "\udcff"):
            self.assertIsNone(number_of(name))


class Telling(SynchronousTestCase):
    def setUp(self) -> None:
        self.users = Users()
        self.addCleanup(self.users.close)

    def connection(self, host: str) -> tuple[socket.socket, socket.socket]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            server = socket.create_server((host, 0), family=family)
        except OSError:
            raise SkipTest(f"this machine has no {host}") from None
        client = socket.create_connection(server.getsockname()[:2])
        accepted = server.accept()[0]
        server.close()
        for one in (client, accepted):
            self.addCleanup(one.close)
        return client, accepted

    def test_an_own_connection_is_this_users(self) -> None:
        for host, kind in (("127.0.0.1", IPv4Address), ("::1", IPv6Address)):
            _, accepted = self.connection(host)
            client = kind("TCP", *accepted.getpeername()[:2])
            server = kind("TCP", *accepted.getsockname()[:2])
            self.assertEqual(self.users.user_of(client, server), os.geteuid())

    def test_another_users_is_theirs(self) -> None:
        if os.geteuid():
            raise SkipTest("only root can become somebody else")
        os.seteuid(NOBODY)
        try:
            _, accepted = self.connection("127.0.0.1")
        finally:
            os.seteuid(0)
        client = IPv4Address("TCP", *accepted.getpeername())
        server = IPv4Address("TCP", *accepted.getsockname())
        self.assertEqual(self.users.user_of(client, server), NOBODY)

    def test_of_what_is_no_connection_of_this_machine_nobody_is_told(self) -> None:
        server = IPv4Address("TCP", "127.0.0.1", 1)
        for client in (
            IPv4Address("TCP", "192.0.2.1", 2),
            IPv6Address("TCP", "::1", 2),
            IPv4Address("TCP", "no address", 2),
            UNIXAddress(b"/run/x"),
            None,
        ):
            self.assertIsNone(self.users.user_of(client, server))

    def test_after_a_strange_answer_the_next_is_right(self) -> None:
        self.users.user_of(IPv4Address("TCP", "192.0.2.1", 2), IPv4Address("TCP", "192.0.2.2", 1))
        _, accepted = self.connection("127.0.0.1")
        client = IPv4Address("TCP", *accepted.getpeername())
        server = IPv4Address("TCP", *accepted.getsockname())
        self.assertEqual(self.users.user_of(client, server), os.geteuid())

    def test_closed_it_tells_nothing(self) -> None:
        self.users.close()
        one = IPv4Address("TCP", "127.0.0.1", 1)
        self.assertIsNone(self.users.user_of(one, one))


class Meant(SynchronousTestCase):
    def test_a_user_is_meant_by_name_or_number(self) -> None:
        self.assertEqual([number_meant(word) for word in ("root", "0", "4711")], [0, 0, 4711])

    def test_nobody_is_meant_by_what_is_neither(self) -> None:
        self.assertEqual([number_meant(word) for word in ("no such user", "-1", "")], [None] * 3)
