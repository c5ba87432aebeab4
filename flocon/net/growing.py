"""The answer that follows a transfer: both faces send a growing file the same way."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from flocon.net.held import CONTENT_TYPE, send_extent, set_extent

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.server import Request

    from flocon.core.inventory import Content
    from flocon.net.pace import Pacer
    from flocon.net.transfer import Reader, Transfer


def set_head(request: Request, transfer: Transfer) -> None:
    """Set the headers that do not depend on what part is asked for."""
    request.setHeader("Content-Type", CONTENT_TYPE)
    request.setHeader("Accept-Ranges", "bytes")
    if transfer.head is not None and transfer.head.modified:
        request.setHeader("Last-Modified", transfer.head.modified)


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
