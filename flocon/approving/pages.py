"""Pages below ``/review/``, for whoever has a link of ``flocon build web``: to read, and to decide.

They are for a browser on this very machine. The first that opens a link has it (``links``); a
decision is a form of such a page, sent to where the page came from, and names what was shown. The
policy allows no script, no other site and no frame; texts are strangers', and Jinja escapes each.
Jinja is imported when a page is first asked for, and pages are written in a thread.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote

from twisted.internet.threads import deferToThreadPool
from twisted.web import http

from flocon.answering.respond import finish_text, refuse
from flocon.answering.visitors import is_loopback
from flocon.approving.links import LIFETIME, Link, Links, Refusal
from flocon.books.units import plain
from flocon.builds import sayings
from flocon.builds.reviews import decided, lines
from flocon.errors import FloconError
from flocon.faces.loopback import REVIEW
from flocon.faces.page import guard, load_templates, moment
from flocon.serving.site import LARGEST_BODY, host_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from twisted.web.http import Request

    class Builds(Protocol):
        """What is watched and waits, and who is told what was decided."""

        def describe(self) -> dict[str, Any]: ...

        async def steer(self, words: Sequence[str], who: str) -> str: ...


#: What all paths begin with.
BELOW = REVIEW
STYLE = b"/review/page.css"
_FOLDER = Path(__file__).with_name("templates")
_COOKIE = "flocon-review"
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
#: Fields of a form, and bytes of a log's end that are shown.
_FIELDS, _END_OF_LOG = 4, 128 << 10
_FORM = "application/x-www-form-urlencoded"
_STATUS = {
    Refusal.UNKNOWN: http.NOT_FOUND,
    Refusal.OVER: http.GONE,
    Refusal.TAKEN: http.FORBIDDEN,
}
_TEXT, _HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"


class Approving:
    """``address`` is where a browser finds this node: ``http://localhost:PORT``."""

    def __init__(
        self,
        reactor: Any,
        builds: Builds,
        address: str,
        chance: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self._reactor = reactor
        self._builds = builds
        self._address = address
        self._chance = chance
        self._links = Links()
        self._templates: Any = None

    def make_link(self, who: str) -> str:
        """Return an address under which ``who`` can decide for ten minutes."""
        token = self._chance()
        self._links.add(token, self._chance(), who, self._reactor.seconds())
        return f"{self._address}/review/{token}"

    async def answer(self, request: Request) -> None:
        """Answer a request for a path below ``/review/``."""
        _guard(request)
        if not is_loopback(host_of(request.client)):
            refuse(request, http.FORBIDDEN)
        elif request.method == b"POST":
            await self._decide(request)
        elif request.method != b"GET":
            # A HEAD would take a link that nobody has read.
            request.setHeader("Allow", "GET, POST")
            refuse(request, http.NOT_ALLOWED)
        elif request.path == STYLE:
            body = await self._in_thread((_FOLDER / "review.css").read_bytes)
            finish_text(request, body, "text/css; charset=utf-8")
        else:
            await self._show(request)

    async def _show(self, request: Request) -> None:
        token, *words = _words(request)
        fresh = self._chance()
        link = self._links.open(token, _cookie(request), fresh, self._reactor.seconds())
        if isinstance(link, Refusal):
            _say(request, link.value, _STATUS[link])
            return
        if link.cookie == fresh:
            where = f"Path=/review/{token}; HttpOnly; SameSite=Strict"
            age = f"Max-Age={int(LIFETIME)}"
            request.setHeader("Set-Cookie", f"{_COOKIE}={fresh}; {age}; {where}")
        try:
            match words:
                case []:
                    await self._write(request, "list.html", token, link, **self._waiting(link))
                case [base]:
                    await self._write(request, "look.html", token, link, **await self._look(base))
                case [base, "log"]:
                    await self._write(request, "log.html", token, link, **await self._log(base))
                case _:
                    _say(request, "there is no such page", http.NOT_FOUND)
        except FloconError as error:
            _say(request, str(error), http.NOT_FOUND)

    def _waiting(self, link: Link) -> dict[str, Any]:
        said, link.said = link.said, ""
        told = self._builds.describe()
        asking = sayings.waiting(told)
        others = [one for one in told["watched"] if one not in asking]
        return {"asking": asking, "others": others, "problem": told["problem"], "said": said}

    async def _look(self, base: str) -> dict[str, Any]:
        look = json.loads(await self._builds.steer(["look", base], ""))
        shown = await self._in_thread(lines, look, time.time())
        return {"look": look, "lines": shown, "decided": decided(look)}

    async def _log(self, base: str) -> dict[str, Any]:
        """Return the end of a log."""
        at, text, head = 0, "", {}
        while True:
            first, _, piece = (await self._builds.steer(["log", base, str(at)], "")).partition("\n")
            head = json.loads(first)
            text = (text + piece)[-_END_OF_LOG:]
            if head["next"] <= at:
                break
            at = head["next"]
        shown = [line.expandtabs() for line in text.splitlines()]
        return {"base": base, "head": head, "lines": shown, "cut": at > _END_OF_LOG}

    async def _decide(self, request: Request) -> None:
        """Do what a form says, if it is one of a page that this browser was given."""
        token, *words = _words(request)
        link = self._links.open(token, _cookie(request), "", self._reactor.seconds())
        if isinstance(link, Refusal):
            _say(request, link.value, _STATUS[link])
            return
        fields = _form(request)
        if not _is_from_own_page(request) or not link.knows_word(fields.get("word", "")):
            _say(request, "a decision comes from a page of this node alone", http.FORBIDDEN)
            return
        decided = fields.get("decided", "")
        match words:
            case [base, "approve" | "reject" as verb] if decided:
                try:
                    link.said = await self._builds.steer([verb, base, decided], link.who)
                except FloconError as error:
                    link.said = str(error)
            case _:
                _say(request, "there is nothing to decide", http.NOT_FOUND)
                return
        request.setResponseCode(http.SEE_OTHER)
        request.setHeader("Location", f"/review/{token}")
        request.setHeader("Content-Length", "0")
        request.finish()

    async def _write(
        self, request: Request, name: str, token: str, link: Link, **shown: Any
    ) -> None:
        left = max(0, int(link.until - self._reactor.seconds()))
        more = {"here": f"/review/{token}", "word": link.word, "left": left}
        finish_text(request, await self._in_thread(self._render, name, shown | more), _HTML)

    def _render(self, name: str, shown: Mapping[str, Any]) -> bytes:
        if self._templates is None:
            self._templates = _load_templates()
        text: str = self._templates.get_template(name).render(**shown)
        return text.encode("utf-8", "replace")

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        threads = self._reactor.getThreadPool()
        return await deferToThreadPool(self._reactor, threads, function, *arguments)


def _words(request: Request) -> list[str]:
    """Return the token, and the words behind it."""
    path = request.path[len(BELOW) :].decode("ascii", "replace")
    return [unquote(one) for one in path.split("/")]


def _cookie(request: Request) -> str:
    return (request.getCookie(_COOKIE.encode()) or b"").decode("ascii", "replace")


def _form(request: Request) -> dict[str, str]:
    """Return the fields of a small form; none where it is no such form."""
    kind = (request.getHeader("Content-Type") or "").partition(";")[0].strip().lower()
    content: Any = request.content
    if kind != _FORM or content is None:
        return {}
    try:
        text = content.read(LARGEST_BODY).decode("ascii")
        return dict(parse_qsl(text, max_num_fields=_FIELDS, keep_blank_values=True))
    except ValueError:
        return {}


def _is_from_own_page(request: Request) -> bool:
    """Whether a browser says that a page from this very place sent it."""
    headers = request.requestHeaders
    hosts, origins = (headers.getRawHeaders(name, []) for name in ("Host", "Origin"))
    sites = headers.getRawHeaders("Sec-Fetch-Site", [])
    said = [one.lower() for one in origins]
    return (
        len(hosts) == 1
        and said == [f"http://{hosts[0].strip().lower()}"]
        and all(site == "same-origin" for site in sites)
    )


def _say(request: Request, sentence: str, status: int) -> None:
    request.setResponseCode(status)
    finish_text(request, f"{plain(sentence)}\n".encode("utf-8", "replace"), _TEXT)


def _guard(request: Request) -> None:
    # "no-referrer" would have browsers say nothing of where a form comes from.
    guard(request, _POLICY, "same-origin")
    request.setHeader("Cross-Origin-Opener-Policy", "same-origin")


def _load_templates() -> Any:
    filters = {"plain": plain, "moment": moment, "word": lambda text: quote(text, "")}
    return load_templates(_FOLDER, filters)
