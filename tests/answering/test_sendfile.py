"""Bodies to real clients: slow, leaving, and of files that still grow, by either way of sending."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet import protocol, reactor, ssl, tcp
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.http import Request

from flocon.answering import held, sendfile
from flocon.answering.held import send_extent, watched
from flocon.answering.respond import respond
from flocon.extents import Extent
from flocon.serving import site
from flocon.serving.site import Site
from tests.certificate import CERTIFICATE

#: More than both kernels' buffers take.
SIZE = 24_000_000
DATA = os.urandom(SIZE)


class Growing:
    """A file of which as much may go as the test says."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        self.limit = SIZE
        self.sent = 0
        #: How much had been sent before anybody else's turn, of what is small.
        self.at_once = 0
        #: What was told of there being something to take, and of what was taken, last.
        self.told: list[bool | int] = []
        self.begun: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.poke: Callable[[], None] = lambda: None
        self.abort: Callable[[], None] = lambda: None

    def render(self, request: Request) -> None:
        if request.path == b"/small":
            request.setHeader("Content-Length", "2")
            request.write(b"ok")
            request.finish()
            return
        request.setHeader("Content-Length", str(SIZE))
        respond(request, self.answer(request))

    async def answer(self, request: Request) -> None:
        try:
            await send_extent(
                request,
                Extent(0, SIZE),
                fileno=self.file.fileno,
                limit=watched(lambda _: self.limit, self.told.append),
                sent=self.count,
                attach=self.attach,
            )
        finally:
            self.ended.callback(None)

    def count(self, number: int) -> None:
        self.sent += number
        self.told.append(number)

    def attach(self, poke: Callable[[], None], abort: Callable[[], None]) -> None:
        self.poke, self.abort = poke, abort
        self.begun.callback(None)

    def grow(self, limit: int) -> None:
        self.limit = limit
        self.poke()


class Client(protocol.Protocol):
    """Reads one answer, and tells when it has so much of it."""

    def __init__(self) -> None:
        self.lost = False
        self._wanted: tuple[int, Deferred[None]] | None = None
        self.chunks: list[bytes] = []
        self.length = 0

    def dataReceived(self, data: bytes) -> None:
        self.chunks.append(data)
        self.length += len(data)
        self._look()

    @property
    def everything(self) -> bytes:
        self.chunks = [b"".join(self.chunks)]
        return self.chunks[0]

    @property
    def body(self) -> bytes:
        return self.everything.partition(b"\r\n\r\n")[2]

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        self.lost = True
        self._look()

    def _look(self) -> None:
        if self._wanted is None:
            return
        count, deferred = self._wanted
        if self.lost or (self.length >= count and len(self.body) >= count):
            self._wanted = None
            deferred.callback(None)

    def has(self, count: int) -> Deferred[None]:
        """Wait for ``count`` bytes of body, or the end of the connection."""
        deferred: Deferred[None] = Deferred()
        self._wanted = (count, deferred)
        self._look()
        return deferred


