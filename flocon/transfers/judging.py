"""Is it what was asked for: of each piece as it comes, and of the whole.

A listed file is judged by its hash; one that nobody listed by what looks closer at it (``Checks``),
and what a peer gave of that is looked through as a whole. Here it is also told whose fault it was;
what becomes of wrong bytes is ``doubting``'s.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flocon.asking.source import Origin
from flocon.errors import Contradicted, SourceError, Stalled
from flocon.writing.descriptors import with_descriptor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flocon.asking.source import Source
    from flocon.files import Content
    from flocon.transfers.attempting import Asking
    from flocon.transfers.doubting import Doubting
    from flocon.transfers.draft import Draft
    from flocon.transfers.promised import Promised
    from flocon.transfers.subjects import Checks, Subject
    from flocon.transfers.tools import InThread
    from flocon.transfers.verifying import Verifying

#: A file's beginning that is looked at has at most so many bytes.
LONGEST_BEGINNING = 64 << 10


class Judging:
    """Judges one file. Whatever is wrong with it is raised as a SourceError."""

    def __init__(
        self,
        subject: Subject,
        *,
        draft: Draft,
        promised: Promised,
        asking: Asking,
        verifying: Verifying,
        doubting: Doubting,
        in_thread: InThread,
    ) -> None:
        self._subject = subject
        self._draft = draft
        self._promised = promised
        self._asking = asking
        self._verifying = verifying
        self._doubting = doubting
        self._in_thread = in_thread
        #: When each peer began to send a file that nobody listed.
        self._peers_began: dict[Source, float] = {}

    # As it comes

    def look_at(self, source: Source, position: int, data: bytes, now: float) -> None:
        """Raise a SourceError where a source takes too long, or its file begins otherwise."""
        if self._subject.peers_within is not None and source.origin is Origin.PEER:
            self._check_time(source, self._subject.peers_within, now)
        if self._subject.checks is not None and not self._draft.begins_well:
            self._check_beginning(self._subject.checks, source, position, data)

    def _check_time(self, source: Source, within: float, now: float) -> None:
        """Raise Stalled where a peer takes longer than all of a file that nobody listed may."""
        began = self._peers_began.setdefault(source, now)
        if now - began > within:
            raise Stalled(source.label, f"took longer than {within:g} s")

    def _check_beginning(self, checks: Checks, source: Source, position: int, data: bytes) -> None:
        """Raise Contradicted where the first bytes cannot be those of what was asked for.

        What came before is dropped then: it would be the beginning of something else.
        """
        if self._draft.contributions.arrived.reach(0) < position:
            return
        before = self._draft.growing.read(0, min(position, LONGEST_BEGINNING))
        self._judge_beginning(checks, source, before + data, whole=False)

    def _judge_beginning(
        self, checks: Checks, source: Source, beginning: bytes, *, whole: bool
    ) -> None:
        problem = checks.beginning(beginning[:LONGEST_BEGINNING], whole=whole)
        if problem:
            if source.origin is Origin.PEER:
                self._asking.blame([source])
            self._doubting.begin_anew()
            raise Contradicted(source.label, problem)
        self._draft.begins_well = problem is not None

    # The whole

    async def judge(self) -> None:
        """Raise a SourceError where what came is not right: it is dropped, and may come anew."""
        content, checks = self._subject.content, self._subject.checks
        source = self._promised.source
        if content is not None:
            await self._judge_by_hash(content)
        elif checks is not None and source is not None and not self._promised.not_modified:
            await self._have_checked(checks, source)
            checks.done(source, self._draft.incoming.fileno())
        else:
            await self._look_through_a_peers()

    async def _judge_by_hash(self, content: Content) -> None:
        if await self._verifying.is_right(content):
            return
        contributions, disputes = self._draft.contributions, self._draft.disputes
        written = list(contributions.of)
        self._asking.blame(disputes.to_blame(written))
        if contributions.are_a_peers and not disputes.concern(written):
            self._doubting.drop_peers()
        else:
            self._doubting.begin_anew()
        self._distrust(written, "the bytes are not those promised")

    async def _have_checked(self, checks: Checks, source: Source) -> None:
        try:
            if not self._draft.begins_well:
                beginning = self._draft.growing.read(0, LONGEST_BEGINNING)
                self._judge_beginning(checks, source, beginning, whole=True)
            await self._look_through_a_peers()
            if source.origin is Origin.PEER:
                await self._have_a_peers_checked(checks, source)
        except SourceError as failure:
            self._doubting.begin_anew()
            self._asking.distrust([source], failure)
            raise

    async def _have_a_peers_checked(self, checks: Checks, source: Source) -> None:
        descriptor = os.dup(self._draft.incoming.fileno())
        try:
            problem = await checks.peers(source, descriptor)
        finally:
            os.close(descriptor)
        if problem:
            self._blame_all(problem)

    async def _look_through_a_peers(self) -> None:
        find_problem = self._subject.find_problem
        if find_problem is None or not self._draft.contributions.are_a_peers:
            return
        # A descriptor of its own: the transfer may end meanwhile.
        descriptor = os.dup(self._draft.incoming.fileno())
        problem = await self._in_thread(with_descriptor, find_problem, descriptor)
        if problem:
            self._blame_all(problem)

    def _blame_all(self, problem: str) -> None:
        sources = list(self._draft.contributions.of)
        self._asking.blame(sources)
        self._doubting.begin_anew()
        self._distrust(sources, problem)

    def _distrust(self, sources: Sequence[Source], problem: str) -> None:
        failure = Contradicted(", ".join(source.label for source in sources), problem)
        self._asking.distrust(sources, failure)
        raise failure
