"""A kept connection that is dead costs a moment, and no failure."""

from __future__ import annotations

import contextlib
import socket
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError, ConnectionLost, NoRouteError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import Request, ResponseNeverReceived
from twisted.web.http_headers import Headers

from flocon.connections import answers as module
from flocon.connections.answers import MirrorPool
from flocon.connections.kept import SILENCE, Kept, is_led_astray

KEY = ("http", "mirror", 80)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Wire:
    """Both ends of a connection in memory."""

    def __init__(self, factory: Any) -> None:
        self.transport = StringTransport()
        self.connection: Any = factory.buildProtocol(None)
        self.connection.makeConnection(self.transport)

    @property
    def asked(self) -> int:
        sent: bytes = self.transport.value()
        return sent.count(b"GET /")

    @property
    def left(self) -> bool:
        return bool(self.transport.disconnected or self.transport.disconnecting)

    def answer(self, data: bytes = ANSWER) -> None:
        self.connection.dataReceived(data)

    def end(self) -> None:
        self.connection.connectionLost(Failure(ConnectionLost()))


class KeptTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asleep = 0.0
        self.patch(module, "seconds_asleep", lambda: self.asleep)
        self.pool = MirrorPool(self.clock)
        self.wires: list[Wire] = []
        #: What connecting ends with, if not at once and well.
        self.connecting: Deferred[Any] | None = None

    def connect(self, factory: Any) -> Deferred[Any]:
        self.wires.append(Wire(factory))
        return self.connecting or succeed(self.wires[-1].connection)

    def ask(self) -> Deferred[Any]:
        request = Request(b"GET", b"/", Headers({"Host": ["h"]}), None, persistent=True)
        asked: Deferred[Any] = self.pool.getConnection(KEY, self).addCallback(
            lambda connection: connection.request(request)
        )
        return asked

    def keep(self, count: int = 1) -> list[Wire]:
        """Leave so many connections idle in the pool."""
        asked = [self.ask() for _ in range(count)]
        kept, self.wires = self.wires, []
        for wire in kept:
            wire.answer()
            wire.transport.clear()
        for one in asked:
            self.successResultOf(one)
        return kept


