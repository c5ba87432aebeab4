"""Answers with a file that is whole and on this machine: ranges, conditions, sendfile."""

from __future__ import annotations

import math
import os
from base64 import b64encode
from email.utils import formatdate
from typing import TYPE_CHECKING, Protocol

from twisted.internet.error import ConnectionAborted
from twisted.web.http import (
    NOT_MODIFIED,
    OK,
    PARTIAL_CONTENT,
    REQUESTED_RANGE_NOT_SATISFIABLE,
)

from flocon.answering.respond import cut, http_date, refuse
from flocon.answering.sendfile import Interrupted, sender
from flocon.asking.dates import seconds_of
from flocon.extents import Extent, Unsatisfiable, parse_range
from flocon.machine.beneath import write_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from twisted.web.http import Request

    from flocon.answering.pace import Pace
    from flocon.answering.sendfile import Reads

CONTENT_TYPE = "application/octet-stream"
#: Bytes of old versions of a text in memory; that of 20,000 files takes some 3 MB.
MOST_OF_EDITIONS = 32 << 20


if TYPE_CHECKING:

    class Opened(Protocol):
        """An open, whole, regular file: its size in bytes and its mtime in seconds."""

        @property
        def size(self) -> int: ...

        @property
        def modified(self) -> float: ...

        @property
        def reads(self) -> Reads | None:
            """What reads of it where it may hang at any time; None where nobody waits for long."""

        def fileno(self) -> int: ...

        def lend(self, cut: Callable[[], None]) -> None:
            """Have ``cut`` called where pacman needs the room: it is sent to somebody else."""

        def close(self) -> None: ...


class InMemory:
    """Bytes that are sent as a file is: the kernel has them once, however many read them slowly.

    ``modified`` is in seconds since 1970. Raises OSError where the system gives no descriptor.
    """

    __slots__ = ("_descriptor", "modified", "size")

    def __init__(self, data: bytes, modified: float = 0.0) -> None:
        self._descriptor = os.memfd_create("flocon", os.MFD_CLOEXEC)
        self.size = len(data)
        self.modified = modified
        try:
            write_all(self._descriptor, data)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Give the descriptor back; again is no error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Editions:
    """Versions of one text that are still being sent: each is in memory until the last has read it.

    Beyond ``most`` bytes of them together, those who read the oldest are cut off.
    """

    def __init__(self, most: int = MOST_OF_EDITIONS) -> None:
        self._most = most
        #: Each version's size, and what cuts off those who read it; the oldest first.
        self._read: dict[InMemory, tuple[int, list[Callable[[], None]]]] = {}

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self._read.values())

    def begin(self, edition: InMemory, cut: Callable[[], None]) -> None:
        """Note that somebody is being sent a version."""
        self._read.setdefault(edition, (edition.size, []))[1].append(cut)
        for other in list(self._read):
            if self.bytes <= self._most or other is edition:
                return
            for one in list(self._read[other][1]):
                one()

    def end(self, edition: InMemory, cut: Callable[[], None]) -> None:
        """Note that somebody has left; again is no error."""
        _, readers = self._read.get(edition, (0, []))
        if cut in readers:
            readers.remove(cut)
        if not readers:
            self._read.pop(edition, None)


async def send_edition(
    request: Request, editions: Editions, edition: InMemory, part: Extent, head: bytes = b""
) -> None:
    """Send ``head`` and a part of a version, as its reader takes it, and finish.

    Raises OSError where no more files can be open; nothing of the answer has left then.
    """
    # A descriptor of its own: the next version takes the place of this one.
    descriptor = os.dup(edition.fileno())
    cuts: list[Callable[[], None]] = []

    def attach(_poke: Callable[[], None], cut: Callable[[], None]) -> None:
        cuts.append(cut)
        editions.begin(edition, cut)

    try:
        request.write(head)
        await send_extent(
            request,
            part,
            fileno=lambda: descriptor,
            limit=lambda _: part.end,
            sent=lambda _: None,
            attach=attach,
        )
    finally:
        os.close(descriptor)
        for cut in cuts:
            editions.end(edition, cut)


async def send_opened(
    request: Request,
    opened: Opened,
    sha256: bytes | None,
    sent: Callable[[int], None],
    pacer: Pace | None = None,
    *,
    to_stranger: bool = False,
    dated: bool = True,
    offered: Callable[[bool], None] | None = None,
    rest: Callable[[Extent], Awaitable[None]] | None = None,
) -> None:
    """Send ``opened`` and close it; ``sha256`` gives ETag and Repr-Digest, where known.

    What is sent ``to_stranger`` is cut off where the room is needed for pacman. Without a date
    (``dated``) it is later than any. ``offered`` is told whether there is something for the client
    to take, whenever that is looked at. ``rest`` sends, and finishes, what cannot be read here.
    """

    def attach(_poke: Callable[[], None], abort: Callable[[], None]) -> None:
        if to_stranger:
            opened.lend(abort)

    try:
        extent = _begin(request, opened, sha256, dated=dated)
        if extent is None:
            return
        if request.method == b"HEAD":
            request.finish()
            return
        end = extent.end
        await send_extent(
            request,
            extent,
            fileno=opened.fileno,
            limit=watched(lambda _: end, offered),
            sent=sent,
            attach=attach,
            pacer=pacer,
            reads=opened.reads,
        )
    except Interrupted as interrupted:
        if rest is None:
            cut(request)
        else:
            await rest(interrupted.left)
    finally:
        opened.close()


