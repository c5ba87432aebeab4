"""Growing files: one file on its way, many readers, failover inside the same answer.

A Transfer is one file on its way into this node. It asks its ``choose`` for sources until the file
is whole and, where its hash is known, right; how they share the work is ``several``'s. Readers
follow it from any position; ``core.release`` says how far. Whom to ask is decided elsewhere, and
where the bytes lie is the business of ``writing``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from flocon.core import release
from flocon.core.extents import Extents
from flocon.core.patience import COUNTING, stagger
from flocon.core.sources import Origin
from flocon.core.verify import Verifier
from flocon.errors import (
    Broken,
    Contradicted,
    FloconError,
    SourceError,
    Stalled,
    StoreError,
    Unreachable,
)
from flocon.log import logger
from flocon.net.crew import Plan
from flocon.net.descriptors import (
    first_difference,
    hash_and_close,
    hash_until,
    with_descriptor,
)
from flocon.net.fetch import NOT_MODIFIED, Attempt, Enough, Head, Limits, Sink, Wanted, fetch
from flocon.net.several import Several
from flocon.net.staggered import first_good
from flocon.net.waiting import Outcome
from flocon.net.writing import Files, GrowingFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from twisted.internet.interfaces import IDelayedCall
    from twisted.web.iweb import IAgent

    from flocon.core.content import Content
    from flocon.core.patience import Pace
    from flocon.core.sources import Came, Source
    from flocon.net.writing import Incoming

#: Hashing starts in a thread once so many bytes wait for it; the rest of a small file is hashed
#: at once, in less time than a thread takes to start.
HASH_AHEAD = 2 << 20
HASH_INLINE = 256 << 10
#: A file's beginning that is looked at has at most so many bytes.
LONGEST_BEGINNING = 64 << 10
#: Seconds a transfer goes on when nobody follows it any more: pacman may come back.
GRACE = 15.0
#: The same for one that was begun for a peer, so that asking and leaving cannot keep the WAN busy.
GRACE_FOR_PEERS = 0.0
#: Bytes asked of a mirror to keep pacman patient while peers bring the file, the seconds between
#: two mirrors that are asked for them, and in which one of them must have answered.
PREFIX = release.RESERVE
PREFIX_STAGGER = 1.0
#: A mirror's come before a peer's as a last resort.
PREFIX_PATIENCE = release.LAST_RESORT - release.KEEP_PATIENT_AFTER - 0.5
PREFIX_LIMITS = Limits(first_byte=PREFIX_PATIENCE, stall=PREFIX_PATIENCE)
#: Of a source that was asked already and is not asked again.
NO_LIMITS = Limits(first_byte=0.0, stall=0.0)


class Reporter(Protocol):
    """Learns how sources did."""

    def began(self, source: Source) -> None: ...

    def ended(
        self, source: Source, size: int, seconds: float, failure: SourceError | None
    ) -> None: ...

    def left(self, source: Source, size: int, seconds: float) -> None:
        """Learn that nothing more was wanted of a source: not how good it is."""

    def slow(self, source: Source) -> None: ...

    def took(self, source: Source, size: int) -> None:
        """Learn of bytes that were asked for only to keep pacman patient."""

    def contradicted(self, file_name: str, contributors: Sequence[Source]) -> None: ...


#: Returns the next best source beside those tried and those asked now, which have no failure yet.
Choose: TypeAlias = "Callable[[Sequence[Attempt]], Attempt | None]"
#: Returns the mirrors that may have a file, the best first.
Mirrors: TypeAlias = "Callable[[], Sequence[Source]]"


class Tools(Files, Protocol):
    """What every transfer of a node shares."""

    pace: Pace

    @property
    def reporter(self) -> Reporter: ...

    def agent(self, source: Source) -> IAgent: ...


class Checks(Protocol):
    """Tells of a file that nobody listed whether it can be what was asked for.

    Problems are sentences; an empty one is none.
    """

    def head(self, source: Source, head: Head) -> str:
        """Return what is wrong with what a source says before the first byte."""

    def beginning(self, data: bytes, *, whole: bool) -> str | None:
        """Return what is wrong with a file that begins so; None until there is more of it."""

    async def peers(self, source: Source, descriptor: int) -> str:
        """Return what is wrong with a whole file of a peer's, or raise a SourceError.

        Only the first is the peer's fault. The descriptor stays the caller's.
        """

    def done(self, source: Source, descriptor: int) -> None:
        """Take note of a whole file in which no problem was found."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a transfer brings: a file name, and its content where that is known beforehand.

    ``start`` is above 0 where only the rest of a file was asked for, from a mirror.
    ``modified_since`` is pacman's own ``If-Modified-Since``, passed on as it came.
    ``find_problem`` tells, in a thread, why an open file that a peer gave cannot be what it is
    called, or nothing: for files whose content nobody listed. ``most`` is what such a file may have
    in bytes, and ``peers_within`` how many seconds a peer may take for it. ``checks`` looks closer.
    ``undated`` keeps its date from who asked: its own is later, and it would take none that is not.
    ``unchanged`` says of which source's file pacman has what bears that date and has that length.
    """

    file_name: str
    content: Content | None = None
    start: int = 0
    modified_since: str | None = None
    find_problem: Callable[[int], str] | None = None
    most: int | None = None
    peers_within: float | None = None
    checks: Checks | None = None
    undated: bool = False
    unchanged: tuple[str, str, int] | None = None

    @property
    def verifiable(self) -> bool:
        """Whether a peer's bytes can be told from others."""
        return self.content is not None or self.find_problem is not None


