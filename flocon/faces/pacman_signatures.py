"""How pacman gets a signature: a held one, the database's, its package's, or a mirror's.

Nobody's word is taken for a signature: pacman verifies it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import TimeoutError  # noqa: A004 - Twisted's own
from twisted.web import http

from flocon.errors import FloconError
from flocon.faces.pacman_request import content_of

if TYPE_CHECKING:
    from flocon.faces.pacman_request import PacmanRequest


async def answer_signature(one: PacmanRequest) -> None:
    one.parts.redirecting.arrived(one.asked.file.subject)
    entry = await one.listed()
    if await one.send_held(content_of(entry), signature=True):
        return
    embedded = entry.read_signature() if entry is not None else None
    if embedded is not None:
        one.say_source("database")
        one.send_bytes(embedded)
        return
    coming = one.parts.transfers.signature(one.asked.file.subject)
    if coming is not None:
        transfer, waiting = coming
        try:
            signature = await one.in_time(waiting)
        except (FloconError, TimeoutError):
            signature = None
        if signature is not None and content_of(entry) in {None, transfer.subject.content}:
            one.say_source(str(transfer.source))
            one.send_bytes(signature)
            return
    if entry is not None and one.parts.signatures.is_unsigned(entry):
        one.refuse(http.NOT_FOUND)
        return
    await one.relay()


async def tell_signature(one: PacmanRequest) -> None:
    """Tell of a signature what is known, or what a mirror says: nobody wants its bytes."""
    entry = await one.listed()
    if await one.send_held(content_of(entry), signature=True):
        return
    if entry is not None and (embedded := entry.read_signature()) is not None:
        one.say_source("database")
        one.send_bytes(embedded)
        return
    await one.tell_as_mirrors_do()
