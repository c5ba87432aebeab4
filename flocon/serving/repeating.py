"""A connection on which the same words are said again and again, all but the path.

pacman asks for hundreds of files so. Whether it may is judged once, as of any request; after that a
request which differs from that one in its path alone is answered in the turn it came in, with what
``at_once`` has for it. What it has nothing for, or came in pieces or with another, goes the long
way.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.protocols.policies import TimeoutMixin
from twisted.web import http

from flocon.answering.sendfile import waits_for_the_kernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    #: Returns the whole answer for a path and, where it is to be of that content, its SHA-256 in
    #: hex; None where there is none in this turn.
    Find: TypeAlias = Callable[["Repeating", bytes, bytes | None], bytes | None]

#: All that a request may say beside its path: nothing on which the answer to another path depends.
PLAIN = frozenset({b"Host", b"User-Agent", b"Accept"})
#: Connections that may have the rest of such an answer in memory; others are sent it from its file.
MOST_SLOW = 64
_BEGINNING, _VERSION, _END = b"GET ", b" HTTP/1.1", b"\r\n\r\n"
#: How peers say which content they mean.
_IF_MATCH = re.compile(rb'\r\nIf-Match: "([0-9a-f]{64})"(?=\r\n)')
#: What is never admitted: a content that was said otherwise, which the next path may not be of, and
#: lines that go on in the next one, which would go on in another without the one taken out.
_DOUBTFUL = re.compile(rb"if-match|\r\n[ \t]", re.IGNORECASE)


def admit(request: http.Request) -> None:
    """Have those judged no more who ask again in the words of a request, where they may repeat."""
    if isinstance(request.channel, Repeating):
        request.channel.admit(request)


class AtOnce:
    """Answers for the connections of one site."""

    def __init__(self, find: Find) -> None:
        self.find = find
        #: Connections that did not take the last such answer in one piece.
        self.slow: set[Repeating] = set()

    def has_room(self) -> bool:
        """Whether few have the rest of an answer in memory: fewer than may."""
        if len(self.slow) >= MOST_SLOW:
            self.slow = {one for one in self.slow if one.has_unsent()}
        return len(self.slow) < MOST_SLOW


class Repeating(http.HTTPChannel):
    """Knows the words that were admitted on it."""

    #: Where a request comes from: an address, and a local user where one is known.
    address = ""
    user: int | None = None
    #: How many requests were answered on it.
    answered = 0
    #: All of a request but its first line and what content it is to be of: of the one that is
    #: answered, and of what was admitted.
    _words: bytes | None = None
    _admitted: bytes | None = None

    def admit(self, request: http.Request) -> None:
        """Have those who ask in the words of a request that is being answered judged no more."""
        words = self._words
        said = {name for name, _ in request.requestHeaders.getAllRawHeaders()} - {b"If-Match"}
        if words is not None and said <= PLAIN and not _DOUBTFUL.search(words):
            self._admitted = words

    def _was_answered(self, data: bytes, at_once: AtOnce | None) -> bool:
        """Answer what was read, if it is one request in known words; return whether it was."""
        self._words = None
        if at_once is None:
            return False
        if self.requests or self._buffer:
            self._admitted = None
            return False
        at_once.slow.discard(self)
        end = data.find(b"\r\n")
        line, words = data[:end], data[end:]
        if words.find(_END) != len(words) - len(_END) or not line.startswith(_BEGINNING):
            # twisted.web reads over one empty line before each request: only it knows of those.
            self._admitted = None
            return False
        content = None
        if found := _IF_MATCH.search(words):
            content, words = found[1], words[: found.start()] + words[found.end() :]
        self._words = words
        if words != self._admitted or not line.endswith(_VERSION) or self.has_unsent():
            return False
        if not at_once.has_room():
            return False
        answer = at_once.find(self, line[len(_BEGINNING) : -len(_VERSION)], content)
        if answer is None:
            return False
        self.answered += 1
        TimeoutMixin.resetTimeout(self)
        if not self._send(answer):
            at_once.slow.add(self)
        return True

    def has_unsent(self) -> bool:
        """Whether the connection has not sent all that was written to it, or is to be closed."""
        transport: Any = self.transport
        return bool(waits_for_the_kernel(transport) or getattr(transport, "disconnecting", False))

    def _send(self, data: bytes) -> bool:
        """Send without having the kernel told, twice, that there is something to send.

        Return whether it took all.
        """
        transport: Any = self.transport
        sent = 0
        if isinstance(transport, tcp.Connection) and not transport.TLS:
            # What fails here fails again when the transport does it, which then says so.
            with suppress(OSError):
                sent = transport.socket.send(data)
        if sent < len(data):
            transport.write(data[sent:])
        return sent == len(data)
