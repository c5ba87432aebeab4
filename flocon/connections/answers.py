"""Answers to what this node asks, within bounds: twisted.web's client, for strangers.

What a server sends before, around and after a body is bounded here, in bytes and in number, and no
line is written for it. twisted.web itself bounds a line of a head, but not how many there are, nor
answers like 100 (Continue), of which each is a line in the log. What breaks a bound ends as
whatever is not HTTP does, and the connection is closed without a farewell.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import succeed
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, HTTPClientParser, ParseError
from twisted.web.client import HTTPConnectionPool
from twisted.web.http import _ChunkedTransferDecoder

from flocon.connections.kept import Kept, is_led_astray, seconds_asleep

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall
    from twisted.web.iweb import IResponse

#: Bytes and lines of a peer's head, with those of the answers that go before it.
MOST_HEAD_BYTES = 32 << 10
MOST_FIELDS = 128
#: The same of a mirror's, and bytes of each line: what curl takes for pacman (7.88, measured), but
#: for the lines, which it does not count. Most have 1 KiB; policies and cookies may have tens.
MOST_MIRROR_HEAD_BYTES = 300 << 10
MOST_MIRROR_FIELDS = 4_096
LONGEST_MIRROR_LINE = 100 << 10
#: Answers like 100 and 103 before the one that counts.
MOST_INTERIM = 8
#: Bytes of a head that are parsed in one go: twisted.web's time grows with the square of them.
PIECE = 2 << 10
#: Bytes around chunks: so many, and a quarter of what is in them. Chunks of mirrors have some KiB.
MOST_FRAMING = 16 << 10
FRAMING_SHARE = 4
#: Idle connections kept to one peer or mirror; pacman has five files at a time.
PERSISTENT_CONNECTIONS = 6
#: Idle connections kept to all of them: each is a descriptor, and whoever answers decides.
MOST_IDLE = 48
#: Seconds an idle connection is kept; below the 60 s after which our own faces close it.
IDLE_SECONDS = 45


class ExcessError(ParseError):
    """An answer that is more than its bounds allow."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, b"")


