"""Whatever a server sends, its answer has bounds, and writes no line."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import protocol, reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web._newclient import Request, ResponseFailed
from twisted.web.client import ResponseDone, readBody
from twisted.web.http_headers import Headers

from flocon.asking.agents import peer_agent
from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted, fetch
from flocon.asking.mirrors import mirror_agent
from flocon.connections.answers import (
    IDLE_SECONDS,
    LONGEST_MIRROR_LINE,
    MOST_FIELDS,
    MOST_HEAD_BYTES,
    MOST_IDLE,
    MOST_INTERIM,
    MOST_MIRROR_FIELDS,
    MOST_MIRROR_HEAD_BYTES,
    ExcessError,
    MirrorPool,
    PeerPool,
)
from flocon.errors import Broken, SourceError
from tests.connections.floods import FloodFactory

OK = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Asked:
    """A connection in memory on which one request was sent."""

    def __init__(self, pool: type[MirrorPool | PeerPool], method: bytes = b"GET") -> None:
        self.kept: list[object] = []
        self.transport = StringTransport()
        self.connection: Any = pool(None)._factory(self.kept.append, "").buildProtocol(None)
        self.connection.makeConnection(self.transport)
        headers = Headers({"Host": ["h"]})
        self.answer: Deferred[Any] = self.connection.request(
            Request(method, b"/", headers, None, persistent=True)
        )

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.transport.disconnected:
                self.connection.dataReceived(piece)


class AnswersTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines: list[object] = []
        keep: Any = self.lines.append
        globalLogPublisher.addObserver(keep)
        self.addCleanup(globalLogPublisher.removeObserver, keep)

    def assertExcessive(self, asked: _Asked) -> None:
        failure = self.failureResultOf(asked.answer, ResponseFailed)
        self.assertTrue(failure.value.reasons[0].check(ExcessError))
        self.assertTrue(asked.transport.disconnected)
        self.assertEqual(self.lines, [])


class Heads(AnswersTestCase):
    def test_an_answer_comes_with_its_headers_and_the_connection_is_kept(self) -> None:
        asked = _Asked(PeerPool)
        asked.send(OK + b"Content-Length: 3\r\nETag: x\r\n\r\nabc")
        answer = self.successResultOf(asked.answer)
        self.assertEqual(answer.headers.getRawHeaders("ETag"), ["x"])
        self.assertEqual(self.successResultOf(readBody(answer)), b"abc")
        self.assertEqual(asked.kept, [asked.connection])

    def test_a_few_interim_answers_are_passed_over_without_a_line(self) -> None:
        asked = _Asked(PeerPool)
        asked.send(INTERIM * MOST_INTERIM + OK + b"Content-Length: 0\r\n\r\n")
        self.assertEqual(self.successResultOf(asked.answer).code, 200)
        self.assertEqual(self.lines, [])

    def test_interim_answers_without_end_end_it(self) -> None:
        asked = _Asked(MirrorPool)
        asked.send(INTERIM * 10_000)
        self.assertExcessive(asked)

    def test_interim_answers_one_at_a_time_end_it(self) -> None:
        asked = _Asked(MirrorPool)
        asked.send(*[INTERIM] * (MOST_INTERIM + 1))
        self.assertExcessive(asked)

    def test_fields_without_end_end_it(self) -> None:
        for pool, most in ((PeerPool, MOST_FIELDS), (MirrorPool, MOST_MIRROR_FIELDS)):
            for more in (b"a: b\r\n", b" \t.\r\n"):
                asked = _Asked(pool)
                asked.send(OK + b"a: b\r\n", *[more] * (most + 1))
                self.assertExcessive(asked)

    def test_fields_of_interim_answers_count_too(self) -> None:
        asked = _Asked(PeerPool)
        interim = b"HTTP/1.1 103 Early Hints\r\n" + b"a: b\r\n" * 40 + b"\r\n"
        asked.send(interim * 4)
        self.assertExcessive(asked)

    def test_a_head_of_many_bytes_ends_it(self) -> None:
        for pool, most, line in (
            (PeerPool, MOST_HEAD_BYTES, 16 << 10),
            (MirrorPool, MOST_MIRROR_HEAD_BYTES, LONGEST_MIRROR_LINE),
        ):
            for pieces in (
                [b"a: " + b"x" * 10_000 + b"\r\n"] * (most // 10_000 + 1),
                [b"a: b\r\n"] + [b" folded" * 100 + b"\r\n"] * (most // 700 + 1),
                [b"a: " + b"x" * (line + 1)],
            ):
                asked = _Asked(pool)
                asked.send(OK, *pieces)
                self.assertExcessive(asked)

    def test_of_a_mirror_all_is_taken_that_curl_takes(self) -> None:
        for head in (
            b"Content-Security-Policy: " + b"a" * 20_000 + b"\r\n",
            b"a: " + b"x" * (LONGEST_MIRROR_LINE - 10) + b"\r\n",
            b"".join(b"Set-Cookie: c%d=%s\r\n" % (at, b"b" * 3_900) for at in range(70)),
            b"".join(b"X-%d: 1\r\n" % at for at in range(1_000)),
            b"X-Note: one\r\n" + b" two\r\n" * 1_000,
        ):
            asked = _Asked(MirrorPool)
            asked.send(OK + head + b"Content-Length: 0\r\n\r\n")
            self.assertEqual(self.successResultOf(asked.answer).code, 200)

    def test_no_head_takes_long_however_it_is_made(self) -> None:
        """All of it may be read in one turn of the reactor."""
        most = MOST_MIRROR_HEAD_BYTES
        for head in (
            b"a:\n" * (most // 3),
            b"".join(b"%x:\n" % at for at in range(most // 6)),
            b"a: b\n" + b" \n" * (most // 2),
            b"a: b\n" + b" a\n" * (most // 3),
            b"a: b\n" + b"\t" * (most - 10),
            b"x" * most,
            (b"a: " + b"x" * (LONGEST_MIRROR_LINE - 9) + b"\n") * 3,
        ):
            # The best of some: what the tests before left behind may be collected meanwhile.
            took = min(self.processor_time(OK + head + b"\r\n\r\n") for _ in range(3))
            self.assertLess(took, 0.1, head[:20])

    def processor_time(self, data: bytes) -> float:
        """Return the seconds of a processor that it takes to read this as an answer's head."""
        asked = _Asked(MirrorPool)
        began = time.process_time()
        asked.answer.addErrback(lambda _: None)
        asked.send(data)
        return time.process_time() - began

    def test_a_status_that_is_none_ends_it(self) -> None:
        for status in (b"0", b"99", b"600", b"-200", b"2000000"):
            asked = _Asked(MirrorPool)
            asked.send(b"HTTP/1.1 " + status + b" OK\r\n\r\n")
            failure = self.failureResultOf(asked.answer, ResponseFailed)
            self.assertTrue(failure.value.reasons[0].check(ExcessError), status)

    def test_a_connection_that_speaks_without_being_asked_is_closed(self) -> None:
        asked = _Asked(PeerPool)
        asked.send(OK + b"Content-Length: 0\r\n\r\n", b"more")
        self.assertTrue(asked.transport.disconnected)
        self.assertEqual(self.lines, [])

    def test_what_follows_the_end_in_the_same_segment_is_nobodys(self) -> None:
        for head in (b"Content-Length: 0\r\n\r\n", b"Content-Length: 1\r\n\r\na"):
            asked = _Asked(PeerPool)
            asked.send(OK + head + OK * 500)
            self.assertEqual(self.successResultOf(asked.answer).code, 200)
        self.assertEqual(self.lines, [])


