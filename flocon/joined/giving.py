"""What is given of own repositories: to peers all that lies here, to pacman the newest generation.

pacman gets a database and its signature of one generation, also if a newer one comes in between.
What is private is told to nobody but pacman on this machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.web import http

from flocon.asking.dates import seconds_of
from flocon.databases.given import Missing, OwnCopy, Signature, Unchanged
from flocon.errors import StoreError
from flocon.joined import told
from flocon.joined.told import LARGEST_SIGNATURE
from flocon.machine.reactor_threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.databases.given import Given
    from flocon.files import Asked
    from flocon.joined.known import Known
    from flocon.joined.repositories import OwnRepositories
    from flocon.joined.told import Generation
    from flocon.pacman.watch import PacmanWatch
    from flocon.store.folder import Opened

#: Seconds for which pacman is kept waiting for a first generation that is on its way here, and for
#: a newer one: who sends that may be slow on purpose.
PATIENCE, PATIENCE_FOR_NEWER = 5.0, 1.0
#: What ``Flocon-Source`` says of what was verified before it was given.
SOURCE = "own"
#: Own repositories told of in a datagram, which has no room for more.
MOST_TOLD = 4


@dataclass(frozen=True, slots=True)
class _Last:
    """What pacman was given last of a database: of which generation, with which date."""

    generation: Generation
    date: int | None
    had: bool


class Giving:
    """Gives what ``repositories`` have."""

    def __init__(
        self,
        reactor: Any,
        repositories: OwnRepositories,
        pacman: PacmanWatch,
        is_private: Callable[[str], bool],
    ) -> None:
        self._reactor = reactor
        self._repositories = repositories
        self._pacman = pacman
        self._is_private = is_private
        self._last: dict[str, _Last] = {}

    # To peers

    def announced(self) -> tuple[tuple[str, int], ...]:
        """Return name and second of signing of what others hear of, the newest first."""
        here = [
            (name, known.generation.signed)
            for name, known in self._repositories.known.items()
            if known.generation is not None and not self._is_private(name)
        ]
        return tuple(sorted(here, key=lambda one: (-one[1], one[0]))[:MOST_TOLD])

    def told(self, name: str) -> bytes | None:
        """Return what a peer is told of a repository's newest generation; None for nothing."""
        known = self._for_others(name)
        if known is None or known.generation is None:
            return None
        return told.dump(known.generation)

    def key(self, name: str) -> bytes | None:
        """Return the public keys that are trusted for a repository."""
        known = self._for_others(name)
        return None if known is None else b"".join(one.data for one in known.trusted.told)

    async def open(self, name: str, sequence: int, file_name: str) -> Opened:
        """Open a file of a generation for a peer; raises StoreError."""
        known = self._for_others(name)
        generation = None if known is None else known.find(sequence)
        if generation is None or file_name not in generation.files:
            raise StoreError(file_name, "it is of no generation that is given")
        return await self._open(generation, file_name)

    def _for_others(self, name: str) -> Known | None:
        return None if self._is_private(name) else self._repositories.known.get(name)

    async def _open(self, generation: Generation, file_name: str) -> Opened:
        shelf = self._repositories.shelf
        return await in_thread(
            self._reactor, shelf.open, generation.name, generation.signed, file_name
        )

    # To pacman

    async def answer(self, asked: Asked, modified_since: str | None) -> Given | None:
        """Return what pacman is given of a database or its signature; None for others' to say."""
        known = self._repositories.known.get(asked.repository)
        if known is None or asked.file.name != asked.repository:
            return None
        if asked.file.is_signature:
            return await self._signature(asked)
        patience = PATIENCE if known.generation is None else PATIENCE_FOR_NEWER
        await self._repositories.settled(patience)
        generation = known.generation
        if generation is None or asked.file.text not in generation.files:
            return Missing(http.SERVICE_UNAVAILABLE)
        have = seconds_of(modified_since)
        if self._is_had(asked, generation, have):
            date = None if have is None else int(have)
            self._last[asked.file.text] = _Last(generation, date, had=True)
            return Unchanged(SOURCE)
        # pacman takes nothing that is no newer than what it has, but for what has no date.
        signed = generation.signed
        fits = (have is None or int(have) < signed) and signed <= time.time()
        date = signed if fits else None
        try:
            opened = await self._open(generation, asked.file.text)
        except StoreError:
            return Missing(http.SERVICE_UNAVAILABLE)
        opened.modified = float(date or 0)
        self._last[asked.file.text] = _Last(generation, date, had=False)
        return OwnCopy(opened, dated=date is not None, source=SOURCE)

    def _is_had(self, asked: Asked, generation: Generation, have: float | None) -> bool:
        """Whether pacman has this very file, by its content where that can be told, or a newer one.

        Nothing older than what pacman has is given, whatever was lost here.
        """
        if have is None:
            return False
        if int(have) > generation.signed:
            return True
        database = self._pacman.listing.database(asked.repository)
        if asked.file.text.endswith(".db") and database is not None:
            sha256 = generation.files[asked.file.text].sha256
            return int(database.modified) == int(have) and sha256.startswith(database.digest)
        last = self._last.get(asked.file.text)
        if last is not None and last.date == int(have):
            return last.generation.signed == generation.signed
        return int(have) == generation.signed

    async def _signature(self, asked: Asked) -> Given:
        last = self._last.get(asked.file.subject)
        if last is None:
            known = self._repositories.known[asked.repository]
            if known.generation is None:
                return Missing(http.SERVICE_UNAVAILABLE)
            last = _Last(known.generation, None, had=False)
        try:
            opened = await self._open(last.generation, asked.file.text)
        except StoreError:
            return Missing(http.SERVICE_UNAVAILABLE)
        data = await in_thread(self._reactor, _read, opened)
        date = None if last.date is None else float(last.date)
        return Signature(data, date, not last.had)


def _read(opened: Opened) -> bytes:
    """Return what an open signature has, and close it."""
    try:
        with open(opened.fileno(), "rb", closefd=False) as file:
            return file.read(LARGEST_SIGNATURE)
    finally:
        opened.close()
