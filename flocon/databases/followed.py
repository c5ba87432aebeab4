"""Databases of the LAN's state: asked of the node that gives one, as far as it is followed.

Whose it is, and what pacman has of it, is decided in ``following``; what it says of its state is
asked by ``telling``. What that node sends is looked at as any peer's database is.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import TimeoutError  # noqa: A004 - Twisted's own
from twisted.web import http

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.dates import seconds_of
from flocon.asking.fetch import Wanted
from flocon.asking.patience import PACMAN
from flocon.asking.small import ask_head, fetch_small
from flocon.asking.source import Origin, Source
from flocon.databases import following
from flocon.databases.answers import Answer
from flocon.databases.checks import FollowedChecks
from flocon.databases.following import LAN
from flocon.databases.given import Arrived, Missing, OwnCopy, Unchanged
from flocon.databases.peers import level_of
from flocon.databases.telling import STATE_LIMITS
from flocon.errors import FloconError, StoreError
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.database_files import find_problem, open_database, sha256_of
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.sources.places import state_file_url
from flocon.transfers.reader import Reader
from flocon.transfers.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.databases.answers import Answers
    from flocon.databases.given import Given
    from flocon.databases.lan_state import LanState, StateFile
    from flocon.databases.own import OwnDatabases
    from flocon.databases.peers import PeersDatabases
    from flocon.databases.telling import Telling, Told
    from flocon.files import Asked
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.pacman.watch import PacmanWatch
    from flocon.store.folder import Opened
    from flocon.transfers.transfers import Transfers

#: Seconds of silence of a node that has a file of its state to give.
FILE_LIMITS = Limits(first_byte=4.0, stall=3.0, step=8 << 10)
#: Seconds for all of it where mirrors are asked behind it, as for any peer's database.
LAN_SECONDS = 2.5
#: Seconds in which a node is told that a list of files is wanted.
WANT_SECONDS = 0.5
#: Seconds that are left of pacman's patience for the answer itself.
RESERVE = 0.5
#: What ``Flocon-Source`` says of what this node itself says of a state.
STANDS = "state"
#: Dates that are remembered of each file, and files.
MOST_DATES, MOST_FILES = 8, 256


class Followed:
    """Answers with what the followed node gives; ``databases`` is that setting, as it is now.

    ``answers`` learns who gave a database last: its signature comes from there too.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        databases: Callable[[], str],
        telling: Telling,
        agent: Any,
        neighbourhood: Neighbourhood,
        pacman: PacmanWatch,
        transfers: Transfers,
        own_databases: OwnDatabases,
        peers: PeersDatabases,
        answers: Answers,
    ) -> None:
        self._reactor = reactor
        self._databases = databases
        self.telling = telling
        self._agent = agent
        self._neighbourhood = neighbourhood
        self._pacman = pacman
        self._transfers = transfers
        self._own_databases = own_databases
        self._peers = peers
        self._answers = answers
        #: The SHA-256 of what was given with which date, by architecture and file name.
        self._given: OrderedDict[tuple[str, str], OrderedDict[int, str]] = OrderedDict()

    # What is given

    async def answer(self, asked: Asked, modified_since: str | None, began: float) -> Given | None:
        """Return what is given of a database; None where it comes as if nobody was followed."""
        databases = self._databases()
        if not following.follows(databases) or asked.repository != asked.file.name:
            return None
        if self._neighbourhood.is_private(asked.repository):
            return None
        key = self._key(asked)
        have = seconds_of(modified_since)
        patience = LAN_SECONDS if databases == LAN else PACMAN - RESERVE
        for _ in range(2):
            told = await self.telling.state(key, self._left(began, patience))
            if told is None:
                break
            file = told.state.files.get(key)
            if file is None:
                await self._want(told, key)
                return None
            if self._is_had(asked, key, told.state, file, have):
                self._remember_own(asked, told, have, had=True)
                return Unchanged(STANDS if told.place.is_own else f"peer {told.place.address}")
            given = await self._give(asked, told, have, began, patience)
            if given is not None:
                return given
            # It may have another state by now: the next try reads that.
            self.telling.distrust()
        return None if databases == LAN else self._stand(asked, key, have)

    async def _want(self, told: Told, key: tuple[str, str]) -> None:
        """Have the followed node bring a list of files that it has not, for the next time."""
        architecture, name = key
        repository = name.removesuffix(".files")
        if name == repository or (architecture, f"{repository}.db") not in told.state.files:
            return
        with suppress(FloconError):
            if told.place.is_own:
                (await self._open(told, key)).close()
            else:
                wanted = Wanted(self._url(told, key), told.place.address)
                await ask_head(self._agent, self._reactor, wanted, WANT_SECONDS)

    def _stand(self, asked: Asked, key: tuple[str, str], have: float | None) -> Given | None:
        """Return what is given while the state is not to be had: what pacman has stands."""
        last = self.telling.last
        if last is not None and key not in last.files:
            return None
        if have is None:
            return Missing(http.SERVICE_UNAVAILABLE)
        self._remember_own(asked, None, have, had=True)
        return Unchanged(STANDS)

    def _key(self, asked: Asked) -> tuple[str, str]:
        architectures = self._pacman.configuration.architectures
        own = architectures[0] if architectures else ""
        return asked.architecture or own, asked.file.text

    def _left(self, began: float, patience: float) -> float:
        return float(max(0.05, began + patience - self._reactor.seconds()))

    def _is_had(
        self,
        asked: Asked,
        key: tuple[str, str],
        state: LanState,
        file: StateFile,
        have: float | None,
    ) -> bool:
        own = None
        if asked.file.text == f"{asked.repository}.db":
            database = self._pacman.listing.database(asked.repository)
            own = None if database is None else (database.modified, database.digest)
        dates = self._given.get(key, OrderedDict())
        return following.is_had(file, state.since, have, own=own, given=dates)

    # The files

    async def _give(
        self, asked: Asked, told: Told, have: float | None, began: float, patience: float
    ) -> Given | None:
        """Return a file of a state, None where it cannot be had."""
        key, state = self._key(asked), told.state
        date = following.date_to_give(state.since, have, time.time())
        if told.place.is_own:
            given = await self._open_own(asked, told, date)
        else:
            given = await self._fetch(asked, told, date, began, patience)
        if given is not None and date is not None:
            self._note(key, date, state.files[key].sha256)
        return given

    async def _open_own(self, asked: Asked, told: Told, date: int | None) -> Given | None:
        try:
            opened = await self._open(told, self._key(asked))
        except StoreError as error:
            self.telling.problem = str(error)
            return None
        opened.modified = float(date or 0)
        self._remember_own(asked, told, date)
        return OwnCopy(opened, dated=date is not None)

    async def _open(self, told: Told, key: tuple[str, str]) -> Opened:
        own = self.telling.own()
        if own is None:
            raise StoreError(key[1], "this node gives no state")
        return await own.open(told.state.identity, *key)

    async def _fetch(
        self, asked: Asked, told: Told, date: int | None, began: float, patience: float
    ) -> Arrived | None:
        file = told.state.files[self._key(asked)]
        place = told.place
        url = self._url(told, self._key(asked))
        source = Source(Origin.PEER, place.address, place.address, url, node=place.node)
        answer = Answer(time.time(), followed=True)
        left = self._left(began, patience)
        subject = Subject(
            asked.file.text,
            find_problem=find_problem,
            most=file.size,
            peers_within=left,
            checks=FollowedChecks(file, partial(self._examine, asked, answer, file)),
            undated=date is None,
            dated=None if date is None else formatdate(date, usegmt=True),
        )
        limits = Limits(min(FILE_LIMITS.first_byte, left), FILE_LIMITS.stall, FILE_LIMITS.step)

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            return None if tried else Attempt(source, limits)

        transfer = self._transfers.alone(subject, choose)
        # Without a reader it would be closed as soon as it is whole.
        arrived = Arrived(transfer, Reader(transfer, 0, since=began))
        try:
            await transfer.finished.wait().addTimeout(left, self._reactor)
        except (FloconError, TimeoutError) as error:
            arrived.close()
            self.telling.problem = str(error)[:200] or "its database took too long"
            return None
        except BaseException:
            arrived.close()
            raise
        self.telling.problem = ""
        answer.transfer = transfer
        self._answers.remember(asked, answer)
        return arrived

    def _url(self, told: Told, key: tuple[str, str]) -> str:
        return state_file_url(told.place.address, told.place.port, told.state.identity, *key)

    async def _examine(
        self, asked: Asked, answer: Answer, file: StateFile, source: Source, descriptor: int
    ) -> str:
        """Look at a database as at any peer's; return what the peer is to blame for."""
        if await in_thread(self._reactor, sha256_of, descriptor) != file.sha256:
            return "has another database than its state says"
        answer.signature, problem = await self._peers.good_signature(
            source, descriptor, level_of(self._pacman, asked)
        )
        if not problem:
            await self._own_databases.from_peer(asked.file.text, descriptor)
        return problem

    def _note(self, key: tuple[str, str], date: int, sha256: str) -> None:
        """Remember with which date a file was given."""
        dates = self._given.setdefault(key, OrderedDict())
        self._given.move_to_end(key)
        dates.pop(date, None)
        dates[date] = sha256
        while len(dates) > MOST_DATES:
            dates.popitem(last=False)
        while len(self._given) > MOST_FILES:
            self._given.popitem(last=False)

    # Signatures

    def _remember_own(
        self, asked: Asked, told: Told | None, date: float | None, *, had: bool = False
    ) -> None:
        """Have the signature that is asked for next be that of what pacman has, with that date."""
        find = partial(self._find_signature, asked, told)
        self._answers.remember(
            asked, Answer(time.time(), followed=True, find_signature=find, date=date, had=had)
        )

    async def _find_signature(self, asked: Asked, told: Told | None) -> bytes | None:
        architecture, name = self._key(asked)
        key = architecture, f"{name}.sig"
        if told is None:
            # Nobody tells of a state: pacman's own copy stands, and its signature with it.
            return await in_thread(self._reactor, self._read_own, name)
        if key not in told.state.files:
            return None
        if told.place.is_own:
            return await in_thread(self._reactor, _read, await self._open(told, key))
        wanted = Wanted(self._url(told, key), told.place.address)
        return await fetch_small(
            self._agent, self._reactor, wanted, STATE_LIMITS, LARGEST_SIGNATURE
        )

    def _read_own(self, name: str) -> bytes | None:
        try:
            directory = self._pacman.configuration.sync_directory
            return _read(open_database(directory, f"{name}.sig"))
        except StoreError:
            return None


def _read(opened: Opened) -> bytes | None:
    """Return what an open signature has, and close it."""
    try:
        if opened.size > LARGEST_SIGNATURE:
            return None
        return os.pread(opened.fileno(), LARGEST_SIGNATURE, 0)
    except OSError:
        return None
    finally:
        opened.close()
