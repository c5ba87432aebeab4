"""A coroutine that answers a request: started, cancelled when the client leaves, never unanswered.

What fails is counted, and one traceback a minute written for each place in the code: it may be a
stranger's question that fails there, and he may ask it again.

Also the two kinds of short answers both faces give: an error without a body (pacman counts bytes
of error bodies against its size caps) and a small text.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.web import http

from flocon.answering.visitors import is_browser, is_foreign_page
from flocon.asking.patience import PACMAN
from flocon.log import logger
from flocon.precedence import BACKGROUND

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Coroutine
    from typing import Any

    from twisted.python.failure import Failure
    from twisted.web.http import Request

    from flocon.answering.visitors import Names

_log = logger(__name__)
#: Returns the date of now. Looked up once: what a module has that has deprecated names too takes
#: long to find.
http_date = http.datetimeToString
#: Characters of ``Priority`` that are read.
LONGEST_PRIORITY = 256
#: What a browser says of the page that has it ask; pacman says none of them.
_OF_PAGES = (b"Sec-Fetch-Site", b"Origin", b"Referer")
#: Seconds between two tracebacks of one place.
PAUSE = 60.0


class Failures:
    """Where something failed of late; there are as many places as lines of code."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, int, type], float] = {}

    def is_news(self, failure: Failure, now: float) -> bool:
        """Whether to tell of a failure at ``now``, in seconds of any clock that only goes on."""
        traceback = failure.getTracebackObject()
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        file = traceback.tb_frame.f_code.co_filename if traceback is not None else ""
        place = file, traceback.tb_lineno if traceback is not None else 0, type(failure.value)
        if now - self._told.get(place, -PAUSE) < PAUSE:
            return False
        self._told[place] = now
        return True


_failures = Failures()


def respond(
    request: Request,
    answer: Coroutine[Deferred[Any], Any, None],
    counters: Counter[str] | None = None,
) -> None:
    """Run ``answer`` for ``request``; ``counters`` gets ``answering failed``."""
    running = Deferred.fromCoroutine(answer)
    gone = False

    def left(_: Failure) -> None:
        nonlocal gone
        gone = True
        running.cancel()

    def failed(failure: Failure) -> None:
        if gone and failure.check(CancelledError):
            return
        tell_failure(failure, counters, request.path)
        if not gone and not request.finished:
            if request.startedWriting:
                cut(request)
            else:
                refuse(request, http.INTERNAL_SERVER_ERROR)

    request.notifyFinish().addErrback(left)
    running.addErrback(failed)


def tell_failure(failure: Failure, counters: Counter[str] | None, path: bytes = b"") -> None:
    """Count what failed while a request was answered, or read, and tell of it if it is news."""
    if counters is not None:
        counters["answering failed"] += 1
    if _failures.is_news(failure, time.monotonic()):
        _log.failure("answering {path!r} failed", failure=failure, path=path[:200])


def is_for(names: Names, request: Request) -> bool:
    """Whether a request was sent to one of ``names``, or to none, as in HTTP/1.0."""
    return all(names.know(host) for host in _values(request, b"Host"))


def is_from_foreign_page(request: Request) -> bool:
    """Whether a page of another site had a browser ask."""
    if not any(map(request.requestHeaders.hasHeader, _OF_PAGES)):
        return False
    return is_foreign_page(*(_values(request, field) for field in (*_OF_PAGES, b"Host")))


def is_from_browser(request: Request) -> bool:
    """Whether a browser asks, for a page or for a person."""
    return is_browser(_values(request, b"User-Agent"))


def is_unhurried(request: Request) -> bool:
    """Whether nobody waits for the answer: its urgency is background (RFC 9218, 4.1)."""
    urgency = ""
    for member in ",".join(_values(request, b"Priority"))[:LONGEST_PRIORITY].split(","):
        key, _, value = member.partition(";")[0].strip().partition("=")
        if key == "u":
            # The last one counts (RFC 8941, 3.2).
            urgency = value
    return urgency == BACKGROUND


def _values(request: Request, field: bytes) -> list[str]:
    values = request.requestHeaders.getRawHeaders(field)
    return [value.decode("utf-8", "replace") for value in values] if values else []


def refuse(request: Request, status: int) -> None:
    """Answer with ``status`` and no body."""
    request.setResponseCode(status)
    request.responseHeaders.removeHeader("Content-Type")
    request.setHeader("Content-Length", "0")
    request.finish()


def finish_text(request: Request, body: bytes, content_type: str) -> None:
    """Answer 200 with a small ``body``."""
    request.setHeader("Content-Type", content_type)
    request.setHeader("Content-Length", str(len(body)))
    request.setHeader("Cache-Control", "no-store")
    request.write(b"" if request.method == b"HEAD" else body)
    request.finish()


def cut(request: Request) -> None:
    """End the connection in the middle of an answer, so that nobody takes it for whole."""
    if request.channel is not None:
        request.channel.forceAbortClient()


def in_time(clock: Any, since: float, waited_for: Deferred[Any]) -> Deferred[Any]:
    """Return what is waited for, with a TimeoutError before pacman, who asked then, gives up."""
    if waited_for.called and not waited_for.paused:
        return waited_for
    spent = clock.seconds() - since
    return waited_for.addTimeout(max(0.1, PACMAN - spent), clock)
