"""The answer that follows a transfer: both faces send a growing file the same way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flocon.core.dates import past
from flocon.net.held import CONTENT_TYPE, send_extent, set_extent

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.server import Request

    from flocon.net.pace import Pacer
    from flocon.net.transfer import Reader, Transfer


def set_head(request: Request, transfer: Transfer) -> None:
    """Set the headers that do not depend on what part is asked for."""
    request.setHeader("Content-Type", CONTENT_TYPE)
    request.setHeader("Accept-Ranges", "bytes")
    modified = past(transfer.head.modified if transfer.head else None, time.time())
    if modified and not transfer.subject.undated:
        request.setHeader("Last-Modified", modified)


async def send_growing(
    request: Request,
    transfer: Transfer,
    reader: Reader,
    *,
    size: int,
    count: Callable[[int], None],
    pacer: Pacer | None = None,
) -> None:
    """Send what ``transfer`` brings, as far and as soon as ``reader`` may have it."""
    set_head(request, transfer)
    extent = set_extent(request, request.getHeader("Range"), size)
    if extent is None:
        return
    if request.method == b"HEAD":
        request.finish()
        return
    reader.move(extent.start)

    def sent(number: int) -> None:
        reader.sent(number)
        count(number)

    def fileno() -> int:
        # Looked up each time: a transfer can change its file, when a disk is full.
        return transfer.incoming.fileno()

    await send_extent(
        request,
        extent,
        fileno=fileno,
        limit=reader.limit,
        sent=sent,
        attach=reader.attach,
        pacer=pacer,
    )