class Transfer:
    """One file on its way in; see the module."""

    _log = logger()

    def __init__(
        self,
        tools: Tools,
        subject: Subject,
        choose: Choose,
        mirrors: Mirrors = tuple,
    ) -> None:
        self._tools = tools
        self._clock = tools.reactor
        #: When it began.
        self.since: float = self._clock.seconds()
        self.subject = subject
        self._choose = choose
        self._mirrors = mirrors
        self._crew: Several | None = None
        self._slow: set[str] = set()
        self._helped: list[Attempt] = []
        self._tried: list[Attempt] = []
        #: When bytes came last that count, and how many came since that do not yet.
        self._heard = 0.0
        self._uncounted = 0
        #: Whether what came has just been dropped, to be begun anew.
        self._anew = False
        self._patient: Deferred[None] | None = None
        #: The mirror that sends now, and when it began.
        self._mirror: Source | None = None
        self._mirror_began = 0.0
        self._readers: set[Reader] = set()
        self._grace: IDelayedCall | None = None
        self._running: Deferred[None] | None = None
        self._file: GrowingFile | None = None
        self._superseded: GrowingFile | None = None
        self._arrived = Extents()
        self._from_mirrors = Extents()
        #: What each source wrote.
        self._written: dict[Source, Extents] = {}
        #: After wrong bytes: what each peer had written, which lies in the file until it is
        #: replaced; what was replaced by other bytes, and who had written any of that.
        self._doubted: dict[Source, Extents] = {}
        #: What mirrors said stands at a place where peers had something else.
        self._contested: dict[Source, tuple[int, bytes]] = {}
        self._spoilt = Extents()
        self._liars: set[Source] = set()
        #: The version that readers were told of, once it had to be begun anew.
        self._told: tuple[int | None, str | None] | None = None
        self._verifier = Verifier()
        #: Whether its first bytes are there and can be those of what was asked for.
        self._begins_well = False
        self._hashing: Outcome[None] | None = None
        #: When each peer began to send a file that nobody listed.
        self._peers_began: dict[Source, float] = {}
        self.size = subject.content.size if subject.content else None
        self.head: Head | None = None
        self.source: Source | None = None
        self._asking: dict[str, Source] = {}
        self.verified = False
        self._retired = False
        #: The address of the peer for which it was begun: such transfers are counted.
        self.begun_by = ""
        #: How many bytes its furthest reader was given, also when that has gone.
        self.taken = 0
        #: The first byte (or a 304) is there; fails if no source had the file.
        self.begun: Outcome[None] = Outcome()
        #: The file is whole and right; fails if that cannot be.
        self.finished: Outcome[None] = Outcome()
        #: Its signature, None where there is none; of a listed package alone.
        self.signature: Outcome[bytes | None] = Outcome()

    # What others see

    @property
    def incoming(self) -> Incoming:
        return self._growing.incoming

    @property
    def _growing(self) -> GrowingFile:
        if self._file is None:
            raise StoreError(self.subject.file_name, "nothing has arrived")
        return self._file

    @property
    def arrived(self) -> int:
        """How many bytes are there."""
        return len(self._arrived)

    @property
    def follows_a_relay(self) -> bool:
        """Whether its bytes come from another owner's transfer now: no peer may follow it then.

        One that follows only what has begun already fetches itself if that ends.
        """
        asking = [] if self.finished.known else list(self._asking.values())
        return bool(asking) and all(one.relayed and not one.only_if_cached for one in asking)

    @property
    def fetches_itself(self) -> bool:
        """Whether its bytes come from a mirror or a holder now, or are all there."""
        return self.finished.known or any(not one.relayed for one in self._asking.values())

    @property
    def followed(self) -> bool:
        """Whether anybody reads it."""
        return bool(self._readers)

    @property
    def followed_here(self) -> bool:
        """Whether this machine's own pacman is among its readers."""
        return any(not reader.verifies for reader in self._readers)

    @property
    def not_modified(self) -> bool:
        return self.head is not None and self.head.status == NOT_MODIFIED

    @property
    def shares(self) -> dict[Came, int]:
        """How many of its bytes came in which way."""
        told: dict[Came, int] = {}
        for source, extents in self._written.items():
            told[source.came] = told.get(source.came, 0) + len(extents)
        return told

    @property
    def tried(self) -> Sequence[Attempt]:
        """The attempts that failed, or were so slow that others helped; oldest first."""
        return [*self._helped, *self._tried]

    @property
    def mirror_statuses(self) -> list[int | None]:
        """What each mirror that failed had answered; None where it was no answer.

        Caches are left out: pacman asks them for what they may not have, and is silent about it.
        """
        return [
            getattr(attempt.failure, "status", None)
            for attempt in self._tried
            if attempt.source.origin is Origin.MIRROR and not attempt.source.is_cache
        ]

    def start(self) -> None:
        self._running = ensureDeferred(self._run())
        self._running.addErrback(self._stopped)

    def cancel(self) -> None:
        if self._running is not None:
            self._running.cancel()

    @property
    def own(self) -> bool:
        """Whether this machine's pacman waits for it, and no stranger alone."""
        asked = not self.begun_by and not self.finished.known
        return asked or any(not reader.verifies for reader in self._readers)

    def cut(self) -> None:
        """End it, and let go of all who follow: its room is needed."""
        self.cancel()
        for reader in list(self._readers):
            reader.abort()

    def retire(self) -> None:
        """Close the file as soon as the last reader is gone."""
        self._retired = True
        if not self._readers:
            self._close()

    def _close(self) -> None:
        for file in (self._file, self._superseded):
            if file is not None:
                file.close()
        self._file = self._superseded = None

    def follow(self, reader: Reader) -> None:
        self._readers.add(reader)
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def unfollow(self, reader: Reader) -> None:
        self._readers.discard(reader)
        if self._retired and not self._readers:
            self._close()
        if not self._readers and not self.finished.known and self._grace is None:
            patience = GRACE_FOR_PEERS if self.begun_by and reader.verifies else GRACE
            self._grace = self._clock.callLater(patience, self._give_up)

    def _give_up(self) -> None:
        self._grace = None
        self.cancel()

    # How it comes

    async def _run(self) -> None:
        while True:
            await self._bring()
            if self._anew:
                self._anew = False
                continue
            if self._file is not None:
                await self._file.settled()
            if not self.not_modified and not self._is_whole():
                raise self._verdict()
            try:
                await self._judge()
                break
            except SourceError as failure:
                self._log.debug("{file}: {failure}", file=self.subject.file_name, failure=failure)
        # First this: until then nobody is given a byte that would follow wrong ones.
        await self._compare_released()
        self.verified = True
        self.begun.succeed(None)
        self.finished.succeed(None)
        self._end()

    async def _bring(self) -> None:
        """Have the sources bring what lacks, until nothing does or nobody is left."""
        content = self.subject.content
        size = content.size if content and content.size else None
        plan = Plan(size, self._tools.pace, stagger(len(self._mirrors())))
        self._crew = Several(self._clock, _Parted(self), plan, self._next)
        try:
            await self._crew.run()
        except SourceError:
            # Each was noted when it failed.
            return
        finally:
            self._crew = None
        if self.size is None and not self.not_modified:
            # No length was announced: the end of the answer is the end of the file.
            self.size = self._arrived.reach(self.subject.start)

    def _next(self, active: Sequence[Attempt]) -> Attempt | None:
        return self._choose(
            [*self._tried, *(replace(attempt, heard=self._heard) for attempt in active)]
        )

    def widen(self, choose: Choose, mirrors: Mirrors) -> None:
        """Let it come from all whom a new follower may ask, whoever it was begun for."""
        self._choose = choose
        self._mirrors = mirrors
        if self._crew is not None:
            self._crew.wake()

    def _note(self, attempt: Attempt, failure: SourceError) -> None:
        self._tried.append(replace(attempt, failure=failure, heard=self._heard))
        self._log.debug("{file}: {failure}", file=self.subject.file_name, failure=failure)

    def _verdict(self) -> SourceError:
        last = self._tried[-1].failure if self._tried else None
        return last or Unreachable(self.subject.file_name, "nobody to ask")

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
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        if self._patient is not None:
            self._patient.cancel()
        for reader in list(self._readers):
            reader.poke()

    def _begins_at(self) -> int:
        """Return from where on a source that brings all of it is to begin."""
        if self._is_begun_by_a_peer:
            # What one peer sent is looked through as a whole, so nobody else adds to it.
            return 0
        return self._arrived.reach(self.subject.start)

    async def _fetch(self, attempt: Attempt, start: int, end: int | None, sink: Sink) -> None:
        source = attempt.source
        began = self._clock.seconds()
        failure: SourceError | None = None
        counted = _Counted(sink, self._room)
        self._tools.reporter.began(source)
        self._asking[source.key] = source
        left = True
        try:
            await fetch(
                self._tools.agent(source),
                self._clock,
                self._wanted(source, start, end),
                counted,
                attempt.limits,
            )
            left = False
        except SourceError as error:
            failure = error
            left = False
            raise
        finally:
            self._asking.pop(source.key, None)
            seconds = self._clock.seconds() - began
            if failure is None and (left or source.key in self._slow):
                self._tools.reporter.left(source, counted.bytes, seconds)
            else:
                self._tools.reporter.ended(source, counted.bytes, seconds, failure)

    def _wanted(self, source: Source, start: int, end: int | None) -> Wanted:
        if_range = None
        if start > self.subject.start and self.head and self.subject.content is None:
            if_range = self.head.etag or self.head.modified
        return Wanted(
            source.url,
            source.label,
            start,
            end,
            modified_since=self.subject.modified_since if start == 0 else None,
            if_range=if_range,
            if_match=self.subject.content.sha256.hex()
            if source.relayed and self.subject.content
            else None,
            only_if_cached=source.only_if_cached,
            unchanged=self._unchanged(source) if start == 0 else None,
        )

    def _unchanged(self, source: Source) -> tuple[str, int] | None:
        key, date, size = self.subject.unchanged or ("", "", 0)
        is_its = source.origin is Origin.MIRROR and source.key == key
        return (date, size) if is_its else None

    def _begin(self, source: Source, head: Head) -> None:
        """Take a source's head; raise Broken where it cannot be the file that is coming."""
        if head.status == NOT_MODIFIED:
            if self._arrived:
                raise Broken(source.label, "says now that nothing changed")
            if problem := self.subject.checks.head(source, head) if self.subject.checks else "":
                raise Contradicted(source.label, problem)
            self.head, self.source = head, source
            return
        self._restart_for(source)
        self._check_head(source, head)
        size = self.subject.content.size if self.subject.content else head.size
        if self._file is None:
            self._file = self._new_file(size)
        if self.head is None or not self._arrived:
            self.head = head
        self.size = size
        self.source = source
        self._written.setdefault(source, Extents())

    def _restart_for(self, source: Source) -> None:
        """Begin anew where a peer began what is looked through as a whole."""
        if self._written and source not in self._written and self._is_begun_by_a_peer:
            self._restart()

    @property
    def _is_begun_by_a_peer(self) -> bool:
        return self.subject.find_problem is not None and self._is_peers and not self.begun.known

    def _check_head(self, source: Source, head: Head) -> None:
        content = self.subject.content
        if problem := self.subject.checks.head(source, head) if self.subject.checks else "":
            raise Contradicted(source.label, problem)
        if content is not None:
            if head.size not in {None, content.size}:
                raise Broken(source.label, f"has {head.size} bytes instead of {content.size}")
            if head.size is None and self._is_peers:
                # As likely the page of some network; nothing of that is put among right bytes.
                raise Broken(source.label, "does not say how long it is")
            return
        if self.subject.most is not None and (head.size or 0) > self.subject.most:
            raise Broken(source.label, f"has {head.size} bytes, more than it may")
        if not self._arrived:
            if self._told not in {None, (head.size, head.modified)}:
                raise Broken(source.label, "has another version of the file")
            return
        other = self.head is not None and (head.size, head.modified) != (
            self.size,
            self.head.modified,
        )
        if other:
            # Another version than the one that began: it starts anew where nobody was told of
            # the first, not even its length; else the two must not be mixed.
            if self.begun.known:
                raise Broken(source.label, "has another version of the file")
            self._restart()

    def _write(self, source: Source, position: int, data: bytes) -> None:
        end = position + len(data)
        content = self.subject.content
        most = content.size if content is not None else self.subject.most
        if most is not None and end > most:
            raise Broken(source.label, f"sent more than {most} bytes")
        self._check_time(source)
        self._check_beginning(source, position, data)
        # What is there stays: it may be a mirror's, and pacman may have it.
        gaps = self._arrived.missing(position, end)
        if not gaps:
            return
        for gap in gaps:
            self._fill(source, gap.start, data[gap.start - position : gap.end - position])
        now = self._clock.seconds()
        if source.origin is Origin.MIRROR or self._uncounted >= COUNTING:
            self._heard, self._uncounted = now, 0
        if source.origin is Origin.MIRROR and source is not self._mirror:
            self._mirror, self._mirror_began = source, now
        if self._growing.is_settled:
            self.wrote()

    def wrote(self) -> None:
        """Learn that more of its file can be read back."""
        if not self.finished.known:
            self._hash_ahead()
            self._poke()

    def lost(self, failure: StoreError) -> None:
        """Learn that there is no room for what came: waiting for its file raises ``failure``."""
        self._log.debug("{file}: {failure}", file=self.subject.file_name, failure=failure)
        if self._crew is not None:
            self._crew.stop()

    def _room(self) -> Deferred[None] | None:
        return None if self._file is None else self._file.room()

    @property
    def held_up(self) -> bool:
        """Whether it waits for this machine's disk, and for nobody who brings it."""
        return self._file is not None and self._file.is_full

    def _reach(self, extents: Extents, position: int) -> int:
        """Return how far bytes of those extents can be read back, from ``position`` on."""
        end = extents.reach(position)
        return end if self._file is None else self._file.written(position, end)

    def _new_file(self, size: int | None) -> GrowingFile:
        return GrowingFile(self._tools, self.subject.file_name, size, self)

    def _fill(self, source: Source, position: int, data: bytes) -> None:
        """Put bytes where none are."""
        end = position + len(data)
        self._compare_doubted(position, data)
        self._growing.write(position, data)
        self._arrived.add(position, end)
        self._uncounted += len(data)
        self._written[source].add(position, end)
        if source.origin is Origin.MIRROR:
            self._from_mirrors.add(position, end)

    def _compare_doubted(self, position: int, data: bytes) -> None:
        """Note who had written something else where these bytes are to be."""
        if not self._doubted:
            return
        end = position + len(data)
        old = self._growing.read(position, len(data))
        for source, extents in self._doubted.items():
            for extent in extents.within(position, end):
                first, last = extent.start - position, extent.end - position
                same = _alike(old[first:last], data[first:last])
                if first + same < last:
                    self._spoilt.add(extent.start + same, extent.end)
                    self._liars.add(source)

    def _check_time(self, source: Source) -> None:
        """Raise Stalled where a peer takes longer than all of a file that nobody listed may."""
        within = self.subject.peers_within
        if within is None or source.origin is not Origin.PEER:
            return
        now = self._clock.seconds()
        began = self._peers_began.setdefault(source, now)
        if now - began > within:
            raise Stalled(source.label, f"took longer than {within:g} s")

    def _check_beginning(self, source: Source, position: int, data: bytes) -> None:
        """Raise Contradicted where the first bytes cannot be those of what was asked for.

        What came before is dropped then: it would be the beginning of something else.
        """
        if self.subject.checks is None or self._begins_well or self._arrived.reach(0) < position:
            return
        before = self._growing.read(0, min(position, LONGEST_BEGINNING))
        self._judge_beginning(source, before + data, whole=False)

    def _judge_beginning(self, source: Source, beginning: bytes, *, whole: bool) -> None:
        assert self.subject.checks is not None  # noqa: S101 - for the type checker
        problem = self.subject.checks.beginning(beginning[:LONGEST_BEGINNING], whole=whole)
        if problem:
            if source.origin is Origin.PEER:
                self._tools.reporter.contradicted(self.subject.file_name, [source])
            self._restart()
            raise Contradicted(source.label, problem)
        self._begins_well = problem is not None

    def _poke(self) -> None:
        if not self.begun.known and self._releasable():
            self.begun.succeed(None)
        for reader in list(self._readers):
            reader.poke()

    def _releasable(self) -> bool:
        """Whether an answer may begin: a later failure could only cut it."""
        if self.verified:
            return True
        if self.head is None and self.subject.content is None:
            return False
        return any(reader.limit(reader.position) > reader.position for reader in self._readers)

    def _is_whole(self) -> bool:
        if self._file is None or self.size is None:
            return False
        return self._arrived.reach(self.subject.start) >= self.size

    # Is it right

    async def _judge(self) -> None:
        content = self.subject.content
        if content is None:
            await self._look_through()
            return
        await self._hash_all()
        if self._verifier.matches(content):
            return
        written = list(self._written)
        self._tell_of_wrong_bytes(written)
        if self._is_peers and not self._is_disputed:
            self._drop_peers()
        else:
            self._restart()
        names = ", ".join(source.label for source in written)
        failure = Contradicted(names, "the bytes are not those promised")
        self._distrust(written, failure)
        raise failure

    def _tell_of_wrong_bytes(self, written: Sequence[Source]) -> None:
        """Report who sent them, as far as it can be told now."""
        if self._is_disputed and len(written) > 1:
            return
        liars, self._liars = self._liars, set()
        peers = [source for source in written if source.origin is Origin.PEER]
        if not peers or len(written) == 1:
            self._tools.reporter.contradicted(self.subject.file_name, written)
        elif liars:
            # What replaced their bytes may have been what was wrong.
            everybody = list(dict.fromkeys([*peers, *liars]))
            self._tools.reporter.contradicted(self.subject.file_name, everybody)
        # Else who of them it was shows once the right bytes are here.

    def _drop_peers(self) -> None:
        """Have what peers sent brought anew; what a mirror sent stays, and may be with pacman."""
        for source, extents in list(self._written.items()):
            if source.origin is Origin.PEER:
                doubted = self._doubted.setdefault(source, Extents())
                for extent in extents:
                    doubted.add(extent.start, extent.end)
                del self._written[source]
        for reader in self._readers:
            if self._from_mirrors.reach(reader.start) < reader.position:
                reader.doubtful_until = reader.position
        self._arrived = Extents()
        for extent in self._from_mirrors:
            self._arrived.add(extent.start, extent.end)
        self._verifier = Verifier()

    def withholds(self, reader: Reader) -> bool:
        """Whether a reader is to be given nothing before all was verified.

        That is where it was given bytes that are doubted still, or were found to be wrong; and
        another peer's are not even a last resort then.
        """
        if self.verified or not self._doubted:
            return False
        replaced = self._reach(self._arrived, reader.start) >= reader.doubtful_until
        more = self._reach(self._from_mirrors, reader.position) > reader.position
        return not (replaced and more) or self._was_spoilt(reader)

    def _was_spoilt(self, reader: Reader) -> bool:
        return bool(self._spoilt.within(reader.start, reader.doubtful_until))

    def _distrust(self, contributors: Sequence[Source], failure: SourceError) -> None:
        """Ask none of these again, but for the mirrors where peers may have spoilt it."""
        peers = [source for source in contributors if source.origin is Origin.PEER]
        tried = {attempt.source.key for attempt in self._tried}
        for source in peers or contributors:
            # A mirror may be asked again after it broke off, but not after this.
            if source.origin is Origin.MIRROR or source.key not in tried:
                self._note(Attempt(source, NO_LIMITS), failure)

    @property
    def _is_disputed(self) -> bool:
        """Whether a mirror wrote of it what peers had otherwise."""
        return any(source in self._contested for source in self._written)

    @property
    def _is_peers(self) -> bool:
        """Whether a peer wrote any of it."""
        return any(source.origin is Origin.PEER for source in self._written)

    async def _look_through(self) -> None:
        """Find out whether what a peer gave can be what was asked for."""
        checks, source = self.subject.checks, self.source
        if checks is not None and source is not None and not self.not_modified:
            await self._have_checked(checks, source)
            checks.done(source, self.incoming.fileno())
        else:
            await self._look_through_a_peers()

    async def _have_checked(self, checks: Checks, source: Source) -> None:
        try:
            if not self._begins_well:
                beginning = self._growing.read(0, LONGEST_BEGINNING)
                self._judge_beginning(source, beginning, whole=True)
            await self._look_through_a_peers()
            if source.origin is Origin.PEER:
                await self._have_a_peers_checked(checks, source)
        except SourceError as failure:
            self._restart()
            self._distrust([source], failure)
            raise

    async def _have_a_peers_checked(self, checks: Checks, source: Source) -> None:
        descriptor = os.dup(self.incoming.fileno())
        try:
            problem = await checks.peers(source, descriptor)
        finally:
            os.close(descriptor)
        if problem:
            self._blame(problem)

    async def _look_through_a_peers(self) -> None:
        find_problem = self.subject.find_problem
        if find_problem is None or not self._is_peers:
            return
        # A descriptor of its own: the transfer may end meanwhile.
        descriptor = os.dup(self.incoming.fileno())
        problem = await self._in_thread(with_descriptor, find_problem, descriptor)
        if problem:
            self._blame(problem)

    def _blame(self, problem: str) -> None:
        sources = list(self._written)
        self._tools.reporter.contradicted(self.subject.file_name, sources)
        self._restart()
        failure = Contradicted(", ".join(source.label for source in sources), problem)
        self._distrust(sources, failure)
        raise failure

    def _restart(self, *, keep: bool = False) -> None:
        """Begin the file anew; what readers were given stays for comparison."""
        keep = keep or any(reader.position > reader.start for reader in self._readers)
        if self.begun.known and self.head is not None and self._told is None:
            self._told = self.size, self.head.modified
        if self._superseded is None and keep:
            if self._file is not None:
                self._file.stop()
            self._superseded, self._file = self._file, None
        elif self._file is not None:
            self._file.close()
            self._file = None
        for reader in list(self._readers):
            if self._was_spoilt(reader):
                reader.abort()
        self._doubted = {}
        self._spoilt = Extents()
        self._arrived = Extents()
        self._from_mirrors = Extents()
        self._written = {}
        self._mirror = None
        self._begins_well = False
        self._verifier = Verifier()
        self.head = None

    async def _compare_released(self) -> None:
        """Let go of every reader whose bytes, sent before they proved wrong, were wrong."""
        for mirror, (position, data) in self._contested.items():
            if self._differs(position, data):
                self._tools.reporter.contradicted(self.subject.file_name, [mirror])
                # It was by its bytes that they differed.
                self._liars.clear()
        for source in self._liars:
            self._tools.reporter.contradicted(self.subject.file_name, [source])
        for reader in list(self._readers):
            if self._was_spoilt(reader):
                reader.abort()
        old = self._superseded
        if old is None or self._file is None:
            return
        readers = [reader for reader in self._readers if reader.position > reader.start]
        if readers:
            start = min(reader.start for reader in readers)
            end = max(reader.position for reader in readers)
            same = await self._in_thread(
                first_difference, old.fileno(), self._file.fileno(), start, end
            )
            for reader in readers:
                if reader.position > same:
                    reader.abort()
        old.close()
        self._superseded = None

    @property
    def holds_all(self) -> bool:
        """Whether nothing may go out until verified, or until its beginning was looked at."""
        if self.verified:
            return False
        unseen = self.subject.checks is not None and not self._begins_well
        return unseen or self._superseded is not None

    def _hash_ahead(self) -> None:
        if self.subject.content is None or self._hashing is not None:
            return
        end = self._reach(self._arrived, 0)
        if end - self._verifier.position >= HASH_AHEAD:
            self._hash_in_thread(end)

    def _hash_in_thread(self, end: int) -> None:
        hashing: Outcome[None] = Outcome()
        self._hashing = hashing
        verifier = self._verifier
        # A descriptor of its own: the transfer may change files or end meanwhile.
        descriptor = os.dup(self.incoming.fileno())

        def ended(_: Any) -> None:
            self._hashing = None
            hashing.succeed(None)
            if not self.finished.known and verifier is self._verifier and self._file is not None:
                self._hash_ahead()

        self._in_thread(hash_and_close, verifier, descriptor, end).addBoth(ended)

    async def _hash_all(self) -> None:
        while self._hashing is not None:
            await self._hashing.wait()
        end = self._arrived.reach(0)
        if end - self._verifier.position > HASH_INLINE:
            self._hash_in_thread(end)
            while self._hashing is not None:
                await self._hashing.wait()
        else:
            hash_until(self._verifier, self.incoming.fileno(), end)

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        # What strangers asked for is hashed beside what pacman waits for, and never before it.
        pool = self._tools.threads(self.own)
        return deferToThreadPool(self._clock, pool, function, *arguments)

    # Keeping pacman patient

    def keep_patient(self, position: int) -> None:
        """Ask a mirror for the few bytes from ``position`` on, while peers bring the file.

        They cost the WAN a few KiB, and are the only ones that may go to pacman until the rest was
        verified.
        """
        mirrors = self._mirrors()
        needless = (
            self.subject.content is None
            or self.finished.known
            or self._patient is not None
            or self._from_mirrors.reach(position) > position
        )
        if needless or not mirrors:
            return
        tries = [partial(self._prefix, source, position) for source in mirrors]
        asking = first_good(self._clock, tries, stagger=PREFIX_STAGGER, patience=PREFIX_PATIENCE)
        self._patient = asking.addBoth(self._prefix_ended)

    def _prefix_ended(self, result: Any) -> None:
        self._patient = None
        if isinstance(result, Failure) and result.check(SourceError) and self._contested:
            # No other mirror has said anything: this one is believed before any peer.
            source, (position, data) = next(iter(self._contested.items()))
            self._take_prefix(source, position, data)
        if isinstance(result, Failure) and not result.check(SourceError, CancelledError):
            self._log.failure("the beginning of {file}", result, file=self.subject.file_name)

    async def _prefix(self, source: Source, position: int) -> None:
        content = self.subject.content
        assert content is not None  # noqa: S101 - asked for before
        end = min(position + PREFIX, content.size)
        sink = _Prefix(source, content, position, end)
        wanted = replace(self._wanted(source, position, end), if_range=None)
        await fetch(self._tools.agent(source), self._clock, wanted, sink, PREFIX_LIMITS)
        self._tools.reporter.took(source, len(sink.data))
        data = bytes(sink.data)
        self._have_witnessed(source, position, data)
        self._take_prefix(source, position, data)

    def _have_witnessed(self, source: Source, position: int, data: bytes) -> None:
        """Raise Broken where peers have other bytes there, and no second mirror has these yet.

        One of them has wrong ones, and what has gone to pacman cannot be taken back.
        """
        if self.finished.known or self.verified or not self._differs(position, data):
            return
        others = [said for one, said in self._contested.items() if one != source]
        self._contested[source] = position, data
        if (position, data) not in others:
            raise Broken(source.label, "has other bytes than a peer")

    def _take_prefix(self, source: Source, position: int, data: bytes) -> None:
        """Put a mirror's bytes in the place of a peer's; all of a peer's go if they differ."""
        if self.finished.known or self.verified or not data:
            return
        if self._differs(position, data):
            if self._crew is None:
                # It is being hashed: what is wrong will show.
                return
            self._suspect(position)
        if self._file is None:
            self._file = self._new_file(self.size)
        self.source = self.source or source
        self._written.setdefault(source, Extents())
        self._write(source, position, data)
        self._from_mirrors.add(position, position + len(data))
        self._forgive(source)
        self._poke()

    def _forgive(self, mirror: Source) -> None:
        """Let a mirror that works be asked anew for the rest, whatever it did before.

        Else a peer that drips would have pacman for as long as the mirror keeps it patient.
        """
        self._tried = [
            one
            for one in self._tried
            if one.source != mirror or not isinstance(one.failure, (Stalled, Broken))
        ]

    def _differs(self, position: int, data: bytes) -> bool:
        """Return whether what arrived there already is something else."""
        if self._file is None:
            return False
        known = min(self._arrived.reach(position) - position, len(data))
        return self._file.read(position, known) != data[:known]

    def _suspect(self, position: int) -> None:
        """Drop what peers brought, since a mirror has other bytes at ``position``."""
        written = self._written
        wrong = [one for one, extents in written.items() if extents.reach(position) > position]
        self._drop_peers()
        self._distrust(wrong, Contradicted("a mirror", "has other bytes there"))
        if self._crew is not None:
            self._anew = True
            self._crew.stop()

    def progress(self, reader: Reader, position: int) -> release.Progress:
        """Describe how the file stands for a reader that is at ``position``."""
        return release.Progress(
            size=self.size,
            verifiable=self.subject.verifiable,
            verified=self.verified,
            arrived=self._reach(self._arrived, position),
            from_mirrors=self._reach(self._from_mirrors, position),
            waited=reader.waited,
            idle=reader.idle,
            last_resort=reader.last_resort,
            mirror_waited=self._clock.seconds() - self._mirror_began,
        )


