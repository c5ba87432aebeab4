"""Who is asked for a file now: each source with what is wanted of it, and how it did is reported.

Whom to ask next is chosen elsewhere; what failed and why is kept by ``asking.attempts``, and what
becomes of the bytes is ``intake``'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.asking.answer import NOT_MODIFIED
from flocon.asking.attempts import NOT_FOUND, Attempts, lacking
from flocon.asking.fetch import Wanted, fetch
from flocon.asking.mirrors import LOOP_DETECTED
from flocon.asking.patience import MOST_PEERS
from flocon.asking.source import Origin
from flocon.asking.unhurried import Unhurried
from flocon.errors import Refused, SourceError
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twisted.internet.defer import Deferred

    from flocon.asking.answer import Head
    from flocon.asking.attempts import Attempt, Choose, Limits, Mirrors
    from flocon.asking.bodies import Sink
    from flocon.asking.source import Source
    from flocon.transfers.promised import Promised
    from flocon.transfers.subjects import Subject
    from flocon.transfers.tools import Reporter, Tools


class Asking:
    """The sources of one file: those asked now, and those that may be asked yet.

    ``choose`` names the next best one, ``mirrors`` all mirrors that may have it. ``room`` is asked
    after each piece that came: what it returns fires once more may come, None for at once.
    ``paced`` tells whether it comes no faster than it is taken.
    """

    _log = logger()

    def __init__(
        self,
        tools: Tools,
        subject: Subject,
        promised: Promised,
        *,
        room: Callable[[], Deferred[None] | None],
        paced: Callable[[], bool],
        choose: Choose,
        mirrors: Mirrors,
    ) -> None:
        self._tools = tools
        self._subject = subject
        self._promised = promised
        self._room = room
        self._paced = paced
        self.choose = choose
        self.mirrors = mirrors
        self.attempts = Attempts()
        #: Whether nobody waits for the file.
        self.unhurried = False
        #: Who is asked now, by key.
        self._now: dict[str, Source] = {}
        self._patient: dict[Unhurried, None] = {}

    def __contains__(self, key: str) -> bool:
        """Whether the source of this key is asked now."""
        return key in self._now

    @property
    def follows_a_relay(self) -> bool:
        """Whether the bytes come from another owner's transfer alone.

        One that follows only what has begun already fetches itself if that ends.
        """
        asking = self._now.values()
        return bool(asking) and all(one.relayed and not one.only_if_cached for one in asking)

    @property
    def fetches_itself(self) -> bool:
        """Whether bytes come from a mirror or a holder."""
        return any(not one.relayed for one in self._now.values())

    def next(self, active: Sequence[Attempt]) -> Attempt | None:
        """Return whom to ask beside those."""
        if not self.unhurried:
            return self.choose(self.attempts.with_active(active))
        passed = list(active)
        for _ in range(MOST_PEERS + 1):
            # Nobody's patience is at an end: no mirror comes before the peers for that.
            now = self._tools.reactor.seconds()
            attempt = self.choose(
                [replace(one, heard=now) for one in self.attempts.with_active(passed)]
            )
            if attempt is None or not self._tools.precedence.rests(attempt.source.key):
                return attempt
            passed.append(attempt)
        return None

    def hurry(self) -> None:
        """Ask as for somebody who waits from now on, for what is asked now too."""
        if self.unhurried:
            self.unhurried = False
            self.attempts.hurry()
            for one in list(self._patient):
                one.hurry()

    async def fetch(self, attempt: Attempt, start: int, end: int | None, sink: Sink) -> None:
        """Have a source send what is between into ``sink``; raises a SourceError, or the sink's."""
        source = attempt.source
        self._now[source.key] = source
        try:
            if self.unhurried:
                await self._fetch_unhurried(attempt, start, end, sink)
            else:
                await self._fetch_once(attempt, start, end, sink)
        finally:
            self._now.pop(source.key, None)

    async def _fetch_unhurried(
        self, attempt: Attempt, start: int, end: int | None, sink: Sink
    ) -> None:
        """Have a source send what nobody waits for yet."""
        clock, precedence = self._tools.reactor, self._tools.precedence

        async def ask(position: int, taker: Sink) -> None:
            patiently = None if one.hurried else one
            await self._fetch_once(attempt, position, end, taker, patiently)

        one = Unhurried(clock, precedence, attempt, start, sink=sink, ask=ask)
        self._patient[one] = None
        try:
            await one.run()
        finally:
            del self._patient[one]

    async def _fetch_once(
        self,
        attempt: Attempt,
        start: int,
        end: int | None,
        sink: Sink,
        patiently: Unhurried | None = None,
    ) -> None:
        """Have a source send it within one answer, and report how it did."""
        source, clock = attempt.source, self._tools.reactor
        wanted, limits = self._wanted(source, start, end), attempt.limits
        if patiently is not None:
            wanted, limits = patiently.wanted(wanted), patiently.limits
        began = clock.seconds()
        failure: SourceError | None = None
        counted = _Counted(sink, self._room)
        if source.parent:
            counted = _OfAParent(sink, self._room, source, self._subject, self._tools.reporter)
        self._tools.reporter.began(source)
        left = True
        try:
            await self._ask(source, wanted, counted, limits)
            counted.done()
            left = False
        except SourceError as error:
            failure = lacking(source, error)
            if source.parent and getattr(error, "status", None) == LOOP_DETECTED:
                self._tools.reporter.led_back(source)
            left = patiently is not None and patiently.held_back(failure)
            if failure is error:
                raise
            raise failure from None
        finally:
            seconds = clock.seconds() - began if patiently is None else patiently.flowed
            source = counted.answered_by(source)
            if left or (failure is None and self.attempts.is_slow(source)):
                self._tools.reporter.left(source, counted.bytes, seconds)
            else:
                self._tools.reporter.ended(source, counted.bytes, seconds, failure)

    async def fetch_beside(
        self, source: Source, start: int, end: int, sink: Sink, limits: Limits
    ) -> None:
        """Have a source send a few bytes, of which nothing is reported."""
        await self._ask(source, self._wanted(source, start, end), sink, limits)

    async def _ask(self, source: Source, wanted: Wanted, sink: Sink, limits: Limits) -> None:
        agent, clock = self._tools.agent(source), self._tools.reactor
        await fetch(agent, clock, wanted, sink, limits, little_ahead=self._paced)

    @property
    def parents(self) -> list[Source]:
        """The caching proxies that are asked now."""
        return [one for one in self._now.values() if one.parent]

    @property
    def stands_still(self) -> bool:
        """Whether nothing is to come now, since something hurried does."""
        return any(one.stands_still for one in self._patient)

    def failed(self, attempt: Attempt, failure: SourceError) -> None:
        self.attempts.failed(attempt, failure)
        self._tell(failure)

    def was_slow(self, attempt: Attempt) -> None:
        self.attempts.was_slow(attempt)
        self._tools.reporter.slow(attempt.source)

    def distrust(self, contributors: Sequence[Source], failure: SourceError) -> None:
        """Ask none of these again who brought what was wrong, but for what ``Attempts`` excepts."""
        for _ in self.attempts.distrust(contributors, failure):
            self._tell(failure)

    def blame(self, contributors: Iterable[Source]) -> None:
        """Report who brought bytes that were not those promised, if anybody."""
        if blamed := list(contributors):
            self._tools.reporter.contradicted(self._subject.file_name, blamed)

    def _tell(self, failure: SourceError) -> None:
        self._log.debug("{file}: {failure}", file=self._subject.file_name, failure=failure)

    def _wanted(self, source: Source, start: int, end: int | None) -> Wanted:
        subject = self._subject
        is_rest = start > subject.start and subject.content is None
        # Under one name a peer may have something else by now.
        of_a_peer = source.origin is Origin.PEER
        return Wanted(
            source.url,
            source.label,
            # What is not wanted of what a parent sends is left out when it comes.
            0 if source.whole else start,
            None if source.parent else end,
            modified_since=subject.modified_since if start == 0 else None,
            if_range=self._promised.version if is_rest else None,
            if_match=subject.content.sha256.hex() if of_a_peer and subject.content else None,
            only_if_cached=source.only_if_cached,
            unchanged=self._unchanged(source) if start == 0 else None,
        )

    def _unchanged(self, source: Source) -> tuple[str, int] | None:
        key, date, size = self._subject.unchanged or ("", "", 0)
        is_its = source.origin is Origin.MIRROR and source.key == key
        return (date, size) if is_its else None


