"""One GET into a sink, within limits: the only place where bytes of files come in.

Uses twisted.web's Agent and not treq, which decodes ``Content-Encoding`` on the way: the bytes of
a package must arrive as they are. What to ask whom, and what to do with a failure, is decided
elsewhere; here a failure becomes a SourceError.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import defer, error
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import ParseError
from twisted.web.client import (
    Agent,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import SchemeNotSupported
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IAgentEndpointFactory
from zope.interface import implementer

from flocon import __version__
from flocon.core.content import LARGEST_FILE
from flocon.core.extents import parse_content_range
from flocon.core.standing import read_retry_after
from flocon.errors import Broken, FloconError, Refused, SourceError, Stalled, Unreachable
from flocon.net.answers import PeerPool

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.web.client import URI, HTTPConnectionPool
    from twisted.web.iweb import IResponse

    from flocon.core.sources import Source

USER_AGENT = f"flocon/{__version__}"
#: Bytes of one read of a body. Four times Twisted's own costs the reactor's thread a quarter less
#: time for each byte; sixteen times no less than that, and memory for every fetch.
READ_SIZE = 256 << 10
#: Characters of a header that is read: a date has 29, an ETag of a mirror some 40.
LONGEST_FIELD = 256
#: Characters told of what went wrong, much of which may be a stranger's words.
LONGEST_REASON = 200
OK, PARTIAL_CONTENT, NOT_MODIFIED = 200, 206, 304
#: Too Many Requests, and Service Unavailable.
BUSY = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds: for an answer's head, and for each ``step`` bytes of its body.

    A source that drips is as good as one that is silent: what it sends counts by whole steps.
    """

    first_byte: float
    stall: float
    step: int = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One source to be tried, and how patiently; ``failure`` is what came of it.

    ``heard`` is when, in the clock's seconds, bytes of the file came last that counted; 0: never.
    """

    source: Source
    limits: Limits
    failure: SourceError | None = None
    heard: float = 0.0


@dataclass(frozen=True, slots=True)
class Head:
    """What a source said before its first byte.

    ``start`` is the position of the first byte to come, ``size`` that of the whole file or None.
    ``modified`` and ``etag`` are passed on as they came.
    """

    status: int
    start: int
    size: int | None
    modified: str | None
    etag: str | None


class Enough(Exception):  # noqa: N818 - not an error
    """Raised by a sink that wants no more of a file: the fetch ends, and ended well."""


class Sink(Protocol):
    """What takes a file's bytes; both methods may raise a FloconError to end the fetch."""

    def begin(self, head: Head) -> None: ...

    def write(self, position: int, data: bytes) -> Deferred[None] | None:
        """Take bytes; return what fires once more are to come, None for at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to ask for: bytes of ``url`` from ``start`` up to ``end`` (None: all the rest).

    ``modified_since`` makes it conditional (a 304 reaches the sink as a head), ``if_range`` ties
    a range to the version that began it. ``unchanged``, a date and a length, is what the asker has
    already: an answer with both is taken as a 304. ``if_match`` is the SHA-256 in hex that a peer
    must mean; ``only_if_cached`` asks it not to fetch what it has not (RFC 9111, 5.2.1.7).
    """

    url: str
    source: str
    start: int = 0
    end: int | None = None
    modified_since: str | None = None
    if_range: str | None = None
    if_match: str | None = None
    only_if_cached: bool = False
    unchanged: tuple[str, int] | None = None

    def headers(self) -> Headers:
        headers = Headers({"User-Agent": [USER_AGENT], "Accept": ["*/*"]})
        if self.start or self.end is not None:
            last = "" if self.end is None else str(self.end - 1)
            headers.setRawHeaders("Range", [f"bytes={self.start}-{last}"])
            if self.if_range:
                headers.setRawHeaders("If-Range", [self.if_range])
        if self.if_match:
            headers.setRawHeaders("If-Match", [f'"{self.if_match}"'])
        if self.only_if_cached:
            headers.setRawHeaders("Cache-Control", ["only-if-cached"])
        if self.modified_since:
            headers.setRawHeaders("If-Modified-Since", [self.modified_since])
        return headers


