"""What is asked in admitted words is answered at once; all else goes the long way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import protocol, reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.serving.repeating import MOST_SLOW, PLAIN
from flocon.serving.site import IDLE_SECONDS, Site
from tests.faces.web import Exchange

if TYPE_CHECKING:
    from twisted.web.http import Request

    from flocon.serving.repeating import Repeating

WORDS = b"Host: localhost:19433\r\nUser-Agent: pacman/7.1.0\r\nAccept: */*\r\n"
SUM = "5a" * 32


def asking(path: bytes, words: bytes = WORDS) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + words + b"\r\n"


class Admits:
    """A face that admits whoever asks, and notes what it was asked."""

    def __init__(self) -> None:
        self.judged: list[bytes] = []
        self.repeated: list[tuple[bytes, bytes | None]] = []
        #: None where nothing is answered at once.
        self.answer: bytes | None = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nat"
        self.admits = True
        self.answers = True

    def render(self, request: Request) -> None:
        self.judged.append(request.uri)
        channel: Any = request.channel
        if self.admits:
            channel.admit(request)
        if not self.answers:
            return
        request.setHeader("Content-Length", "4")
        request.write(b"long")
        request.finish()

    def at_once(self, _: Repeating, path: bytes, content: bytes | None) -> bytes | None:
        if self.answer is not None:
            self.repeated.append((path, content))
        return self.answer


class RepeatingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.clock = Clock()
        self.face = Admits()
        site = Site(self.clock, self.face, most_connections=5, at_once=self.face.at_once)
        self.exchange = Exchange(site, "127.0.0.1", asking(b"/first"), "127.0.0.1")

    def test_the_first_is_judged(self) -> None:
        self.assertEqual((self.face.judged, self.face.repeated), ([b"/first"], []))

    def test_another_path_in_the_same_words_is_answered_at_once(self) -> None:
        self.exchange.again(asking(b"/second"))
        self.assertEqual(
            (self.face.judged, self.face.repeated), ([b"/first"], [(b"/second", None)])
        )
        self.assertEqual(self.exchange.raw, self.face.answer)

    def test_what_has_no_answer_at_once_is_judged(self) -> None:
        self.face.answer = None
        self.exchange.again(asking(b"/second"))
        self.assertEqual(self.face.judged, [b"/first", b"/second"])
        self.assertTrue(self.exchange.raw.endswith(b"\r\n\r\nlong"))

    def test_where_nothing_was_admitted_each_is_judged(self) -> None:
        self.begin()
        self.face.admits = False
        self.exchange.again(asking(b"/second", WORDS + b"X-Other: 1\r\n"))
        self.exchange.again(asking(b"/third", WORDS + b"X-Other: 1\r\n"))
        self.assertEqual(self.face.judged, [b"/first", b"/second", b"/third"])

    @given(st.integers(0, len(WORDS) - 1), st.binary(max_size=3))
    def test_other_words_are_judged(self, position: int, other: bytes) -> None:
        words = WORDS[:position] + other + WORDS[position + 1 :]
        if words == WORDS:
            return
        self.begin()
        self.exchange.again(asking(b"/second", words))
        self.assertEqual(self.face.repeated, [])

    def test_words_on_which_an_answer_depends_are_never_admitted(self) -> None:
        for word in (b"Range: bytes=4-", b"If-None-Match: *", b"Connection: close", b"Origin: x"):
            self.begin()
            for _ in range(2):
                self.exchange.again(asking(b"/second", WORDS + word + b"\r\n"))
            self.assertEqual(self.face.repeated, [], word)
            self.assertNotIn(word.partition(b":")[0], PLAIN)

    def test_the_content_that_is_meant_may_be_another_each_time(self) -> None:
        meant = WORDS + b'If-Match: "%b"\r\n'
        self.exchange.again(asking(b"/second", meant % (b"0" * 64)))
        self.exchange.again(asking(b"/third", meant % SUM.encode()))
        self.assertEqual(self.face.repeated[-1], (b"/third", SUM.encode()))

    def test_two_contents_in_one_request_are_judged(self) -> None:
        twice = WORDS + b'If-Match: "%b"\r\n' % SUM.encode() * 2
        for _ in range(3):
            self.exchange.again(asking(b"/second", twice))
        self.assertEqual(self.face.repeated, [])

    def test_a_content_said_in_other_words_is_judged_each_time(self) -> None:
        for said in (b'if-match: "%b"', b'If-Match: W/"%b"', b'If-Match: "%b", "x"'):
            self.begin()
            words = WORDS + said % SUM.encode() + b"\r\n"
            for _ in range(2):
                self.exchange.again(asking(b"/second", words))
            self.assertEqual(self.face.repeated, [], said)

    def test_words_that_go_on_in_another_line_are_judged(self) -> None:
        meant = b'If-Match: "%b"\r\n x\r\n' % SUM.encode()
        for _ in range(2):
            self.exchange.again(asking(b"/second", WORDS + meant))
        self.exchange.again(asking(b"/third", WORDS + b" x\r\n"))
        self.assertEqual(self.face.repeated, [])

    def test_an_empty_line_between_requests_is_read_over_each_time(self) -> None:
        for path in (b"/second", b"/third", b"/fourth"):
            self.exchange.again(b"\r\n")
            self.exchange.again(asking(path))
            self.assertEqual(self.exchange.raw[:12], b"HTTP/1.1 200", path)

    def test_a_request_in_pieces_is_judged(self) -> None:
        whole = asking(b"/second")
        for position in range(1, len(whole)):
            self.begin()
            self.exchange.again(whole[:position])
            self.exchange.again(whole[position:])
            self.assertEqual(self.face.judged, [b"/first", b"/second"], whole[:position])

    def test_several_sent_ahead_are_answered_in_their_order(self) -> None:
        self.exchange.again(asking(b"/second") + asking(b"/third"))
        self.clock.advance(1)
        self.clock.advance(1)
        self.assertEqual(self.face.judged, [b"/first", b"/second", b"/third"])

    def test_another_method_is_judged(self) -> None:
        self.exchange.again(asking(b"/second").replace(b"GET", b"HEAD"))
        self.exchange.again(asking(b"/third").replace(b"HTTP/1.1", b"HTTP/1.0"))
        self.assertEqual(self.face.repeated, [])

    def test_one_that_waits_for_its_answer_is_not_overtaken(self) -> None:
        self.face.answers = False
        self.exchange.again(asking(b"/second", WORDS + b"X-Other: 1\r\n"))
        self.exchange.again(asking(b"/third"))
        self.assertEqual((self.exchange.raw, self.face.repeated), (b"", []))

    def test_a_connection_that_repeats_is_not_idle(self) -> None:
        self.clock.advance(IDLE_SECONDS - 1)
        self.exchange.again(asking(b"/second"))
        self.clock.advance(IDLE_SECONDS - 1)
        self.assertFalse(self.exchange.cut)
        self.clock.advance(2)
        self.assertTrue(self.exchange.cut)


class Collecting(protocol.Protocol):
    """Takes nothing until it is let, then everything."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = bytearray()
        self.done: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(asking(b"/first"))

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        self.data += data
        if self.data.endswith(b"\r\n\r\nlong"):
            self.data.clear()
            transport.write(asking(b"/second"))
        elif len(self.data) >= self.size and not self.done.called:
            self.done.callback(bytes(self.data))


