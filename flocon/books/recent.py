"""The requests that pacman made lately and what came of them, bounded. No clock, no request object.

``faces.loopback`` tells how each one ended; ``flocon why`` and the status page read it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.asking.source import AT, FOR_US, Came
from flocon.books.units import size_text
from flocon.secrecy import without_any_passwords, without_passwords

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Requests remembered: some upgrades, each package with its signature.
MOST_REQUESTS = 256
#: Failed attempts told of one request; it has a few sources, and each is tried a few times.
MOST_ATTEMPTS = 16
#: Sources told of one request, and of those in a sentence.
MOST_SOURCES = 16
MOST_NAMED = 3
#: What a file that is here is called by what answers pacman.
HERE = frozenset({"cache", "adopted", "store"})
#: Longest text kept of a source or a failure, which may be a stranger's words.
LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """One request and its answer.

    ``at`` is when it came, in seconds since 1970; ``seconds`` how long its answer took. ``source``
    is what ``Flocon-Source`` said, empty where there was none; ``tried`` are the sources that
    failed before, each with what happened. ``bytes`` are those sent, and the size of a file that
    pacman was sent to a holder for (307). ``shares`` are what each kind of source (``Came``)
    brought of the file, where several did, and ``brought`` what each single one did, the most
    first. ``ahead`` tells that it had been fetched ahead.
    """

    file_name: str
    repository: str
    at: float
    seconds: float
    status: int
    source: str
    bytes: int
    tried: tuple[tuple[str, str], ...] = ()
    shares: tuple[tuple[str, int], ...] = ()
    ahead: bool = False
    brought: tuple[tuple[str, int], ...] = ()

    @property
    def kind(self) -> str:
        """What brought it: "peer", "owner", "mirror", where it was here, "ahead", or "none".

        Where several did, what brought the most of it.
        """
        if self.ahead:
            return "ahead"
        if self.shares:
            return max(self.shares, key=lambda share: share[1])[0]
        return kind_of(self.source)

    def by_kind(self) -> dict[str, int]:
        """Return the bytes sent by what brought them, as the whole file's were."""
        if self.ahead or not self.shares:
            return {self.kind: self.bytes}
        if len(self.shares) == 1:
            return {self.shares[0][0]: self.bytes}
        whole = sum(count for _, count in self.shares)
        told = {kind: self.bytes * count // whole for kind, count in self.shares}
        # What is lost by rounding belongs to the largest.
        most = max(told, key=lambda kind: told[kind])
        told[most] += self.bytes - sum(told.values())
        return told

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "file": self.file_name,
            "repository": self.repository,
            "at": round(self.at, 3),
            "seconds": round(self.seconds, 4),
            "status": self.status,
            "source": without_passwords(self.source),
            "kind": self.kind,
            "bytes": self.bytes,
            "brought": [
                {"source": without_any_passwords(source), "bytes": count}
                for source, count in self.brought
            ],
            "tried": [
                {
                    "source": without_any_passwords(source),
                    "failure": without_any_passwords(failure),
                }
                for source, failure in self.tried
            ],
        }


def kind_of(source: str) -> str:
    """Return the kind of what ``Flocon-Source`` says; "none" where it says nothing."""
    word, _, place = source.partition(" ")
    if not word:
        return "none"
    if word == "parent" or place.startswith(AT.lstrip()):
        # A proxy of this LAN and another tool's machine hold what they give, as a peer does.
        return Came.PEER.value
    return Came.OWNER.value if word == "peer" and source.endswith(FOR_US) else word


def whence(told: Mapping[str, Any], called: Callable[[str], str] = str) -> str:
    """Return who brought what is told of a request; several each with what they brought.

    ``called`` gives what a person calls a source. Empty where nothing was brought.
    """
    brought = told.get("brought") or ()
    if len(brought) < 2:  # noqa: PLR2004 - one alone brought all
        return called(told["source"])
    named = [f"{called(one['source'])} ({size_text(one['bytes'])})" for one in brought]
    more = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


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
