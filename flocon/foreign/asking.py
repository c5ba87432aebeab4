"""How another tool's machine is asked: if it has a file, what it has, and if it is one at all.

One question at a time, by the ways of each tool; whom to ask, and when, is decided elsewhere. What
goes wrong is a SourceError. Nobody is followed elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from flocon.asking.answer import OK
from flocon.asking.attempts import Limits
from flocon.asking.bodies import Body, abandon
from flocon.asking.fetch import USER_AGENT, Wanted, ended_by_cancelling, told
from flocon.asking.small import ask_head
from flocon.errors import Broken, Refused, Stalled, Unreachable
from flocon.foreign import answers
from flocon.foreign.heard import is_prefix
from flocon.foreign.place import Place, Tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.iweb import IAgent, IResponse

#: Seconds that each has for saying whether it has a file.
PATIENCE = 0.5
#: Seconds for a listing, which a pacserve reads from its disk, and between two parts of it.
LISTING_PATIENCE, LISTING_STALL = 5.0, 2.0
LONGEST_LISTING_TIME = 15.0
_SERVER_ERROR = 500


class Asking:
    """Asks over ``agent``, which connects to literal addresses and follows nobody."""

    def __init__(self, reactor: Any, agent: IAgent) -> None:
        self._reactor = reactor
        self._agent = agent

    async def has(
        self, place: Place, file_name: str, size: int, knows: Callable[[Place], bool]
    ) -> Place | None:
        """Return where a file of that size is by what a place says; None where it has none."""
        if place.tool is Tool.PACSERVE:
            body, _ = await self._post(place, answers.file_check(file_name), PATIENCE)
            return answers.read_check(body, place, file_name, knows)
        response = await self._head(place, place.url(file_name))
        length = _field(response, b"Content-Length")
        if response.code >= _SERVER_ERROR:
            raise Refused(str(place), response.code)
        # Another size is another content under this name; who tells none may have it.
        return place if response.code == OK and length in {None, str(size)} else None

    async def prove(self, place: Place, identity: str) -> str:
        """Find out whether a place is what it is said to be; return what it calls itself."""
        response = await self._head(place, place.root)
        if place.tool is Tool.PACLAN and (_field(response, b"X-Paclan-ID") or "") != identity:
            raise Broken(str(place), "shows another id than it tells of")
        return _field(response, b"Server") or ""

    async def listing(self, place: Place) -> tuple[bytes, str]:
        """Return a pacserve's listing of its packages, unread, and what it calls itself."""
        return await self._post(
            place, answers.LISTING, LISTING_PATIENCE, answers.LARGEST_LISTING, LONGEST_LISTING_TIME
        )

    async def nudge(self, place: Place, url: str) -> None:
        """Have a pacserve know the face at ``url``."""
        body, _ = await self._post(place, answers.nudge(url), LISTING_PATIENCE)
        if not answers.is_true(body):
            raise Broken(str(place), "does not take us for a peer")

    async def _head(self, place: Place, url: str) -> IResponse:
        return await ask_head(self._agent, self._reactor, Wanted(url, str(place)), PATIENCE)

    async def _post(
        self,
        place: Place,
        body: bytes,
        patience: float,
        most: int = answers.LARGEST_ANSWER,
        in_all: float | None = None,
    ) -> tuple[bytes, str]:
        headers = Headers(
            {
                "User-Agent": [USER_AGENT],
                "Content-Type": ["application/x-www-form-urlencoded"],
            }
        )
        asked = ended_by_cancelling(
            self._agent.request(b"POST", place.root.encode("ascii"), headers, _Form(body))
        )
        asked.addTimeout(patience, self._reactor)
        try:
            response: IResponse = await asked
        except defer.CancelledError:
            raise
        except defer.TimeoutError:
            raise Stalled(str(place), f"no answer within {patience:g} s") from None
        except Exception as reason:  # noqa: BLE001 - Agent lets whatever its parser met escape
            raise Unreachable(str(place), told(reason)) from None
        if response.code != OK:
            abandon(response)
            raise Refused(str(place), response.code)
        taking = defer.Deferred.fromCoroutine(self._take(place, response, most))
        taking.addTimeout(in_all or patience, self._reactor)
        try:
            return await taking, _field(response, b"Server") or ""
        except defer.TimeoutError:
            raise Stalled(str(place), "took too long over its answer") from None

    async def _take(self, place: Place, response: IResponse, most: int) -> bytes:
        sink = _Taken(str(place), most)
        limits = Limits(first_byte=LISTING_STALL, stall=LISTING_STALL)
        body = Body(self._reactor, str(place), 0, None, sink=sink, limits=limits)
        response.deliverBody(body)
        await body.done
        return b"".join(sink.pieces)


@implementer(IBodyProducer)
class _Form:
    """A small body, written at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> defer.Deferred[None]:  # noqa: N802 - Twisted's
        consumer.write(self._body)
        return defer.succeed(None)

    def pauseProducing(self) -> None:
        """All of it is written."""

    def resumeProducing(self) -> None:
        """All of it is written."""

    def stopProducing(self) -> None:
        """All of it is written."""


class _Taken:
    """A sink for an answer of at most so many bytes."""

    def __init__(self, source: str, most: int) -> None:
        self._source = source
        self._most = most
        self.pieces: list[bytes] = []

    def begin(self, head: object) -> None:
        """Nothing is to be done of a head."""

    def write(self, position: int, data: bytes) -> None:
        if position + len(data) > self._most:
            raise Broken(self._source, f"sent more than {self._most} bytes")
        self.pieces.append(data)


def _field(response: IResponse, name: bytes) -> str | None:
    """Return a field of a head, None where it has none that is plain text."""
    values = response.headers.getRawHeaders(name)
    text = values[0].decode("ascii", "replace") if values else ""
    return text if text and is_prefix(text) else None
