"""How a file comes in: what its sources send is taken in, looked at and written as it comes.

How several share the work is ``several``'s, whom they are asked and what failed ``asking``'s; what
is right is ``judging``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from flocon.asking.answer import NOT_MODIFIED
from flocon.asking.patience import stagger
from flocon.company.crew import Plan
from flocon.company.several import Several
from flocon.errors import Broken, SourceError
from flocon.transfers.promised import Here

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.asking.answer import Head
    from flocon.asking.attempts import Attempt, Choose, Mirrors
    from flocon.asking.bodies import Sink
    from flocon.asking.source import Source
    from flocon.asking.waiting import Outcome
    from flocon.extents import Extents
    from flocon.transfers.attempting import Asking
    from flocon.transfers.doubting import Doubting
    from flocon.transfers.draft import Draft
    from flocon.transfers.judging import Judging
    from flocon.transfers.promised import Promised
    from flocon.transfers.subjects import Subject
    from flocon.transfers.tools import Tools


class Intake:
    """One file as several sources fill it: the receiver of what they send.

    ``begun`` is known once readers may have been told of the file; ``wrote`` is called when more
    of it can be read back.
    """

    def __init__(
        self,
        tools: Tools,
        subject: Subject,
        *,
        draft: Draft,
        promised: Promised,
        asking: Asking,
        judging: Judging,
        doubting: Doubting,
        begun: Outcome[None],
        wrote: Callable[[], None],
    ) -> None:
        self._tools = tools
        self._subject = subject
        self._draft = draft
        self._promised = promised
        self._asking = asking
        self._judging = judging
        self._doubting = doubting
        self._begun = begun
        self._wrote = wrote
        #: Who answers for a parent that sent this node on, by the parent.
        self._answering: dict[Source, Source] = {}
        self._crew: Several | None = None
        #: Whether what came has just been dropped, to be begun anew.
        self._anew = False

    async def bring(self) -> None:
        """Have the sources bring what lacks, until nothing does or nobody is left."""
        await self._bring()
        while self._anew:
            self._anew = False
            await self._bring()

    async def _bring(self) -> None:
        content, promised = self._subject.content, self._promised
        if content is not None:
            looking = self._tools.look_up(self._subject.file_name, content)
            if looking is not None:
                await looking
        size = content.size if content and content.size else None
        plan = Plan(size, self._tools.pace, stagger(len(self._asking.mirrors())))
        self._crew = Several(self._tools.reactor, self, plan, self._asking.next)
        try:
            await self._crew.run()
        except SourceError:
            # Each was noted when it failed.
            return
        finally:
            self._crew = None
        if promised.size is None and not promised.not_modified:
            # No length was announced: the end of the answer is the end of the file.
            promised.size = self.extents.reach(self._subject.start)

    @property
    def is_open(self) -> bool:
        """Whether sources may bring something now."""
        return self._crew is not None

    def widen(self, choose: Choose, mirrors: Mirrors) -> None:
        """Let it come from all of these, whoever was asked before."""
        self._asking.choose, self._asking.mirrors = choose, mirrors
        if self._crew is not None:
            self._crew.wake()

    @property
    def unhurried(self) -> bool:
        return self._asking.unhurried

    def hurry(self) -> None:
        """Have it come as for somebody who waits."""
        if self._asking.unhurried:
            self._asking.hurry()
            if self._crew is not None:
                self._crew.hurry()

    def stop(self) -> None:
        """Take no more in, as if nothing lacked."""
        if self._crew is not None:
            self._crew.stop()

    def begin_again(self) -> None:
        """Ask anew for all that lacks now."""
        if self._crew is not None:
            self._anew = True
            self._crew.stop()

    # What takes the bytes of several sources

    @property
    def extents(self) -> Extents:
        return self._draft.contributions.arrived

    @property
    def held_up(self) -> bool:
        return self._draft.held_up or self._asking.stands_still

    def begins_at(self) -> int:
        if self._is_begun_by_a_peer:
            # What one peer sent is looked through as a whole, so nobody else adds to it.
            return 0
        return self.extents.reach(self._subject.start)

    @property
    def _is_begun_by_a_peer(self) -> bool:
        of_a_peer = self._draft.contributions.are_a_peers
        return self._subject.find_problem is not None and of_a_peer and not self._begun.known

    def begin(self, attempt: Attempt, head: Head) -> None:
        """Take a source's head; raise a SourceError where it cannot be that of what is coming."""
        source, promised = attempt.source, self._promised
        if source.parent:
            self._answering[source] = source.elsewhere(head.elsewhere) if head.elsewhere else source
            source = self._answering[source]
        contributions = self._draft.contributions
        if head.status == NOT_MODIFIED:
            promised.take_unchanged(source, head, self._here())
            return
        if contributions.of and source not in contributions.of and self._is_begun_by_a_peer:
            # It was to be looked through as a whole.
            self._doubting.begin_anew()
        if promised.begins_anew(source, head, self._here()):
            self._doubting.begin_anew()
        self._draft.make(promised.size_of(head))
        promised.take(source, head, first=not contributions.arrived)
        contributions.expect(source)

    def _here(self) -> Here:
        contributions = self._draft.contributions
        return Here(bool(contributions.arrived), contributions.are_a_peers, self._begun.known)

    def write(self, attempt: Attempt, position: int, data: bytes) -> None:
        self.take(self._answering.get(attempt.source, attempt.source), position, data)

    def take(self, source: Source, position: int, data: bytes) -> None:
        """Take a source's bytes; raise a FloconError where they cannot be, or there is no room."""
        content = self._subject.content
        most = content.size if content is not None else self._subject.most
        if most is not None and position + len(data) > most:
            raise Broken(source.label, f"sent more than {most} bytes")
        now = self._tools.reactor.seconds()
        self._judging.look_at(source, position, data, now)
        count = self._draft.write(source, position, data)
        if not count:
            return
        self._asking.attempts.came(source, count, now)
        self._draft.contributions.sent(source, now)
        if self._draft.growing.is_settled:
            self._wrote()

    def fetch(self, attempt: Attempt, start: int, end: int | None, sink: Sink) -> Deferred[None]:
        return Deferred.fromCoroutine(self._asking.fetch(attempt, start, end, sink))

    def failed(self, attempt: Attempt, failure: SourceError) -> None:
        self._asking.failed(attempt, failure)

    def slow(self, attempt: Attempt) -> None:
        self._asking.was_slow(attempt)
