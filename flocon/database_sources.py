"""Whom to ask for a database and for its signature, where peers may answer and where they may not.

A part of the front door beside ``desk``, which answers for packages. The order is decided in
``core.sources``, when another mirror is asked beside a slow one in ``core.patience``.

A database is listed nowhere, so it can only be looked at: whether it begins as one does, whoever
it is from, before pacman gets its first byte; and all of a peer's. It and its signature come from
one place, as for a pacman that asks that mirror itself: of two mirrors one may have another.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.threads import deferToThreadPool

from flocon.core.attempts import Attempt, Limits
from flocon.core.database_origins import Given
from flocon.core.dates import past, seconds_of
from flocon.core.heads import NOT_MODIFIED
from flocon.core.names import escape
from flocon.core.patience import PACMAN
from flocon.core.sources import (
    Dated,
    Origin,
    Source,
    order_for_database,
    sample_databases,
    without_delay,
)
from flocon.core.subjects import Subject
from flocon.errors import Broken, Refused, Stalled, StoreError
from flocon.host.databases import (
    LARGEST_FILE,
    digest_of,
    find_early_problem,
    find_problem,
    open_database,
    stamp_of,
)
from flocon.host.keyring import Verdict, begins_plausibly, plausible
from flocon.host.pacman_configuration import SignatureLevel
from flocon.host.remember import remember
from flocon.log import logger
from flocon.net.agents import literal_host
from flocon.net.fetch import Wanted
from flocon.net.small import fetch_small, last_modified

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.core.database_origins import DatabaseOrigins
    from flocon.core.heads import Head
    from flocon.core.names import Asked
    from flocon.core.peer import Peer
    from flocon.core.standing import Standing
    from flocon.host.databases import Stamp
    from flocon.host.keyring import Keyring
    from flocon.host.pacman import PacmanWatch
    from flocon.net.neighbourhood import Neighbourhood
    from flocon.net.transfer import Transfer
    from flocon.net.transfers import Transfers

#: What is remembered of databases that peers gave, below the store's folder.
DATABASES_FILE = "databases.json"
#: Peers asked how new their database is, where the operator lets them answer, the seconds for which
#: they are waited for, and in which a late answer still counts beside the first mirror.
MOST_DATABASES = 8
ANSWER_PATIENCE = 0.5
LATE_PATIENCE = 2.5
#: What a peer has for its database, from its first byte to the last: the mirrors need the rest.
PEER_LIMITS = Limits(first_byte=1.0, stall=1.0, step=8 << 10)
PEER_SECONDS = 2.0
PEER_SIGNATURE_LIMITS = Limits(first_byte=1.0, stall=0.5)
#: Seconds for which a signature is waited for that pacman can do without.
OPTIONAL_PATIENCE = 2.5
#: Databases of which it is remembered who gave them; a machine has a handful of repositories.
MOST_GIVEN = 256
#: Seconds that must be left of pacman's patience for a mirror to be asked, and to be asked again.
LEAST_LEFT = 0.3
LEAST_AGAIN = 1.0
#: Seconds by which the date that a file gets may miss the moment at which it came.
BLURRED = 2.0
#: How often one mirror is asked for one file.
MOST_TRIES = 3
#: A signature is a few hundred bytes; pacman takes 16 KiB.
LARGEST_SIGNATURE = 16 << 10


@dataclass(frozen=True, slots=True)
class Ways:
    """How the desk goes about mirrors, for packages and databases alike.

    ``mirrors`` are those that may have what is asked for, in the order to ask them; ``limits`` is
    the patience with one that nobody can better, and ``keyring`` pacman's.
    """

    mirrors: Callable[[Asked], list[Source]]
    limits: Limits
    keyring: Callable[[], Keyring]


@dataclass(frozen=True, slots=True)
class _Undated:
    """A database with a date to come, of which pacman was told none, from a mirror's ``key``.

    pacman then dates it by the moment at which it came, ``began`` to ``ended`` by the time of day.
    Asked for what is newer than that, the mirror would send all of it again.
    """

    key: str
    date: str
    size: int
    began: float
    ended: float

    def unchanged(self, since: float | None) -> tuple[str, str, int] | None:
        """Return what ``Subject.unchanged`` is, if it is this one that pacman has."""
        came = since is not None and self.began - BLURRED <= since <= self.ended + BLURRED
        return (self.key, self.date, self.size) if came else None


@dataclass(slots=True)
class _Answer:
    """Who brings a database, and the signature that was found to be right of it.

    ``undated`` is what pacman has without its date; ``began`` is the time of day in seconds.
    """

    began: float = 0.0
    transfer: Transfer | None = None
    signature: bytes | None = None
    undated: _Undated | None = None

    def arrived(self, source: Source) -> None:
        """Take note of a database that is whole."""
        self.undated = None
        head = self.transfer.head if self.transfer is not None else None
        later = seconds_of(head.modified) if head is not None else None
        if head is None or head.modified is None or not head.size or later is None:
            return
        now = time.time()
        if source.origin is Origin.MIRROR and later > now:
            self.undated = _Undated(source.key, head.modified, head.size, self.began, now)


class DatabaseSources:
    """Brings databases and their signatures; ``shared`` tells where peers may have a part.

    ``transfers`` begins what is decided here, and ``peer_agent`` asks peers. ``origins`` is kept
    up to date, and written to ``remembered``.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        shared: Callable[[], bool],
        pacman: PacmanWatch,
        neighbourhood: Neighbourhood,
        standing: Standing,
        peer_agent: Any,
        transfers: Transfers,
        ways: Ways,
        origins: DatabaseOrigins,
        remembered: Path,
    ) -> None:
        self._reactor = reactor
        self._shared = shared
        self._pacman = pacman
        self._neighbourhood = neighbourhood
        self._standing = standing
        self._peer_agent = peer_agent
        self._transfers = transfers
        self._ways = ways
        self._origins = origins
        self._remembered = remembered
        #: Who gave a database last, by its request: its signature comes from there too.
        self._answers: dict[tuple[str, str, str], _Answer] = {}
        #: The digests of files that may be a peer's, as of their stamps: no more than pacman has.
        self._looked_at: dict[str, tuple[Stamp, str]] = {}

    def transfer(self, asked: Asked, modified_since: str | None) -> Deferred[Transfer | bytes]:
        """Return the transfer that brings a database or its signature; or the signature itself."""
        return defer.Deferred.fromCoroutine(self._transfer(asked, modified_since))

    def open(self, file_name: str) -> Any:
        """Open this machine's own database for peers, where the operator shares them.

        Raises StoreError; also of one that a peer gave, or that bears a date to come.
        """
        if not self._shared():
            raise StoreError(file_name, "databases are not shared here")
        directory = self._pacman.configuration.sync_directory
        opened = open_database(directory, file_name)
        try:
            self._check_ours(file_name.removesuffix(".sig"), directory)
        except StoreError:
            opened.close()
            raise
        return opened

    def _check_ours(self, file_name: str, directory: Path) -> None:
        path = directory / file_name
        stamp = stamp_of(path)
        if stamp is None:
            raise StoreError(str(path), "there is none")
        if stamp.modified_ns / 1e9 > time.time():
            raise StoreError(str(path), "it is dated in the future")
        # Only where it may be one is it read, and once for each file that lies there.
        if self._origins.may_be_peers(file_name, stamp.size):
            if self._looked_at.get(file_name, (None, ""))[0] != stamp:
                self._looked_at[file_name] = stamp, _digest_at(path)
            if self._origins.is_peers(self._looked_at[file_name][1]):
                raise StoreError(str(path), "a peer gave it")

    async def _transfer(self, asked: Asked, modified_since: str | None) -> Transfer | bytes:
        began = self._reactor.seconds()
        # A node that has just started may not know its mirrors yet.
        await self._pacman.configured()
        now = time.time()
        subject = Subject(
            asked.file.text,
            modified_since=past(modified_since, now),
            undated=(seconds_of(modified_since) or now) > now,
        )
        if asked.file.is_signature:
            return self._signature(asked, subject, began)
        before = self._answers.get(_request_of(asked))
        since = seconds_of(subject.modified_since)
        undated = before.undated if before is not None else None
        answer = _Answer(now, undated=undated)
        dated = await self._peers_databases(asked) if self._shared() else []
        checks = _Checks(self, asked, dated, since, answer)
        subject = replace(
            subject,
            find_problem=find_problem if dated else None,
            most=LARGEST_FILE,
            peers_within=PEER_SECONDS,
            checks=checks,
            unchanged=undated.unchanged(since) if undated is not None else None,
        )
        chooser = _Chooser(self._reactor, self._ways, asked, began, checks.order)
        answer.transfer = self._transfers.alone(subject, chooser, chooser.mirrors)
        self._remember(_request_of(asked), answer)
        return answer.transfer

    def _remember(self, request: tuple[str, str, str], answer: _Answer) -> None:
        self._answers.pop(request, None)
        self._answers[request] = answer
        if len(self._answers) > MOST_GIVEN:
            del self._answers[next(iter(self._answers))]

    # Signatures

    def _signature(self, asked: Asked, subject: Subject, began: float) -> Transfer | bytes:
        """Return a database's signature: from who gave the database, and from nobody else.

        pacman can do without most of them, but not with one that belongs to another database.
        """
        answer = self._answers.get(_request_of(asked), _Answer())
        if answer.signature is not None:
            return answer.signature
        source = answer.transfer.source if answer.transfer is not None else None
        order: list[Source] | None = None
        if source is not None:
            # What a peer had for one was looked at before its database was given.
            is_mirror = source.origin is Origin.MIRROR
            order = [replace(source, url=source.url + ".sig")] if is_mirror else []
        subject = replace(subject, most=LARGEST_SIGNATURE, checks=_SignatureChecks())
        patience = PACMAN if self._level(asked) is SignatureLevel.REQUIRED else OPTIONAL_PATIENCE
        chooser = _Chooser(
            self._reactor,
            self._ways,
            asked,
            began,
            lambda mirrors, _: mirrors if order is None else order,
            patience=patience,
        )
        return self._transfers.alone(subject, chooser, chooser.mirrors)

    def _level(self, asked: Asked) -> SignatureLevel:
        known = self._pacman.configuration.repository(asked.file.name)
        return known.database_signature if known is not None else SignatureLevel.OPTIONAL

    async def examine(self, asked: Asked, source: Source, descriptor: int, answer: _Answer) -> str:
        """Look at a peer's database beyond its form; return what the peer is to blame for.

        Raises a SourceError where it cannot be taken for another reason.
        """
        answer.signature = None
        level = self._level(asked)
        if level is not SignatureLevel.NEVER:
            signature = await self._peers_signature(source, level)
            if signature is not None:
                verdict = await self._ways.keyring().verify(
                    descriptor, signature, peer=source.label
                )
                if verdict is Verdict.BAD:
                    return "has a wrong signature"
                if verdict is not Verdict.GOOD:
                    raise Broken(source.label, "has a signature that cannot be checked")
            answer.signature = signature
        digest = await self._in_thread(digest_of, descriptor)
        given = Given(asked.file.text, os.fstat(descriptor).st_size)
        self._origins.from_peer(digest, given)
        await self._write_down()
        return ""

    async def _peers_signature(self, source: Source, level: SignatureLevel) -> bytes | None:
        wanted = Wanted(source.url + ".sig", source.label)
        try:
            return await fetch_small(
                self._peer_agent, self._reactor, wanted, PEER_SIGNATURE_LIMITS, LARGEST_SIGNATURE
            )
        except Refused as refused:
            if refused.status != 404 or level is SignatureLevel.REQUIRED:  # noqa: PLR2004
                raise
            return None

    def arrived(self, asked: Asked, source: Source, descriptor: int) -> None:
        """Take note of a database that is whole; what a mirror sent lists here, too."""
        if source.origin is not Origin.MIRROR:
            return
        if asked.file.text.endswith(".db") and asked.repository == asked.file.name:
            self._pacman.sent(asked.file.name, descriptor)
        if self._origins.dump():
            self._disown(descriptor)

    def _disown(self, descriptor: int) -> None:
        """Forget that a peer gave what a mirror has sent as well."""

        async def look(copy: int) -> None:
            try:
                digest = await self._in_thread(digest_of, copy)
            finally:
                os.close(copy)
            if self._origins.from_mirror(digest):
                await self._write_down()

        looking = defer.Deferred.fromCoroutine(look(os.dup(descriptor)))
        looking.addErrback(lambda failure: self._log.failure("a database was not read", failure))

    async def _write_down(self) -> None:
        await self._in_thread(remember, self._remembered, self._origins.dump())

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, function, *arguments)

    # Peers

    async def _peers_databases(self, asked: Asked) -> list[Dated]:
        """Ask a few peers at once how new theirs is; the list grows as they answer.

        On a LAN they do in milliseconds. Who takes longer is heard beside the first mirror.
        """
        repository = asked.file.name
        peers = [
            peer
            for peer in self._neighbourhood.sharing(repository)
            if not self._standing.demoted(peer.address, self._reactor.seconds())
        ]
        digests = [dict(peer.databases)[repository] for peer in peers]
        chosen = [peers[place] for place in sample_databases(digests, MOST_DATABASES)]
        found: list[Dated] = []
        asking = [
            defer.Deferred.fromCoroutine(
                self._ask_for_date(_database_source(peer, asked.file.text), found)
            )
            for peer in chosen
        ]
        waiting: Deferred[None] = defer.Deferred()

        def answered(_: object) -> None:
            if not waiting.called:
                waiting.callback(None)

        defer.DeferredList(asking, consumeErrors=True).addCallback(answered)
        await waiting.addTimeout(ANSWER_PATIENCE, self._reactor, lambda *_: None)
        return found

    async def _ask_for_date(self, source: Source, found: list[Dated]) -> None:
        wanted = Wanted(source.url, source.label)
        modified = await last_modified(self._peer_agent, self._reactor, wanted, LATE_PATIENCE)
        seconds = seconds_of(modified)
        if seconds is not None:
            found.append(Dated(source, seconds))


