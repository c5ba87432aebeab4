"""What strangers do to the server is counted, bounded, and leaves no line in the log."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import protocol, reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web import http
from twisted.web.http import Request
from twisted.web.http_headers import Headers

from flocon.answering import respond
from flocon.answering.turns import TURN
from flocon.serving import site as site_module
from flocon.serving.site import (
    IDLE_SECONDS,
    LARGEST_BODY,
    LARGEST_READ_OVER,
    LOOKED_IN_VAIN,
    Channel,
    Site,
    host_of,
)


class Hello:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.rendering: Callable[[], None] = lambda: None
        #: None where a request is to wait for its answer.
        self.body: bytes | None = b"hello"

    def render(self, request: Request) -> None:
        self.requests.append(request)
        self.rendering()
        if self.body is not None:
            request.setHeader("Content-Length", str(len(self.body)))
            request.write(self.body)
            request.finish()


class Heads(SynchronousTestCase):
    @given(
        st.lists(
            st.tuples(st.text("abcX-", min_size=1), st.lists(st.text(st.characters(codec="utf-8"))))
        )
    )
    def test_a_head_is_the_one_that_twisted_writes(
        self, fields: list[tuple[str, list[str]]]
    ) -> None:
        headers = Headers()
        for name, values in fields:
            headers.setRawHeaders(name, values)
        written = []
        for channel in (Channel(), http.HTTPChannel()):
            transport = StringTransport()
            channel.transport = transport
            channel.writeHeaders(b"HTTP/1.1", b"206", b"Partial Content", headers)
            written.append(transport.value())
        self.assertEqual(*written)


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.hello = Hello()
        self.site = Site(self.clock, self.hello, most_connections=5, most_per_address=2)
        self.site.doStart()
        self.addCleanup(self.site.doStop)
        self.lines: list[Any] = []
        observer: Any = self.lines.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def connect(self, host: str = "10.0.0.1") -> StringTransport | None:
        kind = IPv6Address if ":" in host else IPv4Address
        address = kind("TCP", host, 1234)
        channel = self.site.buildProtocol(address)
        if channel is None:
            return None
        transport = StringTransport(peerAddress=address)
        transport.channel = channel  # type: ignore[attr-defined]
        channel.makeConnection(transport)
        return transport

    def connected(self, host: str = "10.0.0.1") -> Any:
        transport = self.connect(host)
        assert transport is not None
        return transport

    def close(self, transport: Any) -> None:
        transport.channel.connectionLost(Failure(ConnectionDone()))

    def test_a_request_is_answered_and_writes_no_line(self) -> None:
        transport = self.connected()
        transport.channel.dataReceived(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertTrue(transport.value().endswith(b"\r\n\r\nhello"))
        self.assertEqual(self.lines, [])

    def test_a_small_body_is_read_over_and_the_request_answered(self) -> None:
        bodies: list[bytes] = []
        requests: list[Any] = self.hello.requests
        self.hello.rendering = lambda: bodies.append(requests[-1].content.read())
        transport = self.connected()
        head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % LARGEST_READ_OVER
        transport.channel.dataReceived(head + bytes(LARGEST_READ_OVER - 1))
        self.assertEqual(self.hello.requests, [])
        transport.channel.dataReceived(b"x" + b"GET /y HTTP/1.1\r\nHost: h\r\n\r\n")
        self.clock.pump([0] * 3)
        self.assertEqual([one.path for one in self.hello.requests], [b"/x", b"/y"])
        self.assertEqual(bodies, [b"", b""])
        self.assertFalse(transport.disconnecting or transport.disconnected)
        self.close(transport)

    def test_a_request_with_a_body_is_cut_off_and_counted(self) -> None:
        large = b"Content-Length: %d" % (LARGEST_READ_OVER + 1)
        for head in (large, b"Transfer-Encoding: chunked"):
            transport = self.connected()
            transport.channel.dataReceived(b"POST /x HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n")
            self.assertTrue(transport.disconnecting or transport.disconnected)
            self.close(transport)
        self.assertEqual(self.site.counters["request body"], 2)
        self.assertEqual((self.hello.requests, self.lines), ([], []))

    def test_a_body_that_came_with_the_head_has_nothing_done(self) -> None:
        self.site.kept = LARGEST_BODY
        length = LARGEST_BODY + 1
        whole = b"Content-Length: %d\r\n\r\n" % length + bytes(length)
        for rest in (whole, b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"):
            transport = self.connected()
            # As a socket does, which does not say of itself that it is about to close.
            aborted: list[bool] = []
            transport.abortConnection = lambda aborted=aborted: aborted.append(True)
            transport.channel.dataReceived(b"POST /x HTTP/1.1\r\nHost: h\r\n" + rest)
            self.clock.pump([0] * 3)
            self.assertTrue(aborted)
            self.assertEqual(self.hello.requests, [])
            self.close(transport)

    def test_no_body_hides_another_request(self) -> None:
        hidden = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
        for lines in (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5",
            b"Content-Length: 5\r\nContent-Length: 0",
            b"Content-Length: 0, 5",
            b"Content-Length: +5",
            b"Content-Length: 0x5",
            b"Transfer-Encoding: identity, chunked",
            b"Transfer-Encoding : chunked",
            b"Content-Length : 5",
        ):
            transport = self.connected()
            transport.protocol = transport.channel
            head = b"POST /x HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n\r\n"
            transport.channel.dataReceived(head + b"0\r\n\r\n" + hidden)
            self.clock.pump([0] * 3)
            self.assertEqual([one.path for one in self.hello.requests], [], lines)
            self.assertTrue(transport.disconnecting or transport.disconnected, lines)
            self.close(transport)

    def test_a_request_that_names_another_host_than_its_own_is_refused(self) -> None:
        strange = (
            b"GET http://evil.example/x HTTP/1.1\r\nHost: h",
            b"GET HTTP://h/x HTTP/1.1\r\nHost: h",
            b"GET h/x HTTP/1.1\r\nHost: h",
            b"OPTIONS * HTTP/1.1\r\nHost: h",
            b"CONNECT evil.example:443 HTTP/1.1\r\nHost: h",
            b"GET /x HTTP/1.1\r\nHost: h\r\nHost: h",
            b"GET /x HTTP/1.1\r\nhost: h\r\nX: y\r\nHOST: evil.example",
        )
        for head in strange:
            transport = self.connected()
            transport.channel.dataReceived(head + b"\r\n\r\n")
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 400 "), head)
            self.close(transport)
        self.assertEqual(self.hello.requests, [])
        self.assertEqual(self.site.counters["strange target"], len(strange))

    def test_where_a_face_reads_bodies_so_much_is_kept_and_no_more(self) -> None:
        self.site.kept = 2 * LARGEST_BODY
        read = self.read_bodies()
        for length, kept in ((5, True), (2 * LARGEST_BODY, True), (2 * LARGEST_BODY + 1, False)):
            transport = self.connected()
            head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length
            transport.channel.dataReceived(head + b"x" * length)
            self.assertEqual(not (transport.disconnecting or transport.disconnected), kept)
            self.assertEqual([len(body) for body in read], [length] if kept else [])
            read.clear()
            self.close(transport)

    def read_bodies(self) -> list[bytes]:
        """Have the face read each request's body, into this list."""
        read: list[bytes] = []

        def rendering() -> None:
            content = self.hello.requests[-1].content
            assert content is not None
            read.append(content.read())

        self.hello.rendering = rendering
        return read

    def test_elsewhere_none_is(self) -> None:
        read = self.read_bodies()
        transport = self.connected()
        head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
        transport.channel.dataReceived(head + b"xxx")
        self.assertEqual(read, [b""])
        self.close(transport)

    def test_a_header_that_is_no_text_is_refused_and_counted(self) -> None:
        transport = self.connected()
        transport.protocol = transport.channel
        transport.channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\nRange: \xff\r\n\r\n")
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 400 "), transport.value())
        self.assertEqual(self.hello.requests, [])
        self.assertEqual(self.site.counters["strange header"], 1)
        self.assertEqual(self.lines, [])
        self.close(transport)

    def test_who_is_not_admitted_is_not_talked_to_and_counted(self) -> None:
        site = Site(self.clock, self.hello, most_connections=5, admits="10.0.0.1".__eq__)
        self.site = site
        self.close(self.connected("10.0.0.1"))
        self.assertIsNone(self.connect("10.0.1.1"))
        self.assertIsNone(self.connect("8.8.8.8"))
        self.assertEqual(site.counters, {"other network": 2})

    def test_more_connections_of_one_address_than_allowed_are_counted(self) -> None:
        self.connected()
        self.connected()
        self.assertIsNone(self.connect())
        self.connected("10.0.0.2")
        self.assertEqual(self.site.counters["too many connections"], 1)
        self.assertEqual(self.lines, [])

    def test_addresses_of_one_ipv6_network_have_a_bound_together(self) -> None:
        self.site = Site(self.clock, self.hello, most_connections=5, most_per_network=3)
        for at in range(3):
            self.connected(f"2001:db8::{at}")
        self.assertIsNone(self.connect("2001:db8::9"))
        self.connected("2001:db8:0:1::1")
        self.assertEqual(self.site.counters["too many connections"], 1)

    def asking(self, host: str) -> Any:
        """Return a connection whose request is being answered."""
        self.hello.body = None
        transport = self.connected(host)
        transport.channel.dataReceived(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
        return transport

    def test_more_that_ask_than_allowed_in_all_are_counted(self) -> None:
        for at in range(5):
            self.asking(f"10.0.0.{at}")
        self.assertIsNone(self.connect("10.0.1.1"))
        self.assertEqual(self.site.counters["too many connections"], 1)

    def test_who_asks_nothing_makes_room_the_oldest_first(self) -> None:
        busy = self.asking("10.0.0.1")
        silent = self.connected("10.0.0.2")
        half = self.connected("10.0.0.3")
        half.channel.dataReceived(b"GET /x HTTP/1.1\r\n")
        busy_too = [self.asking(f"10.0.0.{at}") for at in (4, 5)]
        self.connected("10.0.0.6")
        self.assertTrue(silent.disconnecting)
        self.connected("10.0.0.7")
        self.assertTrue(half.disconnecting)
        self.assertFalse(any(one.disconnecting for one in (busy, *busy_too)))
        self.close(silent)
        self.asking("10.0.0.6")
        self.assertEqual(self.site.counters, {"made room": 3})

    def full_of_idle(self) -> list[Any]:
        return [self.connected(f"10.0.0.{at}") for at in range(5)]

    def test_who_has_not_had_all_that_was_sent_makes_no_room(self) -> None:
        transports = self.full_of_idle()
        for one in transports:
            one.dataBuffer = b"the end of an answer"
        self.assertIsNone(self.connect("10.0.1.1"))
        self.clock.advance(LOOKED_IN_VAIN)
        transports[3].dataBuffer = b""
        self.connected("10.0.1.1")
        self.assertEqual([one.disconnecting for one in transports], [False] * 3 + [True, False])

    def test_a_place_is_given_back_when_its_connection_is_gone(self) -> None:
        leaving = self.full_of_idle()[0]
        self.asking("10.0.0.0")
        self.assertTrue(leaving.disconnecting)
        self.assertIsNone(self.connect("10.0.0.0"))
        self.close(leaving)
        self.connected("10.0.0.0")

    def test_few_leave_at_a_time(self) -> None:
        self.patch(site_module, "MOST_LEAVING", 2)
        transports = self.full_of_idle()
        for host in ("10.0.1.1", "10.0.1.2"):
            self.asking(host)
        self.assertIsNone(self.connect("10.0.1.3"))
        self.close(transports[0])
        self.clock.advance(LOOKED_IN_VAIN)
        self.connected("10.0.1.3")
        self.assertEqual(self.site.counters, {"made room": 3, "too many connections": 1})

    def test_who_was_told_to_close_a_minute_after_its_last_answer_is_waited_for_no_longer(
        self,
    ) -> None:
        transport = self.connected("10.0.0.9")
        transport.dataBuffer = b"the end of an answer"
        for at in range(1, 5):
            self.asking(f"10.0.0.{at}")
        self.clock.advance(IDLE_SECONDS)
        self.assertFalse(transport.disconnected)
        self.connected("10.0.1.1")
        self.assertTrue(transport.disconnected)

    def test_where_nobody_makes_room_nobody_is_asked_for_a_moment(self) -> None:
        for at in range(5):
            self.asking(f"10.0.0.{at}")
        self.connect("10.0.1.1")
        asked: list[Channel] = []

        def make_room(channel: Channel) -> bool:
            asked.append(channel)
            return False

        self.patch(Channel, "make_room", make_room)
        for _ in range(100):
            self.connect("10.0.1.1")
        self.assertEqual(asked, [])
        self.clock.advance(LOOKED_IN_VAIN)
        self.connect("10.0.1.1")
        self.assertEqual(len(asked), 5)

    def test_one_local_user_leaves_room_for_the_others(self) -> None:
        users = iter([1000, 1000, 0, 1000, 0, None, None])
        self.site = Site(
            self.clock,
            self.hello,
            most_connections=9,
            most_per_user=2,
            user_of=lambda *_: next(users),
        )
        for _ in range(3):
            self.asking("127.0.0.1")
        refused = self.connected("127.0.0.1")
        self.assertTrue(refused.disconnected)
        self.close(refused)
        for _ in range(3):
            self.assertFalse(self.asking("127.0.0.1").disconnected)
        self.assertEqual(self.site.counters, {"too many connections": 1})

    def test_of_one_user_with_too_many_who_asks_nothing_makes_room(self) -> None:
        self.site = Site(
            self.clock, self.hello, most_connections=9, most_per_user=2, user_of=lambda *_: 1000
        )
        first, second, third = (self.connected("127.0.0.1") for _ in range(3))
        self.assertEqual(
            [one.disconnecting for one in (first, second, third)], [True, False, False]
        )

    def test_a_closed_connection_makes_room(self) -> None:
        transports = [self.connected(), self.connected()]
        self.close(transports[0])
        self.connected()
        self.assertIsNone(self.connect())

    def test_no_address_is_remembered_that_has_no_connection(self) -> None:
        for at in range(20):
            self.close(self.connected(f"10.0.0.{at}"))
        self.connected("10.0.0.1")
        self.connected("10.0.0.1")
        self.assertIsNone(self.connect("10.0.0.1"))
        self.assertEqual(set(self.site._crowd._addresses), {"10.0.0.1"})
        self.assertEqual(len(self.site._channels), 2)

    def test_an_idle_connection_is_cut_and_counted(self) -> None:
        for sent in (b"", b"GET /x HT", b"GET /x HTTP/1.1\r\nHost: h\r\n"):
            transport = self.connected()
            transport.channel.dataReceived(sent)
            self.clock.advance(IDLE_SECONDS)
            self.assertTrue(transport.disconnecting or transport.disconnected, sent)
            self.close(transport)
        self.assertEqual(self.site.counters["timed out"], 3)
        self.assertEqual(self.lines, [])

    def test_a_header_that_drips_is_no_reason_to_wait(self) -> None:
        transport = self.connected()
        transport.channel.dataReceived(b"GET /x HTTP/1.1\r\n")
        for at in range(100):
            if transport.disconnecting or transport.disconnected:
                break
            transport.channel.dataReceived(b"X-%d: y\r\n" % at)
            self.clock.advance(IDLE_SECONDS / 2)
        self.assertLess(at, 10)

    def test_requests_sent_ahead_are_answered_one_a_turn(self) -> None:
        transport = self.connected()
        ahead = b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % at for at in range(100))
        transport.channel.dataReceived(ahead)
        for answered in range(1, 100):
            self.assertEqual(len(self.hello.requests), answered)
            # Not advance(0), which also makes the calls that come up meanwhile.
            (call,) = self.clock.calls
            self.clock.calls.clear()
            call.called = 1
            call.func()
        self.assertEqual(
            [request.path for request in self.hello.requests], [b"/%d" % at for at in range(100)]
        )
        self.assertEqual(transport.value().count(b"\r\n\r\nhello"), 100)

    def turn(self) -> int:
        """Let the reactor have one turn; return how many requests were begun in it."""
        before, now = len(self.hello.requests), self.clock.seconds()
        for call in [one for one in self.clock.calls if one.getTime() <= now]:
            self.clock.calls.remove(call)
            call.called = 1
            call.func()
        return len(self.hello.requests) - before

    def many(self, count: int, ahead: int = 1) -> list[Any]:
        """Have connections ask in one turn, each question of which takes all its time."""
        self.site = Site(self.clock, self.hello, most_connections=1_000)

        def take_time() -> None:
            self.clock.rightNow += TURN

        self.hello.rendering = take_time
        transports = [self.connected(f"10.0.0.{at}") for at in range(count)]
        for one in transports:
            one.channel.dataReceived(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n" * ahead)
        return transports

    def test_what_many_ask_in_one_turn_is_answered_in_several(self) -> None:
        transports = self.many(5)
        self.assertEqual(len(self.hello.requests), 1)
        self.assertEqual([self.turn() for _ in range(5)], [1, 1, 1, 1, 0])
        self.assertTrue(all(one.value().endswith(b"hello") for one in transports))

    def test_so_is_what_they_sent_ahead(self) -> None:
        transports = self.many(5, ahead=3)
        self.assertEqual([self.turn() for _ in range(15)], [1] * 14 + [0])
        self.assertEqual([one.value().count(b"hello") for one in transports], [3] * 5)

    def test_another_asker_waits_for_few_of_one_that_has_many_connections(self) -> None:
        self.many(1)
        many = [self.connected("10.0.1.1") for _ in range(100)]
        other = self.connected("10.0.1.2")
        for one in (*many, other):
            one.channel.dataReceived(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
        for _ in range(2):
            self.turn()
        self.assertTrue(other.value().endswith(b"hello"))

    def test_who_waits_for_a_turn_and_says_more_is_read_no_further_and_asks(self) -> None:
        self.many(1)
        transport = self.connected("10.0.1.1")
        transport.channel.dataReceived(b"GET /x HTTP/1.1\r\n")
        self.assertEqual(transport.producerState, "producing")
        self.assertFalse(transport.channel.idle)
        transport.channel.dataReceived(b"Host: h\r\n\r\n")
        self.assertEqual(transport.producerState, "paused")
        self.assertEqual(self.turn(), 1)
        self.assertEqual(transport.producerState, "producing")
        self.assertTrue(transport.value().endswith(b"hello"))

    def test_who_leaves_before_its_turn_is_not_answered(self) -> None:
        for one in self.many(3):
            self.close(one)
        self.assertEqual((len(self.hello.requests), self.clock.getDelayedCalls()), (1, []))

    def test_what_a_face_fails_at_is_counted_and_told_of_once(self) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        self.patch(respond, "_failures", respond.Failures())
        self.hello.rendering = fail
        for ahead in (1, 2):
            for _ in range(3):
                transport = self.connected()
                transport.channel.dataReceived(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n" * ahead)
                self.assertTrue(transport.disconnected)
                self.close(transport)
        self.assertEqual(self.site.counters, {"answering failed": 6})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_who_leaves_is_not_answered_what_was_sent_ahead(self) -> None:
        transport = self.connected()
        transport.channel.dataReceived(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n" * 2)
        self.close(transport)
        self.assertEqual((len(self.hello.requests), self.clock.getDelayedCalls()), (1, []))

    def test_the_next_answer_waits_until_the_last_has_left(self) -> None:
        transport = self.connected()
        # What a transport says whose buffer is full, and when it is empty again.
        self.hello.rendering = transport.channel.pauseProducing
        transport.channel.dataReceived(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n" * 3)
        for answered in (1, 2, 3):
            self.clock.pump([0] * 10)
            self.assertEqual(len(self.hello.requests), answered)
            transport.channel.resumeProducing()

    def test_nothing_is_left_to_do_when_all_have_gone(self) -> None:
        self.close(self.connected())
        self.site.doStop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Reading(protocol.Protocol):
    """Reads nothing until told to, and then to the end."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.pauseProducing()
        self.transport.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        self.ended.callback(None)


class Endings(TestCase):
    timeout = 20

    async def test_an_idle_connection_is_closed_and_its_last_answer_not_lost(self) -> None:
        clock, hello = Clock(), Hello()
        hello.body = bytes(200_000)
        site: Any = Site(clock, hello, most_connections=5)
        port: Any = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client = Reading()
        creator = protocol.ClientCreator(reactor, lambda: client)
        await creator.connectTCP("127.0.0.1", port.getHost().port)
        while not hello.requests or not hello.requests[0].finished:
            await deferLater(reactor, 0.01)
        clock.advance(IDLE_SECONDS)
        self.assertEqual(site.counters["timed out"], 1)
        client.transport.resumeProducing()
        await client.ended
        self.assertEqual(client.data.partition(b"\r\n\r\n")[2], hello.body)

    async def test_who_takes_an_answer_from_the_kernel_later_is_not_idle_until_then(self) -> None:
        hello = Hello()
        hello.body = bytes(100_000)
        site: Any = Site(reactor, hello, most_connections=1)
        port: Any = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        clients = []
        for _ in range(2):
            client = socket.socket()
            self.addCleanup(client.close)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port.getHost().port))
            client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            clients.append(client)
            await deferLater(reactor, 0.2)
        self.assertEqual(site.counters, {"too many connections": 1})
        (channel,) = site._channels
        self.assertEqual(bytes(channel.transport.dataBuffer), b"")
        taken = b""
        while not taken.endswith(hello.body):
            with contextlib.suppress(BlockingIOError):
                taken += clients[0].recv(1 << 20)
            await deferLater(reactor, 0.01)
        await deferLater(reactor, 0.1)
        self.assertTrue(channel.idle)


class Hosts(SynchronousTestCase):
    def test_the_host_of_an_address(self) -> None:
        for address, host in {
            IPv4Address("TCP", "10.0.0.1", 1): "10.0.0.1",
            IPv6Address("TCP", "::ffff:10.0.0.1", 1): "10.0.0.1",
            IPv6Address("TCP", "fe80::1%eth0", 1): "fe80::1%eth0",
            IPv6Address("TCP", "::1", 1): "::1",
            UNIXAddress("/run/x"): "",
            None: "",
        }.items():
            self.assertEqual(host_of(address), host)