class Sending:
    """What must hold of either way; a mixin of the two below."""

    tls = False
    transport: Any
    sender: type[sendfile.Sender]

    def setUp(self) -> None:
        path = Path(self.mktemp())  # type: ignore[attr-defined]
        path.write_bytes(DATA)
        self.files = Growing(path)
        self.test.addCleanup(self.files.file.close)
        face: Any = Site(reactor, self.files, most_connections=100)
        self.site: Any = face
        if self.tls:
            port: Any = reactor.listenSSL(0, face, CERTIFICATE.options(), interface="127.0.0.1")  # type: ignore[attr-defined]
        else:
            port = reactor.listenTCP(0, face, interface="127.0.0.1")
        self.test.addCleanup(port.stopListening)
        self.port = port.getHost().port

    @property
    def test(self) -> TestCase:
        assert isinstance(self, TestCase)
        return self

    async def connect(self, *paths: str) -> Client:
        client = Client()
        creator = protocol.ClientCreator(reactor, lambda: client)
        if self.tls:
            options = ssl.optionsForClientTLS("localhost", trustRoot=CERTIFICATE)
            await creator.connectSSL("127.0.0.1", self.port, options)
        else:
            await creator.connectTCP("127.0.0.1", self.port)
        self.transport = client.transport
        self.test.addCleanup(self.hang_up)
        for path in paths or ("/",):
            self.transport.write(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        return client

    async def hang_up(self) -> None:
        if self.transport.connected:
            self.transport.abortConnection()
        await self.turns()

    async def turns(self) -> None:
        """Let the reactor go round some times."""
        await deferLater(reactor, 0.02)

    async def test_a_whole_file_arrives(self) -> None:
        made: list[sendfile.Sender] = []

        def sender(*arguments: Any, **keywords: Any) -> sendfile.Sender:
            made.append(sendfile.sender(*arguments, **keywords))
            return made[-1]

        self.test.patch(held, "sender", sender)
        client = await self.connect()
        await client.has(SIZE)
        self.test.assertTrue(client.body == DATA)
        self.test.assertEqual(self.files.sent, SIZE)
        self.test.assertEqual([type(one) for one in made], [self.sender])
        await self.files.ended

    async def test_a_client_that_pauses_holds_up_only_itself_and_gets_all(self) -> None:
        client = await self.connect()
        await client.has(100_000)
        self.transport.pauseProducing()
        sent = -1
        while sent != self.files.sent:
            # Both kernels' buffers fill up.
            sent = self.files.sent
            await self.turns()
        self.test.assertLess(sent, SIZE)
        self.transport.resumeProducing()
        await client.has(SIZE)
        self.test.assertTrue(client.body == DATA)

    async def test_a_client_that_leaves_ends_the_answer(self) -> None:
        client = await self.connect()
        await client.has(100_000)
        self.transport.abortConnection()
        await self.files.ended
        self.test.assertLess(self.files.sent, SIZE)
        self.files.poke()
        self.files.abort()

    async def test_a_client_that_leaves_while_there_is_nothing_to_send_ends_the_answer(
        self,
    ) -> None:
        self.files.limit = 10
        client = await self.connect()
        await client.has(10)
        self.transport.loseConnection()
        await self.files.ended

    async def test_a_client_that_takes_nothing_is_cut_off_and_its_answer_ended(self) -> None:
        self.test.patch(site, "STANDSTILL_SECONDS", 0.3)
        client = await self.connect()
        await client.has(100_000)
        self.transport.pauseProducing()
        await self.files.ended
        self.test.assertLess(self.files.sent, SIZE)

    async def test_a_client_that_sips_is_not_cut_off(self) -> None:
        self.test.patch(site, "STANDSTILL_SECONDS", 2.0)
        client = await self.connect()
        await client.has(100_000)
        self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        for _ in range(15):
            self.transport.pauseProducing()
            await deferLater(reactor, 0.2)
            self.transport.resumeProducing()
            await client.has(client.length + 10_000)
        self.test.assertFalse(self.files.ended.called)
        self.test.assertLess(self.files.sent, SIZE)
        await client.has(SIZE)
        self.test.assertTrue(client.body == DATA)

    async def test_a_file_that_grows_slowly_is_not_the_clients_fault(self) -> None:
        # In which a client of a busy machine gets a processor.
        self.test.patch(site, "STANDSTILL_SECONDS", 1.0)
        self.files.limit = 10
        client = await self.connect()
        await client.has(10)
        await deferLater(reactor, 2.5)
        self.files.grow(SIZE)
        await client.has(SIZE)
        self.test.assertTrue(client.body == DATA)

    async def test_nothing_goes_beyond_the_limit(self) -> None:
        self.files.limit = 0
        client = await self.connect()
        await self.files.begun
        for limit in (10, 11, 70_000, 5_000_000):
            self.files.grow(limit)
            await client.has(limit)
            await self.turns()
            self.test.assertTrue(client.body == DATA[:limit])
        self.files.grow(SIZE)
        await client.has(SIZE)
        self.test.assertTrue(client.body == DATA)
        await self.files.ended

    async def test_the_head_goes_out_before_the_first_byte(self) -> None:
        self.files.limit = 0
        client = await self.connect()
        await self.files.begun
        await self.turns()
        self.test.assertTrue(client.everything.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.test.assertTrue(client.everything.endswith(b"\r\n\r\n"))

    async def test_a_limit_that_rises_at_once_needs_no_second_poke(self) -> None:
        self.files.limit = 0
        client = await self.connect()
        await self.files.begun
        self.files.grow(SIZE)
        await client.has(SIZE)
        self.test.assertTrue(client.body == DATA)

    async def test_an_aborted_answer_is_cut(self) -> None:
        self.files.limit = 1000
        client = await self.connect()
        await client.has(1000)
        self.files.abort()
        await client.has(SIZE)
        self.test.assertTrue(client.lost)
        self.test.assertTrue(client.body == DATA[:1000])
        await self.files.ended
        self.files.grow(SIZE)

    async def test_the_connection_serves_the_next_request(self) -> None:
        client = await self.connect("/", "/small")
        await client.has(SIZE + 10)
        self.test.assertTrue(client.body.startswith(DATA))
        await self.turns()
        self.test.assertTrue(client.body.endswith(b"\r\n\r\nok"))


class TurnTests(SynchronousTestCase):
    """For how long one answer is sent before others have their turn."""

    def calls_in_a_turn(self, seconds_of_a_call: float) -> int:
        """Return how often the kernel is asked for 5 MiB of which it takes 256 KiB at a time."""
        calls: list[int] = []
        self.patch(
            sendfile, "time", SimpleNamespace(perf_counter=lambda: len(calls) * seconds_of_a_call)
        )

        def take(*_: int) -> int:
            calls.append(1)
            return 256 << 10

        self.patch(sendfile, "os", SimpleNamespace(sendfile=take))
        transport = SimpleNamespace(
            fileno=lambda: 1,
            write=lambda _: None,
            startWriting=lambda: None,
            unregisterProducer=lambda: None,
            registerProducer=lambda *_: None,
        )
        request: Any = SimpleNamespace(
            channel=SimpleNamespace(transport=transport), write=lambda _: None
        )
        sender = sendfile._KernelSender(
            request, 0, 5 << 20, fileno=lambda: 2, limit=lambda _: 4 << 20, sent=lambda _: None
        )
        sender._send()
        self.assertEqual(sender.position, len(calls) * (256 << 10))
        return len(calls)

    def test_a_client_that_takes_much_gets_it_in_one(self) -> None:
        self.assertEqual(self.calls_in_a_turn(0.0), 16)

    def test_one_that_takes_long_lets_others_go_on(self) -> None:
        self.assertEqual(self.calls_in_a_turn(sendfile.TURN / 4), 4)
        self.assertEqual(self.calls_in_a_turn(1.0), 1)


class Watched(Growing):
    """Of whose readers it is watched what they take."""

    async def answer(self, request: Request) -> None:
        with sendfile.little_unsent(request):
            await super().answer(request)


class Small(Growing):
    """Of which little is asked."""

    size = 1_000

    def render(self, request: Request) -> None:
        request.setHeader("Content-Length", str(self.size))
        respond(request, self.answer(request))
        self.at_once = self.sent

    async def answer(self, request: Request) -> None:
        await send_extent(
            request,
            Extent(0, self.size),
            fileno=self.file.fileno,
            limit=lambda _: self.size,
            sent=self.count,
        )


class ByTheKernel(Sending, TestCase):
    sender = sendfile._KernelSender

    async def small(self, size: int) -> None:
        """Ask for two small answers, one sent ahead, and look when the second was sent."""
        self.files.__class__ = type("OneOf", (Small,), {"size": size})
        client = await self.connect("/a", "/b")
        await client.has(size)
        self.assertTrue(client.body.startswith(DATA[:size]))
        while client.length < 2 * size or not client.everything.endswith(DATA[:size]):
            await self.turns()
        self.assertEqual(self.files.sent, 2 * size)
        self.assertEqual(self.files.at_once, 2 * size)

    async def test_what_is_small_is_sent_in_the_turn_it_is_asked_in(self) -> None:
        await self.small(1_000)

    async def test_the_most_that_is_small_is_so_too(self) -> None:
        await self.small(sendfile.AT_ONCE)

    async def test_what_is_not_takes_turns(self) -> None:
        self.files.__class__ = type("Larger", (Small,), {"size": sendfile.AT_ONCE + 1})
        client = await self.connect()
        await client.has(sendfile.AT_ONCE + 1)
        self.assertEqual(self.files.at_once, 0)

    async def test_what_the_kernel_does_not_take_of_it_follows(self) -> None:
        asked: list[int] = []

        def take_little(target: int, source: int, start: int, count: int) -> int:
            asked.append(count)
            if not len(asked) % 2:
                raise BlockingIOError
            return os.sendfile(target, source, start, min(count, 10_000))

        self.patch(sendfile, "os", SimpleNamespace(sendfile=take_little))
        self.files.__class__ = type("Few", (Small,), {"size": sendfile.AT_ONCE})
        client = await self.connect("/a")
        await client.has(sendfile.AT_ONCE)
        self.assertIn(self.files.at_once, range(10_000, sendfile.AT_ONCE))
        self.assertTrue(client.body == DATA[: sendfile.AT_ONCE])

    async def test_between_two_pieces_the_transport_sends_nothing(self) -> None:
        written: list[int] = []
        write_some = tcp.Connection.writeSomeData

        def write(connection: Any, data: bytes) -> Any:
            if connection.getHost().port == self.port:
                written.append(len(data))
            return write_some(connection, data)

        self.patch(tcp.Connection, "writeSomeData", write)
        client = await self.connect("/", "/small")
        await client.has(SIZE + 10)
        # The two heads, the one small body, and that there is no more of each.
        self.assertLessEqual(len(written), 5)

    async def test_who_is_cut_off_amid_an_answer_is_sent_no_more(self) -> None:
        client = await self.connect()
        await client.has(100_000)
        self.transport.pauseProducing()
        await self.turns()
        (channel,) = self.site._channels
        channel.end()
        await self.files.ended
        self.files.poke()
        self.transport.resumeProducing()
        await client.has(SIZE)
        self.assertTrue(client.lost)
        self.assertLess(len(client.body), SIZE)

    async def test_what_somebody_writes_beside_it_is_not_lost(self) -> None:
        self.files.limit = 1_000_000
        client = await self.connect()
        await client.has(1_000_000)
        (channel,) = self.site._channels
        channel.transport.write(b"beside")
        await client.has(1_000_006)
        self.files.grow(SIZE)
        await client.has(SIZE + 6)
        self.assertTrue(client.body == DATA[:1_000_000] + b"beside" + DATA[1_000_000:])

    async def test_whose_turn_it_is_is_told(self) -> None:
        self.files.limit = 0
        client = await self.connect()
        await self.files.begun
        await self.turns()
        self.assertEqual(set(self.files.told), {False})
        self.transport.pauseProducing()
        sent = -1
        self.files.grow(SIZE)
        while sent != self.files.sent:
            sent = self.files.sent
            await self.turns()
        # It took what the kernel takes, and nothing has lacked since.
        first = self.files.told.index(True)
        self.assertNotIn(False, self.files.told[first:])
        self.assertLess(sent, SIZE)
        self.transport.resumeProducing()
        await client.has(SIZE)
        self.assertTrue(client.body == DATA)

    async def test_what_a_watched_client_does_not_take_is_hardly_counted_as_sent(self) -> None:
        self.files.__class__ = Watched
        self.files.limit = 0
        client = await self.connect()
        await self.files.begun
        self.transport.pauseProducing()
        sent = -1
        self.files.grow(SIZE)
        while sent != self.files.sent:
            sent = self.files.sent
            await self.turns()
        # What its machine takes, and what is on the way to it; else it is some megabytes.
        self.assertLess(sent, 256 << 10)
        self.transport.resumeProducing()
        await client.has(SIZE)
        self.assertTrue(client.body == DATA)


class ByCopying(Sending, TestCase):
    sender = sendfile._CopySender
    tls = True
