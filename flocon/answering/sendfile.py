"""The body of an answer, from a file that may still be growing: what both faces send with.

On a plain TCP or Unix connection the kernel copies (``os.sendfile``), straight from the
transport's own moment of writing; elsewhere (TLS, transports in memory) bytes are read and
written. How far may be sent is the caller's ``limit``; nothing is decided here.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from flocon.answering.respond import cut
from flocon.extents import Extent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any

    from twisted.web.http import Request

    #: Reads so many bytes from a position on.
    Reads = Callable[[int, int], Awaitable[bytes]]

#: Bytes of one sendfile call: a slow disk's read of it stays below 50 ms, and less at a time costs
#: throughput.
SENDFILE_STEP = 1 << 20
#: Seconds for which one answer is sent before others have their turn.
TURN = 0.001
#: Bytes of an answer for which filled packets make up for the two calls they cost.
LEAST_CORKED = 1 << 20
#: Families with packets to fill.
_INTERNET = {socket.AF_INET, socket.AF_INET6}
#: Bytes that the kernel takes ahead of a client, where it is watched how much that takes; else they
#: are some 100 to 400 KiB, and up to 4 MiB.
LITTLE = 32 << 10
#: Bytes of an answer that is sent in the turn it is made in, if the kernel takes it: to wait until
#: it says that it does costs more than to send them.
AT_ONCE = 64 << 10
#: Bytes of one read where the kernel cannot copy, and of one in a thread.
READ_STEP, PATIENT_STEP = 1 << 16, 1 << 18


def waits_for_the_kernel(transport: Any) -> bool:
    """Whether something that was written to a transport was not taken by the kernel yet."""
    # What waits there has no public name but in part.
    return bool(getattr(transport, "dataBuffer", b"") or getattr(transport, "_tempDataLen", 0))


@contextmanager
def little_unsent(request: Request) -> Iterator[None]:
    """Have the kernel take little more of an answer than the client's machine does."""
    connection = getattr(getattr(request.channel, "transport", None), "socket", None)

    def set_most(size: int) -> None:
        if connection is not None and connection.family in _INTERNET:
            with suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)

    set_most(LITTLE)
    try:
        yield
    finally:
        # As much as usual.
        set_most(0)


class Interrupted(Exception):  # noqa: N818 - what became of an answer
    """The file cannot be read any further: what is ``left`` of the answer."""

    def __init__(self, left: Extent) -> None:
        super().__init__(left)
        self.left = left


class Sender:
    """What both ways of sending share: where it stands, and how it ends."""

    def __init__(
        self,
        request: Request,
        start: int,
        end: int,
        *,
        fileno: Callable[[], int],
        limit: Callable[[int], int],
        sent: Callable[[int], None],
    ) -> None:
        self.request = request
        self.position = start
        self.end = end
        self._fileno = fileno
        self._limit = limit
        self._sent = sent
        self._over = False
        self.done: Deferred[None] = Deferred(lambda _: self.abort())

    def poke(self) -> None:
        """Look again: the limit may have risen."""
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def _available(self) -> int:
        return min(self._limit(self.position), self.end) - self.position

    def _took(self, count: int) -> None:
        self.position += count
        self._sent(count)

    def _release_transport(self) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._release_transport()
            self.done.callback(None)

    def abort(self) -> None:
        """Cut the connection: what was sent is not the whole, and must not look like it."""
        if not self._over:
            self._over = True
            self._release_transport()
            cut(self.request)
            self._errback()

    def stopProducing(self) -> None:
        """Learn from the transport that the client has gone."""
        if not self._over:
            self._over = True
            self._errback()

    def _errback(self) -> None:
        if not self.done.called:
            self.done.errback(ConnectionAborted())