class _Counted:
    """A sink that counts what comes through it, and says when there is ``room`` for more."""

    def __init__(self, sink: Sink, room: Callable[[], Deferred[None] | None]) -> None:
        self._sink = sink
        self._room = room
        self.bytes = 0

    def begin(self, head: Head) -> None:
        self._sink.begin(head)

    def write(self, position: int, data: bytes) -> Deferred[None] | None:
        self.bytes += len(data)
        still = self._sink.write(position, data)
        return self._room() if still is None else still

    def done(self) -> None:
        """Learn that the answer has ended."""

    def answered_by(self, source: Source) -> Source:
        """Return who it was that sent it, where it was asked of ``source``."""
        return source


class _OfAParent(_Counted):
    """What a caching proxy sends, or whom it sends to: as it is asked for what it may not have."""

    def __init__(
        self,
        sink: Sink,
        room: Callable[[], Deferred[None] | None],
        source: Source,
        subject: Subject,
        reporter: Reporter,
    ) -> None:
        super().__init__(sink, room)
        self._source = source
        self._subject = subject
        self._reporter = reporter
        self._elsewhere = ""
        self._is_changed = True

    def begin(self, head: Head) -> None:
        content = self._subject.content
        if content is not None and head.size not in {None, content.size}:
            # An older one under this name, or an answer without a body for one it cannot have.
            raise Refused(self._source.label, NOT_FOUND)
        self._is_changed = head.status != NOT_MODIFIED
        if head.elsewhere:
            self._elsewhere = head.elsewhere
            self._reporter.sent_elsewhere(self._source, self.answered_by(self._source))
        super().begin(head)

    def done(self) -> None:
        if self._is_changed and not self.bytes:
            raise Refused(self._source.label, NOT_FOUND)

    def answered_by(self, source: Source) -> Source:
        return source.elsewhere(self._elsewhere) if self._elsewhere else source
