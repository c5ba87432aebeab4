"""One GET: what is asked, what each answer becomes, and that no silence lasts."""

from __future__ import annotations

from typing import Any

from twisted.internet import error, protocol, reactor, ssl
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, ResponseFailed, ResponseNeverReceived
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from flocon.asking import mirrors
from flocon.asking.agents import peer_agent
from flocon.asking.answer import Head
from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted, fetch
from flocon.asking.mirrors import mirror_agent
from flocon.errors import Broken, Refused, SourceError, Stalled, StoreError, Unreachable
from tests.asking.fetch_case import LIMITS, URL, FetchTestCase, Kept, Sated, Slow
from tests.certificate import CERTIFICATE
from tests.fakes import FakeResponse


class Asking(FetchTestCase):
    def test_a_whole_file_is_asked_for_without_a_range(self) -> None:
        self.fetch()
        self.assertEqual(self.agent.last.url, URL)
        for name in ("Range", "If-Range", "If-Modified-Since", "Accept-Encoding"):
            self.assertIsNone(self.agent.last.header(name), name)

    def test_the_rest_is_asked_for_of_the_version_that_began(self) -> None:
        self.fetch(start=5, if_range='"v"')
        self.assertEqual(self.agent.last.header("Range"), "bytes=5-")
        self.assertEqual(self.agent.last.header("If-Range"), '"v"')

    def test_a_part_is_asked_for_by_its_last_byte(self) -> None:
        self.fetch(start=5, end=10)
        self.assertEqual(self.agent.last.header("Range"), "bytes=5-9")

    def test_a_condition_is_passed_on_as_it_came(self) -> None:
        self.fetch(modified_since="yesterday")
        self.assertEqual(self.agent.last.header("If-Modified-Since"), "yesterday")

    def test_an_address_that_cannot_be_asked_is_unreachable(self) -> None:
        for url in ("http://h\N{LATIN SMALL LETTER O WITH DIAERESIS}st/", "http://h/a b"):
            coming = ensureDeferred(
                fetch(
                    Agent(self.clock),
                    self.clock,
                    Wanted(url, "s"),
                    self.sink,
                    LIMITS,
                )
            )
            self.failureResultOf(coming, Unreachable)