@implementer(IPullProducer)
class _KernelSender(Sender):
    """Stands in for the HTTP channel as the transport's producer while the body is sent.

    A pull producer is asked when the transport's own buffer is empty; that is when the socket
    may be written to past it. From then on the reactor has this write in place of the transport,
    which would send nothing first, and have the kernel look at the socket anew, twice, each time.
    """

    def __init__(self, request: Request, *arguments: Any, **keywords: Any) -> None:
        super().__init__(request, *arguments, **keywords)
        self._channel: Any = request.channel
        self._transport: Any = self._channel.transport
        self._headers_pending = True
        self._writes = False
        self._waiting = False
        self._corked = False
        self._corks = self.end - self.position >= LEAST_CORKED

    def start(self) -> None:
        self._cork(True)
        self.request.write(b"")
        if self._send_at_once():
            return
        # Where it is the rest of an answer they may have left long ago.
        self._headers_pending = waits_for_the_kernel(self._transport)
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, False)

    def _send_at_once(self) -> bool:
        """Send what is small and all there, as far as the kernel takes it; return whether it is."""
        left = self.end - self.position
        if left > AT_ONCE or self._available() < left:
            return False
        # What fails here fails again when the reactor does it, which then says so.
        self._transport.doWrite()
        self._headers_pending = waits_for_the_kernel(self._transport)
        if not self._headers_pending:
            self._send_for_a_turn(left)
            if not self._over and self.position >= self.end:
                self._finish()
        return self._over

    def resumeProducing(self) -> None:
        if self._headers_pending:
            # Asked at registration, with the headers still in the transport's buffer; asked
            # again once they are out.
            self._headers_pending = False
            return
        if not self._writes:
            self._writes, self._transport.doWrite = True, self._write
        self._send()

    def _write(self) -> Any:
        """Send what the socket takes now, as the transport does; return what went wrong, if so."""
        if waits_for_the_kernel(self._transport):
            return type(self._transport).doWrite(self._transport)
        return self._send()

    def _send(self) -> None:
        if self._over:
            return
        available = self._available()
        if available <= 0:
            self._waiting = self.position < self.end
            if self._waiting:
                self._transport.stopWriting()
                self._cork(False)
            else:
                self._finish()
            return
        self._send_for_a_turn(available)
        if self._over:
            return
        if self.position >= self.end:
            self._finish()
        else:
            self._transport.startWriting()

    def _send_for_a_turn(self, available: int) -> None:
        """Send as long as the kernel takes it: the reactor's own turn costs as much as 100 KiB."""
        until = time.perf_counter() + TURN
        to, source, taken, failed = self._transport.fileno(), self._fileno(), 0, False
        while taken < available:
            step = min(available - taken, SENDFILE_STEP)
            try:
                count = os.sendfile(to, source, self.position + taken, step)
            except BlockingIOError:
                break
            except OSError:
                count = 0
            # Where the file is shorter than it was, nothing right can follow.
            failed = count == 0
            taken += count
            if failed or time.perf_counter() >= until:
                break
        if taken:
            self._took(taken)
        if failed:
            self.abort()

    def poke(self) -> None:
        if self._waiting and not self._over:
            self._waiting = False
            self._cork(True)
            self._send()

    def _cork(self, corked: bool) -> None:
        """Let the kernel fill its packets, headers and all, or send at once what it has.

        Without it each 64 KiB that sendfile hands over is pushed by itself, which takes the
        kernel half as long again.
        """
        wanted = corked and self._corks
        if wanted != self._corked and self._transport.socket.family in _INTERNET:
            self._corked = wanted
            self._transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, wanted)

    def _release_transport(self) -> None:
        if self._writes:
            self._writes = False
            # The transport puts something else there where it is aborted.
            if self._transport.doWrite == self._write:
                del self._transport.doWrite
        if self._transport.connected:
            self._cork(False)
        if self._transport.producer is self:
            self._transport.unregisterProducer()
            self._transport.registerProducer(self._channel, True)


@implementer(IPushProducer)
class _CopySender(Sender):
    """Reads and writes, as fast as the consumer takes it."""

    def __init__(self, request: Request, *arguments: Any, **keywords: Any) -> None:
        super().__init__(request, *arguments, **keywords)
        self._paused = False

    def start(self) -> None:
        self.request.registerProducer(self, True)
        self.request.notifyFinish().addErrback(lambda _: self.stopProducing())
        self.request.write(b"")
        self.poke()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self.poke()

    def poke(self) -> None:
        while not self._over and not self._paused:
            available = self._available()
            if available <= 0:
                if self.position >= self.end:
                    self._finish()
                return
            try:
                data = os.pread(self._fileno(), min(available, READ_STEP), self.position)
            except OSError:
                data = b""
            if not data:
                self.abort()
                return
            self._took(len(data))
            self.request.write(data)

    def _release_transport(self) -> None:
        if self.request.channel is not None:
            self.request.unregisterProducer()


@implementer(IPushProducer)
class _PatientSender(_CopySender):
    """Has read what may hang, a piece at a time, with nobody else waiting for that.

    Where it cannot be ``done`` fails with Interrupted, and somebody else may send the rest.
    """

    def __init__(self, request: Request, reads: Reads, *arguments: Any, **keywords: Any) -> None:
        super().__init__(request, *arguments, **keywords)
        self._reads = reads
        self._is_reading = False

    def poke(self) -> None:
        if self._over or self._paused or self._is_reading:
            return
        available = self._available()
        if available > 0:
            self._is_reading = True
            reading = Deferred.fromCoroutine(self._read(min(available, PATIENT_STEP)))
            reading.addErrback(lambda _: self._interrupt())
        elif self.position >= self.end:
            self._finish()

    async def _read(self, count: int) -> None:
        data = await self._reads(self.position, count)
        self._is_reading = False
        if self._over:
            return
        if not data:
            self._interrupt()
            return
        self._took(len(data))
        self.request.write(data)
        self.poke()

    def _interrupt(self) -> None:
        if not self._over:
            self._over = True
            self._release_transport()
            self.done.errback(Interrupted(Extent(self.position, self.end)))


def sender(
    request: Request,
    start: int,
    end: int,
    *,
    fileno: Callable[[], int],
    limit: Callable[[int], int],
    sent: Callable[[int], None],
    framed: bool = False,
    reads: Reads | None = None,
) -> Sender:
    """Return what sends bytes ``start`` to ``end`` of ``fileno()`` as the body of ``request``.

    ``limit(position)`` is up to where bytes may go now; call ``poke`` when it rises. ``sent``
    is told of every count. Once ``start`` was called, ``done`` fires when all is handed to the
    kernel, or fails when the client has gone or ``abort`` was called; ``request.finish`` is the
    caller's. ``framed`` tells that bytes may not go past HTTP's own writing. ``reads`` reads what
    may hang.
    """
    if reads is not None:
        return _PatientSender(request, reads, start, end, fileno=fileno, limit=limit, sent=sent)
    transport = getattr(request.channel, "transport", None)
    direct = isinstance(transport, tcp.Connection) and not transport.TLS and not framed
    make = _KernelSender if direct else _CopySender
    return make(request, start, end, fileno=fileno, limit=limit, sent=sent)
