"""Answers about the node as JSON, to questions whose fields are short and given once each.

What is answered is each question's own to say.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import DeferredLock
from twisted.web import http

from flocon.answering.respond import finish_text, refuse

if TYPE_CHECKING:
    from twisted.web.http import Request

#: Bytes of one field of a question: a file name is the longest.
LONGEST_FIELD = 255
#: Answers a question about the node, given its fields, as JSON's values; None where they make none.
Question: TypeAlias = Callable[[Mapping[str, str]], Awaitable[Any]]


class InTurn:
    """Lets each local user ask one thing at a time: what else is theirs waits, and nobody else."""

    def __init__(self) -> None:
        self._locks: dict[object, DeferredLock] = {}

    async def ask(self, request: Request, question: Question, fields: Mapping[str, str]) -> Any:
        """Return the answer to a question, once those before it have theirs."""
        user = getattr(request.channel, "user", None)
        lock = self._locks.setdefault(user, DeferredLock())
        try:
            await lock.acquire()
            try:
                return await question(fields)
            finally:
                lock.release()
        finally:
            if not lock.locked and self._locks.get(user) is lock:
                del self._locks[user]


async def answer_question(request: Request, question: Question, in_turn: InTurn) -> None:
    fields = _fields(request)
    answer = None if fields is None else await in_turn.ask(request, question, fields)
    if answer is None:
        refuse(request, http.BAD_REQUEST)
    else:
        finish_json(request, answer)


def finish_json(request: Request, answer: Any) -> None:
    """Answer 200 with JSON's values."""
    finish_text(request, json.dumps(answer, indent=1).encode() + b"\n", "application/json")


def _fields(request: Request) -> dict[str, str] | None:
    """Return the fields of a query, each given once and short; None where they are not."""
    fields = {}
    for name, values in (request.args or {}).items():
        if len(values) != 1 or len(values[0]) > LONGEST_FIELD:
            return None
        fields[name.decode("ascii", "replace")] = values[0].decode("utf-8", "replace")
    return fields
