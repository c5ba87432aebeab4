"""What a transfer is to bring: a file's name, what is known of it, and who looks closer at it.

Values alone: where it comes from, and what is done with it, is not said here. No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.asking.answer import Head
    from flocon.asking.source import Source
    from flocon.files import Content

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
    ``dated`` is the HTTP date that who asked is told instead of the source's.
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
    dated: str | None = None
    unchanged: tuple[str, str, int] | None = None

    @property
    def verifiable(self) -> bool:
        """Whether a peer's bytes can be told from others."""
        return self.content is not None or self.find_problem is not None
