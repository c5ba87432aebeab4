"""The requests that pacman made lately and what came of them, bounded. No clock, no request object.

``net.loopback`` tells how each one ended; ``flocon why`` and the status page read it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Requests remembered: some upgrades, each package with its signature.
MOST_REQUESTS = 256
#: Failed attempts told of one request; it has a few sources, and each is tried a few times.
MOST_ATTEMPTS = 16
#: Longest text kept of a source or a failure, which may be a stranger's words.
LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """One request and its answer.

    ``at`` is when it came, in seconds since 1970; ``seconds`` how long its answer took. ``source``
    is what ``Flocon-Source`` said, empty where there was none; ``tried`` are the sources that
    failed before, each with what happened. ``bytes`` are those sent, and the size of a file that
    pacman was sent to a holder for (307).
    """

    file_name: str
    repository: str
    at: float
    seconds: float
    status: int
    source: str
    bytes: int
    tried: tuple[tuple[str, str], ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "file": self.file_name,
            "repository": self.repository,
            "at": round(self.at, 3),
            "seconds": round(self.seconds, 4),
            "status": self.status,
            "source": self.source,
            "bytes": self.bytes,
            "tried": [{"source": source, "failure": failure} for source, failure in self.tried],
        }


class Recent:
    """The newest requests, oldest first."""

    def __init__(self, most: int = MOST_REQUESTS) -> None:
        self._answered: deque[Answered] = deque(maxlen=most)

    def __iter__(self) -> Iterator[Answered]:
        return iter(self._answered)

    def add(self, answered: Answered) -> None:
        self._answered.append(answered)

    def of(self, *file_names: str) -> list[Answered]:
        """Return those for any of these names, the newest first."""
        return [one for one in reversed(self._answered) if one.file_name in file_names]
