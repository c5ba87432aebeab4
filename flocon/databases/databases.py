"""Where a database and its signature come from: mirrors, and peers where the operator lets them.

The order is decided in ``sources.ranking``, when another mirror is asked beside a slow one in
``asking.patience``. A database and its signature come from one place, as for a pacman that asks
that mirror itself: of two mirrors one may have another.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.web import http

from flocon.asking.dates import past, seconds_of
from flocon.asking.patience import PACMAN
from flocon.asking.source import Origin, Source
from flocon.databases.answers import Answer, Answers
from flocon.databases.checks import DatabaseChecks, SignatureChecks
from flocon.databases.choosing import DatabaseChooser
from flocon.databases.given import Missing, Signature
from flocon.databases.peers import level_of
from flocon.errors import FloconError
from flocon.pacman.configuration import SignatureLevel
from flocon.pacman.database_files import LARGEST_FILE, find_problem
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.transfers.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twisted.internet.defer import Deferred

    from flocon.databases.followed import Followed
    from flocon.databases.given import Given
    from flocon.databases.own import OwnDatabases
    from flocon.databases.peers import PeersDatabases
    from flocon.files import Asked
    from flocon.pacman.watch import PacmanWatch
    from flocon.transfers.transfer import Transfer
    from flocon.transfers.transfers import Transfers

#: Seconds that a peer has for its database, from its first byte to the last.
PEER_SECONDS = 2.0
#: Seconds for which a signature is waited for that pacman can do without.
OPTIONAL_PATIENCE = 2.5


class Databases:
    """Brings databases and their signatures; peers have a part where ``own`` are shared.

    ``mirrors`` are those that may have what is asked for, in the order to ask them; ``transfers``
    begins what is decided here. ``followed`` returns what gives those of the state that is
    followed, where one is.
    """

    def __init__(
        self,
        clock: Any,
        *,
        pacman: PacmanWatch,
        transfers: Transfers,
        mirrors: Callable[[Asked], list[Source]],
        own: OwnDatabases,
        peers: PeersDatabases,
        followed: Callable[[], Followed | None],
    ) -> None:
        self._clock = clock
        self._pacman = pacman
        self._transfers = transfers
        self._mirrors = mirrors
        self._own = own
        self._peers = peers
        #: Who gave a database last: its signature comes from there too.
        self.answers = Answers()
        self._followed = followed
        #: Gives what is verified already of own repositories; None of what it returns for others.
        self.own_repositories: Callable[[Asked, str | None], Awaitable[Given | None]] | None = None

    def transfer(self, asked: Asked, modified_since: str | None) -> Deferred[Transfer | Given]:
        """Return the transfer that brings a database or its signature; or the signature itself.

        Or what is given of the state that is followed.
        """
        return defer.Deferred.fromCoroutine(self._transfer(asked, modified_since))

    async def _transfer(self, asked: Asked, modified_since: str | None) -> Transfer | Given:
        began = self._clock.seconds()
        # A node that has just started may not know its mirrors yet.
        await self._pacman.configured()
        if self.own_repositories is not None:
            given = await self.own_repositories(asked, modified_since)
            if given is not None:
                return given
        now = time.time()
        subject = Subject(
            asked.file.text,
            modified_since=past(modified_since, now),
            undated=(seconds_of(modified_since) or now) > now,
        )
        if asked.file.is_signature:
            signature = await self._followed_signature(asked)
            return signature or self._signature(asked, subject, began)
        followed = self._followed()
        if followed is not None:
            given = await followed.answer(asked, modified_since, began)
            if given is not None:
                return given
        before = self.answers.find(asked)
        since = seconds_of(subject.modified_since)
        undated = before.undated if before is not None else None
        answer = Answer(now, undated=undated)
        dated = await self._peers.dated(asked) if self._own.shared() else []
        checks = DatabaseChecks(
            dated,
            since,
            examine=partial(self._examine, asked, answer),
            arrived=partial(self._arrived, asked, answer),
        )
        subject = replace(
            subject,
            find_problem=find_problem if dated else None,
            most=LARGEST_FILE,
            peers_within=PEER_SECONDS,
            checks=checks,
            unchanged=undated.unchanged(since) if undated is not None else None,
        )
        chooser = DatabaseChooser(self._clock, self._mirrors(asked), began, checks.order)
        answer.transfer = self._transfers.alone(subject, chooser, chooser.mirrors)
        self.answers.remember(asked, answer)
        return answer.transfer

    async def _followed_signature(self, asked: Asked) -> Signature | Missing | None:
        """Return the signature of what was given of a state; None where it was none of one."""
        answer = self.answers.find(asked)
        if answer is None or not answer.followed:
            return None
        if answer.signature is None and answer.find_signature is not None:
            try:
                answer.signature = await answer.find_signature()
            except FloconError:
                return Missing(http.SERVICE_UNAVAILABLE)
        if not answer.signature:
            return Missing(http.NOT_FOUND)
        return answer.signed(answer.signature)

    def _signature(self, asked: Asked, subject: Subject, began: float) -> Transfer | Signature:
        """Return a database's signature: from who gave the database, and from nobody else.

        pacman can do without most of them, but not with one that belongs to another database.
        """
        answer = self.answers.find(asked) or Answer()
        if answer.signature is not None:
            return answer.signed(answer.signature)
        source = answer.transfer.source if answer.transfer is not None else None
        order: list[Source] | None = None
        if source is not None:
            # What a peer had for one was looked at before its database was given.
            is_mirror = source.origin is Origin.MIRROR
            order = [replace(source, url=source.url + ".sig")] if is_mirror else []
        subject = replace(subject, most=LARGEST_SIGNATURE, checks=SignatureChecks())
        required = level_of(self._pacman, asked) is SignatureLevel.REQUIRED
        chooser = DatabaseChooser(
            self._clock,
            self._mirrors(asked),
            began,
            lambda mirrors, _: mirrors if order is None else order,
            patience=PACMAN if required else OPTIONAL_PATIENCE,
        )
        return self._transfers.alone(subject, chooser, chooser.mirrors)

    async def _examine(self, asked: Asked, answer: Answer, source: Source, descriptor: int) -> str:
        """Look at a peer's database beyond its form; return what the peer is to blame for.

        Raises a SourceError where it cannot be taken for another reason.
        """
        answer.signature = None
        signature, problem = await self._peers.good_signature(
            source, descriptor, level_of(self._pacman, asked)
        )
        if not problem:
            answer.signature = signature
            await self._own.from_peer(asked.file.text, descriptor)
        return problem

    def _arrived(self, asked: Asked, answer: Answer, source: Source, descriptor: int) -> None:
        """Take note of a database that is whole; what a mirror sent lists here, too."""
        answer.arrived(source)
        if source.origin is not Origin.MIRROR:
            return
        if asked.file.text.endswith(".db") and asked.repository == asked.file.name:
            self._pacman.sent(asked.file.name, descriptor)
        self._own.from_mirror(descriptor)
