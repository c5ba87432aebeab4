"""The HTTP server all faces stand on: twisted.web's, with bounds and without a line a request.

Of twisted.web it takes ``http`` alone: a face reads paths and methods by itself, and what
``twisted.web.server`` has beside (resources, sessions, pages of errors, objects of other processes)
would be 3 MB of every node's memory.

What a stranger can make it do is bounded here: connections in all, per address, network and local
user (where a face is full, who asks nothing makes room for who comes), header sizes
(twisted.web's own), idle time, answers that are not taken, requests sent ahead, and request bodies,
of which a small one is read over and a large one ends the connection.
"""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import connectionDone
from twisted.web import http

from flocon.machine.shares import Crowd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from twisted.internet.interfaces import IAddress, IDelayedCall
    from twisted.python.failure import Failure

    class Face(Protocol):
        """Answers whatever is asked here, at once or later."""

        def render(self, request: http.Request) -> None: ...


#: Seconds a connection may be idle between requests, or take for the headers of one.
IDLE_SECONDS = 60
#: Seconds in which a client must take something of what is there for it.
STANDSTILL_SECONDS = 30.0
#: Bytes of a request's body that are read over, so that its answer is not lost in a reset: other
#: tools' machines ask with small ones (pacserve), and are told that this is no way to ask here.
LARGEST_BODY = 4 << 10


class Channel(http.HTTPChannel):
    """One connection; counted, and silent about those that time out."""

    site: Site
    #: How many requests were answered on it.
    answered = 0
    #: A request that is answered, while its answer is on its way or others wait for their turn.
    _answered: Any = None
    _turn: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.address = host_of(self.getPeer())
        self.user = self.site.user_of(self.getPeer(), self.getHost())
        _end_at_standstill(self.transport, STANDSTILL_SECONDS)
        super().connectionMade()
        if not self.site.arrived(self):
            self.forceAbortClient()

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered: between two requests, or before the first is whole."""
        return not self._handlingRequest and self._answered is None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.departed(self)
        self._answered = None
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        super().connectionLost(reason)

    def requestDone(self, request: http.Request) -> None:
        """Go on to the next request: at once, unless that one was sent ahead.

        twisted.web would answer in one go whatever a segment brought, some thousand requests, and
        keep all those answers in memory. Here each waits until the reactor was elsewhere, and until
        the answer before it has left for the kernel.
        """
        self.answered += 1
        if self._waitingForTransport:
            self._answered = request
        elif self._buffer or self._dataBuffer:
            self._turn = self.callLater(0, lambda: self._next(request))
        else:
            super().requestDone(request)

    def _next(self, request: http.Request) -> None:
        self._turn = None
        super().requestDone(request)

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self._answered is not None:
            request, self._answered = self._answered, None
            self.requestDone(request)

    def resetTimeout(self) -> None:
        """Give no more time for a piece of a request: the head is due from the last answer on."""

    def end(self) -> None:
        """Close the connection: at once in the middle of an answer, else once all has left."""
        if self.idle or self._answered is not None:
            self.loseConnection()
        else:
            self.forceAbortClient()

    def timeoutConnection(self) -> None:
        # HTTPChannel writes a line for each; a stranger could fill a log with them. Not aborted:
        # the end of the last answer may still be on its way to a slow client.
        self.site.counters["timed out"] += 1
        self.loseConnection()

    def forceAbortClient(self) -> None:
        """Close the connection, in HTTPChannel's own way but for the line it writes."""
        transport: Any = self.transport
        transport.abortConnection()


