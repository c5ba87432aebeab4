"""How pacman gets a package: held ones are sent, or a holder named, and the rest is brought.

Whom to ask for it is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.web import http

from flocon.answering.growing import tell_content
from flocon.answering.respond import refuse
from flocon.extents import parse_open_range
from flocon.faces.pacman_request import content_of

if TYPE_CHECKING:
    from flocon.faces.pacman_request import PacmanRequest
    from flocon.pacman.entries import Entry


async def answer_package(one: PacmanRequest) -> None:
    entry = await one.listed()
    # Where pacman is sent to holders, it takes from them what the package needs, too.
    if entry is not None and not one.parts.redirecting.wanted():
        one.parts.packages.asked_for(entry)
    content = content_of(entry)
    if await one.send_held(content, signature=False):
        return
    await one.parts.listed.acquainted(entry)
    if entry is not None and await _send_away(one, entry):
        return
    start = parse_open_range(one.request.getHeader("Range"))
    transfer = one.parts.packages.transfer(one.asked, entry, start, one.user)
    if transfer is None:
        one.refuse(http.SERVICE_UNAVAILABLE)
    else:
        await one.follow(transfer)


async def tell_package(one: PacmanRequest) -> None:
    """Tell of a package what is known, or what a mirror says: nobody wants its bytes."""
    entry = await one.listed()
    if await one.send_held(content_of(entry), signature=False):
        return
    if entry is None:
        await one.tell_as_mirrors_do()
        return
    one.say_source("database")
    coming = one.parts.transfers.find(entry.file_name, entry.content)
    tell_content(one.request, entry.content, coming)


async def _send_away(one: PacmanRequest, entry: Entry) -> bool:
    """Send pacman to a holder, if the operator wants that and there is one that answers.

    Only pacman: of other clients it is not known that they follow, nor that they verify.
    """
    client = one.request.getHeader("User-Agent") or ""
    if not one.parts.redirecting.wanted() or not client.startswith("pacman/"):
        return False
    source = await one.parts.redirecting.elsewhere(entry)
    if source is None:
        return False
    one.say_source(str(source))
    one.bytes = entry.size
    one.request.setHeader("Location", source.url)
    refuse(one.request, http.TEMPORARY_REDIRECT)
    return True
