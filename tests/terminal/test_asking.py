"""What a command says where the node does not let it in, or is silent."""

from __future__ import annotations

import errno
import grp
import os
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import defer
from twisted.internet import error as failing
from twisted.internet import reactor as installed
from twisted.internet.error import ConnectError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.terminal import asking, downloading
from flocon.terminal.asking import PATIENCE, Node, NodeError, _closed
from tests.connections.floods import FloodFactory


class Closed(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def said(self, number: int) -> str:
        return str(_closed(str(self.path), ConnectError(osError=number)))

    def test_the_group_that_may_is_named(self) -> None:
        self.path.touch()
        [name] = [one.gr_name for one in grp.getgrall() if one.gr_gid == os.getegid()]
        self.assertIn(f"as root or as a member of the group {name}", self.said(errno.EACCES))

    def test_one_that_cannot_be_looked_at_is_told_of_all_the_same(self) -> None:
        self.assertIn("as a member of the socket's group", self.said(errno.EACCES))

    def test_where_nobody_listens_it_is_not_a_matter_of_rights(self) -> None:
        self.assertIn("nobody listens there", self.said(errno.ECONNREFUSED))


class Addresses(SynchronousTestCase):
    """A node whose loopback face is at one address of the two."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.node = Node(self.reactor, 19433)
        self.asked = defer.Deferred.fromCoroutine(self.node.ask("/status.json"))

    def refuse(self) -> None:
        """Have the last connection refused."""
        factory = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(mock.Mock(), Failure(failing.ConnectionRefusedError()))

    def hosts(self) -> list[str]:
        return [host for host, *_ in self.reactor.tcpClients]

    def test_one_that_listens_at_ipv6_alone_is_asked_there(self) -> None:
        self.refuse()
        self.assertEqual(self.hosts(), ["127.0.0.1", "::1"])
        protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        assert protocol is not None
        transport = StringTransport()
        protocol.makeConnection(transport)
        self.assertIn(b"Host: localhost:19433\r\n", transport.value())
        protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        self.assertEqual(self.successResultOf(self.asked), {})

    def test_where_nobody_listens_at_either_that_is_told(self) -> None:
        self.refuse()
        self.refuse()
        self.assertEqual(self.hosts(), ["127.0.0.1", "::1"])
        said = str(self.failureResultOf(self.asked, NodeError).value)
        self.assertIn("no node answers on port 19433 (nobody listens there)", said)


class Floods(TestCase):
    """Where no node runs, another user's program that listens at its port."""

    async def said(self, beginning: bytes, again: bytes) -> str:
        factory = FloodFactory(beginning, again)
        listening: Any = installed.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        with self.assertRaises(NodeError) as caught:
            await Node(installed, listening.getHost().port).ask("/status.json")
        return str(caught.exception)

    async def test_a_head_without_end_is_not_read_on(self) -> None:
        for beginning, again in (
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
            (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 10_000),
        ):
            self.assertIn("(the connection ended early)", await self.said(beginning, again))

    async def test_nor_is_a_body(self) -> None:
        self.patch(asking, "LARGEST_ANSWER", 1 << 20)
        said = await self.said(b"HTTP/1.1 200 OK\r\n\r\n", bytes(1 << 16))
        self.assertIn("(the connection ended early)", said)


class Silent(SynchronousTestCase):
    """A node that was stopped, or that the machine leaves no time: who connects gets no answer."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.node = Node(self.reactor, 19433)
        self.asked = defer.Deferred.fromCoroutine(self.node.ask("/status.json"))

    def connect(self) -> None:
        [(_, _, factory, _, _)] = self.reactor.tcpClients
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(StringTransport())

    def test_one_that_answers_nothing_is_told(self) -> None:
        self.connect()
        self.reactor.advance(PATIENCE - 1)
        self.assertNoResult(self.asked)
        self.reactor.advance(1)
        self.assertIn("is silent", str(self.failureResultOf(self.asked, NodeError).value))

    def test_one_from_which_a_file_does_not_come_is_told(self) -> None:
        self.asked.cancel()
        self.failureResultOf(self.asked, defer.CancelledError)
        self.reactor.tcpClients.clear()
        getting = downloading.download(self.node, "/tool", "tool", lambda _: None)
        asked = defer.Deferred.fromCoroutine(getting)
        self.connect()
        self.reactor.advance(downloading.PATIENCE)
        self.assertIn("is silent", str(self.failureResultOf(asked, NodeError).value))

    def test_one_to_which_there_is_no_connection_is_told(self) -> None:
        self.reactor.advance(PATIENCE)
        self.assertIn("is silent", str(self.failureResultOf(self.asked, NodeError).value))

    def test_a_command_that_is_ended_meanwhile_is_no_matter_of_the_node(self) -> None:
        self.connect()
        self.asked.cancel()
        self.failureResultOf(self.asked, defer.CancelledError)
