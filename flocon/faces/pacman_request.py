"""One file that pacman asks for, answered over HTTP: what is held, what comes, or an error.

Which of them it is, is the business of who answers for packages, signatures and databases. Here is
what they have in common: how pacman is told the source, how long it waits, what lets it go on to
its next server, and what is remembered of the request.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import TimeoutError  # noqa: A004 - Twisted's own
from twisted.web import http

from flocon.answering.growing import send_growing, send_rest, set_head
from flocon.answering.held import send_bytes, send_opened
from flocon.answering.respond import cut, in_time, refuse
from flocon.asking.answer import GIVEN, NOT_MODIFIED
from flocon.books.recent import LONGEST_TEXT, MOST_ATTEMPTS, MOST_SOURCES, Answered, kind_of
from flocon.errors import FloconError, StoreError
from flocon.files import Asked, Kind
from flocon.secrecy import without_any_passwords
from flocon.transfers.reader import Reader

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.web.http import Request

    from flocon.answering.held import Opened
    from flocon.asking.attempts import Attempt
    from flocon.extents import Extent
    from flocon.faces.needs import ForPacman
    from flocon.files import Content
    from flocon.pacman.entries import Entry
    from flocon.precedence import Taking
    from flocon.transfers.transfer import Transfer

SOURCE_HEADER = "Flocon-Source"


class PacmanRequest:
    """Counts what is sent for ``asked``, and knows since when pacman waits."""

    def __init__(self, request: Request, asked: Asked, parts: ForPacman) -> None:
        self.request = request
        self.asked = asked
        self.parts = parts
        self._traffic = parts.traffic
        self.since = parts.reactor.seconds()
        self.at = time.time()
        self.bytes = 0
        self.transfer: Transfer | None = None
        #: How the answer goes, while one is given.
        self.taking: Taking | None = None

    @property
    def user(self) -> int | None:
        """The local user who asks, None where nobody is known."""
        channel: Any = self.request.channel
        return getattr(channel, "user", None)

    def count(self, number: int) -> None:
        self.bytes += number
        if self.taking is not None:
            self.taking.took()
        self._traffic.to_pacman(number)

    def offered(self, available: bool) -> None:
        """Learn whether there is something for pacman to take."""
        if self.taking is not None:
            self.taking.offered(available)

    @property
    def has_given_package(self) -> bool:
        """Whether pacman has a package to its end, of which it will ask for the signature here."""
        file, request = self.asked.file, self.request
        given = request.finished and request.code in GIVEN
        return file.kind is Kind.PACKAGE and not file.is_signature and bool(given)

    def answered(self) -> Answered:
        """Return what is remembered of it, once it is answered."""
        return Answered(
            self.asked.file.text,
            self.asked.repository,
            self.at,
            self.parts.reactor.seconds() - self.since,
            self.request.code,
            self.request.responseHeaders.getRawHeaders(SOURCE_HEADER, [""])[0],
            self.bytes,
            self._tried(),
            self._shares(),
            brought=self._brought(),
        )

    def _tried(self) -> tuple[tuple[str, str], ...]:
        attempts = self.transfer.tried if self.transfer else ()
        return tuple(
            (_discreet(str(attempt.source)), _discreet(happened(attempt)))
            for attempt in attempts[-MOST_ATTEMPTS:]
        )

    def _shares(self) -> tuple[tuple[str, int], ...]:
        """Return what each kind of source brought of the file that was followed."""
        shares = self.transfer.shares if self.transfer else {}
        return tuple((came.value, count) for came, count in shares.items() if count)

    def _brought(self) -> tuple[tuple[str, int], ...]:
        """Return what each source brought of it, the most first."""
        brought = self.transfer.by_source if self.transfer else {}
        told = [(_discreet(source), count) for source, count in brought.items() if count]
        return tuple(told[:MOST_SOURCES])

    def refuse(self, status: int) -> None:
        self._traffic.answers[f"refused {status}"] += 1
        refuse(self.request, status)

    @property
    def fails_by_cutting(self) -> bool:
        """Whether a failure is told by the end of the connection.

        A pacman that then finds its database unchanged in a ``file://`` server takes it for failed
        if an error was answered before (6.0.2 and 7.1, measured), and not if nothing was.
        """
        is_database = self.asked.file.kind is Kind.DATABASE and not self.asked.file.is_signature
        return is_database and self.parts.listed.has_others(self.asked.repository)

    def fail(self, transfer: Transfer) -> None:
        """Let pacman go on to its next server."""
        self.fail_with(failure_status(transfer))

    def fail_with(self, status: int) -> None:
        if self.fails_by_cutting:
            self._traffic.answers[f"refused {status}"] += 1
            self.request.setResponseCode(status)
            cut(self.request)
        else:
            self.refuse(status)

    def say_source(self, source: str) -> None:
        self._traffic.answers[kind_of(source)] += 1
        self.request.setHeader(SOURCE_HEADER, source)

    async def listed(self) -> Entry | None:
        """Look the package up; a database that was replaced a moment ago is waited for."""
        await self.parts.listed.settled()
        return self.parts.listed.entry(self.asked)

    async def send_held(self, content: Content | None, *, signature: bool) -> bool:
        found = self.parts.offering.find(self.asked.file.subject, content)
        if found is None:
            return False
        try:
            opened = await self.parts.opening.open(found, signature=signature)
        except StoreError:
            return False
        self.say_source(found.origin)
        digest = None if signature else found.content.sha256
        await send_opened(
            self.request,
            opened,
            digest,
            self.count,
            offered=self.offered,
            rest=partial(self._send_rest, found.content),
        )
        return True

    async def _send_rest(self, content: Content, extent: Extent) -> None:
        """Send from elsewhere what a folder that hangs has not given of a package."""
        entry = await self.listed()
        transfer = None
        if entry is not None and entry.content == content and not self.asked.file.is_signature:
            transfer = self.parts.packages.transfer(self.asked, entry, extent.start, self.user)
        if transfer is None:
            cut(self.request)
            return
        self.transfer = transfer
        reader = Reader(transfer, max(transfer.subject.start, extent.start))
        try:
            await transfer.begun.wait()
            await send_rest(
                self.request, transfer, reader, extent, count=self.count, offered=self.offered
            )
        except FloconError:
            cut(self.request)
        finally:
            reader.close()

    async def send_database(self, source: str, opened: Opened, *, dated: bool) -> None:
        """Send an open database, with its date or without one."""
        self.say_source(source)
        await send_opened(self.request, opened, None, self.count, dated=dated, offered=self.offered)

    async def follow(self, transfer: Transfer) -> None:
        """Send what a transfer brings, from where pacman wants it."""
        reader = Reader(transfer, transfer.subject.start, since=self.since)
        self.transfer = transfer
        try:
            await self.in_time(transfer.begun.wait())
            if transfer.not_modified:
                self.not_modified(transfer)
                return
            self.say_source(str(transfer.source))
            await send_growing(
                self.request,
                transfer,
                reader,
                size=transfer.size,
                count=self.count,
                offered=self.offered,
            )
        except (FloconError, TimeoutError):
            if self.request.startedWriting:
                raise
            self.fail(transfer)
        finally:
            reader.close()

    def in_time(self, waited_for: Deferred[Any]) -> Deferred[Any]:
        """Return what is waited for, with a TimeoutError before pacman would give up."""
        return in_time(self.parts.reactor, self.since, waited_for)

    def not_modified(self, transfer: Transfer) -> None:
        set_head(self.request, transfer)
        self.unchanged(str(transfer.source))

    def unchanged(self, source: str) -> None:
        """Tell pacman that what it has is what it is to have."""
        self.say_source(source)
        self.request.setResponseCode(NOT_MODIFIED)
        self.request.finish()

    def send_bytes(self, data: bytes) -> None:
        send_bytes(self.request, data, self.count)

    async def relay(self) -> None:
        await self.parts.listed.settled()
        transfer = self.parts.from_mirrors.transfer(
            self.asked, self.request.getHeader("If-Modified-Since")
        )
        await self.follow(transfer)

    async def tell_as_mirrors_do(self) -> None:
        """Tell of the file what a mirror says: nobody wants its bytes."""
        told = await self.parts.from_mirrors.told(
            self.asked, self.request.getHeader("If-Modified-Since")
        )
        if told.source is None:
            self.refuse(told.status)
            return
        self.say_source(str(told.source))
        self.request.setResponseCode(told.status)
        for name, value in told.fields:
            self.request.setHeader(name, value)
        self.request.finish()


def happened(attempt: Attempt) -> str:
    """Return what came of an attempt; who was asked stands before it, and is not said again."""
    failure = attempt.failure
    if failure is not None and failure.source == attempt.source.label:
        return failure.detail
    return str(failure)


def _discreet(text: str) -> str:
    """Return what may be remembered of a text: no password, and not much of it."""
    return without_any_passwords(text)[:LONGEST_TEXT]


def content_of(entry: Entry | None) -> Content | None:
    return None if entry is None else entry.content


def failure_status(transfer: Transfer) -> int:
    """Return 404 only where every mirror said so: pacman counts errors of its servers."""
    statuses = transfer.mirror_statuses
    if not transfer.verified and statuses and all(one == http.NOT_FOUND for one in statuses):
        return int(http.NOT_FOUND)
    return int(http.SERVICE_UNAVAILABLE)
