"""How a machine without a node gets a package or its signature: what is held, or what comes.

Which packages there are, and for whom, is ``mirror``'s.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import TimeoutError  # noqa: A004 - Twisted's own
from twisted.web import http

from flocon.answering.growing import send_growing, tell_content
from flocon.answering.held import CONTENT_TYPE, send_bytes, send_opened, whole_answer
from flocon.answering.respond import in_time, refuse
from flocon.answering.visitors import is_loopback
from flocon.asking.mirrors import LOOP_HEADER
from flocon.errors import FloconError, StoreError
from flocon.faces.pacman_request import failure_status
from flocon.files import escape
from flocon.serving.awake import Awake
from flocon.serving.site import host_of
from flocon.transfers.reader import Reader

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from twisted.internet.defer import Deferred
    from twisted.web.http import Request

    from flocon.answering.shared import SharedFiles
    from flocon.clients.needs import ForMirror
    from flocon.faces.needs import Found
    from flocon.files import Asked
    from flocon.pacman.entries import Entry


#: By which nginx says under which of its paths it has the store's packages.
ACCEL_MAPPING = "X-Accel-Mapping"


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """One request of a client's for a package of a state."""

    request: Request
    asked: Asked
    entry: Entry
    client: str
    since: float
    #: A failure is told by its status.
    fails_by_cutting: bool = False


def is_from_here(request: Request) -> bool:
    """Whether a request comes from this machine, as a proxy's does."""
    return is_loopback(host_of(request.client))


def is_forwarded(request: Request) -> bool:
    """Whether a proxy asks, as far as anybody can tell."""
    told = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via")
    return is_from_here(request) or any(map(request.requestHeaders.hasHeader, told))


