"""The face in the place of pacredir's own, on 7077: this machine's pacman asks by flat names.

pacman's lines that name it go on working, with what the face on 19433 gives and to nobody else:
this machine alone, no page of another site, no browser. Which repository a name is of is known from
the sync databases; where two files have it, pacman's next server is to tell which one is meant.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from twisted.web import http

from flocon.answering.respond import (
    finish_text,
    is_from_browser,
    is_from_foreign_page,
    refuse,
    respond,
)
from flocon.files import LONGEST_NAME, Asked, Kind, parse_file_name, parse_path

if TYPE_CHECKING:
    from twisted.web.http import Request

    from flocon.files import FileName
    from flocon.serving.accepting import Admitting
    from flocon.standins.needs import ForPacredir

TEXT = "text/plain; charset=utf-8"
SENTENCE = (
    b"This is flocon in the place of pacredir: pacman's lines that name this port go on working."
    b" Its status page is http://localhost:19433/.\n"
)
#: The longest path of which the last part is read, escaped.
LONGEST_PATH = 8 * LONGEST_NAME


class PacredirFace:
    """Answers what pacredir's own face does; ``admitting`` knows who this machine is."""

    def __init__(self, parts: ForPacredir, admitting: Admitting) -> None:
        self._parts = parts
        self._admitting = admitting
        self.counters: Counter[str] = Counter()

    def render(self, request: Request) -> None:
        respond(request, self._answer(request), self.counters)

    async def _answer(self, request: Request) -> None:
        if not self._admitting.admits(request) or is_from_foreign_page(request):
            self._refuse(request, http.FORBIDDEN)
        elif request.method not in {b"GET", b"HEAD"}:
            request.setHeader("Allow", "GET, HEAD")
            self._refuse(request, http.NOT_ALLOWED)
        elif request.path == b"/":
            finish_text(request, SENTENCE, TEXT)
        elif request.path == b"/check":
            finish_text(request, b"OK\n", TEXT)
        elif is_from_browser(request):
            self._refuse(request, http.FORBIDDEN)
        else:
            await self._file(request)

    async def _file(self, request: Request) -> None:
        asked = parse_path(request.path)
        if asked is None or not asked.architecture:
            file = _last_part(request.path)
            asked = None if file is None else await self._find(file)
        if asked is None:
            self._refuse(request, http.NOT_FOUND)
            return
        self.counters["files"] += 1
        await self._parts.pacman.give(request, asked)

    async def _find(self, file: FileName) -> Asked | None:
        """Return what a flat name is of; None where nothing here tells."""
        known = self._parts.architectures()
        architecture = known[0] if known else ""
        if file.kind is Kind.DATABASE:
            return Asked(file.name, architecture, file)
        await self._parts.settled()
        entries = self._parts.listed(file.subject)
        if len({one.content for one in entries}) > 1:
            return None
        if entries:
            architecture = file.architecture if file.architecture in known else architecture
            return Asked(entries[0].repository, architecture, file)
        return None if self._parts.offering.find(file.subject) is None else Asked("", "", file)

    def _refuse(self, request: Request, status: int) -> None:
        self.counters[f"refused {status}"] += 1
        refuse(request, status)


def _last_part(path: bytes) -> FileName | None:
    """Return what the last part of a path names, unescaped once."""
    if len(path) > LONGEST_PATH:
        return None
    try:
        return parse_file_name(unquote_to_bytes(path.rpartition(b"/")[2]).decode("ascii"))
    except UnicodeDecodeError:
        return None