@implementer(IAgentEndpointFactory)
class _PeerEndpoints:
    """Connects to literal addresses, IPv6 ones with their zones.

    HostnameEndpoint would resolve a zone, and tells of a refused connection only 0.3 s later.
    """

    def __init__(self, reactor: object, connect_timeout: float) -> None:
        self._reactor = reactor
        self._timeout = connect_timeout

    def endpointForURI(self, uri: URI) -> object:
        host = uri.host.decode("ascii").strip("[]").replace("%25", "%")
        make = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        return make(self._reactor, host, uri.port, timeout=self._timeout)


def peer_agent(reactor: object, connect_timeout: float) -> tuple[IAgent, HTTPConnectionPool]:
    """Return an agent for peers (no redirects, literal addresses) and its pool."""
    pool = PeerPool(reactor)
    endpoints = _PeerEndpoints(reactor, connect_timeout)
    return Agent.usingEndpointFactory(reactor, endpoints, pool=pool), pool


async def fetch(
    agent: IAgent, clock: IReactorTime, wanted: Wanted, sink: Sink, limits: Limits
) -> Head:
    """Get ``wanted`` into ``sink``; return the head once the last byte was written.

    Raises a SourceError (Unreachable, Refused, Stalled or Broken), or what the sink raised.
    """
    head, response = await _ask(agent, clock, wanted, limits)
    try:
        sink.begin(head)
    except FloconError:
        _abandon(response)
        raise
    if head.status == NOT_MODIFIED:
        if response.code != NOT_MODIFIED:
            _abandon(response)
        return head
    body = _Body(clock, wanted, head, sink, limits)
    response.deliverBody(body)
    await body.done
    return head


async def _ask(
    agent: IAgent, clock: IReactorTime, wanted: Wanted, limits: Limits
) -> tuple[Head, IResponse]:
    try:
        asked = _ended_by_cancelling(
            agent.request(b"GET", wanted.url.encode("ascii"), wanted.headers())
        )
    except ValueError as reason:
        raise Unreachable(wanted.source, f"cannot be asked: {_words(reason)}") from None
    asked.addTimeout(limits.first_byte, clock)
    try:
        response = await asked
    except defer.TimeoutError:
        raise Stalled(wanted.source, f"no answer within {limits.first_byte:g} s") from None
    except defer.CancelledError:
        raise
    except (error.ConnectError, error.DNSLookupError, error.ConnectingCancelledError) as reason:
        raise Unreachable(wanted.source, _words(reason)) from None
    except (ResponseNeverReceived, ResponseFailed) as reason:
        raise Broken(wanted.source, _first_reason(reason)) from None
    except SchemeNotSupported as reason:
        raise Unreachable(wanted.source, _words(reason)) from None
    except Exception as reason:  # noqa: BLE001 - Agent lets whatever its parser met escape
        raise Broken(wanted.source, f"{type(reason).__name__}: {_words(reason)}") from None
    try:
        return _head(wanted, response), response
    except SourceError:
        _abandon(response)
        raise


def _ended_by_cancelling(asked: Deferred[IResponse]) -> Deferred[IResponse]:
    """Return ``asked`` with a cancelling that is one, and not what Agent makes of it.

    Agent tells of a cancelled request, by how far it came, as a CancelledError, a failed
    connection or an answer that never came; the last two look like the source's fault.
    """
    left = False

    def cancel(_: Deferred[IResponse]) -> None:
        nonlocal left
        left = True
        asked.cancel()

    def failed(failure: Failure) -> None:
        if not left:
            answer.errback(failure)

    answer: Deferred[IResponse] = defer.Deferred(cancel)
    asked.addCallbacks(answer.callback, failed)
    return answer


def _first_reason(reason: ResponseNeverReceived | ResponseFailed) -> str:
    reasons = getattr(reason, "reasons", None) or [Failure(reason)]
    return _words(reasons[0].value)


def _words(reason: BaseException) -> str:
    """Return what an error says, fit for a line of a log: it may quote what a stranger sent."""
    # The parser's errors end with the bytes that they are about.
    text = str(reason.args[0]) if isinstance(reason, ParseError) and reason.args else str(reason)
    clean = "".join(one if one.isprintable() else "?" for one in text[:LONGEST_REASON])
    return clean or type(reason).__name__


