"""One file on its way into this node, from its beginning to its end.

Here its parts are put together, and what others see of it; each part has its module. ``intake``
takes in what sources send, of whom ``asking`` asks them; a ``draft`` is what has come of it, which
is hashed (``verifying``) and judged (``judging``); ``readers`` follow it from any position, and
``reader`` says how far. What becomes of all that when bytes are wrong is ``doubting``'s, and what
keeps pacman patient meanwhile ``prefix``'s. Whom to ask is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred

from flocon.asking.waiting import Outcome
from flocon.errors import Broken, FloconError, SourceError
from flocon.log import logger
from flocon.machine.reactor_threads import in_pool
from flocon.transfers.attempting import Asking
from flocon.transfers.doubting import Doubting
from flocon.transfers.draft import Draft
from flocon.transfers.intake import Intake
from flocon.transfers.judging import Judging
from flocon.transfers.prefix import KeepingPatient
from flocon.transfers.promised import Promised
from flocon.transfers.reader import Releasing
from flocon.transfers.readers import Readers
from flocon.transfers.terms import Terms
from flocon.transfers.verifying import Verifying

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from flocon.asking.answer import Head
    from flocon.asking.attempts import Attempt, Choose, Mirrors
    from flocon.asking.source import Came, Source
    from flocon.errors import StoreError
    from flocon.transfers.reader import Reader
    from flocon.transfers.subjects import Subject
    from flocon.transfers.tools import Tools
    from flocon.writing.growing_file import Incoming


class _Seen:
    """What others see of a transfer, from its parts."""

    subject: Subject
    terms: Terms
    finished: Outcome[None]
    _asking: Asking
    _draft: Draft
    _intake: Intake
    _promised: Promised
    _readers: Readers

    @property
    def incoming(self) -> Incoming:
        return self._draft.incoming

    @property
    def size(self) -> int | None:
        return self._promised.size

    @property
    def head(self) -> Head | None:
        return self._promised.head

    @property
    def source(self) -> Source | None:
        """Who brings it: the one that answered last."""
        return self._promised.source

    @property
    def not_modified(self) -> bool:
        return self._promised.not_modified

    @property
    def verified(self) -> bool:
        return self._draft.verified

    @property
    def arrived(self) -> int:
        """How many bytes are there."""
        return len(self._draft.contributions.arrived)

    @property
    def shares(self) -> dict[Came, int]:
        """How many of its bytes came in which way."""
        return self._draft.contributions.shares

    @property
    def by_source(self) -> dict[str, int]:
        """How many of its bytes each source brought, the most first."""
        return self._draft.contributions.by_source

    @property
    def follows_a_relay(self) -> bool:
        """Whether its bytes come from another owner's transfer now: no peer may follow it then."""
        return not self.finished.known and self._asking.follows_a_relay

    @property
    def fetches_itself(self) -> bool:
        """Whether its bytes come from a mirror or a holder now, or are all there."""
        return self.finished.known or self._asking.fetches_itself

    @property
    def followed(self) -> bool:
        """Whether anybody reads it."""
        return bool(self._readers)

    @property
    def followed_here(self) -> bool:
        """Whether this machine's own pacman is among its readers."""
        return self._readers.any_here

    @property
    def own(self) -> bool:
        """Whether this machine's pacman waits for it, and no stranger alone."""
        asked = self.terms.asked_here and not self.finished.known
        return asked or self._readers.any_here

    @property
    def unhurried(self) -> bool:
        """Whether nobody waits for it, nor ever has."""
        return self._intake.unhurried

    @property
    def tried(self) -> Sequence[Attempt]:
        """The attempts that failed, or were so slow that others helped; oldest first."""
        return [*self._asking.attempts.helped, *self._asking.attempts.tried]

    @property
    def mirrors(self) -> Sequence[Source]:
        """The mirrors that may have the file, the best one first."""
        return self._asking.mirrors()

    @property
    def parents(self) -> list[Source]:
        """The caching proxies that are asked for it now."""
        return self._asking.parents

    @property
    def mirror_statuses(self) -> list[int | None]:
        """What each mirror that failed had answered; None where it was no answer."""
        return self._asking.attempts.mirror_statuses


