"""The face pacman uses, on 19433: packages, signatures, databases, status.

Only for this machine, and for networks that the operator names (its containers): another client's
address is refused, and so is a foreign ``Host`` (a web
page that rebinds its name to 127.0.0.1), and whatever another site's page asks for. Nothing here
changes state. What to answer with is said by the parts that it is given; this module turns
that into HTTP.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from twisted.internet.defer import TimeoutError  # noqa: A004 - Twisted's own
from twisted.web import http
from twisted.web.resource import Resource

from flocon.core.extents import parse_open_range
from flocon.core.heads import NOT_MODIFIED
from flocon.core.names import Asked, Kind, parse_path
from flocon.core.patience import PACMAN
from flocon.core.recent import LONGEST_TEXT, MOST_ATTEMPTS, Answered, Recent, kind_of
from flocon.core.secrecy import without_any_passwords
from flocon.core.visitors import Admission, Names, host_name, loopback_names
from flocon.errors import FloconError, StoreError
from flocon.net.growing import send_growing, set_head, tell_content
from flocon.net.held import CONTENT_TYPE, send_opened, set_extent
from flocon.net.mirrors import LOOP_DETECTED, LOOP_HEADER, LOOP_MARK
from flocon.net.reader import Reader
from flocon.net.respond import (
    cut,
    finish_text,
    is_for,
    is_from_browser,
    is_from_foreign_page,
    refuse,
    respond,
)
from flocon.net.site import host_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from twisted.internet.defer import Deferred
    from twisted.web.server import Request

    from flocon.core.content import Content
    from flocon.core.entries import Entry
    from flocon.core.traffic import Traffic
    from flocon.net.answering import ForPacman
    from flocon.net.transfer import Transfer

SOURCE_HEADER = "Flocon-Source"
#: What a person reads whom a page of another site sent here.
SENTENCE = (
    b"This is flocon's own page. It opens for who writes its address into the browser, or has it"
    b" among the bookmarks; pages of other sites are not let in.\n"
)
#: Bytes of one field of a question: a file name is the longest.
LONGEST_FIELD = 255
#: Names of ``.sig`` files that the mirrors lack, remembered until the database changes.
MOST_ABSENT = 1_024


#: Answers a question about the node, given its fields, as JSON's values; None where they make none.
Question: TypeAlias = "Callable[[Mapping[str, str]], Awaitable[Any]]"


class Pages(Protocol):
    """What is there for a person's eyes, and for Prometheus."""

    def answer(self, request: Request) -> Awaitable[bool]:
        """Answer if the path is one of these; return whether it was."""


class Log(Protocol):
    """Takes note of how each request ended."""

    def add(self, answered: Answered) -> None: ...


class _Note:
    """What will be remembered of a request."""

    def __init__(self, traffic: Traffic, now: float) -> None:
        self._traffic = traffic
        self.since = now
        self.at = time.time()
        self.bytes = 0
        self.transfer: Transfer | None = None

    def count(self, number: int) -> None:
        self.bytes += number
        self._traffic.to_pacman(number)

    def tried(self) -> tuple[tuple[str, str], ...]:
        attempts = self.transfer.tried if self.transfer else ()
        return tuple(
            (_discreet(str(attempt.source)), _discreet(str(attempt.failure)))
            for attempt in attempts[-MOST_ATTEMPTS:]
        )

    def shares(self) -> tuple[tuple[str, int], ...]:
        """Return what each kind of source brought of the file that was followed."""
        shares = self.transfer.shares if self.transfer else {}
        return tuple((came.value, count) for came, count in shares.items() if count)