class Lengths(AnswersTestCase):
    def test_a_peer_has_to_say_how_long_its_answer_is(self) -> None:
        for head in (b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
            asked = _Asked(PeerPool)
            asked.send(OK + head)
            self.assertExcessive(asked)

    def test_an_answer_without_a_body_needs_none(self) -> None:
        for method, status in ((b"HEAD", b"200"), (b"GET", b"304"), (b"GET", b"204")):
            asked = _Asked(PeerPool, method)
            asked.send(b"HTTP/1.1 " + status + b" \r\n\r\n")
            self.assertEqual(self.successResultOf(asked.answer).code, int(status))

    def test_a_mirror_may_end_by_closing(self) -> None:
        asked = _Asked(MirrorPool)
        asked.send(OK + b"\r\nabc")
        body: list[bytes] = []
        reader = _Reader(body)
        self.successResultOf(asked.answer).deliverBody(reader)
        self.assertEqual(body, [b"abc"])


class Keeping(SynchronousTestCase):
    def test_idle_connections_to_all_have_one_bound(self) -> None:
        clock = Clock()
        pool = PeerPool(clock)
        transports = []
        for number in range(MOST_IDLE + 3):
            connection: Any = pool._factory(lambda _: None, "").buildProtocol(None)
            transports.append(StringTransport())
            connection.makeConnection(transports[-1])
            pool._putConnection(("http", f"h{number}", 80), connection)
        closed = [transport.disconnecting for transport in transports]
        self.assertEqual(closed, [True] * 3 + [False] * MOST_IDLE)
        self.assertEqual(len(pool._connections), MOST_IDLE)
        clock.advance(IDLE_SECONDS)
        self.assertTrue(all(transport.disconnecting for transport in transports))
        self.assertEqual(clock.getDelayedCalls(), [])


class _Reader(protocol.Protocol):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        self.reason = reason


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


class ChunkTests(AnswersTestCase):
    def read(self, *pieces: bytes) -> _Reader:
        self.asked = _Asked(MirrorPool)
        self.asked.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        reader = _Reader([])
        self.successResultOf(self.asked.answer).deliverBody(reader)
        self.asked.send(*pieces)
        return reader

    def test_chunks_of_a_segment_are_handed_on_as_one_piece(self) -> None:
        reader = self.read(chunk(b"abc") + chunk(b"de"), chunk(b"f") + b"0\r\n\r\n")
        self.assertEqual(reader.pieces, [b"abcde", b"f"])
        assert reader.reason is not None
        self.assertTrue(reader.reason.check(ResponseDone))
        self.assertEqual(self.asked.kept, [self.asked.connection])

    def test_chunks_of_one_byte_without_end_end_it(self) -> None:
        reader = self.read(chunk(b"a") * 100_000)
        assert reader.reason is not None
        self.assertTrue(reader.reason.check(ResponseFailed))
        self.assertTrue(self.asked.transport.disconnected)
        self.assertLess(sum(map(len, reader.pieces)), 5_000)
        self.assertEqual(self.lines, [])

    def test_long_words_beside_short_chunks_end_it(self) -> None:
        reader = self.read(*[chunk(b"a", b";" + b"x" * 900)] * 30)
        assert reader.reason is not None
        self.assertTrue(reader.reason.check(ResponseFailed))

    def test_large_chunks_go_on_without_end(self) -> None:
        reader = self.read(*[chunk(b"a" * 512)] * 20_000)
        self.assertIsNone(reader.reason)
        self.assertEqual(sum(map(len, reader.pieces)), 512 * 20_000)

    @settings(max_examples=50)
    @given(st.binary(max_size=3_000), st.lists(st.integers(1, 700), max_size=9))
    def test_however_it_is_cut_the_body_is_the_same(self, data: bytes, cuts: list[int]) -> None:
        text = b"".join(chunk(data[at : at + 100]) for at in range(0, len(data), 100))
        text += b"0\r\n\r\n"
        pieces = []
        for size in [*cuts, len(text)]:
            pieces.append(text[:size])
            text = text[size:]
        reader = self.read(*(piece for piece in pieces if piece))
        self.assertEqual(b"".join(reader.pieces), data)
        assert reader.reason is not None
        self.assertTrue(reader.reason.check(ResponseDone))


class _Nothing:
    def begin(self, head: object) -> None:
        pass

    def write(self, position: int, data: bytes) -> None:
        pass


class Floods(TestCase):
    """Over real sockets, which bring a quarter of a megabyte at once."""

    async def flood(self, beginning: bytes, again: bytes, *, mirror: bool) -> None:
        factory = FloodFactory(beginning, again)
        port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        agent: Any
        pool: Any
        agent, pool = mirror_agent(reactor, 1.0, "") if mirror else peer_agent(reactor, 1.0)
        self.addCleanup(pool.closeCachedConnections)
        wanted = Wanted(f"http://127.0.0.1:{port.getHost().port}/x", "s")
        lines: list[object] = []
        keep: Any = lines.append
        globalLogPublisher.addObserver(keep)
        began = time.process_time()
        try:
            await ensureDeferred(
                fetch(agent, reactor, wanted, _Nothing(), Limits(first_byte=5, stall=5))
            )
        finally:
            globalLogPublisher.removeObserver(keep)
            self.assertEqual(lines, [])
            # Of this process, which is both sides: far below what 5 s of it would take.
            self.assertLess(time.process_time() - began, 1.0)

    async def test_a_peer_that_floods_is_left(self) -> None:
        for beginning, again in (
            (b"", INTERIM * 4_000),
            (OK, b"a: b\r\n" * 10_000),
            (OK + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"a") * 10_000),
        ):
            with self.assertRaises(Broken):
                await self.flood(beginning, again, mirror=False)

    async def test_a_mirror_that_floods_is_left(self) -> None:
        for beginning, again in (
            (b"", INTERIM * 4_000),
            (OK, b"a: b\r\n" * 10_000),
            (OK + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"a") * 10_000),
        ):
            with self.assertRaises(SourceError):
                await self.flood(beginning, again, mirror=True)
