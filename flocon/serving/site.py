"""The HTTP server all faces stand on: twisted.web's, with bounds and without a line a request.

Of twisted.web it takes ``http`` alone: a face reads paths and methods by itself, and what
``twisted.web.server`` has beside (resources, sessions, pages of errors, objects of other processes)
would be 3 MB of every node's memory.

What a stranger can make it do is bounded here: connections in all, per address, network and local
user (where a face is full, who asks nothing and has all that was sent makes room for who comes),
header sizes (twisted.web's own), idle time, answers that are not taken, requests sent ahead, time
of one turn of the reactor, and request bodies, of which a small one is read over, or kept where a
face reads some, and a large one ends the connection.
"""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from flocon.answering.respond import http_date, tell_failure
from flocon.answering.sendfile import waits_for_the_kernel
from flocon.answering.turns import Turns
from flocon.connections.kept import is_unconfirmed
from flocon.machine.shares import Crowd, network_of
from flocon.serving.repeating import AtOnce, Repeating

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Protocol

    from twisted.internet.interfaces import IAddress

    from flocon.serving.repeating import Find

    class Face(Protocol):
        """Answers whatever is asked here, at once or later."""

        def render(self, request: http.Request) -> None: ...


#: Seconds a connection may be idle between requests, or take for the headers of one.
IDLE_SECONDS = 60
#: Seconds in which a client must take something of what is there for it.
STANDSTILL_SECONDS = 30.0
#: Connections that are told to close and are not gone yet, which are no place in the way of others.
#: Each has one descriptor, and makes room for one that has no more before the reactor's next turn.
MOST_LEAVING = 64
#: Seconds for which nobody is asked again to make room where nobody did.
LOOKED_IN_VAIN = 0.05
#: Stands for all users where one can stand.
_ALL = -1
#: Bytes of a request's body that a face for forms has kept to read.
LARGEST_BODY = 4 << 10
#: Bytes of one that nobody reads, so that its answer is not lost in a reset: other tools' machines
#: ask with small ones (pacserve, which ends at a reset), and are told that they may not.
LARGEST_READ_OVER = 64 << 10