def send_bytes(request: Request, data: bytes, sent: Callable[[int], None]) -> None:
    """Answer with bytes that are in memory, or with what is asked of them; ``sent`` is told."""
    extent = set_extent(request, request.getHeader("Range"), len(data))
    if extent is None:
        return
    request.setHeader("Content-Type", CONTENT_TYPE)
    body = b"" if request.method == b"HEAD" else data[extent.start : extent.end]
    request.write(body)
    sent(len(body))
    request.finish()


def watched(
    limit: Callable[[int], int], offered: Callable[[bool], None] | None
) -> Callable[[int], int]:
    """Return the limit as it is, which tells ``offered`` whether there is something to take."""
    if offered is None:
        return limit

    def look(position: int) -> int:
        most = limit(position)
        offered(most > position)
        return most

    return look


async def send_extent(
    request: Request,
    extent: Extent,
    *,
    fileno: Callable[[], int],
    limit: Callable[[int], int],
    sent: Callable[[int], None],
    attach: Callable[[Callable[[], None], Callable[[], None]], None] | None = None,
    pacer: Pace | None = None,
    reads: Reads | None = None,
) -> None:
    """Send the body and finish, unless the client leaves first.

    Where the file is still growing, ``attach`` is given what to call when ``limit`` rises and
    when nothing right can follow any more. ``pacer`` bounds the bytes per second. What may hang is
    read by ``reads``.
    """

    def paced_limit(position: int) -> int:
        most = limit(position)
        if pacer is None or most <= position:
            return most
        return min(most, position + pacer.allowance(body.poke))

    def paced_sent(count: int) -> None:
        if pacer is not None:
            pacer.took(count)
        sent(count)

    body = sender(
        request,
        extent.start,
        extent.end,
        fileno=fileno,
        limit=paced_limit,
        sent=paced_sent,
        reads=reads,
    )
    body.start()
    if attach is not None:
        attach(body.poke, body.abort)
    try:
        await body.done
    except ConnectionAborted:
        return
    finally:
        if pacer is not None:
            pacer.forget(body.poke)
    request.finish()


def _begin(request: Request, opened: Opened, sha256: bytes | None, *, dated: bool) -> Extent | None:
    """Write the head; return what to send, or None where the answer is complete already."""
    # HTTP knows whole seconds.
    seconds = math.ceil(opened.modified) if dated else None
    fields = _fields_of(seconds, sha256)
    etag, modified = fields.get("ETag"), fields.get("Last-Modified")
    for name, value in fields.items():
        request.setHeader(name, value)
    if _is_fresh(request, etag, seconds if dated else None):
        request.setResponseCode(NOT_MODIFIED)
        request.finish()
        return None
    request.setResponseCode(OK)
    if_range = request.getHeader("If-Range")
    wanted = request.getHeader("Range") if if_range in {None, etag, modified} else None
    return set_extent(request, wanted, opened.size)


def _fields_of(seconds: int | None, sha256: bytes | None) -> dict[str, str]:
    """Return what the head of an answer says of a file, by its mtime and its sum."""
    fields = {"Content-Type": CONTENT_TYPE, "Accept-Ranges": "bytes"}
    if seconds is not None:
        fields["Last-Modified"] = formatdate(seconds, usegmt=True)
    if sha256 is not None:
        fields["ETag"] = f'"{sha256.hex()}"'
        fields["Repr-Digest"] = f"sha-256=:{b64encode(sha256).decode()}:"
    return fields


def whole_answer(
    data: bytes, modified: float, sha256: bytes | None, further: Mapping[str, str]
) -> bytes:
    """Return what ``send_opened`` answers with all of a file to who sets no condition.

    ``further`` are fields that the face says first.
    """
    fields = {"Date": http_date().decode("ascii"), **further}
    fields |= _fields_of(math.ceil(modified), sha256)
    fields["Content-Length"] = str(len(data))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode("ascii") + data


def _is_fresh(request: Request, etag: str | None, modified: int | None) -> bool:
    """Whether the asker has this already, by what it says (RFC 9110, 13.2.2).

    What cannot be read is no condition. Twisted's own reading of dates raises for some of them.
    """
    tags = request.getHeader("If-None-Match")
    if tags is not None and etag is not None:
        # Proxies make tags weak; that is the same here (RFC 9110, 13.1.2).
        return not {etag, "*"}.isdisjoint(tags.replace("W/", "").replace(",", " ").split())
    since = since_of(request)
    return since is not None and modified is not None and modified <= since


def since_of(request: Request) -> float | None:
    """Return the second that the asker's own copy bears, None where it has none."""
    return seconds_of((request.getHeader("If-Modified-Since") or "").partition(";")[0])


def set_extent(request: Request, header: str | None, size: int) -> Extent | None:
    """Set status and length for a Range ``header``; return the extent, None after a 416."""
    try:
        extent = parse_range(header, size)
    except Unsatisfiable:
        request.setHeader("Content-Range", f"bytes */{size}")
        refuse(request, REQUESTED_RANGE_NOT_SATISFIABLE)
        return None
    if extent is None:
        extent = Extent(0, size)
    else:
        request.setResponseCode(PARTIAL_CONTENT)
        request.setHeader("Content-Range", f"bytes {extent.start}-{extent.end - 1}/{size}")
    request.setHeader("Content-Length", str(len(extent)))
    return extent
