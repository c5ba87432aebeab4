"""One GET into a sink, within limits: the only place where bytes of files come in.

Uses twisted.web's Agent and not treq, which decodes ``Content-Encoding`` on the way: the bytes of
a package must arrive as they are. What to ask whom, and what to do with a failure, is decided
elsewhere; here a failure becomes a SourceError.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from twisted.internet import defer, error
from twisted.web._newclient import ParseError
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from flocon import __version__
from flocon.asking.addresses import hostname, network_location
from flocon.asking.answer import (
    BUSY,
    NOT_MODIFIED,
    OK,
    PARTIAL_CONTENT,
    PRECONDITION_FAILED,
    Head,
)
from flocon.asking.bodies import Body, abandon
from flocon.asking.dates import read_retry_after
from flocon.errors import Broken, FloconError, Refused, SourceError, Stalled, Unreachable
from flocon.extents import parse_content_range
from flocon.files import LARGEST_FILE
from flocon.precedence import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.iweb import IAgent, IResponse

    from flocon.asking.attempts import Limits
    from flocon.asking.bodies import Sink

USER_AGENT = f"flocon/{__version__}"
#: Characters of a header that is read: a date has 29, an ETag of a mirror some 40.
LONGEST_FIELD = 256
#: Characters told of what went wrong, much of which may be a stranger's words.
LONGEST_REASON = 200
#: An ETag that is a content's SHA-256, as a peer's is.
_CONTENT_TAG = re.compile(r'(?:W/)?"([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to ask for: bytes of ``url`` from ``start`` up to ``end`` (None: all the rest).

    ``modified_since`` or ``none_match`` (an ETag) makes it conditional (a 304 reaches the sink as a
    head), ``if_range`` ties a range to the version that began it. ``unchanged``, a date and a
    length, is what the asker has already: an answer with both is taken as a 304. ``if_match`` is
    the SHA-256 in hex that a peer must mean; ``only_if_cached`` asks it not to fetch what it has
    not (RFC 9111, 5.2.1.7); ``unhurried`` tells it that nobody waits for the answer (RFC 9218).
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
    unhurried: bool = False
    none_match: str | None = None

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
        if self.unhurried:
            headers.setRawHeaders("Priority", [f"u={BACKGROUND}"])
        if self.modified_since:
            headers.setRawHeaders("If-Modified-Since", [self.modified_since])
        if self.none_match:
            headers.setRawHeaders("If-None-Match", [self.none_match])
        return headers


async def fetch(
    agent: IAgent,
    clock: IReactorTime,
    wanted: Wanted,
    sink: Sink,
    limits: Limits,
    *,
    little_ahead: Callable[[], bool] = lambda: False,
) -> Head:
    """Get ``wanted`` into ``sink``; return the head once the last byte was written.

    While ``little_ahead`` says so, no more of it crosses the network than is read, but for little.
    Raises a SourceError (Unreachable, Refused, Stalled or Broken), or what the sink raised.
    """
    head, response = await _ask(agent, clock, wanted, limits)
    try:
        sink.begin(head)
    except FloconError:
        abandon(response)
        raise
    if head.status == NOT_MODIFIED:
        if response.code != NOT_MODIFIED:
            abandon(response)
        return head
    end = head.size
    if wanted.end is not None and head.status != OK and head.size is not None:
        end = min(wanted.end, head.size)
    body = Body(
        clock,
        wanted.source,
        head.start,
        end,
        sink=sink,
        limits=limits,
        little_ahead=little_ahead,
    )
    response.deliverBody(body)
    await body.done
    return head


async def _ask(
    agent: IAgent, clock: IReactorTime, wanted: Wanted, limits: Limits
) -> tuple[Head, IResponse]:
    try:
        asked = ended_by_cancelling(
            agent.request(b"GET", wanted.url.encode("ascii"), wanted.headers())
        )
    except ValueError as reason:
        raise Unreachable(wanted.source, f"cannot be asked: {words(reason)}") from None
    asked.addTimeout(limits.first_byte, clock)
    try:
        response = await asked
    except defer.TimeoutError:
        raise Stalled(wanted.source, f"no answer within {limits.first_byte:g} s") from None
    except defer.CancelledError:
        raise
    except (error.ConnectError, error.DNSLookupError, error.ConnectingCancelledError) as reason:
        raise Unreachable(wanted.source, words(reason)) from None
    except (ResponseNeverReceived, ResponseFailed) as reason:
        raise Broken(wanted.source, words(reason)) from None
    except SchemeNotSupported as reason:
        raise Unreachable(wanted.source, words(reason)) from None
    except Exception as reason:  # noqa: BLE001 - Agent lets whatever its parser met escape
        raise Broken(wanted.source, told(reason)) from None
    try:
        head = _head(wanted, response)
        elsewhere = _elsewhere(wanted, response)
        return replace(head, elsewhere=elsewhere) if elsewhere else head, response
    except SourceError:
        abandon(response)
        raise


def ended_by_cancelling(asked: Deferred[IResponse]) -> Deferred[IResponse]:
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


def words(reason: BaseException) -> str:
    """Return what an error says, fit for a line of a log: it may quote what a stranger sent."""
    if known := _known(reason):
        return known
    # The parser's errors end with the bytes that they are about.
    text = str(reason.args[0]) if isinstance(reason, ParseError) and reason.args else str(reason)
    clean = "".join(one if one.isprintable() else "?" for one in text[:LONGEST_REASON])
    return clean or type(reason).__name__


def told(reason: BaseException) -> str:
    """Return the same behind the error's name, where nothing better is known of it."""
    return _known(reason) or f"{type(reason).__name__}: {words(reason)}"


