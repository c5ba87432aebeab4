"""Whatever changes the node's state, over a Unix socket that file permissions guard.

The loopback face can be asked by every user and by every web page of this machine; nothing there
changes anything. Here each action is a POST, answered with a sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.web import http

from flocon.answering.respond import refuse, respond
from flocon.errors import AmbiguousPeer, FloconError, PeerError
from flocon.machine.callers import caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from twisted.web.http import Request

#: A node id, an address with its zone, or a host name.
LONGEST_PEER = 128
#: Words of what the mirror for the LAN is told, and characters of one.
MOST_WORDS, LONGEST_WORD = 64, 1_024
#: Bytes that come along with a request: the files of a recipe.
LARGEST_BODY = 4 << 20


if TYPE_CHECKING:

    class Operator(Protocol):
        """What can be done to a node by hand."""

        def rejoin(self) -> None: ...

        def ban(self, peer: str) -> str: ...

        def pardon(self, peer: str) -> str: ...

        def prefetch(self) -> Deferred[int]: ...

    class Personal(Protocol):
        """Does what words say that come with a user and some bytes; returns a text."""

        async def __call__(self, words: list[str], who: str, body: bytes = b"") -> str: ...


class Control:
    """``POST /rejoin``, ``/prefetch``, ``/ban/PEER``, ``/pardon/PEER``, ``/mirror/...``.

    ``acted`` is called after each: what was said of the node may not be so any more. ``steering``
    has by the first word of a path who does what the others say, and returns a sentence; what it
    cannot do is a FloconError. Those that are ``personal`` are told who asks, too, and what came
    along.
    """

    def __init__(
        self,
        operator: Operator,
        acted: Callable[[], None] = lambda: None,
        steering: Mapping[str, Callable[[list[str]], Awaitable[str]]] | None = None,
        personal: Mapping[str, Personal] | None = None,
    ) -> None:
        self._operator = operator
        self._acted = acted
        self._steering = steering or {}
        self._personal = personal or {}

    def render(self, request: Request) -> None:
        respond(request, self._answer(request))

    async def _answer(self, request: Request) -> None:
        if request.method != b"POST":
            request.setHeader("Allow", "POST")
            refuse(request, http.NOT_ALLOWED)
            return
        try:
            await self._act(request)
        finally:
            self._acted()

    async def _act(self, request: Request) -> None:
        words = [unquote(part.decode("ascii", "replace")) for part in request.path.split(b"/")[1:]]
        match words:
            case ["rejoin"]:
                self._operator.rejoin()
                _say(request, "joining the group anew on every interface")
            case ["prefetch"]:
                await self._prefetch(request)
            case ["ban" | "pardon" as verb, peer] if 0 < len(peer) <= LONGEST_PEER:
                self._judge(request, verb, peer)
            case [subject, *rest] if subject in self._steering or subject in self._personal:
                await self._steer(request, subject, rest)
            case _:
                refuse(request, http.NOT_FOUND)

    async def _steer(self, request: Request, subject: str, words: list[str]) -> None:
        if len(words) > MOST_WORDS or any(len(word) > LONGEST_WORD for word in words):
            refuse(request, http.NOT_FOUND)
            return
        try:
            if subject in self._personal:
                body = request.content.read(LARGEST_BODY) if request.content else b""
                said = await self._personal[subject](
                    words, caller(getattr(request.channel.transport, "socket", None)), body
                )
            else:
                said = await self._steering[subject](words)
            _say(request, said)
        except FloconError as error:
            _say(request, str(error), http.CONFLICT)

    async def _prefetch(self, request: Request) -> None:
        try:
            count = await maybeDeferred(self._operator.prefetch)
        except FloconError as error:
            _say(request, str(error), http.SERVICE_UNAVAILABLE)
        else:
            _say(request, _fetched(count))

    def _judge(self, request: Request, verb: str, peer: str) -> None:
        act = self._operator.ban if verb == "ban" else self._operator.pardon
        try:
            _say(request, act(peer))
        except AmbiguousPeer as error:
            _say(request, str(error), http.CONFLICT)
        except PeerError as error:
            _say(request, str(error), http.NOT_FOUND)


def _fetched(count: int) -> str:
    if not count:
        return "nothing to fetch: all that pacman would upgrade is here"
    packages = "1 package is" if count == 1 else f"{count} packages are"
    return f"{packages} fetched in the background"


def _say(request: Request, sentence: str, status: int = http.OK) -> None:
    body = (sentence + "\n").encode("utf-8", "backslashreplace")
    request.setResponseCode(status)
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    request.setHeader("Content-Length", str(len(body)))
    request.write(body)
    request.finish()