def _header(wanted: Wanted, response: IResponse, name: str) -> str | None:
    """Return the first field of that name; raise Broken where it is no text that a header can be.

    Read as bytes: Twisted decodes what is asked for by text, and fails where it cannot.
    """
    values = response.headers.getRawHeaders(name.encode("ascii"))
    if not values:
        return None
    value: bytes = values[0]
    if len(value) > LONGEST_FIELD or not value.isascii() or not value.decode("ascii").isprintable():
        raise Broken(wanted.source, f"sent a {name} that is no text")
    return value.decode("ascii")


def _head(wanted: Wanted, response: IResponse) -> Head:
    status = response.code
    modified = _header(wanted, response, "Last-Modified")
    etag = _header(wanted, response, "ETag")
    if status == NOT_MODIFIED and wanted.modified_since:
        return Head(status, 0, None, modified, etag)
    length = _length(wanted, response)
    if status == OK and wanted.unchanged and wanted.unchanged == (modified, length):
        return Head(NOT_MODIFIED, 0, None, modified, etag)
    if status == OK:
        # A source that knows no ranges sends all: the sink throws away what it has already.
        return Head(status, 0, length, modified, etag)
    if status != PARTIAL_CONTENT or not (wanted.start or wanted.end is not None):
        raise Refused(wanted.source, status, _retry_after(response))
    ranged = parse_content_range(_header(wanted, response, "Content-Range"))
    if ranged is None or ranged[0].start != wanted.start:
        raise Broken(wanted.source, "answered with another range than was asked for")
    extent, size = ranged
    end = size if wanted.end is None else min(wanted.end, size)
    if extent.end != end or (length is not None and length != len(extent)):
        raise Broken(wanted.source, "answered with another range than was asked for")
    return Head(status, extent.start, size, modified, etag)


def _retry_after(response: IResponse) -> float | None:
    """Return how long a busy source asks to be left alone; what cannot be read asks for nothing."""
    values = response.headers.getRawHeaders(b"Retry-After")
    if response.code not in BUSY or not values or len(values[0]) > LONGEST_FIELD:
        return None
    return read_retry_after(values[0].decode("ascii", "replace"), time.time())


def _length(wanted: Wanted, response: IResponse) -> int | None:
    """Return the length of the body; Agent keeps that header back and tells what it says."""
    length: object = response.length
    if length is UNKNOWN_LENGTH:
        return None
    if not isinstance(length, int) or not 0 <= length <= LARGEST_FILE:
        raise Broken(wanted.source, "sent a length that is none")
    return length


def _abandon(response: IResponse) -> None:
    """End the connection of an answer that nobody will read."""
    response.deliverBody(_Discard())


class _Discard(TwistedProtocol):
    def connectionMade(self) -> None:
        _leave(self.transport)


def _leave(transport: Any) -> None:
    """Close the connection at once: over TLS a silent source would never answer a farewell.

    The transport of a body can only be asked to say one, so what it stands for is looked up.
    """
    connection = getattr(transport, "_producer", None)
    if connection is not None and hasattr(connection, "abortConnection"):
        connection.abortConnection()
    elif transport is not None:
        transport.loseConnection()