#: What a person calls it when a library raises one of these; the first that fits.
_SAID: tuple[tuple[type[BaseException], str], ...] = (
    (error.ConnectionRefusedError, "refused the connection"),
    (error.TCPTimedOutError, "did not answer in time"),
    (error.TimeoutError, "did not answer in time"),
    (defer.TimeoutError, "did not answer in time"),
    (error.NoRouteError, "cannot be reached: no way leads there"),
    (error.DNSLookupError, "has a name that cannot be looked up"),
    (error.UnknownHostError, "has a name that cannot be looked up"),
    (error.ConnectionDone, "ended the connection"),
    (error.ConnectionLost, "lost the connection"),
)


def _known(reason: BaseException) -> str:
    if isinstance(reason, (ResponseNeverReceived, ResponseFailed)):
        return words(reason.reasons[0].value) if reason.reasons else "gave no answer"
    for kind, said in _SAID:
        if isinstance(reason, kind):
            return said
    if isinstance(reason, error.ConnectError) and isinstance(reason.osError, int):
        return f"cannot be reached: {os.strerror(reason.osError)}"
    # OpenSSL's own, which need not be loaded for this: rows of library, function and reason.
    match reason.args:
        case ([(str(), str(), str(why)), *_],):
            return f"cannot be talked to over TLS: {why}"
    return ""


def field(wanted: Wanted, response: IResponse, name: str) -> str | None:
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
    modified = field(wanted, response, "Last-Modified")
    etag = field(wanted, response, "ETag")
    if status in {OK, PARTIAL_CONTENT} and _is_of_another_content(etag, wanted.if_match):
        # It did not heed the condition, and says itself that it has something else by now.
        raise Refused(wanted.source, PRECONDITION_FAILED)
    if status == NOT_MODIFIED and (wanted.modified_since or wanted.none_match):
        return Head(status, 0, None, modified, etag)
    length = _length(wanted, response)
    if status == OK and wanted.unchanged and wanted.unchanged == (modified, length):
        return Head(NOT_MODIFIED, 0, None, modified, etag)
    if status == OK:
        # A source that knows no ranges sends all: the sink throws away what it has already.
        return Head(status, 0, length, modified, etag)
    if status != PARTIAL_CONTENT or not (wanted.start or wanted.end is not None):
        raise Refused(wanted.source, status, _retry_after(response))
    ranged = parse_content_range(field(wanted, response, "Content-Range"))
    if ranged is None or ranged[0].start != wanted.start:
        raise Broken(wanted.source, "answered with another range than was asked for")
    extent, size = ranged
    end = size if wanted.end is None else min(wanted.end, size)
    if extent.end != end or (length is not None and length != len(extent)):
        raise Broken(wanted.source, "answered with another range than was asked for")
    return Head(status, extent.start, size, modified, etag)


def _elsewhere(wanted: Wanted, response: IResponse) -> str:
    """Return the ``HOST:PORT`` that a redirect led to, "" where it is the host that was asked."""
    asked = getattr(getattr(response, "request", None), "absoluteURI", None)
    if not isinstance(asked, bytes) or asked == wanted.url.encode("ascii"):
        return ""
    place = network_location(asked.decode("ascii", "replace"))
    same = hostname(place) == hostname(network_location(wanted.url))
    return "" if same else place


def _is_of_another_content(etag: str | None, wanted: str | None) -> bool:
    told = _CONTENT_TAG.fullmatch(etag) if etag and wanted else None
    return told is not None and told[1] != wanted


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