class _Chooser:
    """Whom to ask for one file, one after the other, in one patience.

    ``order`` puts the mirrors and others into their order, by the seconds that were waited.
    """

    def __init__(
        self,
        clock: Any,
        ways: Ways,
        asked: Asked,
        began: float,
        order: Callable[[list[Source], float], list[Source]],
        *,
        patience: float = PACMAN,
    ) -> None:
        self._clock = clock
        self._ways = ways
        self._mirrors = ways.mirrors(asked)
        self._began = began
        self._order = order
        self._spent = PACMAN - patience

    def mirrors(self) -> Sequence[Source]:
        return self._mirrors

    def __call__(self, tried: Sequence[Attempt]) -> Attempt | None:
        # Once bytes came, pacman's patience is as it was when the last one did.
        since = max([self._began, *(attempt.heard for attempt in tried)])
        left = PACMAN - self._spent - (self._clock.seconds() - since)
        source = self._next(tried, left)
        if source is None:
            return None
        # Others are asked beside one that is slow, long before its time is over.
        limits = self._ways.limits if source.origin is Origin.MIRROR else PEER_LIMITS
        return Attempt(source, replace(limits, first_byte=min(limits.first_byte, left)))

    def _next(self, tried: Sequence[Attempt], left: float) -> Source | None:
        asked = [attempt.source for attempt in tried]
        order = self._order(self._mirrors, PACMAN - left)
        if any(one.origin is Origin.PEER for one in asked):
            order = [one for one in order if one.origin is Origin.MIRROR]
        source = next((one for one in order if one not in asked), None)
        if source is not None:
            return source if left > LEAST_LEFT else None
        active = {attempt.source for attempt in tried if attempt.failure is None}
        slow = {one.source for one in tried if isinstance(one.failure, (Stalled, Broken))}
        again = [one for one in order if one in slow - active and asked.count(one) < MOST_TRIES]
        return min(again, key=asked.count) if again and left > LEAST_AGAIN else None


