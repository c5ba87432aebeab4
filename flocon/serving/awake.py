"""What keeps pacman awake while it waits: interim answers, which curl reads over.

pacman (6.0.2 and 7.1, measured) begins the next download, or asks for a signature, when a byte
comes on any of its connections, and after a second of sleep where none does. A node that holds
files back until they are verified is silent on all of them: so whenever something of pacman's has
ended or begun, what waits for its answer is told that it is on the way (RFC 9110, 15.2).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from twisted.internet.interfaces import IDelayedCall
    from twisted.web.http import Request

    from flocon.files import Asked

    class Waiting(Protocol):
        """A request of a pacman's."""

        @property
        def request(self) -> Request: ...

        @property
        def asked(self) -> Asked: ...

        @property
        def fails_by_cutting(self) -> bool: ...


INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
#: Seconds after something ended or began: what is held here is sent in less than the first, and
#: the next is for a pacman that was too busy to have gone to sleep by then.
WAKES = (0.01, 0.1)
#: Interim answers before one that counts; curl takes 300 KiB of them.
MOST_INTERIM = 256


class Awake:
    """All requests of pacman's that may wait for their answers."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        #: How often each was told.
        self._waiting: dict[Request, int] = {}
        self._call: IDelayedCall | None = None
        #: Which of WAKES is due next.
        self._next = 0

    @contextmanager
    def kept(self, one: Waiting) -> Iterator[None]:
        """Have pacman kept awake while a request is answered, and woken when it is."""
        if _may_be_told(one):
            self._waiting[one.request] = 0
        self.stir()
        try:
            yield
        finally:
            self._waiting.pop(one.request, None)
            self.stir()

    def has_told(self, request: Request) -> bool:
        """Whether a byte was sent: then curl does not ask again where its connection ends."""
        return bool(request.startedWriting) or self._waiting.get(request, 0) > 0

    def stir(self) -> None:
        """Have those who wait told that something ended or began."""
        if self._call is not None:
            if self._next == 0 and self._waiting:
                return
            self._call.cancel()
            self._call = None
        if self._waiting:
            self._next = 0
            self._call = self._reactor.callLater(WAKES[0], self._wake)

    def _wake(self) -> None:
        self._call = None
        for request, told in self._waiting.items():
            if request.channel is not None and not request.startedWriting and told < MOST_INTERIM:
                self._waiting[request] = told + 1
                request.channel.write(INTERIM)
        before, self._next = WAKES[self._next], self._next + 1
        if self._next < len(WAKES):
            self._call = self._reactor.callLater(WAKES[self._next] - before, self._wake)


def _may_be_told(one: Waiting) -> bool:
    """Whether pacman asks, for what may take long.

    Not of a signature, which curl must ask for again where the node was restarted, nor where a
    failure is an end without any answer.
    """
    request, asked = one.request, one.asked
    client = request.getHeader("User-Agent") or ""
    if request.method != b"GET" or request.clientproto != b"HTTP/1.1" or asked.file.is_signature:
        return False
    if not client.startswith("pacman/"):
        return False
    return not one.fails_by_cutting