def _alike(one: bytes, other: bytes) -> int:
    """Return how many bytes two of the same length begin with that are the same."""
    least, most = 0, len(one)
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


class _Prefix:
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
        self._sink.write(position, data)
        return self._room()


class _Parted:
    """A transfer as several sources fill it."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer

    @property
    def extents(self) -> Extents:
        return self._transfer._arrived  # noqa: SLF001 - as _Intake

    def begins_at(self) -> int:
        return self._transfer._begins_at()  # noqa: SLF001

    def begin(self, attempt: Attempt, head: Head) -> None:
        self._transfer._begin(attempt.source, head)  # noqa: SLF001

    def write(self, attempt: Attempt, position: int, data: bytes) -> None:
        self._transfer._write(attempt.source, position, data)  # noqa: SLF001

    def slow(self, attempt: Attempt) -> None:
        transfer = self._transfer
        transfer._slow.add(attempt.source.key)  # noqa: SLF001
        slow = Stalled(attempt.source.label, "was so slow that another was asked too")
        transfer._helped.append(replace(attempt, failure=slow))  # noqa: SLF001
        transfer._tools.reporter.slow(attempt.source)  # noqa: SLF001

    @property
    def held_up(self) -> bool:
        return self._transfer.held_up

    def fetch(self, attempt: Attempt, start: int, end: int | None, sink: Sink) -> Deferred[None]:
        return Deferred.fromCoroutine(
            self._transfer._fetch(attempt, start, end, sink)  # noqa: SLF001
        )

    def failed(self, attempt: Attempt, failure: SourceError) -> None:
        self._transfer._note(attempt, failure)  # noqa: SLF001


class Reader:
    """Someone who follows a transfer from ``start`` on.

    One that verifies for itself, as a peer does (``verifies``), is given everything as it comes.
    ``since`` is when its request began, in the clock's seconds, if not now.
    """

    def __init__(
        self,
        transfer: Transfer,
        start: int,
        *,
        verifies: bool = False,
        since: float | None = None,
    ) -> None:
        self.transfer = transfer
        self.start = start
        self.position = start
        self.verifies = verifies
        self._clock = transfer._clock  # noqa: SLF001
        self._since = self._clock.seconds() if since is None else since
        self._moved = self._since
        self.last_resort = False
        #: Up to where it was given a peer's bytes before some were found to be wrong.
        self.doubtful_until = 0
        self._closed = False
        self._timer: IDelayedCall | None = None
        self._poked: Callable[[], None] | None = None
        self._aborted: Callable[[], None] | None = None
        transfer.follow(self)
        self._arm()

    def limit(self, position: int) -> int:
        """Return up to where this reader may be given bytes now."""
        transfer = self.transfer
        if transfer.finished.known and not transfer.verified:
            return position
        if transfer.holds_all or transfer.withholds(self):
            return position
        progress = transfer.progress(self, position)
        if self.verifies:
            return progress.arrived
        return release.release(progress, position)

    @property
    def waited(self) -> float:
        """Seconds since it asked."""
        return float(self._clock.seconds() - self._since)

    @property
    def idle(self) -> float:
        """Seconds since it was given a byte, or asked."""
        return float(self._clock.seconds() - self._moved)

    def move(self, position: int) -> None:
        """Follow from ``position`` instead, before the first byte is sent."""
        self.start = self.position = position

    def sent(self, count: int) -> None:
        self.position += count
        self.transfer.taken = max(self.transfer.taken, self.position - self.start)
        self._moved = self._clock.seconds()

    def attach(self, poke: Callable[[], None], abort: Callable[[], None]) -> None:
        """Have ``poke`` called when more may go, and ``abort`` when nothing right can follow."""
        self._poked, self._aborted = poke, abort
        self.poke()

    def poke(self) -> None:
        failed = self.transfer.finished.known and not self.transfer.verified
        if failed:
            self.abort()
        elif self._poked is not None:
            self._poked()

    def abort(self) -> None:
        if self._aborted is not None:
            self._aborted()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._poked = self._aborted = None
        self.transfer.unfollow(self)

    def _arm(self) -> None:
        """Wake up when time alone lets more go."""
        if self._closed or self.verifies or self.transfer.finished.known:
            return
        if not self.transfer.subject.verifiable and self.waited >= release.MIRROR_HOLD:
            return
        due = release.next_release(self.waited, self.idle)
        self._timer = self._clock.callLater(max(0.01, due), self._due)

    def _due(self) -> None:
        self._timer = None
        self.last_resort = self.last_resort or self.idle >= release.LAST_RESORT
        if self.idle >= release.KEEP_PATIENT_AFTER:
            self.transfer.keep_patient(self.position)
        self.transfer._poke()  # noqa: SLF001 - may be the moment at which the answer begins
        self._arm()
