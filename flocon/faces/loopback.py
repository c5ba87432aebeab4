"""The face pacman uses, on 19433: whom it answers, and who answers which of its paths.

Only for this machine, and for networks that the operator names (its containers): another client's
address is refused, and so is a foreign ``Host`` (a web page that rebinds its name to 127.0.0.1),
and whatever another site's page asks for. Nothing here changes state. How a file is answered stands
in ``pacman_packages``, ``pacman_signatures`` and ``pacman_databases``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from twisted.web import http

from flocon.answering.json_answers import JSON, InTurn, Lately, answer_question, written_json
from flocon.answering.respond import (
    cut,
    finish_text,
    is_from_browser,
    is_from_foreign_page,
    refuse,
    respond,
)
from flocon.asking.mirrors import LOOP_DETECTED, LOOP_HEADER, loop_mark
from flocon.books.recent import LONGEST_TEXT, Answered, Recent
from flocon.faces.absent import AbsentSignatures
from flocon.faces.pacman_databases import answer_database, tell_database
from flocon.faces.pacman_packages import answer_package, tell_package
from flocon.faces.pacman_request import PacmanRequest
from flocon.faces.pacman_signatures import answer_signature, tell_signature
from flocon.files import Kind, parse_path
from flocon.serving.accepting import Admitting
from flocon.serving.awake import Awake
from flocon.serving.leaving import Leaving
from flocon.serving.repeating import admit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from twisted.web.http import Request

    from flocon.answering.json_answers import Question
    from flocon.answering.visitors import Admission, Names
    from flocon.faces.at_once import HeldAtOnce
    from flocon.faces.needs import ForPacman
    from flocon.files import Asked
    from flocon.serving.repeating import Repeating

#: What a person reads whom a page of another site sent here.
SENTENCE = (
    b"This is flocon's own page. It opens for who writes its address into the browser, or has it"
    b" among the bookmarks; pages of other sites are not let in.\n"
)

#: What begins so is the LAN's mirror's.
MIRROR = b"/mirror/"
#: Pages for who has a link to decide by: what answers them is made when a link is asked for.
REVIEW = b"/review/"


if TYPE_CHECKING:

    class Pages(Protocol):
        """What is there for a person's eyes, and for Prometheus."""

        def answer(self, request: Request) -> Awaitable[bool]:
            """Answer if the path is one of these; return whether it was."""

        def forget_answers(self) -> None:
            """Write each page anew."""

    class Contents(Protocol):
        """Answers with what a state of the LAN's databases is made of."""

        def answer(self, request: Request) -> Awaitable[bool]:
            """Answer if the path is one of these; return whether it was."""

    class Log(Protocol):
        """Takes note of how each request ended."""

        def add(self, answered: Answered) -> None: ...


