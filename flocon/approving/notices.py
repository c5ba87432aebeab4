"""Tells a person, once, what waits for a decision: by the journal, a program, an address, a mail.

What waits together is told together. What was told is remembered over restarts; a way that failed
is said in one sentence, and not tried again for the same thing: ``flocon status`` shows it anyway.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import Agent, FileBodyProducer
from twisted.web.http_headers import Headers

from flocon.approving.messages import Message, mail, message
from flocon.asking.addresses import parse_address
from flocon.asking.fetch import ended_by_cancelling, words
from flocon.connections.answers import MirrorPool, Passing
from flocon.errors import ToolError
from flocon.log import logger
from flocon.machine.process import run
from flocon.machine.remember import Notebook, recall

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from flocon.settings.settings import Build

#: Seconds for which more is waited for, to be told in one message, and between two messages.
TOGETHER, APART = 10.0, 120.0
#: Seconds between two messages of commits of one recipe: whoever pushes them would else have a
#: person told as often.
OF_ONE = 6 * 3_600.0
#: Seconds that a program or an address may take.
PATIENCE = 30.0
#: Things that were told and are remembered: many more than anybody watches recipes.
MOST_TOLD = 4_096
#: How the notice of a commit begins.
COMMIT = "waits "
#: Names that a program is given behind its own words.
_MOST_NAMES = 100
_FAILING = 300


class Notices:
    """``describe`` gives what ``/builds.json`` says; ``file`` is where what was told is noted.

    A thing that waits has a key of its own: its ``notice``.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        settings: Callable[[], Build],
        describe: Callable[[], dict[str, Any]],
        host: Callable[[], str],
        file: Path,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._describe = describe
        self._host = host
        self._notebook = Notebook(reactor, file)
        told = recall(file, _is_list_of_texts)
        self._told = dict.fromkeys(one for one in told or () if isinstance(one, str))
        self._told_at = float("-inf")
        #: When a person may be told of a further commit, by base.
        self._again: dict[str, float] = {}
        self._call: Any = None
        self._running: set[Deferred[None]] = set()
        #: Why a person could not be told, by the way that failed, until that one gets through.
        self.problems: dict[str, str] = {}

    def changed(self) -> None:
        """Learn that something waits, or no longer does."""
        now = self._reactor.seconds()
        times = [self._when(one) for one in self._untold()]
        if not times:
            self._cancel()
            return
        due = max(now + TOGETHER, self._told_at + APART, min(times))
        if self._call is not None and self._call.getTime() <= due:
            return
        self._cancel()
        self._call = self._reactor.callLater(due - now, self._tell)

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def stop(self) -> None:
        """Tell nothing any more; what is being told is given up."""
        self._cancel()
        for one in tuple(self._running):
            one.addErrback(lambda failure: failure.trap(CancelledError))
            one.cancel()

    def _untold(self) -> list[dict[str, Any]]:
        watched = self._describe()["watched"]
        return [one for one in watched if one["notice"] and one["notice"] not in self._told]

    def _when(self, one: dict[str, Any]) -> float:
        """Return when something may be told, of the reactor's time."""
        is_commit = one["notice"].startswith(COMMIT)
        return self._again.get(one["base"], float("-inf")) if is_commit else float("-inf")

    def _tell(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        due = [one for one in self._untold() if self._when(one) <= now]
        if due:
            self._tell_of(due, now)
        # What came too soon after another one is told later.
        self.changed()

    def _tell_of(self, due: list[dict[str, Any]], now: float) -> None:
        self._told_at = now
        self._again = {base: time for base, time in self._again.items() if time > now}
        self._again |= {
            one["base"]: now + OF_ONE for one in due if one["notice"].startswith(COMMIT)
        }
        # First: who is told twice each time that a node starts reads none of it any more.
        self._told |= dict.fromkeys(one["notice"] for one in due)
        while len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]
        self._notebook.write([*self._told])
        told = message(due, self._host())
        self._log.warn("{text}", text=f"{told.title}: {', '.join(told.bases[:_MOST_NAMES])}")
        running = Deferred.fromCoroutine(self.tell(told))
        self._running.add(running)
        running.addBoth(lambda _: self._running.discard(running))

    async def tell(self, told: Message) -> None:
        """Tell it by each way that is set, one after the other."""
        settings = self._settings()
        text = told.text.encode("utf-8", "replace")
        if settings.notify_command:
            command = [*settings.notify_command, *told.bases[:_MOST_NAMES]]
            await self._try("notify_command", self._run(command, text))
        if settings.notify_url:
            await self._try("notify_url", self._post(settings.notify_url, told))
        if to := settings.notify_mail:
            await self._try("notify_mail", self._run(["sendmail", "-i", "--", to], mail(told, to)))

    async def _try(self, way: str, telling: Coroutine[Deferred[Any], Any, None]) -> None:
        try:
            await telling
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, it is said in one sentence
            reason = words(error)
            self.problems[way] = reason
            self._log.warn("{way}: nobody could be told: {reason}", way=way, reason=reason)
        else:
            self.problems.pop(way, None)

    async def _run(self, command: list[str], text: bytes) -> None:
        """Run a program that reads ``text``; raise ToolError where it fails."""
        file = os.memfd_create("notice")
        try:
            os.write(file, text)
            os.lseek(file, 0, os.SEEK_SET)
            outcome = await run(self._reactor, command, seconds=PATIENCE, descriptors={0: file})
        finally:
            os.close(file)
        if outcome.status:
            said = outcome.errors.decode("utf-8", "replace").strip().splitlines()
            raise ToolError(command[0], said[-1] if said else f"ended with {outcome.status}")

    async def _post(self, url: str, told: Message) -> None:
        """Send a message to an address; raise ToolError where that does not take it."""
        pool = MirrorPool(self._reactor, persistent=False)
        agent = Agent(self._reactor, connectTimeout=PATIENCE, pool=pool)
        address = parse_address(url)
        title = told.title.encode("ascii", "replace").decode()
        headers = Headers({"Content-Type": ["text/plain; charset=utf-8"], "Title": [title]})
        if address.credentials is not None:
            headers.setRawHeaders("Authorization", [address.credentials.basic()])
        body = FileBodyProducer(io.BytesIO(told.text.encode("utf-8", "replace")))
        asking = agent.request(b"POST", address.url.encode("ascii"), headers, body)
        asked = ended_by_cancelling(asking)
        asked.addTimeout(PATIENCE, self._reactor)
        response = await asked
        response.deliverBody(Passing(self._reactor, 0.0))
        if response.code >= _FAILING:
            raise ToolError("the address", f"answered {response.code}")


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