class Request(http.Request):
    """A request whose body, if it has one, is small and read by nobody; its headers are ASCII."""

    def __init__(self, channel: Any, queued: object) -> None:
        super().__init__(channel, queued, parsePOSTFormSubmission=False)
        self._site: Site = channel.factory

    def gotLength(self, length: int | None) -> None:
        if length is None or length > LARGEST_BODY:
            # Nobody has a reason to send one, and twisted.web would write it to a file.
            self._site.counters["request body"] += 1
            self.channel.forceAbortClient()
            length = 0
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Let go of a piece of the body."""

    def process(self) -> None:
        """Refuse headers that are no text: to decode them would fail wherever one is read."""
        self.setHeader("Date", http.datetimeToString())
        headers = self.requestHeaders.getAllRawHeaders()
        if all(value.isascii() for _, values in headers for value in values):
            self._site.face.render(self)
            return
        self._site.counters["strange header"] += 1
        self.setResponseCode(http.BAD_REQUEST)
        self.setHeader("Content-Length", "0")
        self.finish()


class Site(http.HTTPFactory):
    """What serves a face, to so many connections in all, of one address, network and local user.

    0 is no bound. Whom ``admits`` does not admit, by address, is not talked to at all. ``user_of``
    tells the user at a connection's other end, None where nobody is known; those count as one.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        face: Face,
        *,
        most_connections: int,
        most_per_address: int = 0,
        most_per_network: int = 0,
        most_per_user: int = 0,
        user_of: Callable[[Any, Any], int | None] = lambda _, __: None,
        admits: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(timeout=IDLE_SECONDS, reactor=reactor)
        self.face = face
        # Without HTTP/2's negotiating wrapper: nobody speaks it here.
        self.protocol = Channel  # type: ignore[assignment]  # takes its place in every way used
        self._crowd = Crowd(most_connections, most_per_address, most_per_network)
        self._most_per_user = most_per_user
        self.user_of = user_of
        self._admits = admits
        #: Every connection, the oldest first.
        self._channels: dict[Channel, None] = {}
        #: What was refused or dropped, by reason.
        self.counters: Counter[str] = Counter()

    def startFactory(self) -> None:
        """Open no access log, and start no clock for its lines, which would tick every second."""

    def log(self, request: http.Request) -> None:
        """Write no line a request: what matters is counted."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        address = host_of(addr)
        if self._admits is not None and not self._admits(address):
            self.counters["other network"] += 1
            return None
        if not self._crowd.has_room_for(address) or (
            self._crowd.full and not self._make_room(self._channels)
        ):
            self.counters["too many connections"] += 1
            return None
        self._crowd.enter(address)
        channel: Any = super().buildProtocol(addr)
        channel.site, channel.requestFactory = self, Request
        return channel

    def _make_room(self, channels: Iterable[Channel]) -> bool:
        """Close the first of ``channels`` that asks nothing; return whether there was one."""
        for channel in channels:
            if channel.idle:
                self.counters["made room"] += 1
                self.departed(channel)
                # Not aborted: the end of its last answer may still be on its way to a slow client.
                channel.loseConnection()
                return True
        return False

    def arrived(self, channel: Channel) -> bool:
        """Take note of a connection; return False where its user has too many."""
        most = self._most_per_user
        own = [one for one in self._channels if one.user == channel.user] if most else []
        self._channels[channel] = None
        if not most or len(own) < most or self._make_room(own):
            return True
        self.counters["too many connections"] += 1
        return False

    def end(self) -> None:
        """Close every connection; what is in the middle of an answer is cut off."""
        for channel in tuple(self._channels):
            channel.end()

    def departed(self, channel: Channel) -> None:
        """Forget a connection; again is no error."""
        if channel not in self._channels:
            return
        del self._channels[channel]
        self._crowd.leave(channel.address)


def _end_at_standstill(transport: Any, seconds: float) -> None:
    """Have the kernel end a connection whose client takes nothing of what was sent for so long.

    TCP_USER_TIMEOUT (tcp(7)) counts what no application can see: bytes that are sent and not
    confirmed, or wait for a window that stays shut (that since Linux 5.11). It ends with whatever
    gets through, however slowly, and does not begin while there is nothing to send. So a file that
    grows slowly is not taken for a client that reads slowly.
    """
    # Beneath TLS lies another transport; in memory none has a socket, and Unix sockets no such end.
    handle = getattr(getattr(transport, "transport", transport), "socket", None)
    if isinstance(handle, socket.socket):
        with suppress(OSError):
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1_000))


def host_of(address: object) -> str:
    """Return the host of a Twisted address; IPv4 in IPv6's clothes is undressed, Unix is empty."""
    host = str(getattr(address, "host", ""))
    return host.removeprefix("::ffff:") if "." in host else host