class _Chunks(_ChunkedTransferDecoder):
    """A chunked body, handed on by the piece that came and not by the chunk."""

    def __init__(self, take: Callable[[bytes], None], finish: Callable[[bytes], None]) -> None:
        self._take = take
        self._finish = finish
        self._pieces: list[bytes] = []
        self._received = 0
        self._body = 0
        super().__init__(self._keep, self._end)

    def dataReceived(self, data: bytes) -> None:
        self._received += len(data)
        super().dataReceived(data)
        self._flush()

    def _keep(self, data: bytes) -> None:
        self._pieces.append(data)
        self._body += len(data)

    def _dataReceived_CHUNK_LENGTH(self) -> bool:  # noqa: N802
        framing = self._received - len(self._buffer) - self._body
        if framing > MOST_FRAMING + self._body // FRAMING_SHARE:
            self._flush()
            raise ExcessError("more around its chunks than in them")
        return super()._dataReceived_CHUNK_LENGTH()

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces:
            self._take(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _end(self, rest: bytes) -> None:
        self._flush()
        self._finish(rest)


class _Parser(HTTPClientParser):
    """One answer."""

    _transferDecoders: Any = {b"chunked": _Chunks}  # noqa: N815, RUF012 - as above it
    #: Whether the length of the body has to be known beforehand.
    sized = False
    most_head_bytes = MOST_MIRROR_HEAD_BYTES
    most_fields = MOST_MIRROR_FIELDS
    MAX_LENGTH = LONGEST_MIRROR_LINE

    def __init__(self, request: Any, finisher: Callable[[bytes], None]) -> None:
        super().__init__(request, finisher)
        self._head_bytes = 0
        self._fields = 0
        self._interim = 0

    def dataReceived(self, data: bytes) -> None:
        if self.line_mode:
            data = self._head_received(data)
        if data:
            super().dataReceived(data)

    def _head_received(self, data: bytes) -> bytes:
        """Take as much of ``data`` as belongs to heads, roughly; return the rest."""
        while data and self.line_mode:
            piece, data = data[:PIECE], data[PIECE:]
            self._head_bytes += len(piece)
            super().dataReceived(piece)
            if self.line_mode and self._head_bytes > self.most_head_bytes:
                raise ExcessError(f"a head of more than {self.most_head_bytes} bytes")
            if self.state == "DONE":
                # What came after the end was cut off from what the parser told of.
                return b""
        return data

    def lineLengthExceeded(self, line: bytes) -> None:
        raise ExcessError("a line of a head that is too long")

    def statusReceived(self, status: bytes) -> None:  # noqa: N802
        super().statusReceived(status)
        if not 100 <= self.response.code <= 599:  # noqa: PLR2004 - RFC 9110, 15
            raise ExcessError("a status that is none")

    def lineReceived(self, line: bytes) -> None:
        # A field may have any number of lines, and each takes its time.
        self._fields += self.state == "HEADER" and line not in {b"", b"\r"}
        if self._fields > self.most_fields:
            raise ExcessError(f"more than {self.most_fields} lines of a head")
        super().lineReceived(line)

    def allHeadersReceived(self) -> None:  # noqa: N802
        if self.response.code < 200:  # noqa: PLR2004 - RFC 9110, 15.2
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise ExcessError(f"more than {MOST_INTERIM} answers before the one that counts")
            # As the method of the class above, but for the line that it writes.
            self.connectionMade()
            del self.response
            return
        if self.sized and self._has_body() and self.connHeaders.hasHeader(b"transfer-encoding"):
            raise ExcessError("an answer in chunks")
        if self.sized and self._has_body() and not self.connHeaders.hasHeader(b"content-length"):
            raise ExcessError("an answer without a length")
        super().allHeadersReceived()

    def _has_body(self) -> bool:
        return self.request.method != b"HEAD" and self.response.code not in self.NO_BODY_CODES


class _SizedParser(_Parser):
    """One answer of a peer, which knows how long it is."""

    sized = True
    most_head_bytes = MOST_HEAD_BYTES
    most_fields = MOST_FIELDS
    MAX_LENGTH = HTTPClientParser.MAX_LENGTH


class _Connection(HTTP11ClientProtocol):
    """A connection to a server that may send anything at any time."""

    transport: Any
    parser: type[_Parser] = _Parser
    #: Whether anything came since it was asked.
    heard = False

    def request(self, request: Any) -> Deferred[IResponse]:
        self.heard = False
        idle = self._state == "QUIESCENT"
        answer = super().request(request)
        if idle and self._parser is not None:
            # Nothing was read yet: this one takes the place of the parser that was just made.
            parser = self.parser(request, self._finishResponse)
            parser._responseDeferred = self._parser._responseDeferred  # noqa: SLF001
            parser.makeConnection(self._transportProxy)
            self._parser = parser
        return answer

    def dataReceived(self, data: bytes) -> None:
        self.heard = True
        if self._parser is None:
            # It speaks without being asked, or on after the end.
            self.transport.abortConnection()
            return
        try:
            self._parser.dataReceived(data)
        except Exception:  # noqa: BLE001 - whatever a parser meets, as in the class above
            failure = Failure()
            # A farewell over TLS would be waited for; whoever does this says none.
            self.transport.abortConnection()
            self._disconnectParser(failure)


class _SizedConnection(_Connection):
    parser = _SizedParser


class _Pool(HTTPConnectionPool):
    """Kept connections, without a line in the log for each that opens or closes."""

    _connection: type[_Connection] = _Connection

    def __init__(self, reactor: object, *, persistent: bool = True) -> None:
        super().__init__(reactor, persistent=persistent)
        self.maxPersistentPerHost = PERSISTENT_CONNECTIONS
        self.cachedConnectionTimeout = IDLE_SECONDS
        self._slept = seconds_asleep()

    def getConnection(self, key: Hashable, endpoint: Any) -> Deferred[Any]:  # noqa: N802
        """Return a kept connection, as ``Kept``, or a new one.

        A request is repeated on a new connection only where a kept one turns out to have ended:
        after anything else our own failover does better.
        """
        slept, self._slept = self._slept, seconds_asleep()
        if self._slept - slept >= 1.0:
            # Whoever is at their other ends, or on the way there, has not waited.
            for one in list(self._connections):
                self.drop(one)
        kept = self._connections.get(key)
        while kept:
            connection = kept.pop(0)
            self._timeouts.pop(connection).cancel()
            if connection.state != "QUIESCENT":
                continue
            if is_led_astray(connection):
                connection.transport.abortConnection()
            else:
                renew = partial(self._newConnection, key, endpoint)
                return succeed(Kept(connection, self._reactor, renew, partial(self.drop, key)))
        return self._newConnection(key, endpoint)

    def drop(self, key: Hashable) -> None:
        """Close the idle connections of one kind, which may be dead: without a farewell."""
        for connection in self._connections.pop(key, []):
            self._timeouts.pop(connection).cancel()
            connection.transport.abortConnection()

    def _putConnection(self, key: Hashable, connection: Any) -> None:  # noqa: N802
        """Keep a connection, and close the one that was idle longest where there are too many."""
        super()._putConnection(key, connection)
        if len(self._timeouts) > MOST_IDLE:
            oldest = next(iter(self._timeouts))
            self._timeouts.pop(oldest).cancel()
            for kept in self._connections.values():
                if oldest in kept:
                    kept.remove(oldest)
            oldest.transport.loseConnection()
        for empty in [one for one, kept in self._connections.items() if not kept]:
            del self._connections[empty]

    def _factory(self, quiescent: Callable[[Any], None], metadata: str) -> Any:  # type: ignore[override]  # a class there
        return _QuietFactory(self._connection, quiescent)


# The class is private to twisted.web, and so is the only way to it.
_Factory: Any = HTTPConnectionPool._factory  # noqa: SLF001


class _QuietFactory(_Factory):
    noisy = False

    def __init__(self, connection: type[_Connection], quiescent: Callable[[Any], None]) -> None:
        super().__init__(quiescent, "")
        self._connection = connection

    def buildProtocol(self, addr: object) -> _Connection:
        return self._connection(self._quiescentCallback)


class MirrorPool(_Pool):
    """Connections to mirrors."""


class PeerPool(_Pool):
    """Connections to peers, whose answers all have a length."""

    _connection = _SizedConnection


class Passing(Protocol):
    """Reads over a body that nobody wants, for so many seconds; then the connection is ended."""

    def __init__(self, reactor: Any, seconds: float) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._watch: IDelayedCall | None = None

    def connectionMade(self) -> None:
        if self._seconds:
            self._watch = self._reactor.callLater(self._seconds, self._leave)
        else:
            self._leave()

    def _leave(self) -> None:
        self._watch = None
        # The transport of a body only stands for its connection, which may be over.
        connection = getattr(self.transport, "_producer", None)
        if connection is not None and hasattr(connection, "abortConnection"):
            connection.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