class Transfer(_Seen):
    """One file on its way in; see the module."""

    _log = logger()

    def __init__(
        self,
        tools: Tools,
        subject: Subject,
        choose: Choose,
        mirrors: Mirrors = tuple,
        *,
        unhurried: bool = False,
    ) -> None:
        self._tools = tools
        self.clock = tools.reactor
        #: When it began.
        self.since: float = self.clock.seconds()
        self.subject = subject
        self.terms = Terms(ahead=unhurried)
        #: Called with it when its last reader has left, and it goes on for a while.
        self.left: Callable[[Transfer], None] = lambda _: None
        self._widened = False
        #: How many bytes its furthest reader was given, also when that has gone.
        self.taken = 0
        #: The first byte (or a 304) is there; fails if no source had the file.
        self.begun: Outcome[None] = Outcome()
        #: The file is whole and right; fails if that cannot be.
        self.finished: Outcome[None] = Outcome()
        #: Its signature, None where there is none; of a listed package alone.
        self.signature: Outcome[bytes | None] = Outcome()
        self._running: Deferred[None] | None = None
        self._retired = False
        self._readers = readers = Readers(self.clock)
        self._promised = promised = Promised(subject)
        self._draft = draft = Draft(tools, subject.file_name, self)
        self._asking = asking = Asking(
            tools,
            subject,
            promised,
            room=self._room,
            paced=lambda: self.terms.paced,
            choose=choose,
            mirrors=mirrors,
        )
        asking.unhurried = unhurried
        self._verifying = verifying = Verifying(draft, self._in_thread, self.finished)
        self._doubting = doubting = Doubting(draft, readers, verifying, promised, self.begun)
        self._judging = judging = Judging(
            subject,
            draft=draft,
            promised=promised,
            asking=asking,
            verifying=verifying,
            doubting=doubting,
            in_thread=self._in_thread,
        )
        self._intake = intake = Intake(
            tools,
            subject,
            draft=draft,
            promised=promised,
            asking=asking,
            judging=judging,
            doubting=doubting,
            begun=self.begun,
            wrote=self.wrote,
        )
        self._patient = KeepingPatient(
            tools,
            subject,
            draft=draft,
            promised=promised,
            asking=asking,
            doubting=doubting,
            intake=intake,
            finished=self.finished,
            poke=self.poke,
        )
        self.releasing = Releasing(self.clock, subject, draft, promised, self.finished)

    # How it begins and ends

    def start(self) -> None:
        self._running = ensureDeferred(self._run())
        self._running.addErrback(self._stopped)

    def widen(self, choose: Choose, mirrors: Mirrors) -> None:
        """Let it come from all whom a new follower may ask, whoever it was begun for."""
        self.terms.near, self._widened = False, True
        self._intake.widen(choose, mirrors)

    def hurry(self) -> None:
        """Have it come as what somebody waits for, from now on and for good."""
        self._intake.hurry()
        self.let_run()

    def let_run(self) -> None:
        """Have it come as fast as it can, whatever is taken of it."""
        self.terms.paced = False
        self._readers.keep_up_no_more()

    def cancel(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def cut(self) -> None:
        """End it, and let go of all who follow: its room is needed."""
        self.cancel()
        self._readers.abort()

    def retire(self) -> None:
        """Close the file as soon as the last reader is gone."""
        self._retired = True
        if not self._readers:
            self._draft.close()

    async def _run(self) -> None:
        while True:
            await self._intake.bring()
            await self._draft.settled()
            whole = self._draft.is_whole(self.subject.start, self.size)
            widened, self._widened = self._widened, False
            if not (self.not_modified or whole):
                if widened:
                    # Those who may be asked since have not been, maybe.
                    continue
                raise self._asking.attempts.verdict(self.subject.file_name)
            try:
                await self._judging.judge()
                break
            except SourceError as failure:
                self._log.debug("{file}: {failure}", file=self.subject.file_name, failure=failure)
        # First this: until then nobody is given a byte that would follow wrong ones.
        await self._doubting.settle(self._asking, self._in_thread)
        self._draft.verified = True
        self.begun.succeed(None)
        self.finished.succeed(None)
        self._end()

    def _stopped(self, failure: Any) -> None:
        reason = failure.value
        if not isinstance(reason, (FloconError, CancelledError)):
            self._log.failure("transfer of {file} failed", failure, file=self.subject.file_name)
        if not isinstance(reason, FloconError):
            reason = Broken(self.subject.file_name, "the transfer was ended")
        self.begun.fail(reason)
        self.finished.fail(reason)
        self._end()

    def _end(self) -> None:
        self._readers.wait_no_more()
        self._patient.stop()
        self._readers.poke()

    # Who follows it

    def follow(self, reader: Reader) -> None:
        self._readers.add(reader)
        if reader.hurried:
            self.hurry()

    def unfollow(self, reader: Reader) -> None:
        self._readers.remove(reader)
        if self._readers:
            return
        if self._retired:
            self._draft.close()
        whole = self._draft.is_whole(self.subject.start, self.size)
        grace = self.terms.grace(verifies=reader.verifies, whole=whole)
        if not (grace is None or self.finished.known):
            self._readers.wait(grace, self.cancel)
            self.left(self)

    def took(self, count: int) -> None:
        """Learn how many bytes one of its readers was given."""
        self.taken = max(self.taken, count)
        self._readers.took(self.arrived)

    def _room(self) -> Deferred[None] | None:
        """Return what fires once more may come; None where it may come now."""
        behind = self._readers.behind(self.arrived) if self.terms.paced else None
        return self._draft.room() or behind

    def keep_patient(self, position: int) -> None:
        """Have a few bytes of a mirror's to give from ``position`` on, while peers bring it."""
        self._patient.ask(position)

    def poke(self) -> None:
        """Begin to answer where that may be now, and tell every reader to look again."""
        if not self.begun.known and self._may_begin():
            self.begun.succeed(None)
        self._readers.poke()

    def _may_begin(self) -> bool:
        """Whether an answer may begin: a later failure could only cut it."""
        is_known = self.head is not None or self.subject.content is not None
        return self.verified or (is_known and self._readers.any_may_begin)

    # What its file tells, and where work is done

    def wrote(self) -> None:
        """Learn that more of its file can be read back."""
        if not self.finished.known:
            if self.subject.content is not None:
                self._verifying.go_ahead()
            self.poke()

    def lost(self, failure: StoreError) -> None:
        """Learn that there is no room for what came: waiting for its file raises ``failure``."""
        self._log.debug("{file}: {failure}", file=self.subject.file_name, failure=failure)
        self._intake.stop()

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        # What strangers asked for is hashed beside what pacman waits for, and never before it.
        pool = self._tools.threads(self.own)
        return in_pool(self.clock, pool, function, *arguments)