class SlowTests(SynchronousTestCase):
    def test_where_many_take_little_the_next_are_judged(self) -> None:
        clock, face = Clock(), Admits()
        site = Site(clock, face, most_connections=9_999, at_once=face.at_once)
        slow = [Exchange(site, "127.0.0.1", asking(b"/first"), "::1") for _ in range(MOST_SLOW)]
        other = Exchange(site, "127.0.0.1", asking(b"/first"), "::1")
        for one in slow:
            one.again(asking(b"/second"))
            one.transport.dataBuffer = b"rest"  # type: ignore[attr-defined]  # as a real one has it
        self.assertEqual(len(face.repeated), MOST_SLOW)
        other.again(asking(b"/second"))
        self.assertEqual(len(face.repeated), MOST_SLOW)
        slow[0].transport.dataBuffer = b""  # type: ignore[attr-defined]
        other.again(asking(b"/third"))
        self.assertEqual(len(face.repeated), MOST_SLOW + 1)
        other.transport.dataBuffer = b"rest"  # type: ignore[attr-defined]
        slow[0].again(asking(b"/third"))
        self.assertEqual(len(face.repeated), MOST_SLOW + 1)
        slow[1].leave()
        slow[0].again(asking(b"/third"))
        self.assertEqual(len(face.repeated), MOST_SLOW + 2)


class Wire(TestCase):
    async def test_all_of_an_answer_arrives_that_the_kernel_does_not_take_at_once(self) -> None:
        face = Admits()
        face.answer = bytes(range(256)) * 100_000
        site = Site(reactor, face, most_connections=5, at_once=face.at_once)
        listening: Any = reactor
        port = listening.listenTCP(0, site, interface="127.0.0.1")
        client = Collecting(len(face.answer))
        connecting: Any = protocol.ClientFactory()
        connecting.noisy = False
        connecting.buildProtocol = lambda _: client
        listening.connectTCP("127.0.0.1", port.getHost().port, connecting)
        self.assertEqual(await client.done, face.answer)
        client.transport.loseConnection()  # type: ignore[union-attr]
        site.end()
        await port.stopListening()