class Silent(KeptTestCase):
    def test_what_is_answered_is_asked_once(self) -> None:
        (kept,) = self.keep()
        asked = self.ask()
        kept.answer()
        self.assertEqual(self.successResultOf(asked).code, 200)
        self.clock.advance(SILENCE)
        self.assertEqual((kept.asked, self.wires), (1, []))

    def test_one_that_is_silent_is_asked_again_on_a_new_connection(self) -> None:
        (kept,) = self.keep()
        asked = self.ask()
        self.assertEqual(self.wires, [])
        self.clock.advance(SILENCE)
        (new,) = self.wires
        self.assertEqual((kept.asked, new.asked), (1, 1))
        new.answer()
        self.assertEqual(self.successResultOf(asked).code, 200)
        self.assertTrue(kept.left)

    def test_the_old_one_may_still_answer(self) -> None:
        (kept,) = self.keep()
        asked = self.ask()
        self.clock.advance(SILENCE)
        kept.answer()
        self.assertEqual(self.successResultOf(asked).code, 200)
        self.assertTrue(self.wires[0].left)

    def test_a_new_one_that_cannot_be_had_leaves_the_old_one_its_time(self) -> None:
        (kept,) = self.keep()
        self.connecting = Deferred()
        asked = self.ask()
        self.clock.advance(SILENCE)
        self.connecting.errback(ConnectError())
        self.assertNoResult(asked)
        kept.answer()
        self.assertEqual(self.successResultOf(asked).code, 200)

    def test_where_no_way_leads_any_more_the_old_one_is_not_waited_for(self) -> None:
        (kept,) = self.keep()
        self.connecting = Deferred()
        asked = self.ask()
        self.clock.advance(SILENCE)
        self.connecting.errback(NoRouteError())
        self.failureResultOf(asked, NoRouteError)
        self.assertTrue(kept.left)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_has_begun_to_answer_is_not_asked_again(self) -> None:
        (kept,) = self.keep()
        asked = self.ask()
        kept.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.clock.advance(SILENCE)
        self.assertEqual(self.wires, [])
        kept.answer()
        self.successResultOf(asked)

    def test_a_new_connection_is_given_all_the_time(self) -> None:
        asked = self.ask()
        self.clock.advance(10 * SILENCE)
        self.assertEqual(len(self.wires), 1)
        self.wires[0].answer()
        self.successResultOf(asked)

    def test_others_that_are_idle_are_not_tried_one_after_the_other(self) -> None:
        kept = self.keep(3)
        self.ask()
        self.clock.advance(SILENCE)
        self.assertEqual([wire.left for wire in kept], [False, True, True])
        self.ask()
        self.assertEqual([wire.asked for wire in self.wires], [1, 1])

    def test_who_leaves_leaves_neither(self) -> None:
        (kept,) = self.keep()
        asked = self.ask()
        self.clock.advance(SILENCE)
        asked.cancel()
        self.failureResultOf(asked)
        self.assertEqual((kept.left, self.wires[0].left), (True, True))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Ended(KeptTestCase):
    def test_one_that_turns_out_to_be_closed_is_asked_again_at_once(self) -> None:
        (kept,) = self.keep()
        asked = self.ask()
        kept.end()
        self.wires[0].answer()
        self.assertEqual(self.successResultOf(asked).code, 200)

    def test_once(self) -> None:
        (kept,) = self.keep()
        asked = self.ask()
        kept.end()
        self.wires[0].end()
        self.failureResultOf(asked, ResponseNeverReceived)
        self.assertEqual(len(self.wires), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Asleep(KeptTestCase):
    def test_after_the_machine_slept_no_kept_connection_is_used(self) -> None:
        kept = self.keep(2)
        self.asleep += 30.0
        self.ask()
        self.assertEqual([wire.left for wire in kept], [True, True])
        self.assertEqual(self.wires[0].asked, 1)

    def test_one_that_was_made_since_is(self) -> None:
        self.asleep += 30.0
        self.ask()
        (wire,) = self.wires
        wire.answer()
        self.ask()
        self.assertEqual(wire.asked, 2)


class Astray(KeptTestCase):
    """The way that a new connection would go is not that of the kept one."""

    def test_it_is_not_used(self) -> None:
        kept = self.keep(2)
        self.patch(module, "is_led_astray", lambda one: one is kept[0].connection)
        self.ask()
        self.assertEqual([wire.left for wire in kept], [True, False])
        self.assertEqual(([wire.asked for wire in kept], self.wires), ([0, 1], []))

    def test_where_none_is_left_a_new_one_is_made(self) -> None:
        kept = self.keep(2)
        self.patch(module, "is_led_astray", lambda _: True)
        self.ask()
        self.assertEqual([wire.left for wire in kept], [True, True])
        self.assertEqual([wire.asked for wire in self.wires], [1])

    def test_the_kernel_says_where_it_would_go(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            for source, astray in (("127.0.0.1", False), ("127.0.0.2", True)):
                client = socket.create_connection(server.getsockname(), source_address=(source, 0))
                with client:
                    beneath: Any = SimpleNamespace(socket=client)
                    for transport in (beneath, SimpleNamespace(transport=beneath)):
                        connection = SimpleNamespace(transport=transport)
                        self.assertIs(is_led_astray(connection), astray)

    def test_one_whose_other_end_is_gone_has_no_way(self) -> None:
        with socket.socket() as client:
            connection = SimpleNamespace(transport=SimpleNamespace(socket=client))
            self.assertTrue(is_led_astray(connection))


class Confirmed(SynchronousTestCase):
    """The kernel is asked, of a connection that is there."""

    def setUp(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.client = socket.create_connection(server.getsockname())
            self.addCleanup(self.client.close)
            self.server, _ = server.accept()
            self.addCleanup(self.server.close)
        transport: Any = SimpleNamespace(socket=self.client)
        connection: Any = SimpleNamespace(transport=transport)
        self.kept = Kept(connection, Clock(), Deferred, lambda: None)

    def test_a_server_that_has_the_request_is_only_slow(self) -> None:
        self.client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        self.server.recv(100)
        self.assertTrue(self.kept._is_confirmed())

    def test_what_lies_in_the_queue_has_not_arrived(self) -> None:
        self.client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.client.send(bytes(1 << 16))
        self.assertFalse(self.kept._is_confirmed())