class _Body(TwistedProtocol):
    """Hands the body on to the sink; ends it when it stalls, overruns or is cancelled."""

    def __init__(
        self, clock: IReactorTime, wanted: Wanted, head: Head, sink: Sink, limits: Limits
    ) -> None:
        self._clock = clock
        self._wanted = wanted
        self._sink = sink
        self._stall = limits.stall
        self._step = limits.step
        self._position = head.start
        self._next_step = head.start + limits.step
        self._end = head.size
        if wanted.end is not None and head.status != OK and head.size is not None:
            self._end = min(wanted.end, head.size)
        self._failure: FloconError | None = None
        self._cancelled = self._enough = False
        #: Whether the sink can take no more now.
        self._paused = False
        self._last = clock.seconds()
        self._watch: IDelayedCall | None = None
        self.done: Deferred[None] = defer.Deferred(self._cancel)

    def connectionMade(self) -> None:
        # As in _leave: the transport of a body only stands for its connection.
        connection: Any = getattr(self.transport, "_producer", None)
        if hasattr(connection, "bufferSize"):
            connection.bufferSize = READ_SIZE
        self._last = self._clock.seconds()
        self._watch = self._clock.callLater(self._stall, self._look)

    def _look(self) -> None:
        """See whether a step was made since; one timer an answer, however many chunks."""
        if self._paused:
            self._last = self._clock.seconds()
        idle = self._clock.seconds() - self._last
        if idle >= self._stall:
            self._watch = None
            self._fail(
                Stalled(self._wanted.source, f"less than {self._step} B in {self._stall:g} s")
            )
        else:
            self._watch = self._clock.callLater(self._stall - idle, self._look)

    def _cancel(self, _: Deferred[None]) -> None:
        self._cancelled = True
        self._end_connection()

    def _fail(self, failure: FloconError) -> None:
        if self._failure is None:
            self._failure = failure
        self._end_connection()

    def _end_connection(self) -> None:
        _leave(self.transport)

    def dataReceived(self, data: bytes) -> None:
        if self._failure is not None or self._cancelled or self._enough:
            return
        end = self._position + len(data)
        if end >= self._next_step:
            self._last = self._clock.seconds()
            self._next_step = end + self._step
        if self._end is not None and end > self._end:
            self._fail(Broken(self._wanted.source, "sent more than it promised"))
            return
        try:
            more = self._sink.write(self._position, data)
        except Enough:
            # More may lie ready behind it: nobody asked for that, and it is nobody's fault.
            self._enough = True
            self._end = self._position = end
            self._end_connection()
            return
        except FloconError as failure:
            self._fail(failure)
            return
        self._position = end
        if more is not None:
            # Again where it was paused already: Twisted resumes it as it hands over what came with
            # the head.
            self._pause()
            more.addCallback(self._resume)

    def _pause(self) -> None:
        self._paused = True
        transport: Any = self.transport
        transport.pauseProducing()

    def _resume(self, _: object) -> None:
        self._paused = False
        # What was waited for was no silence of the source's.
        self._last = self._clock.seconds()
        # Of an answer that has ended it reaches nobody.
        transport: Any = self.transport
        transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._cancelled:
            return
        self._judge(reason)
        if self._failure is not None:
            self.done.errback(self._failure)
        else:
            self.done.callback(None)

    def _judge(self, reason: Failure) -> None:
        if self._failure is not None:
            return
        if self._end is not None and self._position != self._end:
            self._failure = Broken(self._wanted.source, f"ended after {self._position} bytes")
        elif self._end is None and not reason.check(ResponseDone, PotentialDataLoss):
            self._failure = Broken(self._wanted.source, "the connection was lost")


class _Small:
    """A sink for a few bytes."""

    def __init__(self, source: str, most: int) -> None:
        self._source = source
        self._most = most
        self.data = b""

    def begin(self, head: Head) -> None:
        if head.size is not None and head.size > self._most:
            raise Broken(self._source, f"has {head.size} bytes where {self._most} are possible")

    def write(self, position: int, data: bytes) -> None:
        if position + len(data) > self._most:
            raise Broken(self._source, f"sent more than {self._most} bytes")
        self.data += data


async def fetch_small(
    agent: IAgent, clock: IReactorTime, wanted: Wanted, limits: Limits, most: int
) -> bytes:
    """Return a file of at most ``most`` bytes; raises a SourceError."""
    sink = _Small(wanted.source, most)
    await fetch(agent, clock, wanted, sink, limits)
    return sink.data


async def ask_head(agent: IAgent, clock: IReactorTime, wanted: Wanted, seconds: float) -> IResponse:
    """Return the answer to a HEAD, whatever its status; raises Unreachable where there is none."""
    try:
        asked: Deferred[IResponse] = agent.request(
            b"HEAD", wanted.url.encode("ascii"), wanted.headers()
        )
        asked.addTimeout(seconds, clock)
        return await asked
    except defer.CancelledError:
        raise
    except Exception as reason:  # noqa: BLE001 - as in _ask
        raise Unreachable(wanted.source, f"{type(reason).__name__}: {_words(reason)}") from None


async def last_modified(agent: IAgent, clock: IReactorTime, wanted: Wanted, seconds: float) -> str:
    """Return what a HEAD says of ``Last-Modified``; raises a SourceError."""
    response = await ask_head(agent, clock, wanted, seconds)
    modified = _header(wanted, response, "Last-Modified")
    if response.code != OK or modified is None:
        raise Refused(wanted.source, response.code)
    return modified


def literal_host(address: str) -> str:
    """Return ``address`` as it stands in a URL; an IPv6 zone is escaped (RFC 6874)."""
    return f"[{address.replace('%', '%25')}]" if ":" in address else address
