"""Own repositories as peers are given them: what the newest is, its files, and its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.web import http

from flocon.answering.held import send_opened
from flocon.answering.respond import finish_text
from flocon.errors import StoreError
from flocon.files import is_repository

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

    from twisted.web.http import Request

    from flocon.answering.pace import Pacer
    from flocon.faces.needs import OwnRepositories

#: Digits of a generation's number.
_MOST_DIGITS = 15


async def answer(
    own: OwnRepositories | None,
    request: Request,
    which: Sequence[str],
    count: Callable[[int], None],
    *,
    pacer: Pacer | None,
    counters: Counter[str],
) -> int | None:
    """Answer below ``/own``, or return the status with which to refuse."""
    if own is None or not which or not is_repository(which[0]):
        return int(http.NOT_FOUND)
    match which:
        case [name]:
            told, kind = own.told(name), "application/json"
        case [name, "key"]:
            told, kind = own.key(name), "application/pgp-keys"
        case [name, number, file_name] if number.isdecimal() and len(number) <= _MOST_DIGITS:
            try:
                opened = await own.open(name, int(number), file_name)
            except StoreError:
                return int(http.NOT_FOUND)
            counters["own files"] += 1
            await send_opened(request, opened, None, count, pacer, to_stranger=True)
            return None
        case _:
            told, kind = None, ""
    if told is None:
        return int(http.NOT_FOUND)
    counters["own"] += 1
    finish_text(request, told, kind)
    return None