class Loopback:
    """The face for pacman; its paths are pacman's.

    ``questions`` are what else can be asked, by path; what pacman asked goes into ``recent``.
    """

    def __init__(
        self,
        parts: ForPacman,
        questions: Mapping[str, Question] | None = None,
        recent: Log | None = None,
        pages: Pages | None = None,
        *,
        names: Names | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._admitting = Admitting(names, admission)
        #: Makes what answers below MIRROR, when that is first asked for.
        self.contents: Callable[[], Contents] | None = None
        #: Answers below REVIEW, once somebody has asked for a link.
        self.review: Callable[[Request], Awaitable[None]] | None = None
        self._parts = parts
        self._questions = {path.encode(): answer for path, answer in (questions or {}).items()}
        self._recent = Recent() if recent is None else recent
        self._pages = pages
        self._in_turn = InTurn()
        self._running: set[PacmanRequest] = set()
        self._traffic = parts.traffic
        self._absent = AbsentSignatures()
        self._lately = Lately(parts.reactor)
        self._leaving = Leaving(parts.reactor)
        self._awake = Awake(parts.reactor)
        #: Made once pacman asks: a node at rest does without.
        self._at_once: HeldAtOnce | None = None

    @property
    def running(self) -> int:
        """How many of pacman's requests are being answered."""
        return len(self._running)

    def forget_answers(self) -> None:
        """Tell of the node as it is now: somebody has just changed it by hand."""
        self._lately.forget()
        if self._pages is not None:
            self._pages.forget_answers()

    async def leave(self) -> None:
        """Begin nothing any more, and return when pacman can do without this node."""
        for one in tuple(self._running):
            # It has nothing of these yet, and loses nothing by asking the next node for all.
            told = self._awake.has_told(one.request)
            if not (one.asked.file.is_signature or told) and _asks_again(one):
                cut(one.request)
        self._write_down()
        await self._leaving.leave(lambda: bool(self._running))

    def at_once(self, channel: Repeating, path: bytes, content: bytes | None) -> bytes | None:
        """Return the whole answer to who was let in, where there can be one in this very turn."""
        if content is not None or self._leaving.begun or path.startswith((MIRROR, REVIEW)):
            return None
        if self._at_once is None:
            from flocon.faces.at_once import HeldAtOnce  # noqa: PLC0415 - as said above

            self._at_once = HeldAtOnce(self._parts, self._recent.add)
        found = self._at_once.find(channel.user, path)
        if found is None:
            return None
        asked, answer = found
        subject = asked.file.subject
        if asked.file.is_signature:
            self._leaving.owed.asked(subject)
        else:
            self._leaving.owed.given(self._parts.reactor.seconds(), subject)
        self._awake.stir()
        return answer

    def render(self, request: Request) -> None:
        respond(request, self._answer(request), self._traffic.answers)

    async def _answer(self, request: Request) -> None:
        if not self._admitting.admits(request):
            self._refuse(request, http.FORBIDDEN)
        elif is_from_foreign_page(request):
            self._refuse_page(request)
        elif request.path.startswith(REVIEW) and self.review is not None:
            await self.review(request)
        elif request.method not in {b"GET", b"HEAD"}:
            request.setHeader("Allow", "GET, HEAD")
            refuse(request, http.NOT_ALLOWED)
        elif request.path == b"/check":
            finish_text(request, b"OK\n", "text/plain; charset=utf-8")
        else:
            await self._answer_path(request, parse_path(request.path))

    async def _answer_path(self, request: Request, asked: Asked | None) -> None:
        if asked is None:
            # What is told of pacman's requests is to be of all of them.
            self._write_down()
        if request.path == b"/status.json":
            finish_text(request, await self._lately.get("status", self._status), JSON)
        elif request.path in self._questions:
            question = self._questions[request.path]
            await answer_question(request, question, self._in_turn)
        elif request.path.startswith(MIRROR) and self.contents is not None:
            await self.contents().answer(request)
        elif self._pages is None or not await self._pages.answer(request):
            await self._file(request, asked)

    def _write_down(self) -> None:
        if self._at_once is not None:
            self._at_once.write()

    async def _status(self) -> bytes:
        return written_json(self._parts.status())

    def _refuse_page(self, request: Request) -> None:
        """Answer a page of another site, or who followed its link, with no more than a sentence."""
        self._traffic.answers[f"refused {http.FORBIDDEN}"] += 1
        request.setResponseCode(http.FORBIDDEN)
        body = SENTENCE if request.path == b"/" else b""
        finish_text(request, body, "text/plain; charset=utf-8")

    async def _file(self, request: Request, asked: Asked | None) -> None:
        if asked is None:
            self._refuse(request, http.NOT_FOUND)
            self._remember_strange(request)
        else:
            await self.give(request, asked)

    async def give(self, request: Request, asked: Asked) -> None:
        """Answer with a file, by whichever face for this machine's pacman it was asked for.

        Who asks was let in there, and no page of another site is behind it.
        """
        if is_from_browser(request) and request.getHeader("Sec-Fetch-Site") is None:
            # One that does not say whose page had it ask: it could have packages fetched.
            self._refuse(request, http.FORBIDDEN)
            return
        if request.getHeader(LOOP_HEADER) == loop_mark():
            # This node itself, sent here by a mirror: it would wait for its own answer.
            self._refuse(request, LOOP_DETECTED)
            return
        if asked.file.is_signature:
            self._leaving.owed.asked(asked.file.subject)
        elif self._leaving.begun:
            cut(request)
            return
        admit(request)
        one = PacmanRequest(request, asked, self._parts)
        self._running.add(one)
        try:
            hurry = self._parts.precedence.pacman(one.user)
            with hurry as one.taking, self._awake.kept(one):
                await self._answer_file(one)
        finally:
            self._running.discard(one)
            self._recent.add(one.answered())
            if one.has_given_package:
                self._leaving.owed.given(self._parts.reactor.seconds(), asked.file.subject)

    def _remember_strange(self, request: Request) -> None:
        """Take note of a path that is none of pacman's: a ``Server`` line may be another tool's."""
        if is_from_browser(request):
            return  # which asks for icons and the like
        path = request.path[:LONGEST_TEXT].decode("ascii", "backslashreplace")[:LONGEST_TEXT]
        self._recent.add(Answered(path, "", time.time(), 0.0, request.code, "", 0))

    async def _answer_file(self, one: PacmanRequest) -> None:
        is_head, file = one.request.method == b"HEAD", one.asked.file
        if file.kind is Kind.DATABASE:
            await (tell_database if is_head else answer_database)(one, self._absent)
        elif file.kind is Kind.NOTE:
            await (one.tell_as_mirrors_do() if is_head else one.relay())
        elif file.is_signature:
            await (tell_signature if is_head else answer_signature)(one)
        else:
            await (tell_package if is_head else answer_package)(one)

    def _refuse(self, request: Request, status: int) -> None:
        self._traffic.answers[f"refused {status}"] += 1
        refuse(request, status)


def _asks_again(one: PacmanRequest) -> bool:
    """Whether curl asks once more where its connection ends: it does where it used it before."""
    channel: Any = one.request.channel
    return channel is not None and channel.answered > 0