class _Checks:
    """What is looked at of a database, see ``net.transfer``."""

    def __init__(
        self,
        sources: DatabaseSources,
        asked: Asked,
        dated: list[Dated],
        since: float | None,
        answer: _Answer,
    ) -> None:
        self._sources = sources
        self._asked = asked
        self._dated = dated
        self._since = since
        self._answer = answer

    def order(self, mirrors: list[Source], waited: float) -> list[Source]:
        order = order_for_database(mirrors, self._dated, self._since, time.time())
        return without_delay(order, waited)

    def head(self, source: Source, head: Head) -> str:
        """Hold a peer to what it said when it was asked how new its database is."""
        if source.origin is Origin.MIRROR:
            return ""
        said = next((one.modified for one in self._dated if one.source == source), None)
        if head.status == NOT_MODIFIED:
            newer = said is None or self._since is None or said > self._since
            return "says that its newer database is no newer" if newer else ""
        agrees = said is not None and seconds_of(head.modified) == said
        return "" if agrees else "gives its database another date than it said"

    def beginning(self, data: bytes, *, whole: bool) -> str | None:
        problem = find_early_problem(data, whole=whole)
        return f"has no database under that name: it {problem}" if problem else problem

    async def peers(self, source: Source, descriptor: int) -> str:
        return await self._sources.examine(self._asked, source, descriptor, self._answer)

    def done(self, source: Source, descriptor: int) -> None:
        self._answer.arrived(source)
        self._sources.arrived(self._asked, source, descriptor)


class _SignatureChecks:
    """What is looked at of a database's signature, which a mirror sends."""

    def head(self, source: Source, head: Head) -> str:
        return ""

    def beginning(self, data: bytes, *, whole: bool) -> str | None:
        good = plausible(data) if whole else begins_plausibly(data)
        if not good:
            return "has no signature under that name"
        return "" if whole or len(data) >= LARGEST_SIGNATURE else None

    async def peers(self, source: Source, descriptor: int) -> str:
        return ""

    def done(self, source: Source, descriptor: int) -> None:
        pass


def _database_source(peer: Peer, file_name: str) -> Source:
    place = f"{literal_host(peer.address)}:{peer.port}"
    url = f"http://{place}/db/{escape(file_name)}"
    return Source(Origin.PEER, peer.address, peer.address, url, node=peer.node)


def _digest_at(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return digest_of(file.fileno())
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from None


def _request_of(asked: Asked) -> tuple[str, str, str]:
    return asked.repository, asked.architecture, asked.file.subject
