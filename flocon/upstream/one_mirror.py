"""How one mirror is read: its databases, all of one state, or nothing.

Which mirror is read, and what is known of it, is ``upstream``'s and ``groups``'s.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from twisted.internet.task import deferLater

from flocon.asking.addresses import without_user
from flocon.asking.answer import OK
from flocon.asking.attempts import Limits
from flocon.asking.dates import past, seconds_of
from flocon.asking.fetch import Wanted, fetch, field
from flocon.asking.in_time import in_time
from flocon.asking.small import ask_head, fetch_small
from flocon.errors import Broken, Contradicted, Refused, SourceError, Stalled
from flocon.log import logger
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.configuration import SignatureLevel
from flocon.pacman.database_files import lists_the_same, load_sent
from flocon.pacman.keyring import Verdict, plausible
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.states.generation import DatabaseFiles, Generation
from flocon.upstream.drafts import (
    Draft,
    Few,
    find_problem,
    open_draft,
    open_with,
)
from flocon.upstream.groups import (
    LONGEST_DATE,
    MOST_DIGITS,
    Known,
    is_late,
    is_older,
    is_unchanged,
    make_source,
    read_last_update,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping

    from flocon.asking.bodies import Sink
    from flocon.pacman.keyring import Keyring
    from flocon.states.archive import Archive
    from flocon.states.generation import Piece, Where

T = TypeVar("T")
#: Seconds of silence, and in which so many bytes come of what is not: 13 kB/s.
LIMITS = Limits(first_byte=10.0, stall=20.0, step=256 << 10)
#: Seconds for all that one mirror is asked in one look, however steadily it drips.
LONGEST_READING = 1_800.0
#: So often one mirror is read that changes meanwhile, with so many seconds between.
TRIES = 3
PAUSE = 1.0
#: Statuses that say that a file is not there; object stores that list nothing say the first.
MISSING = frozenset({403, 404, 410})
_FEW = MOST_DIGITS + 3


@dataclass(frozen=True, slots=True)
class Tools:
    """What readings need: ``level`` is how pacman here takes signatures of a database."""

    reactor: Any
    agent: Any
    archive: Archive
    keyring: Callable[[], Keyring]
    level: Callable[[Where], SignatureLevel]
    wall: Callable[[], float]


class Mark(NamedTuple):
    """By what a file is told from the one that was there before; None where that is not said."""

    modified: str | None
    etag: str | None

    def differs(self, other: Mark) -> bool:
        return any(
            ours and theirs and ours != theirs for ours, theirs in zip(self, other, strict=True)
        )


class Reading:
    """One look at the mirror with ``root``, whose ``servers`` are complete but for the file.

    What is taken into the archive has to be kept from being swept.
    """

    _log = logger()

    def __init__(
        self,
        tools: Tools,
        root: str,
        servers: Mapping[Where, str],
        known: Known | None,
    ) -> None:
        self._tools = tools
        self._root = root
        self._source = make_source(root)
        self._servers = servers
        self._until = tools.reactor.seconds() + LONGEST_READING
        #: What is known of this very mirror's state, and of any one's.
        is_same = known is not None and known.root == without_user(root)
        self._before = known if is_same else None
        self._known = known
        self._databases: dict[Where, DatabaseFiles] = {}
        self._marks: dict[Where, Mark] = {}
        self._new: list[Where] = []

    async def run(self, files: Collection[Where]) -> Known | None:
        """Return the mirror's state, with the lists of ``files`` of some; None if it is the known.

        Raises a SourceError or a StoreError.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                return await self._run(files)
            except Contradicted:
                # The mirror may have changed meanwhile; or what is the same to it is not.
                if not tries_left:
                    raise
                self._before = None
            await deferLater(self._tools.reactor, PAUSE)
        raise AssertionError("unreachable")

    async def _run(self, files: Collection[Where]) -> Known | None:
        self._databases, self._marks, self._new = {}, {}, []
        now = self._tools.wall()
        last_update = await self._last_update()
        unchanged = is_unchanged(self._known, last_update, self._servers)
        if unchanged and not any(map(self._lacks_files, files)):
            return None
        self._demand_no_older(last_update, (), now)
        for where, server in self._servers.items():
            await self._read(where, server)
        if not self._databases:
            raise Refused(self._source, 404)
        dates = {
            where: mark.modified
            for where, mark in self._marks.items()
            if mark.modified and len(mark.modified) <= LONGEST_DATE
        }
        self._demand_no_older(last_update, dates.values(), now)
        for where in files:
            await self._read_files(where)
        await self._demand_no_change(last_update)
        for where in self._new:
            await self._verify(where)
        return self._found(last_update, dates, int(now))

    def _found(self, last_update: int | None, dates: dict[Where, str], now: int) -> Known:
        said = last_update if last_update is not None and last_update <= now else None
        state = Generation(now, self._source, self._databases, said)
        before = self._before
        settled = before is not None and (before.state.identity, before.state.last_update) == (
            state.identity,
            said,
        )
        absent = frozenset(self._servers).difference(self._databases)
        return Known(without_user(self._root), state, dates, settled, absent)

    def _lacks_files(self, where: Where) -> bool:
        one = self._known.state.databases.get(where) if self._known is not None else None
        return one is not None and one.files is None

    # Whether it is one state

    async def _last_update(self) -> int | None:
        """Return what the mirror says of when it changed last, None where it says nothing."""
        few = Few(_FEW)
        try:
            await self._fetch(Wanted(f"{self._root}/lastupdate", self._source), few)
        except Refused as refused:
            if refused.status not in MISSING:
                raise
            return None
        return read_last_update(few.data)

    def _demand_no_older(self, last_update: int | None, dates: Collection[str], now: float) -> None:
        if is_older(self._known, last_update, dates, now):
            raise Broken(self._source, "is behind what is here already")

    async def _demand_no_change(self, last_update: int | None) -> None:
        changed = Contradicted(self._source, "changes all the time while it is read")
        if last_update is not None and await self._last_update() != last_update:
            raise changed
        # A mirror may say first that it has changed, or change twice in the second that it says.
        for where, mark in self._marks.items():
            now = await self._mark(where)
            if now is not None and now.differs(mark):
                raise changed

    async def _mark(self, where: Where) -> Mark | None:
        """Return the mark that a database has now, None where the mirror does not say."""
        wanted = self._wanted(f"{self._servers[where]}/{where.repository}.db")
        tools = self._tools
        asking = ask_head(tools.agent, tools.reactor, wanted, LIMITS.first_byte)
        response = await self._in_time(asking)
        if response.code != OK:
            return None
        return Mark(field(wanted, response, "Last-Modified"), field(wanted, response, "ETag"))

    # What it has

    def _wanted(self, url: str, before: Piece | None = None, date: str | None = None) -> Wanted:
        if before is None or past(date, self._tools.wall()) is None or date is None:
            return Wanted(url, self._source)
        return Wanted(url, self._source, modified_since=date, unchanged=(date, before.size))

    async def _fetch(self, wanted: Wanted, sink: Sink) -> None:
        await self._in_time(fetch(self._tools.agent, self._tools.reactor, wanted, sink, LIMITS))

    async def _in_time(self, asking: Coroutine[Any, Any, T]) -> T:
        """Return what the mirror answers, if it does in the time that all has together.

        Work in threads is never cut off so: it has descriptors.
        """
        reactor = self._tools.reactor
        late = Stalled(self._source, f"is not read after {round(LONGEST_READING / 60)} minutes")
        return await in_time(reactor, self._until - reactor.seconds(), asking, late)

    @asynccontextmanager
    async def _draft(self, wanted: Wanted) -> AsyncIterator[Draft]:
        """Yield a file as it came, whole; nothing of it is kept."""
        reactor, folder = self._tools.reactor, self._tools.archive.path
        descriptor = await in_thread(reactor, open_draft, folder)
        draft = Draft(reactor, self._source, folder, descriptor)
        try:
            await self._fetch(wanted, draft)
            if not draft.is_unchanged:
                await draft.end()
            yield draft
        finally:
            await draft.close()

    async def _read(self, where: Where, server: str) -> None:
        url = f"{server}/{where.repository}.db"
        before = self._before.state.databases.get(where) if self._before is not None else None
        date = self._before.dates.get(where) if self._before is not None else None
        try:
            async with self._draft(
                self._wanted(url, before.database if before is not None else None, date)
            ) as draft:
                head = draft.head
                assert head is not None  # noqa: S101 - it has come
                if draft.is_unchanged and before is not None:
                    if head.modified and seconds_of(head.modified) != seconds_of(date):
                        raise Contradicted(self._source, "takes what is older for the same")
                    self._marks[where] = Mark(head.modified or date, head.etag)
                    # Its signature may have come later than it did.
                    await self._add(where, before, f"{url}.sig")
                    return
                reactor = self._tools.reactor
                problem = await in_thread(reactor, find_problem, where, draft.descriptor)
                if problem:
                    raise Broken(self._source, problem)
                piece = await self._keep(draft.descriptor)
                self._marks[where] = Mark(head.modified, head.etag)
        except Refused as refused:
            if refused.status not in MISSING:
                raise
            return
        # What is the same in spite of another date keeps its list of files.
        known = self._known.state.databases.get(where) if self._known is not None else None
        same = known if known is not None and known.database == piece else None
        await self._add(where, same or DatabaseFiles(piece), f"{url}.sig")

    async def _add(self, where: Where, one: DatabaseFiles, url: str) -> None:
        """Take a database with the signature that the mirror has now."""
        signature = await self._signature(where, url)
        if is_late(self._known, where, one.database, signature, self._tools.wall()):
            raise Contradicted(self._source, f"has no signature of its {where.repository}.db yet")
        self._databases[where] = replace(one, signature=signature)
        before = self._known.state.databases.get(where) if self._known is not None else None
        if before is None or (before.database, before.signature) != (one.database, signature):
            self._new.append(where)

    async def _signature(self, where: Where, url: str) -> Piece | None:
        needed = self._tools.level(where) is SignatureLevel.REQUIRED
        try:
            data = await self._small(Wanted(url, self._source))
        except Refused as refused:
            if needed or refused.status not in MISSING:
                raise
            return None
        if not plausible(data):
            # Some send a page instead of saying that there is none.
            if needed:
                raise Broken(self._source, "has no signature under that name")
            return None
        return await self._take(data)

    async def _small(self, wanted: Wanted) -> bytes:
        tools = self._tools
        return await self._in_time(
            fetch_small(tools.agent, tools.reactor, wanted, LIMITS, LARGEST_SIGNATURE)
        )

    async def _keep(self, descriptor: int) -> Piece:
        return await in_thread(self._tools.reactor, self._tools.archive.take, descriptor)

    async def _take(self, data: bytes) -> Piece:
        descriptor = open_with(data)
        try:
            return await self._keep(descriptor)
        finally:
            os.close(descriptor)

    async def _verify(self, where: Where) -> None:
        """Have pacman's keyring judge a signature; that of a key it does not know is passed on."""
        one = self._databases[where]
        if one.signature is None:
            return
        tools = self._tools
        data = await in_thread(tools.reactor, _read_piece, tools.archive, one.signature)
        descriptor = await in_thread(tools.reactor, tools.archive.open_piece, one.database)
        try:
            verdict = await tools.keyring().verify(descriptor, data)
        finally:
            os.close(descriptor)
        if verdict is Verdict.BAD:
            name = f"{where.repository}.db"
            raise Contradicted(self._source, f"has a signature that is not of its {name}")

    # The lists of files

    async def _read_files(self, where: Where) -> None:
        """Get the list of files of one repository, if it can be had and belongs to its database.

        A state is whole without.
        """
        one = self._databases.get(where)
        if one is None or one.files is not None:
            return
        try:
            self._databases[where] = await self.files(where, one)
        except SourceError as error:
            self._log.info(
                "the list of files of {where} is not kept: {error}", where=where, error=error
            )

    async def files(self, where: Where, one: DatabaseFiles) -> DatabaseFiles:
        """Return a database's files with the list that belongs to it; raises a SourceError."""
        url = f"{self._servers[where]}/{where.repository}.files"
        tools = self._tools
        async with self._draft(self._wanted(url)) as draft:
            same = await in_thread(
                tools.reactor,
                _belongs,
                tools.archive,
                where.repository,
                one.database,
                draft.descriptor,
            )
            if not same:
                raise Contradicted(self._source, "has a list of files of other packages")
            piece = await self._keep(draft.descriptor)
            try:
                data = await self._small(self._wanted(f"{url}.sig"))
            except Refused:
                return replace(one, files=piece)
            good = plausible(data)
            if good and await tools.keyring().verify(draft.descriptor, data) is Verdict.BAD:
                raise Contradicted(self._source, "has a list of files with another's signature")
        return replace(one, files=piece, files_signature=await self._take(data) if good else None)


def _read_piece(archive: Archive, piece: Piece) -> bytes:
    descriptor = archive.open_piece(piece)
    try:
        return os.pread(descriptor, piece.size, 0)
    finally:
        os.close(descriptor)


def _belongs(archive: Archive, repository: str, database: Piece, descriptor: int) -> bool:
    listed = archive.open_piece(database)
    try:
        entries = load_sent(repository, listed, "").entries
    finally:
        os.close(listed)
    return lists_the_same(entries, repository, descriptor)
