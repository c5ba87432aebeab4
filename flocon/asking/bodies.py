"""How the body of an answer comes in: handed on to a sink, and ended where it is to end.

Nothing here knows what was asked for or why; a body that stalls, overruns or breaks off becomes a
SourceError.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import defer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from flocon.errors import Broken, FloconError, Stalled

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.iweb import IResponse

    from flocon.asking.answer import Head
    from flocon.asking.attempts import Limits

#: Bytes of one read of a body. Four times Twisted's own costs the reactor's thread a quarter less
#: time for each byte; sixteen times no less than that, and memory for every fetch.
READ_SIZE = 256 << 10


#: Bytes that the kernel takes ahead of what is read, where no more are to come than are taken; else
#: it takes as many as a fast reader ever needed, which is some megabytes.
LITTLE_AHEAD = 256 << 10
#: What sets no bound to them.
ANY_AHEAD = 1 << 30


class Enough(Exception):  # noqa: N818 - not an error
    """Raised by a sink that wants no more of a file: the fetch ends, and ended well."""


if TYPE_CHECKING:

    class Sink(Protocol):
        """What takes a file's bytes; both methods may raise a FloconError to end the fetch."""

        def begin(self, head: Head) -> None: ...

        def write(self, position: int, data: bytes) -> Deferred[None] | None:
            """Take bytes; return what fires once more are to come, None for at once."""


def abandon(response: IResponse) -> None:
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


def _set_ahead(connection: Any, size: int) -> None:
    if connection is not None:
        # It may be closed by now.
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, size)


class Body(TwistedProtocol):
    """Hands the body on to the sink; ends it when it stalls, overruns or is cancelled.

    It is that of the bytes of a file from ``start`` up to ``end`` (None: as many as come), and
    ``source`` is called so in errors. ``little_ahead`` tells whether the kernel is to take little
    that is not read. ``done`` fires when it has ended.
    """

    def __init__(
        self,
        clock: IReactorTime,
        source: str,
        start: int,
        end: int | None,
        *,
        sink: Sink,
        limits: Limits,
        little_ahead: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock = clock
        self._source = source
        self._sink = sink
        self._stall = limits.stall
        self._step = limits.step
        self._position = start
        self._next_step = start + limits.step
        self._end = end
        self._failure: FloconError | None = None
        self._cancelled = self._enough = False
        #: Whether the sink can take no more now.
        self._paused = False
        self._little_ahead = little_ahead
        #: The socket that was bound so.
        self._bound: Any = None
        self._last = clock.seconds()
        self._watch: IDelayedCall | None = None
        self.done: Deferred[None] = defer.Deferred(self._cancel)

    def connectionMade(self) -> None:
        # As in _leave: the transport of a body only stands for its connection.
        connection: Any = getattr(self.transport, "_producer", None)
        if hasattr(connection, "bufferSize"):
            connection.bufferSize = READ_SIZE
        self._bind()
        self._last = self._clock.seconds()
        self._watch = self._clock.callLater(self._stall, self._look)

    def _bind(self) -> None:
        """Have the kernel take little ahead, or as much as it likes.

        Said again for each piece: the kernel gives itself more as more is read.
        """
        if self._little_ahead():
            connection: Any = getattr(self.transport, "_producer", None)
            self._bound = getattr(connection, "socket", None)
            _set_ahead(self._bound, LITTLE_AHEAD)
        elif self._bound is not None:
            self._unbind()

    def _unbind(self) -> None:
        """Leave the connection as it was: it may be kept for another file."""
        bound, self._bound = self._bound, None
        _set_ahead(bound, ANY_AHEAD)

    def _look(self) -> None:
        """See whether a step was made since; one timer an answer, however many chunks."""
        if self._paused:
            self._last = self._clock.seconds()
        idle = self._clock.seconds() - self._last
        if idle >= self._stall:
            self._watch = None
            self._fail(Stalled(self._source, f"less than {self._step} B in {self._stall:g} s"))
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
            self._fail(Broken(self._source, "sent more than it promised"))
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
        self._bind()
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
        self._bind()
        # What was waited for was no silence of the source's.
        self._last = self._clock.seconds()
        # Of an answer that has ended it reaches nobody.
        transport: Any = self.transport
        transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._unbind()
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
            self._failure = Broken(self._source, f"ended after {self._position} bytes")
        elif self._end is None and not reason.check(ResponseDone, PotentialDataLoss):
            self._failure = Broken(self._source, "the connection was lost")
