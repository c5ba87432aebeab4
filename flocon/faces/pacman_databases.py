"""How pacman gets a sync database or its signature: as it comes, or told absent.

Whether a mirror or a peer has the newest is decided elsewhere.
"""

from __future__ import annotations

import time
from contextlib import suppress
from email.utils import formatdate
from typing import TYPE_CHECKING

from twisted.web import http

from flocon.answering.held import since_of
from flocon.asking.dates import taken_from
from flocon.databases.given import Arrived, Missing, OwnCopy, Signature, Unchanged
from flocon.errors import FloconError
from flocon.faces.pacman_request import failure_status

if TYPE_CHECKING:
    from flocon.faces.absent import AbsentSignatures
    from flocon.faces.pacman_request import PacmanRequest
    from flocon.transfers.transfer import Transfer


async def answer_database(one: PacmanRequest, absent: AbsentSignatures) -> None:
    if one.asked in absent:
        one.refuse(http.NOT_FOUND)
        return
    modified_since = one.request.getHeader("If-Modified-Since")
    given = await one.parts.databases.transfer(one.asked, modified_since)
    match given:
        case Signature():
            _send_signature(one, given)
        case Unchanged():
            one.unchanged(given.source)
        case Missing():
            one.fail_with(given.status)
        case OwnCopy():
            absent.forget_beside(one.asked)
            await one.send_database(given.source, given.opened, dated=given.dated)
        case Arrived():
            absent.forget_beside(one.asked)
            try:
                await one.follow(given.transfer)
            finally:
                given.close()
        case _:
            await _follow(one, given, absent)


def _send_signature(one: PacmanRequest, given: Signature) -> None:
    """Send a signature that is as new as its database: pacman takes both by their dates.

    What bore none would be dated by the moment, and then be taken for newer than that of the next
    database of a mirror.
    """
    has = since_of(one.request)
    if has is not None and not given.is_new:
        one.unchanged("peer")
        return
    if given.modified is not None:
        date = taken_from(int(given.modified), has)
        if date <= time.time():
            one.request.setHeader("Last-Modified", formatdate(date, usegmt=True))
    one.say_source("peer")
    one.send_bytes(given.data)


async def _follow(one: PacmanRequest, transfer: Transfer, absent: AbsentSignatures) -> None:
    await one.follow(transfer)
    with suppress(FloconError):
        # pacman can have the last byte before it is known to have been the last.
        await transfer.finished.wait()
    if transfer.verified and not transfer.not_modified:
        absent.forget_beside(one.asked)
    elif one.asked.file.is_signature and failure_status(transfer) == http.NOT_FOUND:
        absent.add(one.asked)


async def tell_database(one: PacmanRequest, absent: AbsentSignatures) -> None:
    """Tell of a database what a mirror says: nobody wants its bytes."""
    if one.asked in absent:
        one.refuse(http.NOT_FOUND)
    else:
        await one.tell_as_mirrors_do()