class MirrorPackages:
    """Answers for packages that a state lists; ``files`` are what is being sent."""

    def __init__(self, parts: ForMirror, files: SharedFiles, counters: Counter[str]) -> None:
        self._parts = parts
        self._files = files
        self._counters = counters
        #: What keeps each client's pacman awake, and how many of its requests are answered.
        self._awake: dict[str, tuple[Awake, int]] = {}

    def counts(self, client: str, *, package: bool) -> Callable[[int], None]:
        """Count an answer, and return what takes note of the bytes that a client is sent."""
        parts = self._parts
        parts.clients.asked(client, time.time(), package=package)
        parts.precedence.asked()

        def count(number: int) -> None:
            parts.precedence.sent(number)
            parts.clients.sent(client, number, time.time())

        return count

    def at_once(self, entry: Entry, client: str, *, signature: bool) -> bytes | None:
        """Return the whole answer with what is held and small; None where it is not."""
        parts = self._parts
        found = parts.offering.find(entry.file_name, entry.content)
        if found is None:
            return None
        read = parts.opening.read_at_once(found, signature=signature, own=False)
        if read is None:
            return None
        data, modified = read
        self.counts(client, package=not signature)(len(data))
        self._counters["held"] += not signature
        return whole_answer(data, modified, None if signature else entry.sha256, {})

    async def answer(self, request: Request, asked: Asked, entry: Entry, client: str) -> None:
        one = ClientRequest(request, asked, entry, client, self._parts.reactor.seconds())
        await self._parts.judged(entry.file_name)
        if asked.file.is_signature:
            await self._signature(one)
        elif await self._held(one, signature=False):
            self._counters["held"] += 1
        elif request.method == b"HEAD":
            tell_content(request, entry.content, self._parts.for_clients.coming(entry))
        else:
            with self._kept_awake(one):
                await self._coming(one)

    @contextmanager
    def _kept_awake(self, one: ClientRequest) -> Iterator[None]:
        if is_forwarded(one.request):
            # nginx takes an interim answer for the answer.
            yield
            return
        awake, count = self._awake.get(one.client, (Awake(self._parts.reactor), 0))
        self._awake[one.client] = awake, count + 1
        try:
            with awake.kept(one):
                yield
        finally:
            awake, count = self._awake.pop(one.client)
            if count > 1:
                self._awake[one.client] = awake, count - 1

    async def _held(self, one: ClientRequest, *, signature: bool) -> bool:
        """Send what is held of this very content, or its signature; False where it is not."""
        parts, content = self._parts, one.entry.content
        found = parts.offering.find(one.entry.file_name, content)
        if found is None:
            return False
        try:
            opened = await self._files.open(
                (one.entry.file_name, content, signature),
                partial(parts.opening.open, found, signature=signature, own=False),
            )
        except StoreError:
            return False
        digest = None if signature else content.sha256
        count = self.counts(one.client, package=not signature)
        place = None if signature else self._place(one, found)
        if place is not None:
            opened.close()
            self._hand_over(one, place, count)
            return True
        await send_opened(one.request, opened, digest, count, to_stranger=True)
        return True

    def _place(self, one: ClientRequest, found: Found) -> str | None:
        """Return where a proxy of this machine has the file itself; None where it is sent."""
        mapping = one.request.getHeader(ACCEL_MAPPING) or ""
        if not mapping or found.origin != "store" or not is_from_here(one.request):
            return None
        if self._parts.is_ambiguous(one.entry.file_name):
            # A name that stands for several files may mean another one by the time it is read.
            return None
        return mapping.rstrip("/") + "/" + escape(found.file_name)

    def _hand_over(self, one: ClientRequest, place: str, count: Callable[[int], None]) -> None:
        """Have a proxy send a file: it reads ranges and dates from the request by itself."""
        self._counters["handed over"] += 1
        one.request.setHeader("X-Accel-Redirect", place)
        one.request.setHeader("Content-Type", CONTENT_TYPE)
        one.request.setHeader("Content-Length", "0")
        one.request.finish()
        count(one.entry.size)

    async def _coming(self, one: ClientRequest) -> None:
        # A node may be the one whom this one would ask in turn.
        looks = not one.request.requestHeaders.hasHeader(LOOP_HEADER)
        transfer = await self._parts.for_clients.transfer(
            one.asked, one.entry, one.client, looks=looks
        )
        if transfer is None:
            self._refuse(one, http.SERVICE_UNAVAILABLE)
            return
        self._counters["coming"] += 1
        reader = Reader(transfer, transfer.subject.start, since=one.since)
        try:
            await self._in_time(one, transfer.begun.wait())
            count = self.counts(one.client, package=True)
            await send_growing(one.request, transfer, reader, size=transfer.size, count=count)
        except (FloconError, TimeoutError):
            if one.request.startedWriting:
                raise
            self._refuse(one, failure_status(transfer))
        finally:
            reader.close()

    def _in_time(self, one: ClientRequest, waited_for: Deferred[Any]) -> Deferred[Any]:
        return in_time(self._parts.reactor, one.since, waited_for)

    async def _signature(self, one: ClientRequest) -> None:
        if await self._held(one, signature=True):
            return
        signature = one.entry.read_signature() or await self._came_with_package(one)
        if signature is None:
            try:
                signature = await self._parts.signatures.find(one.asked, one.entry)
            except FloconError:
                self._refuse(one, http.SERVICE_UNAVAILABLE)
                return
        if signature is None:
            self._refuse(one, http.NOT_FOUND)
        else:
            send_bytes(one.request, signature, partial(self._count_signature, one.client))

    def _count_signature(self, client: str, count: int) -> None:
        self.counts(client, package=False)(count)

    async def _came_with_package(self, one: ClientRequest) -> bytes | None:
        """Return the signature of a package that comes, or has just come; None without one."""
        coming = self._parts.transfers.signature(one.entry.file_name)
        if coming is None or coming[0].subject.content != one.entry.content:
            if coming is not None:
                coming[1].cancel()
            return None
        try:
            signature: bytes | None = await self._in_time(one, coming[1])
        except (FloconError, TimeoutError):
            return None
        return signature

    def _refuse(self, one: ClientRequest, status: int) -> None:
        self._counters[f"refused {status}"] += 1
        refuse(one.request, status)