class Channel(Repeating):
    """One connection; counted, and silent about those that time out."""

    site: Site
    #: A request that is answered, while its answer is on its way or others wait for their turn.
    _answered: Any = None
    #: What was read and waits until there is time for it.
    _kept: tuple[bytes, ...] = ()
    _timed_out = False
    #: Whether it was cut off: what had come by then is answered no more.
    aborted = False

    def connectionMade(self) -> None:
        peer, own = self.getPeer(), self.getHost()
        # Looked up once: each request asks for both.
        self.getPeer, self.getHost = lambda: peer, lambda: own  # type: ignore[method-assign]
        self.address = host_of(peer)
        self.user = self.site.user_of(peer, own)
        #: Whoever takes turns with others: a local user, a host, or a network that is one's own.
        self.asker: int | str = network_of(self.address) or self.address
        if self.user is not None:
            self.asker = self.user
        _end_at_standstill(self.transport, STANDSTILL_SECONDS)
        super().connectionMade()
        if not self.site.arrived(self):
            self.forceAbortClient()

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered, and the last answer has arrived, whole."""
        if self._handlingRequest or self._answered is not None or self._kept:
            return False
        return not waits_for_the_kernel(self.transport) and not is_unconfirmed(self.transport)

    @property
    def amid_an_answer(self) -> bool:
        """Whether an answer was begun that is not all written."""
        return bool(self._handlingRequest and self._answered is None)

    def make_room(self) -> bool:
        """Close the connection, if that takes nothing from anybody; return whether it does.

        One that was told so already, a minute after its last answer was written, is waited for no
        longer.
        """
        if self._timed_out:
            self.forceAbortClient()
            return True
        transport: Any = self.transport
        if transport.disconnecting or not self.idle:
            return False
        self.loseConnection()
        return True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.departed(self)
        if self.site.at_once is not None:
            self.site.at_once.slow.discard(self)
        self.site.turns.drop(self.asker, self)
        self._answered, self._kept = None, ()
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """Take in what was read, at once or, where many ask, when there is time for it."""
        if self._handlingRequest:
            # It is kept until the answer is given.
            super().dataReceived(data)
            return
        self._kept = (*self._kept, data)
        # One that waits mostly has no more to say: the kernel need not be told each time.
        if not self.site.turns.take(self.asker, self, self._take_in) and len(self._kept) > 1:
            self._networkProducer.pauseProducing()

    def _take_in(self) -> None:
        data, self._kept = b"".join(self._kept), ()
        if not self._waitingForTransport:
            self._networkProducer.resumeProducing()
        try:
            if not self._was_answered(data, self.site.at_once):
                super().dataReceived(data)
        except Exception:  # noqa: BLE001 - a stranger's bytes: the reactor would log it each time
            self._failed()

    def _failed(self) -> None:
        tell_failure(Failure(), self.site.counters)
        self.forceAbortClient()

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
            self.site.turns.wait(self.asker, self, partial(self._next, request))
        else:
            super().requestDone(request)

    def _next(self, request: http.Request) -> None:
        self._words = self._admitted = None
        try:
            super().requestDone(request)
        except Exception:  # noqa: BLE001 - as above
            self._failed()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self._kept:
            self._networkProducer.pauseProducing()
        if self._answered is not None:
            request, self._answered = self._answered, None
            self.requestDone(request)

    def writeHeaders(  # noqa: N802
        self, version: bytes, code: bytes, reason: bytes, headers: Any
    ) -> None:
        """Write a head in one piece: handing on each of its words costs as much as the rest."""
        transport: Any = self.transport
        lines = [b"%b %b %b" % (version, code, reason)]
        for name, values in headers.getAllRawHeaders():
            lines += [b"%b: %b" % (name, value) for value in values]
        transport.write(b"\r\n".join((*lines, b"", b"")))

    def resetTimeout(self) -> None:
        """Give no more time for a piece of a request: the head is due from the last answer on."""

    def end(self) -> None:
        """Close the connection: at once in the middle of an answer, else once all has left."""
        if self.amid_an_answer:
            self.forceAbortClient()
        else:
            self.loseConnection()

    def timeoutConnection(self) -> None:
        # HTTPChannel writes a line for each; a stranger could fill a log with them. Not aborted:
        # the end of the last answer may still be on its way to a slow client.
        self.site.counters["timed out"] += 1
        self._timed_out = True
        self.loseConnection()

    def forceAbortClient(self) -> None:
        """Close the connection, in HTTPChannel's own way but for the line it writes."""
        self.aborted = True
        transport: Any = self.transport
        transport.abortConnection()