class Loopback(Resource):
    """The whole face is one resource: its paths are pacman's.

    ``questions`` are what else can be asked, by path; what pacman asked goes into ``recent``.
    """

    isLeaf = True

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
        super().__init__()
        self._names = names or loopback_names()
        self._admission = admission or Admission()
        self._parts = parts
        self._questions = {path.encode(): answer for path, answer in (questions or {}).items()}
        self._recent = Recent() if recent is None else recent
        self._pages = pages
        self._notes: dict[Request, _Note] = {}
        self._traffic = parts.traffic
        self._absent: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    @property
    def running(self) -> int:
        """How many of pacman's requests are being answered."""
        return len(self._notes)

    def render(self, request: Request) -> int:
        return respond(request, self._answer(request))

    async def _answer(self, request: Request) -> None:
        request.responseHeaders.removeHeader("Server")
        if not self._is_admitted(request) or not self._is_meant(request):
            self._refuse(request, http.FORBIDDEN)
        elif is_from_foreign_page(request):
            self._refuse_page(request)
        elif request.method not in {b"GET", b"HEAD"}:
            request.setHeader("Allow", "GET, HEAD")
            refuse(request, http.NOT_ALLOWED)
        elif request.path == b"/check":
            finish_text(request, b"OK\n", "text/plain; charset=utf-8")
        elif request.path == b"/status.json":
            body = json.dumps(self._parts.status(), indent=1).encode() + b"\n"
            finish_text(request, body, "application/json")
        elif request.path in self._questions:
            await self._question(request, self._questions[request.path])
        elif self._pages is None or not await self._pages.answer(request):
            await self._file(request)

    def _is_admitted(self, request: Request) -> bool:
        """Whether this machine asks, by whatever of its addresses, or a network that may."""
        client = host_of(request.client)
        return client == host_of(request.getHost()) or self._admission.admits(client)

    def _is_meant(self, request: Request) -> bool:
        """Whether ``Host`` is a name of this face, or the very address that was connected to."""
        if is_for(self._names, request):
            return True
        address = host_of(request.getHost())
        hosts = request.requestHeaders.getRawHeaders("Host", [])
        return bool(address) and all(host_name(one) == address for one in hosts)

    def _refuse_page(self, request: Request) -> None:
        """Answer a page of another site, or who followed its link, with no more than a sentence."""
        self._traffic.answers[f"refused {http.FORBIDDEN}"] += 1
        request.setResponseCode(http.FORBIDDEN)
        body = SENTENCE if request.path == b"/" else b""
        finish_text(request, body, "text/plain; charset=utf-8")

    async def _question(self, request: Request, question: Question) -> None:
        fields = _fields(request)
        answer = None if fields is None else await question(fields)
        if answer is None:
            refuse(request, http.BAD_REQUEST)
        else:
            body = json.dumps(answer, indent=1).encode() + b"\n"
            finish_text(request, body, "application/json")

    async def _file(self, request: Request) -> None:
        asked = parse_path(request.path)
        if asked is None:
            self._refuse(request, http.NOT_FOUND)
            self._remember_strange(request)
            return
        if is_from_browser(request) and request.getHeader("Sec-Fetch-Site") is None:
            # One that does not say whose page had it ask: it could have packages fetched.
            self._refuse(request, http.FORBIDDEN)
            return
        if request.getHeader(LOOP_HEADER) == LOOP_MARK:
            # This node itself, sent here by a mirror: it would wait for its own answer.
            self._refuse(request, LOOP_DETECTED)
            return
        now = self._parts.reactor.seconds
        note = self._notes[request] = _Note(self._traffic, now())
        try:
            await self._answer_file(request, asked)
        finally:
            del self._notes[request]
            source = request.responseHeaders.getRawHeaders(SOURCE_HEADER, [""])[0]
            self._recent.add(
                Answered(
                    asked.file.text,
                    asked.repository,
                    note.at,
                    now() - note.since,
                    request.code,
                    source,
                    note.bytes,
                    note.tried(),
                    note.shares(),
                )
            )

    def _remember_strange(self, request: Request) -> None:
        """Take note of a path that is none of pacman's: a ``Server`` line may be another tool's."""
        if is_from_browser(request):
            return  # which asks for icons and the like
        path = request.path[:LONGEST_TEXT].decode("ascii", "backslashreplace")[:LONGEST_TEXT]
        self._recent.add(Answered(path, "", time.time(), 0.0, request.code, "", 0))

    async def _answer_file(self, request: Request, asked: Asked) -> None:
        if request.method == b"HEAD":
            await self._head(request, asked)
        elif asked.file.kind is Kind.DATABASE:
            await self._database(request, asked)
        elif asked.file.kind is Kind.NOTE:
            await self._relay(request, asked)
        elif asked.file.is_signature:
            await self._signature(request, asked)
        else:
            await self._package(request, asked)

    async def _head(self, request: Request, asked: Asked) -> None:
        """Tell of a file what is known, or what a mirror says: nobody wants its bytes."""
        if asked.file.kind is Kind.PACKAGE:
            entry = await self._listed(asked)
            signature = asked.file.is_signature
            if await self._send_held(request, asked, _content(entry), signature=signature):
                return
            if entry is not None and not signature:
                self._say_source(request, "database")
                coming = self._parts.transfers.find(entry.file_name, entry.content)
                tell_content(request, entry.content, coming)
                return
            if entry is not None and (embedded := entry.read_signature()) is not None:
                self._say_source(request, "database")
                self._send_bytes(request, embedded)
                return
        elif (asked.repository, asked.architecture, asked.file.text) in self._absent:
            self._refuse(request, http.NOT_FOUND)
            return
        told = await self._parts.from_mirrors.told(asked, request.getHeader("If-Modified-Since"))
        if told.source is None:
            self._refuse(request, told.status)
            return
        self._say_source(request, str(told.source))
        request.setResponseCode(told.status)
        for name, value in told.fields:
            request.setHeader(name, value)
        request.finish()

    def _refuse(self, request: Request, status: int) -> None:
        self._traffic.answers[f"refused {status}"] += 1
        refuse(request, status)

    def _fail(self, request: Request, asked: Asked, transfer: Transfer) -> None:
        """Let pacman go on to its next server.

        One that then finds its database unchanged in a ``file://`` server takes it for failed if
        an error was answered before (6.0.2 and 7.1, measured), and not if nothing was: then the
        connection is closed instead.
        """
        status = _failure_status(transfer)
        is_database = asked.file.kind is Kind.DATABASE and not asked.file.is_signature
        if is_database and self._parts.listed.has_others(asked.repository):
            self._traffic.answers[f"refused {status}"] += 1
            request.setResponseCode(status)
            cut(request)
        else:
            self._refuse(request, status)

    def _say_source(self, request: Request, source: str) -> None:
        self._traffic.answers[kind_of(source)] += 1
        request.setHeader(SOURCE_HEADER, source)

    # Packages

    async def _package(self, request: Request, asked: Asked) -> None:
        entry = await self._listed(asked)
        content = _content(entry)
        if await self._send_held(request, asked, content, signature=False):
            return
        if entry is not None and await self._send_away(request, entry):
            return
        start = parse_open_range(request.getHeader("Range"))
        transfer = self._parts.packages.transfer(asked, entry, start)
        await self._follow(request, asked, transfer)

    async def _send_away(self, request: Request, entry: Entry) -> bool:
        """Send pacman to a holder, if the operator wants that and there is one that answers.

        Only pacman: of other clients it is not known that they follow, nor that they verify.
        """
        client = request.getHeader("User-Agent") or ""
        if not self._parts.redirecting.wanted() or not client.startswith("pacman/"):
            return False
        source = await self._parts.redirecting.elsewhere(entry)
        if source is None:
            return False
        self._say_source(request, str(source))
        self._notes[request].bytes = entry.size
        request.setHeader("Location", source.url)
        refuse(request, http.TEMPORARY_REDIRECT)
        return True

    async def _listed(self, asked: Asked) -> Entry | None:
        """Look the package up; a database that was replaced a moment ago is waited for."""
        await self._parts.listed.settled()
        return self._parts.listed.entry(asked)

    async def _send_held(
        self, request: Request, asked: Asked, content: Content | None, *, signature: bool
    ) -> bool:
        found = self._parts.offering.find(asked.file.subject)
        if found is None or content not in {None, found.content}:
            return False
        try:
            opened = await self._parts.opening.open(found, signature=signature)
        except StoreError:
            return False
        self._say_source(request, found.origin)
        digest = None if signature else found.content.sha256
        await send_opened(request, opened, digest, self._notes[request].count)
        return True

    async def _follow(self, request: Request, asked: Asked, transfer: Transfer) -> None:
        """Send what a transfer brings, from where pacman wants it."""
        note = self._notes[request]
        reader = Reader(transfer, transfer.subject.start, since=note.since)
        note.transfer = transfer
        try:
            await self._in_time(request, transfer.begun.wait())
            if transfer.not_modified:
                self._not_modified(request, transfer)
                return
            self._say_source(request, str(transfer.source))
            await send_growing(
                request,
                transfer,
                reader,
                size=transfer.size,
                count=self._notes[request].count,
            )
        except (FloconError, TimeoutError):
            if request.startedWriting:
                raise
            self._fail(request, asked, transfer)
        finally:
            reader.close()

    def _in_time(self, request: Request, waited_for: Deferred[Any]) -> Deferred[Any]:
        """Return what is waited for, with a TimeoutError before pacman would give up."""
        reactor = self._parts.reactor
        spent = reactor.seconds() - self._notes[request].since
        return waited_for.addTimeout(max(0.1, PACMAN - spent), reactor)

    def _not_modified(self, request: Request, transfer: Transfer) -> None:
        self._say_source(request, str(transfer.source))
        set_head(request, transfer)
        request.setResponseCode(NOT_MODIFIED)
        request.finish()

    # Signatures

    async def _signature(self, request: Request, asked: Asked) -> None:
        self._parts.redirecting.arrived(asked.file.subject)
        entry = await self._listed(asked)
        if await self._send_held(request, asked, _content(entry), signature=True):
            return
        embedded = entry.read_signature() if entry is not None else None
        if embedded is not None:
            self._say_source(request, "database")
            self._send_bytes(request, embedded)
            return
        coming = self._parts.transfers.signature(asked.file.subject)
        if coming is not None:
            transfer, waiting = coming
            try:
                signature = await self._in_time(request, waiting)
            except (FloconError, TimeoutError):
                signature = None
            if signature is not None and _content(entry) in {None, transfer.subject.content}:
                self._say_source(request, str(transfer.source))
                self._send_bytes(request, signature)
                return
        if entry is not None and self._parts.signatures.is_unsigned(entry):
            self._refuse(request, http.NOT_FOUND)
            return
        await self._relay(request, asked)

    def _send_bytes(self, request: Request, data: bytes) -> None:
        extent = set_extent(request, request.getHeader("Range"), len(data))
        if extent is None:
            return
        request.setHeader("Content-Type", CONTENT_TYPE)
        body = b"" if request.method == b"HEAD" else data[extent.start : extent.end]
        request.write(body)
        self._notes[request].count(len(body))
        request.finish()

    # Databases, and whatever only the mirrors can answer

    async def _database(self, request: Request, asked: Asked) -> None:
        key = (asked.repository, asked.architecture, asked.file.text)
        if key in self._absent:
            self._refuse(request, http.NOT_FOUND)
            return
        modified_since = request.getHeader("If-Modified-Since")
        transfer = await self._parts.databases.transfer(asked, modified_since)
        if isinstance(transfer, bytes):
            self._say_source(request, "peer")
            self._send_bytes(request, transfer)
            return
        await self._follow(request, asked, transfer)
        with suppress(FloconError):
            # pacman can have the last byte before it is known to have been the last.
            await transfer.finished.wait()
        if transfer.verified and not transfer.not_modified:
            # A new database: what was absent beside the old one may be there now.
            for suffix in (".db.sig", ".files.sig"):
                signature = asked.repository + suffix
                self._absent.pop((asked.repository, asked.architecture, signature), None)
        elif asked.file.is_signature and _failure_status(transfer) == http.NOT_FOUND:
            self._absent[key] = None
            if len(self._absent) > MOST_ABSENT:
                self._absent.popitem(last=False)

    async def _relay(self, request: Request, asked: Asked) -> None:
        transfer = self._parts.from_mirrors.transfer(asked, request.getHeader("If-Modified-Since"))
        await self._follow(request, asked, transfer)


def _discreet(text: str) -> str:
    """Return what may be remembered of a text: no password, and not much of it."""
    return without_any_passwords(text)[:LONGEST_TEXT]


def _content(entry: Entry | None) -> Content | None:
    return None if entry is None else entry.content


def _failure_status(transfer: Transfer) -> int:
    """Return 404 only where every mirror said so: pacman counts errors of its servers."""
    statuses = transfer.mirror_statuses
    if not transfer.verified and statuses and all(one == http.NOT_FOUND for one in statuses):
        return int(http.NOT_FOUND)
    return int(http.SERVICE_UNAVAILABLE)


def _fields(request: Request) -> dict[str, str] | None:
    """Return the fields of a query, each given once and short; None where they are not."""
    fields = {}
    for name, values in (request.args or {}).items():
        if len(values) != 1 or len(values[0]) > LONGEST_FIELD:
            return None
        fields[name.decode("ascii", "replace")] = values[0].decode("utf-8", "replace")
    return fields
