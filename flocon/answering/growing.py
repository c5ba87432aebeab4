"""The answer that follows a transfer: both faces send a growing file the same way."""

from __future__ import annotations

import time
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionAborted

from flocon.answering.held import CONTENT_TYPE, send_extent, set_extent, watched
from flocon.answering.sendfile import sender
from flocon.asking.dates import past

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.http import Request

    from flocon.answering.pace import Pace
    from flocon.extents import Extent
    from flocon.files import Content
    from flocon.transfers.reader import Reader
    from flocon.transfers.transfer import Transfer

#: Where a body ends of which nobody knows where it ends.
NO_END = 1 << 62


def set_head(request: Request, transfer: Transfer) -> None:
    """Set the headers that do not depend on what part is asked for."""
    request.setHeader("Content-Type", CONTENT_TYPE)
    request.setHeader("Accept-Ranges", "bytes")
    told = transfer.subject.dated or (transfer.head.modified if transfer.head else None)
    modified = past(told, time.time())
    if modified and not transfer.subject.undated:
        request.setHeader("Last-Modified", modified)


def tell_content(request: Request, content: Content, transfer: Transfer | None) -> None:
    """Answer a HEAD from what is listed; ``transfer`` brings it now, or None. Nothing is fetched.

    The date is a mirror's to say, and left out until one has.
    """
    request.setHeader("Content-Type", CONTENT_TYPE)
    request.setHeader("Accept-Ranges", "bytes")
    if transfer is not None:
        set_head(request, transfer)
    request.setHeader("Content-Length", str(content.size))
    request.setHeader("ETag", f'"{content.sha256.hex()}"')
    request.setHeader("Repr-Digest", f"sha-256=:{b64encode(content.sha256).decode()}:")
    request.finish()


async def send_growing(
    request: Request,
    transfer: Transfer,
    reader: Reader,
    *,
    size: int | None,
    count: Callable[[int], None],
    pacer: Pace | None = None,
    offered: Callable[[bool], None] | None = None,
) -> None:
    """Send what ``transfer`` brings, as far and as soon as ``reader`` may have it.

    ``size`` is None where nobody knows it: then the answer has no length either. ``offered`` is
    told whether there is something for the client to take, whenever that is looked at.
    """
    set_head(request, transfer)
    if size is None:
        limit = watched(reader.limit, offered)
        await _send_unmeasured(request, transfer, reader, count, limit)
        return
    extent = set_extent(request, request.getHeader("Range"), size)
    if extent is None:
        return
    if request.method == b"HEAD":
        request.finish()
        return
    await send_rest(request, transfer, reader, extent, count=count, pacer=pacer, offered=offered)


async def send_rest(
    request: Request,
    transfer: Transfer,
    reader: Reader,
    extent: Extent,
    *,
    count: Callable[[int], None],
    pacer: Pace | None = None,
    offered: Callable[[bool], None] | None = None,
) -> None:
    """Send the rest of an answer whose head and first bytes have left, and finish."""
    reader.move(extent.start)
    sent, fileno = _sending(transfer, reader, count)
    await send_extent(
        request,
        extent,
        fileno=fileno,
        limit=watched(reader.limit, offered),
        sent=sent,
        attach=reader.attach,
        pacer=pacer,
    )


async def _send_unmeasured(
    request: Request,
    transfer: Transfer,
    reader: Reader,
    count: Callable[[int], None],
    limit: Callable[[int], int],
) -> None:
    """Send what has no known length as it comes, in chunks, until it is known to be all."""
    if request.method == b"HEAD":
        request.finish()
        return
    sent, fileno = _sending(transfer, reader, count)
    body = sender(
        request,
        0,
        NO_END,
        fileno=fileno,
        limit=limit,
        sent=sent,
        # HTTP has a frame around each piece.
        framed=True,
    )

    def poke() -> None:
        if transfer.verified and transfer.size is not None:
            body.end = transfer.size
        body.poke()

    body.start()
    reader.attach(poke, body.abort)
    with suppress(ConnectionAborted):
        await body.done
        request.finish()


def _sending(
    transfer: Transfer, reader: Reader, count: Callable[[int], None]
) -> tuple[Callable[[int], None], Callable[[], int]]:
    """Return what is told of each piece that was sent, and what tells the file it comes from."""

    def sent(number: int) -> None:
        reader.sent(number)
        count(number)

    def fileno() -> int:
        # Looked up each time: a transfer can change its file, when a disk is full.
        return transfer.incoming.fileno()

    return sent, fileno
