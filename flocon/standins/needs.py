"""What the faces in other tools' places have answered elsewhere, as they see it.

Types only, as those of ``faces.needs``. Who answers is put together in ``node``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from twisted.web.http import Request

    from flocon.files import Asked, FileName
    from flocon.holdings.inventory import Inventory
    from flocon.holdings.offering import Held
    from flocon.pacman.entries import Entry

    class Offering(Protocol):
        """What this node holds."""

        @property
        def inventory(self) -> Inventory:
            """What others are told of."""

        def find(self, file_name: str) -> Held | None:
            """Return the file if it is held here."""

    class Pacman(Protocol):
        """The face for this machine's pacman."""

        def give(self, request: Request, asked: Asked) -> Awaitable[None]:
            """Answer with a file, within what pacman may have."""

    class Lan(Protocol):
        """The face for peers."""

        def give(
            self, request: Request, file: FileName, sha256: bytes | None = None
        ) -> Awaitable[bool]:
            """Send a held file as to any peer; return whether it is held for others."""


@dataclass(frozen=True, slots=True)
class ForPacredir:
    """What the face in the place of pacredir's own is given.

    ``settled`` waits, briefly, until the sync databases are read; ``listed`` returns their entries
    for a file's name, in pacman's order, and ``architectures`` pacman's.
    """

    pacman: Pacman
    offering: Offering
    settled: Callable[[], Awaitable[None]]
    listed: Callable[[str], Sequence[Entry]]
    architectures: Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True)
class ForPacserve:
    """What the face in the place of pacserve is given.

    ``listed`` returns the entries of a file's name that may be told of, in one repository or ("")
    in all; ``keeps`` tells whether nothing is told of a repository. ``holder`` returns the address
    at which another node has a file of such an entry, and ``elsewhere`` that at which another
    tool's machine has it, both by tables in memory alone; ``mirrors`` those at which mirrors may
    have what is asked for. ``nudged`` is told of a pacserve at an address and port;
    ``identity`` is what paclans know this node by.
    """

    reactor: Any
    pacman: Pacman
    lan: Lan
    offering: Offering
    listed: Callable[[str, str], Sequence[Entry]]
    keeps: Callable[[str], bool]
    holder: Callable[[FileName, Entry], str | None]
    elsewhere: Callable[[FileName], str | None]
    mirrors: Callable[[Asked, Entry | None], Sequence[str]]
    nudged: Callable[[str, int], None]
    identity: str