class Request(http.Request):
    """A request whose body, if it has one, is small; its headers are ASCII.

    The body is read over, but on a site that keeps some: there ``content`` has it.
    """

    def __init__(self, channel: Any, queued: object) -> None:
        super().__init__(channel, queued, parsePOSTFormSubmission=False)
        self._site: Site = channel.factory

    def gotLength(self, length: int | None) -> None:
        if length is None or length > (self._site.kept or LARGEST_READ_OVER):
            # Nobody has a reason to send one, and twisted.web would write it to a file.
            self._site.counters["request body"] += 1
            self.channel.forceAbortClient()
            length = 0
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Let go of a piece of the body, where nobody is to read it."""
        if self._site.kept:
            super().handleContentChunk(data)

    def process(self) -> None:
        """Have the face answer, unless the head is one that it should not have to read."""
        channel: Any = self.channel
        if channel.aborted:
            # The body that was too much had come with the head: nobody could be told what came
            # of it.
            return
        self.setHeader("Date", http_date())
        if not (strange := self._strange()):
            self._site.face.render(self)
            return
        self._site.counters[strange] += 1
        self.setResponseCode(http.BAD_REQUEST)
        self.setHeader("Content-Length", "0")
        self.finish()

    def _strange(self) -> str:
        """Return what nobody sends who means well; "" where there is nothing of that kind.

        Of two hosts that a request names (RFC 9112, 3.2) somebody else may go by the other; headers
        that are no text would fail to be decoded wherever one is read.
        """
        if not self.uri.startswith(b"/") or len(self.requestHeaders.getRawHeaders(b"Host", ())) > 1:
            return "strange target"
        headers = self.requestHeaders.getAllRawHeaders()
        texts = all(value.isascii() for _, values in headers for value in values)
        return "" if texts else "strange header"


class Site(http.HTTPFactory):
    """What serves a face, to so many connections in all, of one address, network and local user.

    0 is no bound, and those addresses that are ``unbounded`` have none of their own. Whom
    ``admits`` does not admit, by address, is not talked to at all. ``user_of`` tells the user at a
    connection's other end, None where nobody is known; those count as one. So many bytes of a
    request's body are ``kept`` for the face to read. ``at_once`` has answers, see ``repeating``.
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
        unbounded: Collection[str] = (),
        user_of: Callable[[Any, Any], int | None] = lambda _, __: None,
        admits: Callable[[str], bool] | None = None,
        kept: int = 0,
        at_once: Find | None = None,
    ) -> None:
        super().__init__(timeout=IDLE_SECONDS, reactor=reactor)
        self.face = face
        self.kept = kept
        self.at_once = None if at_once is None else AtOnce(at_once)
        # Without HTTP/2's negotiating wrapper: nobody speaks it here.
        self.protocol = Channel  # type: ignore[assignment]  # takes its place in every way used
        self.turns = Turns(reactor)
        self._crowd = Crowd(most_connections, most_per_address, most_per_network, unbounded)
        self._most_per_user = most_per_user
        self.user_of = user_of
        self._admits = admits
        #: Every connection, the oldest first.
        self._channels: dict[Channel, None] = {}
        #: Those that make room, until they are gone.
        self._leaving: set[Channel] = set()
        #: When nobody made room, of all or of one user.
        self._in_vain: dict[int | None, float] = {}
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
        if not self._crowd.has_room_for(address) or not self._has_room():
            self.counters["too many connections"] += 1
            return None
        self._crowd.enter(address)
        channel: Any = super().buildProtocol(addr)
        channel.site, channel.requestFactory = self, Request
        return channel

    def _has_room(self) -> bool:
        return not self._crowd.is_full(len(self._leaving)) or self._make_room(
            _ALL, lambda: self._channels
        )

    def _make_room(self, whose: int | None, channels: Callable[[], Iterable[Channel]]) -> bool:
        """Close the first of ``channels`` that may be; return whether there was one.

        It has its place until it is gone: only then its descriptor is.
        """
        now = self.reactor.seconds()
        if 0 <= now - self._in_vain.get(whose, -LOOKED_IN_VAIN) < LOOKED_IN_VAIN:
            return False
        if len(self._leaving) < MOST_LEAVING:
            for channel in channels():
                if channel not in self._leaving and channel.make_room():
                    self.counters["made room"] += 1
                    self._leaving.add(channel)
                    return True
        for one in [one for one, at in self._in_vain.items() if now - at >= LOOKED_IN_VAIN]:
            del self._in_vain[one]
        self._in_vain[whose] = now
        return False

    def arrived(self, channel: Channel) -> bool:
        """Take note of a connection; return False where its user has too many."""
        most = self._most_per_user
        own = [one for one in self._of(channel.user) if one not in self._leaving] if most else []
        self._channels[channel] = None
        if not most or len(own) < most or self._make_room(channel.user, lambda: own):
            return True
        self.counters["too many connections"] += 1
        return False

    def end(self) -> None:
        """Close every connection; what is in the middle of an answer is cut off."""
        for channel in tuple(self._channels):
            channel.end()

    def _of(self, user: int | None) -> list[Channel]:
        return [one for one in self._channels if one.user == user]

    def departed(self, channel: Channel) -> None:
        """Forget a connection that is gone; again is no error."""
        if channel not in self._channels:
            return
        del self._channels[channel]
        self._leaving.discard(channel)
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
