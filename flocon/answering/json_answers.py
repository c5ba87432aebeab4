"""Answers about the node as JSON, to questions whose fields are short and given once each.

What is answered is each question's own to say. Here is also what keeps answers that take long to
write from being written for each who asks.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import Deferred, DeferredLock
from twisted.web import http

from flocon.answering.respond import finish_text, refuse
from flocon.asking.waiting import Outcome

if TYPE_CHECKING:
    from twisted.web.http import Request

JSON = "application/json"
#: Bytes of one field of a question: a file name is the longest.
LONGEST_FIELD = 255
#: Seconds for which an answer may be given again, and how many times the seconds that it took to
#: write: so writing takes a twentieth of all time at most, or what two answers a second take.
MOST_KEPT = 0.5
KEPT_FOR_EACH = 20
#: Answers a question about the node, given its fields, as JSON's values; None where they make none.
Question: TypeAlias = Callable[[Mapping[str, str]], Awaitable[Any]]


class Lately:
    """Answers that were written just now, of a few kinds; who asks while one is written waits."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        #: Each kind's last answer, and until when it is given again.
        self._written: dict[str, tuple[float, bytes]] = {}
        self._writing: dict[str, Outcome[bytes]] = {}

    async def get(self, kind: str, write: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return an answer, written now if there is none of late."""
        until, written = self._written.get(kind, (0.0, b""))
        if 0 < until - self._reactor.seconds() <= MOST_KEPT:
            return written
        writing = self._writing.get(kind)
        if writing is None:
            writing = self._writing[kind] = Outcome()
            # By itself: whoever had it begun may leave, and others wait for it.
            Deferred.fromCoroutine(self._write(kind, write, writing))
        return await writing.wait()

    async def _write(
        self, kind: str, write: Callable[[], Awaitable[bytes]], writing: Outcome[bytes]
    ) -> None:
        began = self._reactor.seconds()
        try:
            answer = await write()
        except Exception as failure:  # noqa: BLE001 - each who waits is told
            self._ended(kind, writing)
            writing.fail(failure)
            return
        now = self._reactor.seconds()
        if self._ended(kind, writing):
            self._written[kind] = now + min(MOST_KEPT, KEPT_FOR_EACH * (now - began)), answer
        writing.succeed(answer)

    def _ended(self, kind: str, writing: Outcome[bytes]) -> bool:
        """Take note that an answer is written; return whether it may be given again."""
        is_latest = self._writing.get(kind) is writing
        if is_latest:
            del self._writing[kind]
        return is_latest

    def forget(self) -> None:
        """Have each answer written anew: somebody has just changed by hand what it tells."""
        self._written.clear()
        self._writing.clear()


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
    finish_text(request, written_json(answer), JSON)


def written_json(answer: Any) -> bytes:
    """Return JSON's values as text: a line for each member, and for each item of its lists.

    What is within them is on that line: with ``indent`` everywhere Python writes it all by itself,
    and takes ten times as long.
    """
    if not isinstance(answer, dict):
        return json.dumps(answer).encode() + b"\n"
    members = (f"{json.dumps(name)}: {_member(value)}" for name, value in answer.items())
    return ("{\n " + ",\n ".join(members) + "\n}\n").encode()


def _member(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"


def _fields(request: Request) -> dict[str, str] | None:
    """Return the fields of a query, each given once and short; None where they are not."""
    fields = {}
    for name, values in (request.args or {}).items():
        if len(values) != 1 or len(values[0]) > LONGEST_FIELD:
            return None
        fields[name.decode("ascii", "replace")] = values[0].decode("utf-8", "replace")
    return fields
