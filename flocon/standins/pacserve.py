"""The face in the place of pacserve, on 15678: what its peers ask by POST, and its clients by path.

::

    POST /                              file check, directory listing, nudge (``questions``)
    GET /pkg/FILE                       what is held here; else another machine's, by a redirect
    HEAD /, GET /ANY/PATH/FILE          for paclans, which know a place by its id: what is held here
    GET /pacman/REPO/ARCH/FILE          for this machine's pacman as on 19433; for another one as
                                        pacserve did: what is held, or where it is to be had

Nothing is asked of anybody because somebody asks here, but for this machine's own pacman: where
other machines have a file is known from tables in memory. So a question is never passed on, however
many ``hops`` it says, and two such faces cannot keep each other busy. Pages of browsers have no
business here. What is refused is counted, not logged.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.web import http

from flocon.answering.respond import (
    finish_text,
    is_for,
    is_from_browser,
    is_from_foreign_page,
    refuse,
    respond,
)
from flocon.answering.turns import Turns
from flocon.answering.visitors import Names, is_loopback
from flocon.asking.addresses import names_this_machine, parse_address
from flocon.asking.mirrors import LOOP_DETECTED, LOOP_HEADER, loop_mark
from flocon.files import LONGEST_NAME, FileName, Kind, escape, parse_file_name, parse_parts
from flocon.secrecy import may_be_told
from flocon.serving.site import host_of
from flocon.standins.listing import JSON, PackageListing
from flocon.standins.questions import (
    FOLDER,
    NULL,
    DirectoryListing,
    FileCheck,
    Nudge,
    Unknown,
    file_at,
    parse_question,
    root_listing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.web.http import Request

    from flocon.files import Asked
    from flocon.pacman.entries import Entry
    from flocon.serving.accepting import Admitting
    from flocon.standins.needs import ForPacserve

SENTENCE = (
    b"This is flocon in the place of pacserve: it gives pacman's packages to the other machines of"
    b" this network. Its status page is http://localhost:19433/ on the machine itself.\n"
)
#: The longest path that can name something, escaped.
LONGEST_PATH = 8 * LONGEST_NAME
#: Paths of a question that are looked up between two turns of the reactor.
SLICE = 20
#: Seconds between two nudges of one address that are heeded, and how many addresses are remembered.
NUDGES_APART, MOST_NUDGING = 10.0, 256


class PacserveFace:
    """Answers what a pacserve does; ``admitting`` knows this machine, ``names`` are its own."""

    def __init__(self, parts: ForPacserve, admitting: Admitting, names: Names) -> None:
        self._parts = parts
        self._admitting = admitting
        self._names = names
        self.counters: Counter[str] = Counter()
        self._listing = PackageListing(parts.reactor, parts.offering)
        self._nudges = Nudges()
        #: Questions of many paths, which many may ask at once.
        self._turns = Turns(parts.reactor)

    def render(self, request: Request) -> None:
        respond(request, self._answer(request), self.counters)

    def close(self) -> None:
        """Give the written listing's memory back."""
        self._listing.close()

    async def _answer(self, request: Request) -> None:
        reads = request.method in {b"GET", b"HEAD"}
        if not is_for(self._names, request) or is_from_foreign_page(request):
            self._refuse(request, http.FORBIDDEN)
        elif not reads and (request.method, request.path) != (b"POST", b"/"):
            is_root = request.path == b"/"
            request.setHeader("Allow", "GET, HEAD, POST" if is_root else "GET, HEAD")
            self._refuse(request, http.NOT_ALLOWED)
        elif reads and request.path == b"/":
            request.setHeader("X-Paclan-ID", self._parts.identity)
            finish_text(request, SENTENCE, "text/plain; charset=utf-8")
        elif is_from_browser(request):
            self._refuse(request, http.FORBIDDEN)
        elif reads:
            await self._find(request)
        else:
            await self._question(request)

    async def _find(self, request: Request) -> None:
        match _segments(request.path):
            case ["pkg", name]:
                await self._package(request, parse_file_name(name))
            case ["pacman", repository, architecture, name]:
                await self._client(request, parse_parts(repository, architecture, name))
            case [*_, name]:
                await self._held(request, parse_file_name(name))
            case _:
                self._refuse(request, http.NOT_FOUND)

    # Files

    async def _held(self, request: Request, file: FileName | None) -> None:
        """Send what is held here, as a paclan does, and lead nowhere: it asks the others itself."""
        is_package = file is not None and file.kind is Kind.PACKAGE
        if file is not None and is_package and await self._parts.lan.give(request, file):
            self.counters["files"] += 1
        else:
            self._refuse(request, http.NOT_FOUND)

    async def _package(self, request: Request, file: FileName | None) -> None:
        """Send what is held here, or say which machine has it."""
        if file is None or file.kind is not Kind.PACKAGE:
            self._refuse(request, http.NOT_FOUND)
        elif await self._parts.lan.give(request, file):
            self.counters["files"] += 1
        else:
            self._lead(request, self._elsewhere(file, hops=1))

    async def _client(self, request: Request, asked: Asked | None) -> None:
        """Answer a pacman: this machine's as its own face does, another one as pacserve did."""
        if asked is None:
            self._refuse(request, http.NOT_FOUND)
        elif self._admitting.admits(request):
            self.counters["for this machine"] += 1
            await self._parts.pacman.give(request, asked)
        elif request.getHeader(LOOP_HEADER) == loop_mark():
            self._refuse(request, LOOP_DETECTED)
        elif self._parts.keeps(asked.repository):
            self._refuse(request, http.NOT_FOUND)
        elif asked.file.kind is Kind.PACKAGE:
            await self._package_of(request, asked)
        else:
            self._lead(request, self._at_mirrors(request, asked))

    async def _package_of(self, request: Request, asked: Asked) -> None:
        entries = self._parts.listed(asked.file.subject, asked.repository)
        entry = entries[0] if entries else None
        sha256 = None if entry is None else entry.sha256
        if await self._parts.lan.give(request, asked.file, sha256):
            self.counters["files"] += 1
            return
        where = self._found(asked.file, entries, hops=1)
        self._lead(request, where or self._at_mirrors(request, asked))

    def _elsewhere(self, file: FileName, hops: int) -> str | None:
        """Return where another machine of the LAN has what is listed here."""
        return self._found(file, self._parts.listed(file.subject, ""), hops)

    def _found(self, file: FileName, entries: Sequence[Entry], hops: int) -> str | None:
        """Return where another node has a file; with ``hops`` left, another tool's machine, too.

        All nodes are one place to who asks: which one has it is known, and no question of theirs.
        """
        for entry in entries:
            where = self._parts.holder(file, entry)
            if where is not None:
                return where
        return self._parts.elsewhere(file) if entries and hops > 0 else None

    def _at_mirrors(self, request: Request, asked: Asked) -> str | None:
        """Return where the first mirror has a file that a stranger may be sent to.

        Not by a password that is this machine's, or may be, nor to what only this machine reaches.
        A node has mirrors of its own, and may be one of them.
        """
        if request.requestHeaders.hasHeader(LOOP_HEADER):
            return None
        entries = self._parts.listed(asked.file.subject, asked.repository)
        for server in self._parts.mirrors(asked, entries[0] if entries else None):
            try:
                address = parse_address(f"{server}/{escape(asked.file.text)}")
            except ValueError:
                continue
            if may_be_told(server) and not names_this_machine(address.host):
                return address.url
        return None

    def _lead(self, request: Request, where: str | None) -> None:
        if where is None:
            self._refuse(request, http.NOT_FOUND)
            return
        self.counters["led elsewhere"] += 1
        request.setHeader("Location", where)
        refuse(request, http.SEE_OTHER)

    # Questions

    async def _question(self, request: Request) -> None:
        content = request.content
        question = parse_question(content.read() if content is not None else b"")
        match question:
            case FileCheck():
                self.counters["file checks"] += 1
                self._say(request, await self._check(request, question))
            case DirectoryListing(root):
                self.counters["listings"] += 1
                if root:
                    self._say(request, root_listing())
                else:
                    await self._listing.send(request)
            case Nudge(port):
                self._nudged(request, port)
                self._say(request, b"true")
            case Unknown():
                self._say(request, NULL)
            case None:
                self._refuse(request, http.BAD_REQUEST)

    def _say(self, request: Request, answer: bytes) -> None:
        finish_text(request, answer, JSON)

    async def _check(self, request: Request, question: FileCheck) -> bytes:
        """Return where the files of a question are; those that nobody has are left out."""
        found: dict[str, str] = {}
        for at, path in enumerate(question.paths, 1):
            where = self._where(file_at(path), question.hops)
            if where is not None:
                found[path] = where
            if at % SLICE == 0:
                await self._turn(request)
        return json.dumps(found).encode()

    def _where(self, file: FileName | None, hops: int) -> str | None:
        if file is None:
            return None
        if self._parts.offering.inventory.get(file.subject) is not None:
            return f"{FOLDER}/{file.text}"
        return self._elsewhere(file, hops)

    def _turn(self, request: Request) -> Deferred[None]:
        """Return when a question may be looked at further: each asker's in turn."""
        channel: Any = request.channel
        turn: Deferred[None] = Deferred(lambda _: self._turns.drop(channel.asker, request))
        self._turns.wait(channel.asker, request, lambda: turn.callback(None))
        return turn

    def _nudged(self, request: Request, port: int) -> None:
        """Learn of a pacserve: at the very address that asks, which is proved by that."""
        address = host_of(request.client)
        if is_loopback(address) or not address:
            return
        if self._nudges.heeds(address, self._parts.reactor.seconds()):
            self.counters["nudges"] += 1
            self._parts.nudged(address, port)
        else:
            self.counters["nudges too often"] += 1

    def _refuse(self, request: Request, status: int) -> None:
        self.counters[f"refused {status}"] += 1
        refuse(request, status)


class Nudges:
    """Who nudged lately; ``now`` is in seconds."""

    def __init__(self) -> None:
        #: When each address was heeded, the longest ago first.
        self._heeded: OrderedDict[str, float] = OrderedDict()

    def heeds(self, address: str, now: float) -> bool:
        """Whether a nudge counts; then it is noted."""
        if now - self._heeded.get(address, -NUDGES_APART) < NUDGES_APART:
            return False
        self._heeded.pop(address, None)
        if len(self._heeded) >= MOST_NUDGING:
            if now - next(iter(self._heeded.values())) < NUDGES_APART:
                return False
            self._heeded.popitem(last=False)
        self._heeded[address] = now
        return True


def _segments(path: bytes) -> list[str]:
    """Split a path and unescape each part once; empty where it cannot name anything."""
    if len(path) > LONGEST_PATH or not path.startswith(b"/"):
        return []
    try:
        parts = [unquote_to_bytes(part).decode("ascii") for part in path.split(b"/")]
    except UnicodeDecodeError:
        return []
    # A line that ends in a slash makes two in a row.
    return [one for one in parts if one]
