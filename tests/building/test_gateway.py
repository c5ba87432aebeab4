"""The way out of a job's network, over real connections of this machine to itself."""

from __future__ import annotations

import socket
from collections.abc import Coroutine, Sequence
from ipaddress import ip_network
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.building import gateway
from flocon.building.destinations import Destinations
from flocon.building.gateway import Gateway


class _Talk(Protocol):
    """Keeps what it hears; ``over`` fires when it ends."""

    transport: Any

    def __init__(self) -> None:
        self.heard = b""
        self.over: Deferred[bytes] = Deferred()
        self._awaited: list[tuple[bytes, Deferred[bytes]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        for one in list(self._awaited):
            if one[0] in self.heard:
                self._awaited.remove(one)
                one[1].callback(self.heard)

    def until(self, part: bytes) -> Deferred[bytes]:
        heard: Deferred[bytes] = Deferred()
        if part in self.heard:
            heard.callback(self.heard)
        else:
            self._awaited.append((part, heard))
        return heard

    def connectionLost(self, reason: Any = None) -> None:
        self.over.callback(self.heard)


class GatewayTests(TestCase):
    """A server on the loopback, which an operator lets in, as "far.test"; all else is near."""

    timeout = 20

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        return Deferred.fromCoroutine(self._open())

    async def _open(self) -> None:
        self.told: list[str] = []
        self.names = {
            "far.test": ["127.0.0.1"],
            "near.test": ["10.0.0.1"],
            "both.test": ["10.0.0.1", "127.0.0.1"],
        }
        self.served: list[_Talk] = []
        factory = Factory()
        factory.protocol = self._serve
        server = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(server.stopListening)
        self.port = server.getHost().port
        self.clients: list[_Talk] = []
        self.addCleanup(self._end)
        self._make(1 << 30)

    def _serve(self) -> _Talk:
        self.served.append(_Talk())
        return self.served[-1]

    def _make(self, most: int) -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        self.way = listening.getsockname()[1]
        self.gateway = Gateway(
            reactor,
            Destinations([ip_network("127.0.0.0/8")]),
            most,
            self.told.append,
            look_up=lambda host: self.names.get(host, [host] if host[0].isdigit() else []),
        )
        self.gateway.listen(listening)
        self.addCleanup(lambda way: Deferred.fromCoroutine(way.stop()), self.gateway)

    def _end(self) -> Deferred[None]:
        async def end() -> None:
            for one in (*self.clients, *self.served):
                if one.transport is not None:
                    one.transport.abortConnection()
                    await one.over

        return Deferred.fromCoroutine(end())

    async def _ask(self, head: bytes) -> _Talk:
        client = _Talk()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.way)
        await connectProtocol(endpoint, client)
        self.clients.append(client)
        client.transport.write(head)
        return client

    def _tunnel(self, host: str) -> bytes:
        return f"CONNECT {host}:{self.port} HTTP/1.1\r\n\r\n".encode()

    def do(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(work)

    def test_a_tunnel_carries_both_ways(self) -> Deferred[None]:
        async def go() -> None:
            client = await self._ask(self._tunnel("far.test") + b"early")
            await client.until(b"200 Connection established\r\n\r\n")
            await self.served[0].until(b"early")
            self.served[0].transport.write(b"answer")
            await client.until(b"answer")
            client.transport.write(b"later")
            await self.served[0].until(b"earlylater")
            self.assertEqual(dict(self.gateway.hosts), {"far.test": 1})

        return self.do(go())

    def test_an_address_is_asked_for_its_path_once(self) -> Deferred[None]:
        async def go() -> None:
            client = await self._ask(
                f"GET http://far.test:{self.port}/x HTTP/1.1\r\nA: b\r\n\r\n".encode()
            )
            while not self.served:
                await self._moment()
            head = await self.served[0].until(b"\r\n\r\n")
            self.assertEqual(head, b"GET /x HTTP/1.1\r\nA: b\r\nConnection: close\r\n\r\n")
            self.served[0].transport.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
            self.served[0].transport.loseConnection()
            self.assertTrue((await client.over).endswith(b"all of it"))

        return self.do(go())

    async def _moment(self) -> None:
        pause: Deferred[None] = Deferred()
        reactor.callLater(0.01, pause.callback, None)
        await pause

    def test_a_name_that_leads_near_is_refused_and_said_once(self) -> Deferred[None]:
        async def go() -> None:
            for _ in range(3):
                client = await self._ask(self._tunnel("near.test"))
                self.assertIn(b"403 Forbidden", await client.over)
            self.assertEqual(len(self.told), 1)
            self.assertIn("near.test (10.0.0.1)", self.told[0])
            self.assertEqual(self.gateway.refused["near.test (10.0.0.1)"], 3)

        return self.do(go())

    def test_of_several_addresses_only_those_that_may_be_are_tried(self) -> Deferred[None]:
        async def go() -> None:
            client = await self._ask(self._tunnel("both.test"))
            await client.until(b"200 Connection")
            self.assertEqual(self.told, [])

        return self.do(go())

    def test_a_name_is_judged_each_time(self) -> Deferred[None]:
        async def go() -> None:
            first = await self._ask(self._tunnel("far.test"))
            await first.until(b"200 Connection")
            self.names["far.test"] = ["192.168.1.1"]
            second = await self._ask(self._tunnel("far.test"))
            self.assertIn(b"403", await second.over)

        return self.do(go())

    def test_what_does_not_answer_is_said(self) -> Deferred[None]:
        async def go() -> None:
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                port = unused.getsockname()[1]
                client = await self._ask(f"CONNECT far.test:{port} HTTP/1.1\r\n\r\n".encode())
                self.assertIn(b"502 Bad Gateway", await client.over)

        return self.do(go())

    def test_what_is_no_request_is_said(self) -> Deferred[None]:
        async def go() -> None:
            for head in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
                client = await self._ask(head)
                self.assertIn(b"400 Bad Request", await client.over)

        return self.do(go())

    def test_a_head_without_end_is_ended(self) -> Deferred[None]:
        async def go() -> None:
            client = await self._ask(b"GET http://a/" + b"x" * 200_000)
            await client.over

        return self.do(go())

    def test_a_head_that_does_not_come_is_not_waited_for(self) -> Deferred[None]:
        async def go() -> None:
            with mock.patch.object(gateway, "HEAD_WITHIN", 0.05):
                client = await self._ask(b"CONNECT far.test")
                self.assertEqual(await client.over, b"")

        return self.do(go())

    def test_more_bytes_than_a_job_may_have_end_it(self) -> Deferred[None]:
        async def go() -> None:
            self._make(100_000)
            client = await self._ask(self._tunnel("far.test"))
            await client.until(b"200 Connection")
            self.served[-1].transport.write(b"x" * 200_000)
            await client.over
            self.assertLess(len(client.heard), 110_000)
            self.assertEqual(len(self.told), 1)

        return self.do(go())

    def test_connections_at_a_time_are_bounded(self) -> Deferred[None]:
        async def go() -> None:
            with mock.patch.object(gateway, "MOST_AT_ONCE", 2):
                kept: Sequence[_Talk] = [
                    await self._ask(self._tunnel("far.test")) for _ in range(2)
                ]
                for one in kept:
                    await one.until(b"200 Connection")
                third = await self._ask(self._tunnel("far.test"))
                self.assertEqual(await third.over, b"")

        return self.do(go())

    def test_a_job_that_ends_ends_what_it_began(self) -> Deferred[None]:
        async def go() -> None:
            client = await self._ask(self._tunnel("far.test"))
            await client.until(b"200 Connection")
            await self.gateway.stop()
            await client.over
            await self.served[0].over

        return self.do(go())


class Gone(SynchronousTestCase):
    def test_what_comes_for_one_that_is_gone_is_waited_for_no_more(self) -> None:
        clock = Clock()
        client = gateway._Client(Gateway(clock, Destinations([]), 1 << 20))
        client.makeConnection(StringTransport())
        client._server = mock.Mock()
        client.received(b"of the answer")
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        client.connectionLost()
        client.received(b"its end")
        self.assertEqual(clock.getDelayedCalls(), [])