class Answers(FetchTestCase):
    def test_the_body_arrives_with_its_positions(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200, Content_Length="5", Last_Modified="then", ETag='"v"')
        response.send(b"abc")
        response.send(b"de")
        response.end()
        head = Head(200, 0, 5, "then", '"v"')
        self.assertEqual(self.successResultOf(coming), head)
        self.assertEqual(self.sink.heads, [head])
        self.assertEqual(self.sink.writes, [(0, b"abc"), (3, b"de")])
        self.assertQuiet()

    def test_a_range_begins_at_its_place(self) -> None:
        coming = self.fetch(start=3)
        self.agent.last.whole(b"abcde")
        self.assertEqual(self.successResultOf(coming).size, 5)
        self.assertEqual(self.sink.writes, [(3, b"de")])

    def test_a_part_ends_at_its_place(self) -> None:
        coming = self.fetch(start=1, end=3)
        response = self.agent.last.answer(206, Content_Range="bytes 1-2/5", Content_Length="2")
        response.send(b"bc")
        response.end()
        self.successResultOf(coming)
        self.assertEqual(self.sink.writes, [(1, b"bc")])

    def test_a_part_beyond_the_end_ends_with_the_file(self) -> None:
        coming = self.fetch(start=3, end=100)
        response = self.agent.last.answer(206, Content_Range="bytes 3-4/5")
        response.send(b"de")
        response.end()
        self.successResultOf(coming)

    def test_a_source_without_ranges_sends_all(self) -> None:
        coming = self.fetch(start=3)
        response = self.agent.last.answer(200, Content_Length="5")
        response.send(b"abcde")
        response.end()
        self.assertEqual(self.successResultOf(coming).start, 0)
        self.assertEqual(self.sink.writes, [(0, b"abcde")])

    def test_a_304_has_a_head_and_no_body(self) -> None:
        coming = self.fetch(modified_since="yesterday")
        self.agent.last.answer(304, Last_Modified="then")
        self.assertEqual(self.successResultOf(coming), Head(304, 0, None, "then", None))
        self.assertQuiet()

    def test_what_the_asker_has_already_is_taken_as_a_304_and_not_read(self) -> None:
        coming = self.fetch(unchanged=("then", 10))
        response = self.agent.last.head(10, Last_Modified="then")
        self.assertEqual(self.successResultOf(coming), Head(304, 0, None, "then", None))
        self.assertTrue(response.left)
        for length, date in ((10, "later"), (11, "then")):
            self.fetch(unchanged=("then", 10))
            self.agent.last.head(length, Last_Modified=date)
            self.assertEqual(self.sink.heads[-1].status, 200)

    def test_another_content_than_was_meant_is_refused_before_its_bytes(self) -> None:
        wanted, other = "1" * 64, "2" * 64
        for tag in (f'"{other}"', f'W/"{other}"'):
            coming = self.fetch(if_match=wanted)
            response = self.agent.last.answer(200, Content_Length="5", ETag=tag)
            self.assertEqual(self.failureResultOf(coming, Refused).value.status, 412)
            self.assertTrue(response.left)
        self.assertEqual(self.sink.heads, [])

    def test_a_tag_that_names_no_other_content_is_none_to_judge_by(self) -> None:
        wanted = "1" * 64
        for tag in (f'"{wanted}"', '"5f3-1a2b"', "2" * 64):
            self.fetch(if_match=wanted)
            self.agent.last.answer(200, Content_Length="5", ETag=tag)
            self.assertEqual(self.sink.heads[-1].etag, tag)

    def test_without_a_length_the_end_of_the_answer_is_the_end(self) -> None:
        coming = self.fetch()
        response = self.agent.last.answer(200)
        response.send(b"abc")
        response.end()
        self.assertEqual(self.successResultOf(coming).size, None)
        self.assertEqual(self.sink.data, b"abc")

    def test_other_statuses_are_refusals_and_their_bodies_unread(self) -> None:
        for status in (204, 206, 301, 304, 403, 404, 416, 500, 503):
            coming = self.fetch()
            response = self.agent.last.answer(status, Content_Length="1000000")
            failure = self.failureResultOf(coming, Refused)
            self.assertEqual(failure.value.status, status)
            self.assertTrue(response.left)
            self.assertQuiet()
        self.assertEqual(self.sink.heads, [])

    def test_one_that_is_busy_says_for_how_long(self) -> None:
        for status, value, seconds in (
            (429, "30", 30.0),
            (503, "30", 30.0),
            (404, "30", None),
            (503, "soon", None),
            (429, "1" * 300, None),
            (503, "Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ):
            coming = self.fetch()
            self.agent.last.answer(status, Retry_After=value)
            failure = self.failureResultOf(coming, Refused)
            self.assertEqual(failure.value.retry_after, seconds)

    def test_another_range_than_was_asked_for_is_broken(self) -> None:
        for place, length in (
            ("bytes 2-4/5", "3"),
            ("bytes 3-3/5", "1"),
            ("bytes 3-4/5", "3"),
            ("bytes */5", "2"),
            ("nonsense", "2"),
            ("", "2"),
        ):
            coming = self.fetch(start=3)
            response = self.agent.last.answer(206, Content_Range=place, Content_Length=length)
            self.failureResultOf(coming, Broken)
            self.assertTrue(response.left, place)

    def test_a_length_that_is_none_is_broken(self) -> None:
        for length in ("-1", "9" * 16):
            coming = self.fetch()
            self.agent.last.answer(200, Content_Length=length)
            self.failureResultOf(coming, Broken)


class StrangeHeaders(FetchTestCase):
    """What a head says is text before anybody here reads it."""

    STRANGE = (b"\xff", "Grüße".encode("latin-1"), "Grüße".encode(), b"a\0b", b"x" * 300)

    def answer(self, code: int, name: bytes, value: bytes) -> FakeResponse:
        response = FakeResponse(code, Headers({name: [value]}), 5)
        self.agent.last.deferred.callback(response)
        return response

    def test_one_that_is_none_fails_this_source_alone(self) -> None:
        for value in self.STRANGE:
            for name in (b"Last-Modified", b"ETag"):
                coming = self.fetch()
                response = self.answer(200, name, value)
                self.failureResultOf(coming, Broken)
                self.assertTrue(response.left)
                self.assertQuiet()

    def test_a_range_that_is_none_too(self) -> None:
        for value in self.STRANGE:
            coming = self.fetch(start=3)
            self.answer(206, b"Content-Range", value)
            self.failureResultOf(coming, Broken)

    def test_others_are_nobodys_business(self) -> None:
        coming = self.fetch()
        response = self.answer(200, b"Server", b"\xff\xfe")
        response.send(b"abcde")
        response.end()
        self.successResultOf(coming)

    def test_what_is_told_of_an_error_is_short_and_printable(self) -> None:
        coming = self.fetch()
        self.agent.last.fail(ValueError("\x1b[2J\n" + "x" * 10_000))
        told = str(self.failureResultOf(coming, Broken).value)
        self.assertTrue(told.isprintable())
        self.assertLess(len(told), 300)


class Failures(FetchTestCase):
    def test_what_agent_raises_tells_whose_fault_it_is(self) -> None:
        done = Failure(error.ConnectionDone())
        for raised, expected in (
            (error.ConnectionRefusedError(), Unreachable),
            (error.TimeoutError(), Unreachable),
            (error.DNSLookupError(), Unreachable),
            (error.NoRouteError(), Unreachable),
            (SchemeNotSupported("ftp"), Unreachable),
            (ResponseNeverReceived([done]), Broken),
            (ResponseFailed([done]), Broken),
            (ValueError("what a parser met"), Broken),
        ):
            coming = self.fetch()
            self.agent.last.fail(raised)
            self.failureResultOf(coming, expected)
            self.assertQuiet()

    def test_what_a_library_raises_is_told_in_words_of_a_persons(self) -> None:
        lost = Failure(error.ConnectionLost())
        untrusted = Exception([("SSL routines", "", "certificate verify failed")])
        for raised, said in (
            (error.ConnectionRefusedError("111"), "refused the connection"),
            (error.TCPTimedOutError(110), "did not answer in time"),
            (error.DNSLookupError("no results"), "has a name that cannot be looked up"),
            (error.ConnectError(101), "cannot be reached: Network is unreachable"),
            (ResponseNeverReceived([lost]), "lost the connection"),
            (ResponseFailed([]), "gave no answer"),
            (
                ResponseNeverReceived([Failure(untrusted)]),
                "cannot be talked to over TLS: certificate verify failed",
            ),
            (ValueError("what a parser met"), "ValueError: what a parser met"),
        ):
            coming = self.fetch()
            self.agent.last.fail(raised)
            self.assertEqual(self.failureResultOf(coming, SourceError).value.detail, said)

    def test_a_sink_that_refuses_the_head_ends_it(self) -> None:
        for raised in (Broken("s", "other size"), StoreError("/x", "no room")):
            self.sink.refuse_head = raised
            coming = self.fetch()
            response = self.agent.last.answer(200, Content_Length="5")
            self.assertIs(self.failureResultOf(coming).value, raised)
            self.assertTrue(response.left)


class Silence(FetchTestCase):
    def test_no_answer_in_time_is_a_stall(self) -> None:
        coming = self.fetch()
        self.clock.advance(LIMITS.first_byte - 0.1)
        self.assertNoResult(coming)
        self.clock.advance(0.2)
        self.failureResultOf(coming, Stalled)
        self.assertQuiet()


class Cancelling(FetchTestCase):
    def test_before_the_answer(self) -> None:
        coming = self.fetch()
        coming.cancel()
        self.failureResultOf(coming, CancelledError)
        self.assertQuiet()

    def test_whatever_agent_makes_of_it(self) -> None:
        for made in (
            error.ConnectingCancelledError(IPv4Address("TCP", "h", 1)),
            ResponseFailed([]),
        ):
            coming = self.fetch()
            asked = self.agent.last.deferred
            asked._canceller = lambda deferred, made=made: deferred.errback(made)
            coming.cancel()
            self.failureResultOf(coming, CancelledError)
            self.assertQuiet()


class Mute(protocol.Protocol):
    """Answers what it was made for, and then no more."""

    def dataReceived(self, data: bytes) -> None:
        assert isinstance(self.factory, MuteFactory)
        assert self.transport is not None
        self.transport.write(self.factory.answer)

    def connectionMade(self) -> None:
        assert isinstance(self.factory, MuteFactory)
        self.factory.connections.append(self)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        assert isinstance(self.factory, MuteFactory)
        self.factory.lost += 1


class MuteFactory(protocol.ServerFactory):
    protocol = Mute
    noisy = False

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.lost = 0
        self.connections: list[Mute] = []


@implementer(IPolicyForHTTPS)
class _Anything:
    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:  # noqa: N802
        return ssl.optionsForClientTLS(hostname.decode(), trustRoot=CERTIFICATE)


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"


#: Seconds for a first byte that comes, on a machine that does other things as well.
PATIENCE = 10.0


class RealConnections(TestCase):
    """With the real Agent, whose own ways of ending a request differ from a fake's."""

    def serve(self, answer: bytes, *, tls: bool = False) -> int:
        self.factory = MuteFactory(answer)
        if tls:
            port = reactor.listenSSL(  # type: ignore[attr-defined]
                0, self.factory, CERTIFICATE.options(), interface="127.0.0.1"
            )
        else:
            port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(self.disconnect)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def disconnect(self) -> None:
        for connection in self.factory.connections:
            if connection.transport is not None:
                connection.transport.abortConnection()  # type: ignore[attr-defined]
        await deferLater(reactor, 0.01)

    def fetch(
        self,
        url: str,
        stall: float = 0.2,
        *,
        sink: Kept | None = None,
        first_byte: float = PATIENCE,
    ) -> Deferred[Head]:
        agent: Any
        pool: Any
        if url.startswith("https"):
            agent, pool = mirror_agent(reactor, 1.0, "")
        else:
            agent, pool = peer_agent(reactor, 1.0)
        self.addCleanup(pool.closeCachedConnections)
        limits = Limits(first_byte=first_byte, stall=stall)
        return ensureDeferred(fetch(agent, reactor, Wanted(url, "s"), sink or Kept(), limits))

    async def test_no_answer_in_time_is_a_stall(self) -> None:
        port = self.serve(b"")
        with self.assertRaises(Stalled):
            await self.fetch(f"http://127.0.0.1:{port}/x", first_byte=0.2)

    async def test_each_connection_tells_how_far_away_its_host_is(self) -> None:
        port = self.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
        met: list[tuple[str, float]] = []
        agent, pool = peer_agent(reactor, 1.0, lambda *one: met.append(one))
        self.addCleanup(pool.closeCachedConnections)
        wanted, limits = Wanted(f"http://127.0.0.1:{port}/x", "s"), Limits(2.0, 2.0)
        for _ in range(2):
            await fetch(agent, reactor, wanted, Kept(), limits)
        [(host, seconds)] = met
        self.assertEqual(host, "127.0.0.1")
        self.assertTrue(0 < seconds < 0.1, seconds)

    async def test_a_kept_connection_is_read_again_whoever_had_no_room_for_its_last_answer(
        self,
    ) -> None:
        port = self.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
        agent, pool = peer_agent(reactor, 1.0)
        self.addCleanup(pool.closeCachedConnections)
        wanted, limits = Wanted(f"http://127.0.0.1:{port}/x", "s"), Limits(2.0, 2.0)
        sinks = [Slow() for _ in range(3)]
        for sink in sinks:
            await fetch(agent, reactor, wanted, sink, limits)
        self.assertEqual([sink.data for sink in sinks], [b"abc"] * 3)
        self.assertEqual(len(self.factory.connections), 1)
        for sink in sinks:
            sink.rooms[0].callback(None)

    async def test_a_real_body_waits_for_room(self) -> None:
        port = self.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000_000))
        sink = Slow()
        coming = self.fetch(f"http://127.0.0.1:{port}/x", sink=sink)
        await deferLater(reactor, 0.5)
        # What came with the head, and one read.
        self.assertLessEqual(len(sink.rooms), 2)
        while not coming.called:
            if not sink.rooms[-1].called:
                sink.rooms[-1].callback(None)
            await deferLater(reactor, 0)
        await coming
        self.assertEqual(len(sink.data), 2_000_000)

    async def test_a_cancelled_request_is_not_the_sources_fault(self) -> None:
        port = self.serve(b"")
        coming = self.fetch(f"http://127.0.0.1:{port}/x", stall=10)
        await deferLater(reactor, 0.05)
        coming.cancel()
        with self.assertRaises(CancelledError):
            await coming

    async def test_a_body_that_stops_over_tls_is_a_stall_and_the_connection_ended(self) -> None:
        self.patch(mirrors, "BrowserLikePolicyForHTTPS", _Anything)
        port = self.serve(HALF, tls=True)
        # A server that hears no farewell, as one behind a dead link.
        coming = self.fetch(f"https://localhost:{port}/x", stall=0.5)
        await deferLater(reactor, 0.2)
        for connection in self.factory.connections:
            assert connection.transport is not None
            connection.transport.pauseProducing()  # type: ignore[attr-defined]
        with self.assertRaises(Stalled):
            await coming.addTimeout(3, reactor)

    async def test_what_lies_ready_when_there_is_enough_is_nobodys_fault(self) -> None:
        sink = Sated()
        size = 60_000
        port = self.serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, bytes(size)))
        head = await self.fetch(f"http://127.0.0.1:{port}/x", sink=sink)
        self.assertEqual((head.size, len(sink.writes)), (size, 1))
        self.assertLess(len(sink.data), size)

    async def test_a_refused_connection_is_unreachable(self) -> None:
        port: Any = reactor.listenTCP(0, protocol.ServerFactory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        with self.assertRaises(Unreachable):
            await self.fetch(f"http://127.0.0.1:{number}/x")

    async def test_what_is_not_http_is_broken(self) -> None:
        port = self.serve(b"220 mail.example ESMTP\r\n\r\n")
        with self.assertRaises(SourceError) as caught:
            await self.fetch(f"http://127.0.0.1:{port}/x")
        self.assertIsInstance(caught.exception, Broken)
