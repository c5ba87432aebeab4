"""Who brought a database last, so that its signature comes from there, and what pacman has of it.

Memory only; whom to ask is decided elsewhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.asking.dates import seconds_of
from flocon.asking.source import Origin
from flocon.databases.given import Signature

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flocon.asking.source import Source
    from flocon.files import Asked
    from flocon.transfers.transfer import Transfer

#: Databases of which it is remembered who gave them; a machine has a handful of repositories.
MOST_GIVEN = 256
#: Seconds by which the date that a file gets may miss the moment at which it came.
BLURRED = 2.0


@dataclass(frozen=True, slots=True)
class Undated:
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
class Answer:
    """Who brings a database, and the signature that was found to be right of it.

    ``undated`` is what pacman has without its date; ``began`` is the time of day in seconds.
    ``date`` is the second that pacman's copy bears where no transfer tells it, and ``had`` whether
    pacman had it before.
    ``followed`` tells that it is of the state that is followed: nobody else has its signature,
    which ``find_signature`` finds where it is not here yet; raises a FloconError.
    """

    began: float = 0.0
    transfer: Transfer | None = None
    signature: bytes | None = None
    undated: Undated | None = None
    followed: bool = False
    find_signature: Callable[[], Awaitable[bytes | None]] | None = None
    date: float | None = None
    had: bool = False

    def signed(self, signature: bytes) -> Signature:
        """Return what is given of its signature."""
        date, had, transfer = self.date, self.had, self.transfer
        if transfer is not None:
            told = transfer.head.modified if transfer.head is not None else None
            date = seconds_of(transfer.subject.dated or told)
            date, had = None if transfer.subject.undated else date, transfer.not_modified
        return Signature(signature, date, not had)

    def arrived(self, source: Source) -> None:
        """Take note of a database that is whole."""
        self.undated = None
        head = self.transfer.head if self.transfer is not None else None
        later = seconds_of(head.modified) if head is not None else None
        if head is None or head.modified is None or not head.size or later is None:
            return
        now = time.time()
        if source.origin is Origin.MIRROR and later > now:
            self.undated = Undated(source.key, head.modified, head.size, self.began, now)


class Answers:
    """The last answer to each request for a database."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, str], Answer] = {}

    def find(self, asked: Asked) -> Answer | None:
        """Return who brought a database, or the one that a signature is asked of."""
        return self._answers.get(_request_of(asked))

    def remember(self, asked: Asked, answer: Answer) -> None:
        request = _request_of(asked)
        self._answers.pop(request, None)
        self._answers[request] = answer
        if len(self._answers) > MOST_GIVEN:
            del self._answers[next(iter(self._answers))]


def _request_of(asked: Asked) -> tuple[str, str, str]:
    return asked.repository, asked.architecture, asked.file.subject
