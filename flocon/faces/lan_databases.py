"""Databases as peers are given them: this machine's own, and those of the LAN's state.

What is shared, and what a state is, is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.web import http

from flocon.answering.held import send_opened
from flocon.answering.respond import finish_text
from flocon.errors import StoreError
from flocon.files import Kind, is_architecture, parse_file_name

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

    from twisted.web.http import Request

    from flocon.answering.held import Opened
    from flocon.answering.pace import Pacer
    from flocon.faces.needs import Shelf
    from flocon.files import FileName


class DatabaseAnswers:
    """Answers below ``/db`` and ``/state``; what is given is counted in ``counters``."""

    def __init__(self, shelf: Shelf, counters: Counter[str], pacer: Pacer | None) -> None:
        self._shelf = shelf
        self._counters = counters
        self._pacer = pacer

    async def answer(
        self, request: Request, kind: str, which: Sequence[str], count: Callable[[int], None]
    ) -> int | None:
        """Answer, or return the status with which to refuse; ``count`` is told of bytes sent."""
        try:
            match kind, *which:
                case ("state",):
                    return self._tell_state(request)
                case "state", identity, architecture, name:
                    opened = await self._of_state(identity, architecture, name)
                case "db", name:
                    opened = self._own(name)
                case _:
                    opened = None
        except StoreError:
            opened = None
        if opened is None:
            return int(http.NOT_FOUND)
        self._counters["databases"] += 1
        await send_opened(request, opened, None, count, self._pacer)
        return None

    def _own(self, name: str) -> Opened | None:
        """Open this machine's own sync database, where the operator shares them."""
        file = self._database(name)
        return None if file is None else self._shelf.databases.open(file.text)

    async def _of_state(self, identity: str, architecture: str, name: str) -> Opened | None:
        file, states = self._database(name), self._shelf.states
        if file is None or states is None or not is_architecture(architecture):
            return None
        return await states.open(identity, architecture, file.text)

    def _database(self, name: str) -> FileName | None:
        """Return what a database is called that others may hear of, or its signature."""
        file = parse_file_name(name)
        if file is None or file.kind is not Kind.DATABASE:
            return None
        return None if self._shelf.privacy.keeps(file.name) else file

    def _tell_state(self, request: Request) -> int | None:
        """Tell of the state that this node gives to the LAN, if it does."""
        told = None if self._shelf.states is None else self._shelf.states.told()
        if told is None:
            return int(http.NOT_FOUND)
        self._counters["states"] += 1
        finish_text(request, told, "application/json")
        return None
