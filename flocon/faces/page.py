"""The status page and its three files, and ``/metrics``: read only, for this machine's own eyes.

The page is whole as it is sent, without a script; the script only fetches it anew and moves what
changed. Names in it may be a stranger's: Jinja escapes each of them, and the policy allows no
script, style or request but this node's own. What it is made of and what a figure means is the
caller's to say. Jinja and prometheus-client are imported when first asked for, and in a thread: a
node nobody looks at pays for neither.
"""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThreadPool
from twisted.web import http

from flocon.answering.json_answers import InTurn, Lately
from flocon.answering.respond import finish_text, refuse
from flocon.books.units import plain, size_text, time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.web.http import Request

    from flocon.answering.json_answers import Question
    from flocon.books.figures import Figures

_FOLDER = Path(__file__).with_name("templates")
_FILES = {
    "/page.js": "text/javascript; charset=utf-8",
    "/page.css": "text/css; charset=utf-8",
    "/page.svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: What is looked for on the page; a file name is the longest.
LONGEST_SEARCH = 255
#: Rows of a table; a LAN with more peers, or a search with more files, says how many are left out.
MOST_ROWS = 200
#: The chart's size in its own units: as wide as 30 days of 10, and a line of words below.
CHART_HEIGHT = 100
DAY_WIDTH = 10
LEAST_DAYS = 14


class Pages:
    """``describe`` gives what the page shows, ``search`` who holds what, ``figures`` the metrics.

    ``listing`` gives all that is held, in pages. Shapes are those of ``/status.json`` (with
    ``recent`` as ``/recent.json``), ``/search.json`` and ``/list.json``.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        describe: Callable[[], dict[str, Any]],
        search: Question,
        listing: Question,
        figures: Callable[[], Figures],
    ) -> None:
        self._reactor = reactor
        self._describe = describe
        self._search = search
        self._listing = listing
        self._in_turn = InTurn()
        self._figures = figures
        self._template: Any = None
        self._lately = Lately(reactor)
        self._files: dict[bytes, bytes] = {}

    def forget_answers(self) -> None:
        """Write each page anew."""
        self._lately.forget()

    async def answer(self, request: Request) -> bool:
        """Answer if the path is one of these; return whether it was."""
        path = request.path.decode("ascii", "replace")
        if path == "/":
            await self._page(request)
        elif path == "/metrics":
            await self._metrics(request)
        elif path in _FILES:
            await self._file(request, path)
        else:
            return False
        return True

    async def _page(self, request: Request) -> None:
        wanted = _wanted(request)
        if wanted is None:
            refuse(request, http.BAD_REQUEST)
            return
        if wanted:
            is_list = "of" in wanted
            question = self._listing if is_list else self._search
            fields = wanted | {"most": f"{MOST_ROWS}"} if is_list else wanted
            found = await self._in_turn.ask(request, question, fields)
            if found is None and is_list:
                refuse(request, http.BAD_REQUEST)
                return
            body = await self._in_thread(self._render, self._describe(), wanted, found)
        else:
            body = await self._lately.get("page", self._plain)
        guard(request, POLICY, "no-referrer")
        finish_text(request, body, "text/html; charset=utf-8")

    async def _plain(self) -> bytes:
        """Return the page as it is for who looks for nothing."""
        return await self._in_thread(self._render, self._describe(), {}, None)

    def _render(
        self, status: dict[str, Any], wanted: Mapping[str, str], found: dict[str, Any] | None
    ) -> bytes:
        if self._template is None:
            self._template = _load_template()
        of = wanted.get("of", "")
        following = {"of": of, **found["next"]} if of and found and found["next"] else None
        text: str = self._template.render(
            status=status,
            peers=sorted(status["peers"], key=_by_trouble)[:MOST_ROWS],
            guests=[one for one in status["takers"] if one["bytes"] and not one["peer"]],
            chart=chart(status["savings"]["days"], status["savings"]["since"]),
            wrong=sum(one["verdict"] == "wrong" for one in status["health"]["findings"]),
            wanted=wanted.get("part", ""),
            of=of,
            following=following,
            found=found,
            most=MOST_ROWS,
        )
        return text.encode()

    async def _metrics(self, request: Request) -> None:
        body = await self._lately.get("metrics", self._exposed)
        finish_text(request, body, "text/plain; version=0.0.4; charset=utf-8")

    async def _exposed(self) -> bytes:
        return await self._in_thread(_exposition, self._figures())

    async def _file(self, request: Request, path: str) -> None:
        body = await self._in_thread((_FOLDER / path[1:]).read_bytes)
        guard(request, POLICY, "no-referrer")
        finish_text(request, body, _FILES[path])

    async def _in_thread(self, function: Callable[..., bytes], *arguments: Any) -> bytes:
        threads = self._reactor.getThreadPool()
        result: bytes = await deferToThreadPool(self._reactor, threads, function, *arguments)
        return result


def _wanted(request: Request) -> dict[str, str] | None:
    """Return what is looked for, as fields of a question; None where the query cannot be that."""
    arguments = request.args or {}
    if any(len(one) != 1 or len(one[0]) > LONGEST_SEARCH for one in arguments.values()):
        return None
    values = {
        name.decode("ascii", "replace"): one[0].decode("utf-8", "replace").strip()
        for name, one in arguments.items()
    }
    allowed = {"of", "after", "sha256"} if "of" in values else {"part"}
    return None if set(values) - allowed else {name: one for name, one in values.items() if one}


def guard(request: Request, policy: str, referrer: str) -> None:
    """Set the heads by which a browser keeps other sites from a page, and a page from them."""
    request.setHeader("Content-Security-Policy", policy)
    request.setHeader("X-Content-Type-Options", "nosniff")
    request.setHeader("Referrer-Policy", referrer)
    request.setHeader("Cross-Origin-Resource-Policy", "same-origin")


def load_templates(folder: Path, filters: Mapping[str, Callable[..., str]]) -> Any:
    """Return Jinja's environment of a folder: each text is escaped, each name has to be known."""
    jinja2 = import_module("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= filters
    return environment


def _load_template() -> Any:
    filters = {"size": size_text, "span": time_text, "plain": plain, "moment": moment}
    return load_templates(_FOLDER, filters).get_template("page.html")


def _exposition(figures: Figures) -> bytes:
    metrics = import_module("flocon.faces.metrics")
    body: bytes = metrics.exposition(figures)
    return body


def moment(seconds: float) -> str:
    """Return a time since 1970 as this machine's calendar and clock show it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _by_trouble(peer: Mapping[str, Any]) -> tuple[bool, str, str]:
    return (peer["state"] == "good", str(peer["name"]), str(peer["node"]))


def chart(days: list[dict[str, Any]], since: str) -> dict[str, Any]:
    """Return the bars of the days' bytes, in the chart's units, and what they say in words.

    It begins on the day ``since`` on which the node did; few days leave room on the right.
    """
    days = [day for day in days if day["day"] >= since] or days[-1:]
    names = ("lan_bytes", "wan_bytes", "owner_bytes")
    sums = {name: sum(day[name] for day in days) for name in names}
    most = max((sum(day[name] for name in names) for day in days), default=0)
    bars = []
    for at, day in enumerate(days):
        lan, wan, owner = (
            round(CHART_HEIGHT * day[name] / most, 2) if most else 0.0 for name in names
        )
        bars.append(
            {
                "day": day["day"],
                "x": at * DAY_WIDTH + 1,
                "lan": lan,
                "wan": wan,
                "owner": owner,
                "text": _day_text(day),
            }
        )
    whole = sums["lan_bytes"] + sums["wan_bytes"] + sums["owner_bytes"]
    return {
        "bars": bars,
        "height": CHART_HEIGHT,
        "width": DAY_WIDTH * max(len(days), LEAST_DAYS),
        "most": most,
        **sums,
        "seconds_saved": sum(day["seconds_saved"] for day in days),
        "share": round(100 * sums["lan_bytes"] / whole) if whole else 0,
    }


def _day_text(day: Mapping[str, Any]) -> str:
    owner = f", {size_text(day['owner_bytes'])} from the WAN by peers" if day["owner_bytes"] else ""
    # Where the WAN's rate is not known, nobody knows what was saved.
    saved = f", {time_text(day['seconds_saved'])} saved" if day["seconds_saved"] >= 1 else ""
    return (
        f"{day['day']}: {size_text(day['lan_bytes'])} from the LAN,"
        f" {size_text(day['wan_bytes'])} from the WAN{owner}{saved}"
    )
