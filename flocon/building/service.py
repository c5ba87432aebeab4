"""The builder as a program: who asks is let in, one job runs, and the others wait for it."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.threads import deferToThread

from flocon.building.describing import Here, can, cannot, lacks
from flocon.building.handed import Handed
from flocon.building.job import Job, Told
from flocon.building.orders import read_order
from flocon.building.place import Place, demand_tools
from flocon.errors import BuildError, FloconError, ToolError
from flocon.log import logger
from flocon.programs.reception import Reception
from flocon.walls.filters import make_filter
from flocon.walls.folders import Room, clear

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from flocon.building.job import Outcome
    from flocon.programs.talking import Conversation, Message

#: Requests that wait, of all who ask, and of one.
MOST_WAITING, MOST_OF_ONE = 16, 2
#: Bytes of what makepkg said of a recipe, and of commits by source, as they stand in a message,
#: which has 1 MiB: a recipe may have written both, and who asked would not hear of it at all.
_LONGEST_SRCINFO, _LONGEST_COMMITS = 500_000, 200_000
_MOST_COMMITS = 200


class Service:
    """Answers whoever is among ``callers``, by number, and root."""

    _log = logger()

    def __init__(self, reactor: Any, place: Place, callers: frozenset[int]) -> None:
        self._reactor = reactor
        self._place = place
        self._callers = callers | {0}
        self._turn = DeferredLock()
        self._running = ""
        #: What is done for a conversation, or waits: cancelled when it is over.
        self._work: dict[Conversation, list[Deferred[None]]] = {}
        self.reception = Reception(reactor, self._received, self._ended, is_busy=self._is_busy)

    async def start(self, path: str) -> None:
        """Take away what a builder that was killed has left; begin to listen."""
        for folder in await deferToThread(lambda: list(self._place.jobs.iterdir())):
            try:
                await clear(self._reactor, folder)
            except ToolError as error:
                # It takes room, and keeps nobody from building.
                self._log.warn("{folder} stays: {error}", folder=folder, error=error)
        self.reception.listen(path)

    async def stop(self) -> None:
        """End what runs, with all of it."""
        await self.reception.stop()
        for conversation in list(self._work):
            self._ended(conversation)
        await self._turn.run(lambda: None)

    def _is_busy(self, conversation: Conversation | None) -> bool:
        return bool(self._work) if conversation is None else conversation in self._work

    def _ended(self, conversation: Conversation) -> None:
        for work in list(self._work.get(conversation, ())):
            work.cancel()

    def _received(self, conversation: Conversation, message: Message) -> None:
        waiting = self._work.get(conversation, [])
        if len(waiting) >= MOST_OF_ONE or sum(map(len, self._work.values())) >= MOST_WAITING:
            message.close()
            conversation.say({"error": "too much waits here already"})
            return
        work = Deferred.fromCoroutine(self._answer(conversation, message))
        work.addErrback(self._failed)
        if not work.called:
            self._work.setdefault(conversation, []).append(work)
            work.addCallback(lambda _: self._done(conversation, work))

    def _done(self, conversation: Conversation, work: Deferred[None]) -> None:
        works = self._work.get(conversation, [])
        if work in works:
            works.remove(work)
        if not works:
            self._work.pop(conversation, None)
        self.reception.worked(conversation)

    def _failed(self, failure: Any) -> None:
        if not failure.check(CancelledError):
            self._log.failure("no answer was given", failure)

    async def _answer(self, conversation: Conversation, message: Message) -> None:
        try:
            await self._do(conversation, message)
        except FloconError as error:
            _say_error(conversation, error)
        except Exception:  # noqa: BLE001 - whatever it was, who asks reads one sentence
            self._log.failure("a request failed")
            conversation.say(
                {"error": "the builder failed", "remedy": "see 'journalctl -u flocon-build'"}
            )
        finally:
            message.close()

    async def _do(self, conversation: Conversation, message: Message) -> None:
        user = conversation.caller.user
        if user not in self._callers:
            self._log.warn("user {user} may not have anything built", user=user)
            raise BuildError("that is not for this user to ask", "run it as root")
        match message.values.get("do"):
            case "describe":
                conversation.say({**await self._describe(), "done": True})
            case "update root":
                demand_tools()
                await self._in_turn(conversation, lambda: self._update(conversation))
            case "build":
                demand_tools()
                # Taken apart at once: who orders what cannot be is not kept waiting.
                order = read_order(message.values, len(message.files))
                with Handed(message.files) as handed:
                    told = _told(conversation)
                    job = Job(self._reactor, self._place, order, handed.files, told)
                    await self._in_turn(conversation, lambda: self._build(conversation, order, job))
            case _:
                raise BuildError("the builder was asked for something that it does not know", "")

    async def _in_turn(
        self, conversation: Conversation, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        if self._turn.locked:
            conversation.say({"step": "waiting"})
        await self._turn.acquire()
        try:
            await work()
        finally:
            self._turn.release()

    async def _build(self, conversation: Conversation, order: Any, job: Job) -> None:
        self._running = order.job
        begun = self._reactor.seconds()
        self._log.info("building {base}, job {job}", base=order.base, job=order.job)
        try:
            outcome = await job.run()
        finally:
            self._running = ""
        self._log.info(
            "{base}: {result} {reason}",
            base=order.base,
            result=outcome.ending.result,
            reason=outcome.ending.reason,
        )
        try:
            files = [one.descriptor for one in outcome.left.packages]
            conversation.say(told_of(outcome, self._reactor.seconds() - begun), files)
        finally:
            outcome.left.close()

    async def _update(self, conversation: Conversation) -> None:
        conversation.say({"step": "root"})
        told = _told(conversation)
        try:
            if await self._place.roots.kind("auto") != "clean":
                raise BuildError(
                    "there is no clean root here: jobs are built over this machine's own system", ""
                )
            await self._place.roots.update(told.heard)
        finally:
            told.end()
        conversation.say({"done": True})

    async def _describe(self) -> Mapping[str, Any]:
        place = self._place
        here = Here(
            root=await place.roots.kind("auto"),
            rights=place.rights,
            grouped=place.group is not None,
            filtered=bool(make_filter(platform.machine())),
        )
        return {
            "root": here.root,
            "rights": here.rights,
            "user": place.user if place.rights else "",
            "can": can(here),
            "cannot": cannot(here),
            "lacks": lacks(here),
            **_missing(),
            "free": Room.of(place.jobs).bytes,
            "running": self._running,
            "architecture": platform.machine(),
        }


def _missing() -> dict[str, Any]:
    """Return what has to be installed before anything is built, and how."""
    try:
        demand_tools()
    except BuildError as error:
        return {"missing": [error.problem], "remedy": error.remedy}
    return {"missing": []}


def _say_error(conversation: Conversation, error: FloconError) -> None:
    if isinstance(error, BuildError):
        conversation.say({"error": error.problem, "remedy": error.remedy})
    else:
        conversation.say({"error": str(error)})


def _told(conversation: Conversation) -> Told:
    return Told(
        step=lambda name: conversation.say({"step": name}),
        log=lambda text: conversation.say({"log": text}),
    )


def told_of(outcome: Outcome, seconds: float) -> dict[str, Any]:
    """Return the message that tells of a job that is over."""
    left = outcome.left
    srcinfo = left.srcinfo if len(json.dumps(left.srcinfo)) <= _LONGEST_SRCINFO else ""
    commits = dict(list(left.commits.items())[:_MOST_COMMITS])
    return {
        "done": True,
        "result": outcome.ending.result,
        "reason": outcome.ending.reason,
        "exit": outcome.ending.exit,
        "packages": [
            {"name": one.name, "size": one.size, "sha256": one.sha256} for one in left.packages
        ],
        "srcinfo": srcinfo,
        "vcs": commits if len(json.dumps(commits)) <= _LONGEST_COMMITS else {},
        "hosts": list(outcome.hosts),
        "refused": list(outcome.refused),
        "seconds": round(seconds, 1),
    }
