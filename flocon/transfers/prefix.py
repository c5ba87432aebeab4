"""Keeping pacman patient: a few bytes of a mirror's, asked for while peers bring the file.

They cost the WAN a few KiB, and are the only ones that may go to pacman until the rest was
verified. What they say of a peer that has others is weighed by ``disputes``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from flocon.asking.attempts import Limits
from flocon.asking.bodies import Enough
from flocon.errors import Broken, Contradicted, SourceError
from flocon.log import logger
from flocon.transfers import release
from flocon.transfers.staggered import first_good

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from twisted.internet.defer import Deferred

    from flocon.asking.answer import Head
    from flocon.asking.source import Source
    from flocon.asking.waiting import Outcome
    from flocon.files import Content
    from flocon.transfers.attempting import Asking
    from flocon.transfers.doubting import Doubting
    from flocon.transfers.draft import Draft
    from flocon.transfers.intake import Intake
    from flocon.transfers.promised import Promised
    from flocon.transfers.subjects import Subject
    from flocon.transfers.tools import Tools

#: Bytes asked of a mirror to keep pacman patient while peers bring the file, the seconds between
#: two mirrors that are asked for them, and in which one of them must have answered.
PREFIX = release.RESERVE
PREFIX_STAGGER = 1.0
#: A mirror's come before a peer's as a last resort.
PREFIX_PATIENCE = release.LAST_RESORT - release.KEEP_PATIENT_AFTER - 0.5
PREFIX_LIMITS = Limits(first_byte=PREFIX_PATIENCE, stall=PREFIX_PATIENCE)


class KeepingPatient:
    """Asks mirrors for a few bytes of one file, one asking at a time.

    ``finished`` is known once none are needed any more; ``poke`` is called when there are some.
    """

    _log = logger()

    def __init__(
        self,
        tools: Tools,
        subject: Subject,
        *,
        draft: Draft,
        promised: Promised,
        asking: Asking,
        doubting: Doubting,
        intake: Intake,
        finished: Outcome[None],
        poke: Callable[[], None],
    ) -> None:
        self._tools = tools
        self._subject = subject
        self._draft = draft
        self._promised = promised
        self._asking = asking
        self._doubting = doubting
        self._intake = intake
        self._finished = finished
        self._poke = poke
        self._running: Deferred[None] | None = None

    def ask(self, position: int) -> None:
        """Ask a mirror for the few bytes from ``position`` on, where there are none of one's."""
        content = self._subject.content
        mirrors = [one for one in self._asking.mirrors() if one.is_mirror]
        needless = (
            content is None
            or self._finished.known
            or self._running is not None
            or self._draft.contributions.from_mirrors.reach(position) > position
        )
        if content is None or needless or not mirrors:
            return
        tries = [partial(self._ask, source, content, position) for source in mirrors]
        asking = first_good(
            self._tools.reactor, tries, stagger=PREFIX_STAGGER, patience=PREFIX_PATIENCE
        )
        self._running = asking.addBoth(self._ended)

    def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _ended(self, result: Any) -> None:
        self._running = None
        contested = self._draft.disputes.contested
        if isinstance(result, Failure) and result.check(SourceError) and contested:
            # No other mirror has said anything: this one is believed before any peer.
            source, (position, data) = next(iter(contested.items()))
            self._take(source, position, data)
        if isinstance(result, Failure) and not result.check(SourceError, CancelledError):
            self._log.failure("the beginning of {file}", result, file=self._subject.file_name)

    async def _ask(self, source: Source, content: Content, position: int) -> None:
        end = min(position + PREFIX, content.size)
        few = _Few(source, content, position, end)
        await self._asking.fetch_beside(source, position, end, few, PREFIX_LIMITS)
        self._tools.reporter.took(source, len(few.data))
        data = bytes(few.data)
        self._have_witnessed(source, position, data)
        self._take(source, position, data)

    @property
    def _is_over(self) -> bool:
        return self._finished.known or self._draft.verified

    def _have_witnessed(self, source: Source, position: int, data: bytes) -> None:
        """Raise Broken where peers have other bytes there, and no second mirror has these yet."""
        if self._is_over or not self._draft.differs(position, data):
            return
        if not self._draft.disputes.contest(source, position, data):
            raise Broken(source.label, "has other bytes than a peer")

    def _take(self, source: Source, position: int, data: bytes) -> None:
        """Put a mirror's bytes in the place of a peer's; all of a peer's go if they differ."""
        if self._is_over or not data:
            return
        if self._draft.differs(position, data):
            if not self._intake.is_open:
                # It is being hashed: what is wrong will show.
                return
            self._suspect(position)
        promised, contributions = self._promised, self._draft.contributions
        self._draft.make(promised.size)
        promised.source = promised.source or source
        contributions.expect(source)
        self._intake.take(source, position, data)
        contributions.from_mirrors.add(position, position + len(data))
        self._asking.attempts.forgive(source)
        self._poke()

    def _suspect(self, position: int) -> None:
        """Drop what peers brought, since a mirror has other bytes at ``position``."""
        wrong = self._draft.contributions.at(position)
        self._doubting.drop_peers()
        self._asking.distrust(wrong, Contradicted("a mirror", "has other bytes there"))
        self._intake.begin_again()


class _Few:
    """The sink of the few bytes that keep pacman patient."""

    def __init__(self, source: Source, content: Content, position: int, end: int) -> None:
        self._source = source
        self._content = content
        self._position = position
        self._end = end
        self.data = bytearray()

    def begin(self, head: Head) -> None:
        # A page that some network puts in a mirror's place mostly has no length at all.
        if head.size != self._content.size:
            raise Broken(self._source.label, f"has {head.size} bytes")

    def write(self, position: int, data: bytes) -> None:
        skipped = max(0, self._position + len(self.data) - position)
        wanted = self._end - self._position - len(self.data)
        self.data += data[skipped : skipped + wanted]
        if self._position + len(self.data) >= self._end:
            raise Enough
